//! Sockets, and the connections that come over them.

mod inherited;
mod tls;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use maglev_daemon::address::ListenAddress;
use maglev_daemon::socket::{self, SocketError, SocketFile};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::access::Peer;
pub(crate) use inherited::inherited;
pub(crate) use tls::Tls;

/// Connections at once. One more waits to be accepted.
const CONNECTIONS: usize = 4096;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 256;
/// For a TLS handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time for requests under way to finish when the process shall end.
const LAST: Duration = Duration::from_secs(3);
/// Pause after the system had no resources for another connection.
const PAUSE: Duration = Duration::from_millis(200);

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

    async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match &self.socket {
            Socket::Unix(listener) => Ok((Box::new(listener.accept().await?.0), Peer::Unix)),
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let peer = if self.tls.is_some() { Peer::Tls(address) } else { Peer::Loopback(address) };
                Ok((Box::new(stream), peer))
            }
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Serves until `shutdown` ends; requests that are under way then may finish within some seconds.
pub(crate) async fn serve(listener: Listener, routes: Router, shutdown: impl Future<Output = ()>) {
    info!(address = %listener.address, "serving");
    let (graceful, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    tokio::pin!(shutdown);
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, address = %listener.address, "cannot accept a connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        let (routes, tls, watcher) = (routes.clone(), listener.tls.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = answer(stream, tls, peer, routes, watcher).await {
                debug!(%error, "a connection broke off");
            }
        });
    }
    if timeout(LAST, graceful.shutdown()).await.is_err() {
        warn!("some clients did not hang up; left them");
    }
}

async fn answer(
    stream: Box<dyn Stream>,
    tls: Option<Arc<Tls>>,
    peer: Peer,
    routes: Router,
    watcher: Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stream: Box<dyn Stream> = match tls {
        Some(tls) => Box::new(timeout(PATIENCE, tls.acceptor().accept(stream)).await??),
        None => stream,
    };
    let service = TowerToHyperService::new(routes.layer(Extension(peer)));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .max_concurrent_streams(64);
    watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned()).await
}

#[cfg(test)]
mod tests;
