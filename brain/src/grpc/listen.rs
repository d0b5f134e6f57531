//! The sockets that the gRPC service listens on.

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

/// Everybody may connect, and is then recognised: two groups may use the socket, and a file has one. Who may not use
/// it is told why. Where not even that is wanted, the directory's mode keeps them out.
const MODE: u32 = 0o666;
/// Connections to a unix socket that wait to be accepted.
const BACKLOG: u32 = 1024;
/// Calls at once on one connection. Clients keep further ones back (HTTP/2).
const MOST_CALLS: u32 = 256;
/// A client that says nothing for so long is asked whether it is still there,
const KEEPALIVE: Duration = Duration::from_secs(20);
/// and is hung up on if it does not answer for so long.
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);
/// Headers of a request; maglevc's have some 200 bytes.
const MOST_HEADERS: u32 = 16 << 10;

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The operating system refuses.
    #[error("cannot listen on {address}: {error}; free the address, or choose another with --grpc")]
    Refused {
        /// Where.
        address: ListenAddress,
        /// Why.
        error: std::io::Error,
    },
    /// A unix socket cannot be made.
    #[error(transparent)]
    Unix(#[from] SocketError),
    /// Without encryption.
    #[error(
        "will not listen on {0}, which is no loopback address, without encryption: use tls:{0} (from a socket unit: \
         FileDescriptorName=grpc-tls), 127.0.0.1, [::1] or unix:PATH"
    )]
    NotLoopback(SocketAddr),
    /// With encryption, but without certificates.
    #[error(
        "cannot listen on tls:{0} without certificates: --grpc-cert, --grpc-key and --grpc-client-ca name them"
    )]
    NoCertificates(SocketAddr),
    /// The files for TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] ReadError),
    /// A server failed while it ran.
    #[error("the gRPC server on {address} failed: {error}")]
    Failed {
        /// Where.
        address: ListenAddress,
        /// Why.
        error: tonic::transport::Error,
    },
}

/// Connections at once, on all sockets together.
const CONNECTIONS: Places = Places { admins: 512, readers: 3328, strangers: 256 };

/// What all sockets share: who may do what, and how many may be there.
#[derive(Debug)]
pub struct Gate {
    access: Access,
    connections: Shares,
    turned_away: TurnedAway,
}

impl Gate {
    /// Lets in by these rules.
    pub fn new(access: Access) -> Arc<Self> {
        Self::with_places(access, CONNECTIONS)
    }

    /// The same, for so many connections.
    pub(super) fn with_places(access: Access, places: Places) -> Arc<Self> {
        let connections = Shares::new("connections", places);
        Arc::new(Self { access, connections, turned_away: TurnedAway::default() })
    }
}

/// An open socket.
#[derive(Debug)]
pub struct Listener {
    address: ListenAddress,
    door: Door,
    /// A unix socket's, unless the service manager made it.
    file: Option<SocketFile>,
}

impl Listener {
    /// Opens a socket without TLS. A unix socket that nobody answers on any more is replaced.
    ///
    /// # Errors
    /// If it cannot be opened, or must not.
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

    /// Opens a socket on which clients must show a certificate.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub async fn bind_tls(address: SocketAddr, tls: Arc<Tls>) -> Result<Self, ListenError> {
        let refused = |error| ListenError::Refused { address: ListenAddress::Tls(address), error };
        let socket = tcp::listen(address).map_err(refused)?;
        let address = ListenAddress::Tls(socket.local_addr().map_err(refused)?);
        Ok(Self { address, door: Door::Tls(socket, tls), file: None })
    }

    /// Serves a socket that the service manager has opened.
    ///
    /// # Errors
    /// If it must not be served as it is.
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

    /// Where it listens; with the port that the system chose, if it was asked for port 0.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }
}

/// Serves until `shutdown` ends, then lets the calls under way finish, those of clients included that have connected
/// before.
///
/// # Errors
/// If the server fails, which it does not for the sake of one connection.
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
    // The end of the connections is what ends it; a signal, even one that never comes, has it end in order.
    let served = router.serve_with_incoming_shutdown(connections, pending()).await;
    drop(file);
    served.map_err(|error| ListenError::Failed { address, error })
}

#[cfg(test)]
mod tests;
