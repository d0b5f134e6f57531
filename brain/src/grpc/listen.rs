//! Listening sockets of the gRPC server.

mod accept;
mod connection;
mod handshake;
mod turned_away;

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use maglev_daemon::socket::{self, SocketError, SocketFile};
use tokio::net::{TcpListener, UnixListener};
use tonic::transport::Server;
use tower::BoxError;
use tower::filter::FilterLayer;

pub use maglev_daemon::address::ListenAddress;

use super::Service;
use super::access::Access;
use super::rights;
use super::shares::{Places, Shares};
use super::tls::{ReadError, Tls};
use crate::service::InheritedSocket;
use crate::tcp;
use accept::{Door, Guard};
use turned_away::TurnedAway;

/// Everybody may connect and is identified afterwards: two groups may use the socket, but a file has only
/// one, and a refused client is told why. To keep others out entirely, restrict the directory's mode.
const MODE: u32 = 0o666;
/// Maximum number of connections to a unix socket waiting to be accepted.
const BACKLOG: u32 = 1024;
/// Maximum number of concurrent calls on a connection. Clients queue further ones (HTTP/2).
const MOST_CALLS: u32 = 256;
/// A client that is idle for this long is pinged,
const KEEPALIVE: Duration = Duration::from_secs(20);
/// and disconnected if it does not answer within this time.
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);
/// Maximum size of a request's headers, in bytes; maglevc's have some 200.
const MOST_HEADERS: u32 = 16 << 10;

/// Why a socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The operating system refuses.
    #[error("cannot listen on {address}: {error}; free the address, or choose another with --grpc")]
    Refused {
        /// The address.
        address: ListenAddress,
        /// The cause.
        error: std::io::Error,
    },
    /// A unix socket cannot be created.
    #[error(transparent)]
    Unix(#[from] SocketError),
    /// Not loopback, and without TLS.
    #[error(
        "will not listen on {0}, which is not a loopback address, without encryption: use tls:{0} (from a socket unit: \
         FileDescriptorName=grpc-tls), 127.0.0.1, [::1] or unix:PATH"
    )]
    NotLoopback(SocketAddr),
    /// TLS without certificates.
    #[error(
        "cannot listen on tls:{0} without certificates: use --grpc-cert, --grpc-key and --grpc-client-ca"
    )]
    NoCertificates(SocketAddr),
    /// The files for TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] ReadError),
    /// A server failed while it ran.
    #[error("the gRPC server on {address} failed: {error}")]
    Failed {
        /// The address.
        address: ListenAddress,
        /// The cause.
        error: tonic::transport::Error,
    },
}

/// Maximum number of connections, on all sockets together.
const CONNECTIONS: Places = Places { admins: 512, readers: 3328, strangers: 256 };

/// Access rules and quotas, shared by all sockets.
#[derive(Debug)]
pub struct Gate {
    access: Access,
    connections: Shares,
    turned_away: TurnedAway,
}

impl Gate {
    /// Applies these access rules.
    pub fn new(access: Access) -> Arc<Self> {
        Self::with_places(access, CONNECTIONS)
    }

    /// The same with other limits on connections.
    pub(super) fn with_places(access: Access, places: Places) -> Arc<Self> {
        let connections = Shares::new("connections", places);
        Arc::new(Self { access, connections, turned_away: TurnedAway::default() })
    }
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    address: ListenAddress,
    door: Door,
    /// A unix socket's file, unless it is the service manager's.
    file: Option<SocketFile>,
}

impl Listener {
    /// Opens a socket without TLS. Replaces a unix socket that nobody listens on.
    ///
    /// # Errors
    /// If it cannot or must not be opened.
    pub async fn bind(address: ListenAddress) -> Result<Self, ListenError> {
        let refused = |error| ListenError::Refused { address: address.clone(), error };
        match &address {
            ListenAddress::Tcp(tcp) if !tcp.ip().is_loopback() => Err(ListenError::NotLoopback(*tcp)),
            ListenAddress::Tcp(tcp) => {
                let socket = tcp::listen(*tcp).map_err(refused)?;
                let address = ListenAddress::Tcp(socket.local_addr().map_err(refused)?);
                Ok(Self { address, door: Door::Loopback(socket), file: None })
            }
            ListenAddress::Tls(tcp) => Err(ListenError::NoCertificates(*tcp)),
            ListenAddress::Unix(path) => {
                let (socket, file) = socket::listen(path, MODE, BACKLOG).await?;
                Ok(Self { address, door: Door::Unix(socket), file: Some(file) })
            }
        }
    }

    /// Opens a socket that requires client certificates.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub async fn bind_tls(address: SocketAddr, tls: Arc<Tls>) -> Result<Self, ListenError> {
        let refused = |error| ListenError::Refused { address: ListenAddress::Tls(address), error };
        let socket = tcp::listen(address).map_err(refused)?;
        let address = ListenAddress::Tls(socket.local_addr().map_err(refused)?);
        Ok(Self { address, door: Door::Tls(socket, tls), file: None })
    }

    /// Uses a socket from the service manager.
    ///
    /// # Errors
    /// If it must not be served.
    pub fn inherited(socket: InheritedSocket, tls: Option<&Arc<Tls>>) -> Result<Self, ListenError> {
        let (address, door) = match socket {
            InheritedSocket::Unix(socket, path) => {
                let address = ListenAddress::Unix(path);
                (address.clone(), UnixListener::from_std(socket).map(Door::Unix))
            }
            InheritedSocket::Tcp(_, address) if !address.ip().is_loopback() => {
                return Err(ListenError::NotLoopback(address));
            }
            InheritedSocket::Tcp(socket, address) => {
                (ListenAddress::Tcp(address), TcpListener::from_std(socket).map(Door::Loopback))
            }
            InheritedSocket::Tls(socket, address) => {
                let tls = tls.ok_or(ListenError::NoCertificates(address))?;
                let door = TcpListener::from_std(socket).map(|socket| Door::Tls(socket, Arc::clone(tls)));
                (ListenAddress::Tls(address), door)
            }
        };
        let door = door.map_err(|error| ListenError::Refused { address: address.clone(), error })?;
        Ok(Self { address, door, file: None })
    }

    /// The address, with the port that the system chose for port 0.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }
}

/// Serves until `shutdown` ends, then lets calls in progress finish, including those of clients already
/// connected.
///
/// # Errors
/// If the server fails, which a single connection cannot cause.
pub async fn serve(
    listener: Listener,
    service: Service,
    gate: Arc<Gate>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ListenError> {
    let Listener { address, door, file } = listener;
    let (ending, refusals) = (service.ending().clone(), service.refusals.clone());
    let shutdown = async move {
        shutdown.await;
        ending.cancel();
    };
    let noted = refusals.clone();
    let rights = FilterLayer::new(move |request| rights::admit(request, &noted).map_err(BoxError::from));
    let router = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
        .http2_max_header_list_size(MOST_HEADERS)
        .max_concurrent_streams(MOST_CALLS)
        .layer(rights)
        .add_routes(service.routes().await);
    let connections = accept::connections(door, Guard { gate, refusals }, shutdown);
    // The end of the connections ends it; with a shutdown signal, even one that never comes, it ends
    // gracefully.
    let served = router.serve_with_incoming_shutdown(connections, pending()).await;
    drop(file);
    served.map_err(|error| ListenError::Failed { address, error })
}

#[cfg(test)]
mod tests;
