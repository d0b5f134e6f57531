//! The sockets that the gRPC service listens on.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::Server;

use super::Service;

/// Where to listen: `127.0.0.1:9090`, `[::1]:9090` or `unix:/run/maglev/brain.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A unix socket, which the process makes, and removes when it ends.
    Unix(PathBuf),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("unix: needs a path behind it, as unix:/run/maglev/brain.sock".to_owned()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                format!("{text:?} is no listening address: use ADDRESS:PORT, [IPV6]:PORT or unix:PATH")
            }),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The operating system refuses.
    #[error("cannot listen on {address}: {error}")]
    Refused {
        /// Where.
        address: ListenAddress,
        /// Why.
        error: std::io::Error,
    },
    /// Another process answers there.
    #[error("cannot listen on {0}: another process does already")]
    InUse(ListenAddress),
    /// Something else is there.
    #[error("cannot listen on unix:{}: that file is no socket; remove it, or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// Operators' traffic is not encrypted yet.
    #[error(
        "will not listen on {0}: connections are not encrypted, so only loopback addresses and unix sockets are served"
    )]
    NotLoopback(SocketAddr),
    /// A server failed while it ran.
    #[error("the gRPC server on {address} failed: {error}")]
    Failed {
        /// Where.
        address: ListenAddress,
        /// Why.
        error: tonic::transport::Error,
    },
}

/// An open socket.
#[derive(Debug)]
pub struct Listener {
    address: ListenAddress,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// Removes a unix socket's file when it is dropped.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be gone already, which is what is wanted.
        std::fs::remove_file(&self.0).ok();
    }
}

impl Listener {
    /// Opens a socket. A unix socket that nobody answers on any more is replaced.
    pub async fn bind(address: ListenAddress) -> Result<Self, ListenError> {
        let refused = |error| ListenError::Refused { address: address.clone(), error };
        let socket = match &address {
            ListenAddress::Tcp(tcp) if !tcp.ip().is_loopback() => return Err(ListenError::NotLoopback(*tcp)),
            ListenAddress::Tcp(tcp) => Socket::Tcp(TcpListener::bind(tcp).await.map_err(refused)?),
            ListenAddress::Unix(path) => {
                remove_stale(path, &address).await?;
                let listener = UnixListener::bind(path).map_err(refused)?;
                let mode = std::fs::Permissions::from_mode(0o660);
                std::fs::set_permissions(path, mode).map_err(refused)?;
                Socket::Unix(listener, SocketFile(path.clone()))
            }
        };
        Ok(Self { address, socket })
    }

    /// Where it listens; with the port that the system chose, if it was asked for port 0.
    pub fn address(&self) -> ListenAddress {
        match &self.socket {
            Socket::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| self.address.clone(), ListenAddress::Tcp)
            }
            Socket::Unix(..) => self.address.clone(),
        }
    }
}

async fn remove_stale(path: &Path, address: &ListenAddress) -> Result<(), ListenError> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(ListenError::NotASocket(path.to_owned()));
    }
    if UnixStream::connect(path).await.is_ok() {
        return Err(ListenError::InUse(address.clone()));
    }
    std::fs::remove_file(path).map_err(|error| ListenError::Refused { address: address.clone(), error })
}

/// Serves until `shutdown` ends, then lets the calls under way finish.
pub async fn serve(
    listener: Listener,
    service: Service,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ListenError> {
    let address = listener.address();
    let ending = service.ending().clone();
    let shutdown = async {
        shutdown.await;
        ending.cancel();
    };
    let router = Server::builder().add_routes(service.routes().await);
    let served = match listener.socket {
        Socket::Tcp(tcp) => router.serve_with_incoming_shutdown(TcpListenerStream::new(tcp), shutdown).await,
        Socket::Unix(unix, _file) => {
            router.serve_with_incoming_shutdown(UnixListenerStream::new(unix), shutdown).await
        }
    };
    served.map_err(|error| ListenError::Failed { address, error })
}
