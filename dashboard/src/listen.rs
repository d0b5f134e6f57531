//! Sockets, and what is spoken on them. axum-server accepts and serves the connections.

mod inherited;
mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::SocketAddr as UnixAddress;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::RustlsAcceptor;
use axum_server::{Address, Control, Handle, Server};
use maglev_daemon::address::ListenAddress;
use maglev_daemon::socket::{self, SocketError, SocketFile};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tower::{Service, service_fn};
use tracing::{debug, info, warn};

use crate::access::Peer;
pub(crate) use inherited::inherited;
pub(crate) use tls::Tls;

/// Connections of a socket at once. One more waits to be served.
const CONNECTIONS: usize = 4096;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 256;
/// For a TLS handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("cannot listen on {address}: {error}")]
    Refused { address: ListenAddress, error: io::Error },
    #[error(transparent)]
    Unix(#[from] SocketError),
    #[error("{0} needs a certificate: --https-cert FILE and --https-key FILE")]
    NoCertificate(ListenAddress),
}

/// A socket, and what is spoken on it.
#[derive(Debug)]
pub(crate) struct Listener {
    address: ListenAddress,
    socket: Socket,
    tls: Option<Arc<Tls>>,
    _file: Option<SocketFile>,
}

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(crate) async fn bind(address: &ListenAddress, tls: Option<&Arc<Tls>>) -> Result<Self, ListenError> {
        let (socket, file) = match address {
            ListenAddress::Tcp(at) | ListenAddress::Tls(at) => {
                let refused = |error| ListenError::Refused { address: address.clone(), error };
                (Socket::Tcp(TcpListener::bind(at).await.map_err(refused)?), None)
            }
            // Owner and group may connect: a proxy is in the group.
            ListenAddress::Unix(path) => {
                let (listener, own) = socket::listen(path, 0o660, BACKLOG).await?;
                (Socket::Unix(listener), Some(own))
            }
        };
        Ok(Self { _file: file, ..Self::of(socket, address.clone(), tls)? })
    }

    /// Of a socket that listens already.
    pub(crate) fn of(
        socket: Socket,
        mut address: ListenAddress,
        tls: Option<&Arc<Tls>>,
    ) -> Result<Self, ListenError> {
        let tls = match (&address, tls) {
            (ListenAddress::Tls(_), None) => return Err(ListenError::NoCertificate(address)),
            (ListenAddress::Tls(_), Some(tls)) => Some(Arc::clone(tls)),
            (ListenAddress::Tcp(_) | ListenAddress::Unix(_), _) => None,
        };
        // With the port that the system chose, if it did.
        if let (Socket::Tcp(listener), ListenAddress::Tcp(at) | ListenAddress::Tls(at)) =
            (&socket, &mut address)
        {
            *at = listener.local_addr().unwrap_or(*at);
        }
        Ok(Self { address, socket, tls, _file: None })
    }
}

/// Serves until `control` ends it.
pub(crate) async fn serve(listener: Listener, routes: Router, control: Control) -> io::Result<()> {
    let Listener { address, socket, tls, _file } = listener;
    info!(%address, "serving");
    match (socket, tls) {
        (Socket::Unix(socket), _) => {
            server::<UnixAddress>(socket, control).serve(known(routes, |_| Peer::Unix)).await
        }
        (Socket::Tcp(socket), None) => {
            server::<SocketAddr>(socket, control)
                .acceptor(NoDelayAcceptor)
                .serve(known(routes, Peer::Loopback))
                .await
        }
        (Socket::Tcp(socket), Some(tls)) => {
            let acceptor = RustlsAcceptor::new(tls.config.clone()).handshake_timeout(PATIENCE);
            let server = server::<SocketAddr>(socket, control).acceptor(acceptor.acceptor(NoDelayAcceptor));
            server.serve(known(routes, Peer::Tls)).await
        }
    }
}

fn server<A: Address>(socket: A::Listener, control: Control) -> Server<A> {
    let server = Server::from_listener(socket).handle(Handle::with_control(control));
    let mut server = server.first_request_timeout(PATIENCE).accept_error_handler(|peer, error| match peer {
        Some(_) => debug!(%error, "a connection broke off"),
        None => warn!(%error, "cannot accept a connection"),
    });
    let http = server.http_builder();
    http.http1().header_read_timeout(PATIENCE);
    http.http2().keep_alive_interval(Duration::from_secs(30)).max_concurrent_streams(64);
    server
}

/// The routes for each connection, whose requests know its other end. It has one of the places for as long as it lasts.
fn known<A>(
    routes: Router,
    peer: impl Fn(A) -> Peer,
) -> impl Service<A, Response = Router, Error = io::Error, Future = impl Future<Output = io::Result<Router>> + Send>
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    service_fn(move |address| {
        let (routes, peer, places) = (routes.clone(), peer(address), Arc::clone(&places));
        async move {
            let place = Arc::new(places.acquire_owned().await.map_err(io::Error::other)?);
            Ok(routes.layer(Extension(peer)).layer(Extension(place)))
        }
    })
}

#[cfg(test)]
mod tests;
