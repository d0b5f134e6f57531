//! Listening addresses, as operators write them.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// A listening address: `127.0.0.1:17090`, `[::1]:17090`, `tls:192.0.2.1:9443` or
/// `unix:/run/maglev-brain/brain.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A loopback address, without encryption.
    Tcp(SocketAddr),
    /// Any address, with TLS and clients' certificates.
    Tls(SocketAddr),
    /// A unix socket, created at the start and removed at the end.
    Unix(PathBuf),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs a path, such as unix:/run/maglev-brain/brain.sock".to_owned()),
                path => socket_path(path).map(Self::Unix),
            };
        }
        if let Some(address) = text.strip_prefix("tls:") {
            return address.parse().map(Self::Tls).map_err(|_| {
                format!(
                    "{text:?} is not a listening address: use tls:ADDRESS:PORT or tls:[IPV6]:PORT, such \
                    as tls:[::]:9443"
                )
            });
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self::Tcp(address)),
            Ok(address) => Err(format!(
                "{address} is not a loopback address, and only those are served without encryption: use tls:{address}, \
                 127.0.0.1:{}, [::1]:{} or unix:PATH",
                address.port(),
                address.port(),
            )),
            Err(_) => Err(format!(
                "{text:?} is not a listening address: use ADDRESS:PORT, [IPV6]:PORT, tls:ADDRESS:PORT or unix:PATH"
            )),
        }
    }
}

/// Parses the path of a unix socket, for options that name one.
///
/// # Errors
/// If the kernel does not accept the path: at most 107 bytes (`sun_path` in unix(7)), without a zero byte.
pub fn socket_path(text: &str) -> Result<PathBuf, String> {
    match std::os::unix::net::SocketAddr::from_pathname(text) {
        Ok(_) => Ok(text.into()),
        Err(_) if text.contains('\0') => Err("the path of a unix socket contains no zero byte".to_owned()),
        Err(_) => {
            Err(format!("the path of a unix socket is at most 107 bytes long, this one {}", text.len()))
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Tls(address) => write!(f, "tls:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_a_socket_is_as_long_as_the_kernel_takes() {
        let path = format!("/run/{}", "x".repeat(102));
        assert_eq!(socket_path(&path), Ok(PathBuf::from(&path)));
        let told = "the path of a unix socket is at most 107 bytes long, this one 108";
        assert_eq!(socket_path(&format!("{path}y")), Err(told.to_owned()));
        assert_eq!(format!("unix:{path}y").parse::<ListenAddress>(), Err(told.to_owned()));
        assert!(socket_path("/run/a\0b").is_err());
    }
}
