//! Where to listen, as operators write it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where to listen: `127.0.0.1:9090`, `[::1]:9090` or `unix:/run/maglev-brain/brain.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A loopback address, without encryption.
    Tcp(SocketAddr),
    /// A unix socket, which the process makes, and removes when it ends.
    Unix(PathBuf),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs a path behind it, as unix:/run/maglev-brain/brain.sock".to_owned()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self::Tcp(address)),
            Ok(address) => Err(format!(
                "{address} is no loopback address, and only those are served, since connections are not encrypted: use \
                 127.0.0.1:{}, [::1]:{} or unix:PATH",
                address.port(),
                address.port(),
            )),
            Err(_) => {
                Err(format!("{text:?} is no listening address: use ADDRESS:PORT, [IPV6]:PORT or unix:PATH"))
            }
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
