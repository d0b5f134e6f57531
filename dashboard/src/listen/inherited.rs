//! Sockets that the service manager has opened (sd_listen_fds(3)): named `http`, or `https` for TLS.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use maglev_daemon::address::ListenAddress;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::Socket as Listening;

/// Why the process does not start with what it was given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InheritedError {
    #[error("LISTEN_FDS or LISTEN_PID is not what a service manager sets: {0}")]
    Environment(String),
    #[error(
        "the socket unit has a socket named {0:?}: name it with FileDescriptorName=http, or https for TLS"
    )]
    Name(String),
    #[error("the socket named {name} is {what}")]
    Kind { name: String, what: &'static str },
    #[error("cannot use the socket named {name}: {error}")]
    Refused { name: String, error: io::Error },
}

/// What the service manager has given this process. It gives it once.
pub(crate) fn inherited() -> Result<Vec<(Listening, ListenAddress)>, InheritedError> {
    let given = sd_listen_fds::get().map_err(|error| InheritedError::Environment(error.to_string()))?;
    given.into_iter().map(|(name, descriptor)| one(name.unwrap_or_default(), descriptor.into_std())).collect()
}

fn one(name: String, descriptor: OwnedFd) -> Result<(Listening, ListenAddress), InheritedError> {
    let is_tls = match name.as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(InheritedError::Name(name)),
    };
    let kind = |what| InheritedError::Kind { name: name.clone(), what };
    let refused = |error| InheritedError::Refused { name: name.clone(), error };
    let socket = Socket::from(descriptor);
    if socket.r#type().map_err(refused)? != Type::STREAM || !socket.is_listener().map_err(refused)? {
        return Err(kind("not a listening one: it must be one by ListenStream= and Accept=no"));
    }
    socket.set_nonblocking(true).map_err(refused)?;
    socket.set_cloexec(true).map_err(refused)?;
    let address = socket.local_addr().map_err(refused)?;
    let address = match (address.as_socket(), is_tls) {
        (Some(at), true) => ListenAddress::Tls(at),
        (Some(at), false) if at.ip().is_loopback() => ListenAddress::Tcp(at),
        (Some(_), false) => return Err(kind("on an address that others reach: name it https, for TLS")),
        (None, false) if address.domain() == Domain::UNIX => {
            ListenAddress::Unix(address.as_pathname().map_or_else(PathBuf::new, PathBuf::from))
        }
        (None, _) => {
            return Err(kind("of a family that is not served: it must be TCP, or a unix socket named http"));
        }
    };
    let listening = match &address {
        ListenAddress::Unix(_) => UnixListener::from_std(socket.into()).map(Listening::Unix),
        ListenAddress::Tcp(_) | ListenAddress::Tls(_) => {
            TcpListener::from_std(socket.into()).map(Listening::Tcp)
        }
    };
    Ok((listening.map_err(refused)?, address))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[tokio::test]
    async fn sockets_are_taken_by_their_names() {
        let tcp = |address: &str| OwnedFd::from(TcpListener::bind(address).unwrap());
        assert!(matches!(one("http".into(), tcp("127.0.0.1:0")), Ok((_, ListenAddress::Tcp(_)))));
        assert!(matches!(one("https".into(), tcp("0.0.0.0:0")), Ok((_, ListenAddress::Tls(_)))));
        assert!(matches!(one("http".into(), tcp("0.0.0.0:0")), Err(InheritedError::Kind { .. })));
        assert!(matches!(one("grpc".into(), tcp("127.0.0.1:0")), Err(InheritedError::Name(_))));
        let folder = tempfile::tempdir().unwrap();
        let unix = || OwnedFd::from(UnixListener::bind(folder.path().join("s")).unwrap());
        assert!(matches!(one("http".into(), unix()), Ok((_, ListenAddress::Unix(_)))));
        let (one_end, _other) = UnixStream::pair().unwrap();
        assert!(matches!(one("http".into(), one_end.into()), Err(InheritedError::Kind { .. })));
    }
}
