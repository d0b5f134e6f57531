//! Sockets that the service manager has opened (sd_listen_fds(3)): named `http`, or `https` for TLS.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use maglev_daemon::address::ListenAddress;
use socket2::{Domain, Socket, Type};

/// A socket that was given. It does not block.
#[derive(Debug)]
pub enum Inherited {
    /// A unix socket.
    Unix(UnixListener, ListenAddress),
    /// On a loopback address.
    Tcp(TcpListener, ListenAddress),
    /// With TLS.
    Tls(TcpListener, ListenAddress),
}

/// Why the process does not start with what it was given.
#[derive(Debug, thiserror::Error)]
pub enum InheritedError {
    /// The environment contradicts itself.
    #[error("LISTEN_FDS or LISTEN_PID is not what a service manager sets: {0}")]
    Environment(String),
    /// Nobody knows what it is for.
    #[error(
        "the socket unit has a socket named {0:?}: name it with FileDescriptorName=http, or https for TLS"
    )]
    Name(String),
    /// It cannot be served.
    #[error("the socket named {name} is {what}")]
    Kind {
        /// Of which.
        name: String,
        /// What was found, and what would do.
        what: String,
    },
    /// The operating system refuses.
    #[error("cannot use the socket named {name}: {error}")]
    Refused {
        /// Of which.
        name: String,
        /// Why.
        error: io::Error,
    },
}

/// What the service manager has given this process. It gives it once.
///
/// # Errors
/// If there is a socket that cannot be served.
pub fn inherited() -> Result<Vec<Inherited>, InheritedError> {
    let given = sd_listen_fds::get().map_err(|error| InheritedError::Environment(error.to_string()))?;
    given.into_iter().map(|(name, descriptor)| one(name.unwrap_or_default(), descriptor.into_std())).collect()
}

fn one(name: String, descriptor: OwnedFd) -> Result<Inherited, InheritedError> {
    let is_tls = match name.as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(InheritedError::Name(name)),
    };
    let kind = |what: &str| InheritedError::Kind { name: name.clone(), what: what.to_owned() };
    let refused = |error| InheritedError::Refused { name: name.clone(), error };
    let socket = Socket::from(descriptor);
    if socket.r#type().map_err(refused)? != Type::STREAM || !socket.is_listener().map_err(refused)? {
        return Err(kind("not a listening one: it must be one by ListenStream= and Accept=no"));
    }
    socket.set_nonblocking(true).map_err(refused)?;
    socket.set_cloexec(true).map_err(refused)?;
    let address = socket.local_addr().map_err(refused)?;
    match (address.as_socket(), is_tls) {
        (Some(at), true) => Ok(Inherited::Tls(socket.into(), ListenAddress::Tls(at))),
        (Some(at), false) if at.ip().is_loopback() => {
            Ok(Inherited::Tcp(socket.into(), ListenAddress::Tcp(at)))
        }
        (Some(_), false) => Err(kind("on an address that others reach: name it https, for TLS")),
        (None, false) if address.domain() == Domain::UNIX => {
            let path = address.as_pathname().map_or_else(PathBuf::new, PathBuf::from);
            Ok(Inherited::Unix(socket.into(), ListenAddress::Unix(path)))
        }
        (None, _) => Err(kind("of a family that is not served: it must be TCP, or a unix socket named http")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_taken_by_their_names() {
        let tcp = |address: &str| OwnedFd::from(TcpListener::bind(address).unwrap());
        assert!(matches!(one("http".into(), tcp("127.0.0.1:0")), Ok(Inherited::Tcp(..))));
        assert!(matches!(one("https".into(), tcp("0.0.0.0:0")), Ok(Inherited::Tls(..))));
        assert!(matches!(one("http".into(), tcp("0.0.0.0:0")), Err(InheritedError::Kind { .. })));
        assert!(matches!(one("grpc".into(), tcp("127.0.0.1:0")), Err(InheritedError::Name(_))));
        let folder = tempfile::tempdir().unwrap();
        let unix = || OwnedFd::from(UnixListener::bind(folder.path().join("s")).unwrap());
        assert!(matches!(one("http".into(), unix()), Ok(Inherited::Unix(..))));
        let (one_end, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(matches!(one("http".into(), one_end.into()), Err(InheritedError::Kind { .. })));
    }
}
