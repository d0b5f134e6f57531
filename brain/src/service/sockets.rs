//! Sockets opened by the service manager (sd_listen_fds(3)). They outlive the process: clients that connect
//! during a restart wait until it is back.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use maglev_daemon::address::ListenAddress;
use socket2::{Domain, Socket, Type};

/// Name in the socket unit for operators' gRPC.
const GRPC: &str = "grpc";
/// The same, with client certificates.
const GRPC_TLS: &str = "grpc-tls";
/// Name in the socket unit for Prometheus.
const METRICS: &str = "metrics";

/// All inherited sockets.
#[derive(Debug, Default)]
pub struct Inherited {
    /// For operators.
    pub grpc: Vec<InheritedSocket>,
    /// For Prometheus.
    pub metrics: Option<TcpListener>,
}

/// A socket for operators' gRPC, in non-blocking mode.
#[derive(Debug)]
pub enum InheritedSocket {
    /// A unix socket, whose file is the service manager's.
    Unix(UnixListener, PathBuf),
    /// Without TLS.
    Tcp(TcpListener, SocketAddr),
    /// With TLS.
    Tls(TcpListener, SocketAddr),
}

impl InheritedSocket {
    /// Its address.
    pub fn address(&self) -> ListenAddress {
        match self {
            Self::Unix(_, path) => ListenAddress::Unix(path.clone()),
            Self::Tcp(_, address) => ListenAddress::Tcp(*address),
            Self::Tls(_, address) => ListenAddress::Tls(*address),
        }
    }

    /// Duplicates its descriptor.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(socket, path) => Self::Unix(socket.try_clone()?, path.clone()),
            Self::Tcp(socket, address) => Self::Tcp(socket.try_clone()?, *address),
            Self::Tls(socket, address) => Self::Tls(socket.try_clone()?, *address),
        })
    }
}

/// Why the process refuses its inherited sockets: clients that connect there would wait in vain.
#[derive(Debug, thiserror::Error)]
pub enum InheritedError {
    /// The environment is inconsistent.
    #[error("LISTEN_FDS or LISTEN_PID is not what a service manager sets: {0}")]
    Environment(String),
    /// A socket's name has no meaning.
    #[error(
        "the socket unit has a socket named {0:?}: set its purpose with FileDescriptorName=grpc, grpc-tls or metrics"
    )]
    Name(String),
    /// There can be only one exporter.
    #[error("the socket units have two sockets for metrics: remove one")]
    TwoForMetrics,
    /// A socket of the wrong kind.
    #[error("the socket named {name} is {what}: it must be {right}")]
    Kind {
        /// Name in the socket unit.
        name: &'static str,
        /// The kind found.
        what: String,
        /// The kind expected.
        right: &'static str,
    },
    /// The operating system refuses.
    #[error("cannot use the socket named {name}: {error}")]
    Refused {
        /// Name in the socket unit.
        name: &'static str,
        /// The cause.
        error: io::Error,
    },
}

/// Takes the service manager's sockets. Must be called once: a second call would give them to two owners.
///
/// # Errors
/// If a socket cannot be served.
pub fn inherited() -> Result<Inherited, InheritedError> {
    let given = sd_listen_fds::get().map_err(|error| InheritedError::Environment(error.to_string()))?;
    sort(given.into_iter().map(|(name, descriptor)| (name.unwrap_or_default(), descriptor.into_std())))
}

fn sort(given: impl Iterator<Item = (String, OwnedFd)>) -> Result<Inherited, InheritedError> {
    let mut inherited = Inherited::default();
    for (name, descriptor) in given {
        match name.as_str() {
            GRPC => inherited.grpc.push(grpc(descriptor)?),
            GRPC_TLS => {
                let (listener, address) = tcp(GRPC_TLS, listening(GRPC_TLS, descriptor)?)?;
                inherited.grpc.push(InheritedSocket::Tls(listener, address));
            }
            METRICS if inherited.metrics.is_some() => return Err(InheritedError::TwoForMetrics),
            METRICS => inherited.metrics = Some(tcp(METRICS, listening(METRICS, descriptor)?)?.0),
            _ => return Err(InheritedError::Name(name)),
        }
    }
    Ok(inherited)
}

fn grpc(descriptor: OwnedFd) -> Result<InheritedSocket, InheritedError> {
    let socket = listening(GRPC, descriptor)?;
    let address = socket.local_addr().map_err(|error| InheritedError::Refused { name: GRPC, error })?;
    if address.domain() == Domain::UNIX {
        let path = address.as_pathname().map_or_else(PathBuf::new, PathBuf::from);
        return Ok(InheritedSocket::Unix(socket.into(), path));
    }
    tcp(GRPC, socket).map(|(listener, address)| InheritedSocket::Tcp(listener, address))
}

fn listening(name: &'static str, descriptor: OwnedFd) -> Result<Socket, InheritedError> {
    let refused = |error| InheritedError::Refused { name, error };
    let socket = Socket::from(descriptor);
    let is_stream = socket.r#type().map_err(refused)? == Type::STREAM;
    if !is_stream || !socket.is_listener().map_err(refused)? {
        let what = if is_stream { "one connection" } else { "no stream" }.to_owned();
        return Err(InheritedError::Kind {
            name,
            what,
            right: "a listening one, by ListenStream= and Accept=no",
        });
    }
    socket.set_nonblocking(true).map_err(refused)?;
    socket.set_cloexec(true).map_err(refused)?;
    Ok(socket)
}

fn tcp(name: &'static str, socket: Socket) -> Result<(TcpListener, SocketAddr), InheritedError> {
    let address = socket.local_addr().map_err(|error| InheritedError::Refused { name, error })?;
    match address.as_socket() {
        Some(address) => Ok((socket.into(), address)),
        None => Err(InheritedError::Kind {
            name,
            what: format!("of the family {:?}", address.domain()),
            right: "one of TCP, by ListenStream=ADDRESS:PORT",
        }),
    }
}

#[cfg(test)]
mod tests;
