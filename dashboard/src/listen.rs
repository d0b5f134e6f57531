//! Sockets, and the connections that come over them.

mod inherited;
mod tls;

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use maglev_daemon::address::ListenAddress;
use maglev_daemon::socket::{self, SocketError, SocketFile};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::access::Peer;
pub use inherited::{Inherited, InheritedError, inherited};
pub use tls::{Tls, TlsError};

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

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The operating system refused.
    #[error("cannot listen on {address}: {error}")]
    Refused {
        /// Where.
        address: ListenAddress,
        /// Why not.
        error: io::Error,
    },
    /// A unix socket.
    #[error(transparent)]
    Unix(#[from] SocketError),
    /// TLS without certificates.
    #[error("{0} needs a certificate: --https-cert FILE and --https-key FILE")]
    NoCertificate(ListenAddress),
}

/// A socket that is listened on.
#[derive(Debug)]
pub struct Listener {
    address: ListenAddress,
    door: Door,
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Door {
    Tcp(TcpListener),
    Tls(TcpListener, Arc<Tls>),
    Unix(UnixListener),
}

impl Listener {
    /// Listens there.
    ///
    /// # Errors
    /// If the system refuses, or there is no certificate for an address with TLS.
    pub async fn bind(address: &ListenAddress, tls: Option<&Arc<Tls>>) -> Result<Self, ListenError> {
        let refused = |error| ListenError::Refused { address: address.clone(), error };
        let mut file = None;
        let door = match address {
            ListenAddress::Tcp(at) => Door::Tcp(TcpListener::bind(at).await.map_err(refused)?),
            ListenAddress::Tls(at) => {
                let tls = tls.ok_or_else(|| ListenError::NoCertificate(address.clone()))?;
                Door::Tls(TcpListener::bind(at).await.map_err(refused)?, Arc::clone(tls))
            }
            ListenAddress::Unix(path) => Door::Unix(Self::bind_unix(path, &mut file).await?),
        };
        Ok(Self { address: door.address(address), door, _file: file })
    }

    /// Owner and group may connect: a proxy is in the group.
    async fn bind_unix(path: &Path, file: &mut Option<SocketFile>) -> Result<UnixListener, SocketError> {
        let (listener, own) = socket::listen(path, 0o660, BACKLOG).await?;
        *file = Some(own);
        Ok(listener)
    }

    /// Takes a socket that the service manager has opened.
    ///
    /// # Errors
    /// If it cannot be served.
    pub fn inherit(given: Inherited, tls: Option<&Arc<Tls>>) -> Result<Self, ListenError> {
        let (address, door) = match given {
            Inherited::Unix(listener, address) => (address, UnixListener::from_std(listener).map(Door::Unix)),
            Inherited::Tcp(listener, address) => (address, TcpListener::from_std(listener).map(Door::Tcp)),
            Inherited::Tls(listener, address) => {
                let tls = Arc::clone(tls.ok_or_else(|| ListenError::NoCertificate(address.clone()))?);
                (address, TcpListener::from_std(listener).map(|listener| Door::Tls(listener, tls)))
            }
        };
        let door = door.map_err(|error| ListenError::Refused { address: address.clone(), error })?;
        Ok(Self { address, door, _file: None })
    }

    /// Where it is.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }
}

impl Door {
    /// With the port that the system chose, if it did.
    fn address(&self, asked: &ListenAddress) -> ListenAddress {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or_else(|_| asked.clone(), ListenAddress::Tcp),
            Self::Tls(listener, _) => {
                listener.local_addr().map_or_else(|_| asked.clone(), ListenAddress::Tls)
            }
            Self::Unix(_) => asked.clone(),
        }
    }
}

/// Serves until `shutdown` ends; requests that are under way then may finish within some seconds.
pub async fn serve(listener: Listener, routes: Router, shutdown: impl Future<Output = ()>) {
    info!(address = %listener.address, "serving");
    let (graceful, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    tokio::pin!(shutdown);
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener.door) => accepted,
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, address = %listener.address, "cannot accept a connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        let (routes, watcher) = (routes.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = accepted.answer(routes, watcher).await {
                debug!(%error, "a connection broke off");
            }
        });
    }
    if timeout(LAST, graceful.shutdown()).await.is_err() {
        warn!("some clients did not hang up; left them");
    }
}

enum Accepted {
    Tcp(TcpStream, Peer),
    Tls(TcpStream, Arc<Tls>, Peer),
    Unix(tokio::net::UnixStream),
}

async fn accept(door: &Door) -> io::Result<Accepted> {
    match door {
        Door::Tcp(listener) => {
            let (stream, address) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok(Accepted::Tcp(stream, Peer::Loopback(address)))
        }
        Door::Tls(listener, tls) => {
            let (stream, address) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok(Accepted::Tls(stream, Arc::clone(tls), Peer::Tls(address)))
        }
        Door::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0)),
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

impl Accepted {
    async fn answer(
        self,
        routes: Router,
        watcher: hyper_util::server::graceful::Watcher,
    ) -> Result<(), Failed> {
        match self {
            Self::Tcp(stream, peer) => requests(stream, peer, routes, watcher).await,
            Self::Unix(stream) => requests(stream, Peer::Unix, routes, watcher).await,
            Self::Tls(stream, tls, peer) => {
                let stream = timeout(PATIENCE, tls.acceptor().accept(stream)).await??;
                requests(stream, peer, routes, watcher).await
            }
        }
    }
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    routes: Router,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<(), Failed> {
    let service = TowerToHyperService::new(routes.layer(Extension(peer)));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .max_concurrent_streams(64);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    watcher.watch(connection).await
}

#[cfg(test)]
mod tests;
