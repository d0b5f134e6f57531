//! Addresses of maglev-brain, as operators write them.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Default socket of maglev-brain's package.
const SOCKET: &str = "/run/maglev-brain/brain.sock";

/// Address of maglev-brain's gRPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// Host name or address, without brackets. A link-local IPv6 address may have its zone, as `fe80::1%eth0`.
    Tcp {
        /// Name or address.
        host: String,
        /// From 1.
        port: u16,
    },
    /// The same with TLS; the certificate must be for the host.
    Tls {
        /// Name or address.
        host: String,
        /// From 1.
        port: u16,
    },
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// Errors in an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// `unix:` alone.
    #[error("unix: needs a path, such as unix:/run/maglev-brain/brain.sock")]
    NoPath,
    /// The kernel takes no such path: see unix(7).
    #[error(
        "the path of a unix socket is at most 107 bytes long and contains no zero byte; this one has {0}"
    )]
    Path(usize),
    /// https is not a form of address.
    #[error("with TLS, write tls:HOST:PORT")]
    Https,
    /// No port.
    #[error("the port is missing: write HOST:PORT, as 127.0.0.1:17090, or unix:PATH for a socket")]
    NoPort,
    /// A port out of range.
    #[error("{0:?} is no port: ports are 1 to 65535, as in 127.0.0.1:17090")]
    Port(String),
    /// An IPv6 address without brackets.
    #[error("an IPv6 address stands in brackets before its port, as [::1]:17090")]
    Brackets,
    /// Not a valid host.
    #[error("{0:?} is no host: write a name, an IPv4 address, or an IPv6 address in brackets")]
    Host(String),
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match std::os::unix::net::SocketAddr::from_pathname(path) {
                _ if path.is_empty() => Err(AddressError::NoPath),
                Ok(_) => Ok(Self::Unix(path.into())),
                Err(_) => Err(AddressError::Path(path.len())),
            };
        }
        if text.starts_with("https://") {
            return Err(AddressError::Https);
        }
        if let Some(rest) = text.strip_prefix("tls:") {
            let (host, port) = host_and_port(rest)?;
            return Ok(Self::Tls { host, port });
        }
        let plain = text.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let (host, port) = host_and_port(plain.unwrap_or(text))?;
        Ok(Self::Tcp { host, port })
    }
}

fn host_and_port(text: &str) -> Result<(String, u16), AddressError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (host, behind) = bracketed.split_once(']').ok_or(AddressError::Brackets)?;
            if !is_ipv6(host) {
                return Err(AddressError::Host(host.to_owned()));
            }
            (host, behind.strip_prefix(':').ok_or(AddressError::NoPort)?)
        }
        None => {
            let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
            if host.contains(':') {
                return Err(AddressError::Brackets);
            }
            if !is_name(host) {
                return Err(AddressError::Host(host.to_owned()));
            }
            (host, port)
        }
    };
    match port.parse() {
        Ok(0) | Err(_) => Err(AddressError::Port(port.to_owned())),
        Ok(port) => Ok((host.to_owned(), port)),
    }
}

/// With or without a zone.
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').unwrap_or((host, "lo"));
    address.parse::<Ipv6Addr>().is_ok() && is_name(zone)
}

/// The resolver decides; this only rejects what no host name or IPv4 address can contain.
fn is_name(host: &str) -> bool {
    !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}

impl ServerAddress {
    /// Default address of maglev-brain on this machine. The unix socket comes first, since it identifies the
    /// caller.
    pub fn of_this_machine() -> Self {
        Self::at_or_over_tcp(Path::new(SOCKET))
    }

    fn at_or_over_tcp(socket: &Path) -> Self {
        if socket.exists() {
            Self::Unix(socket.to_owned())
        } else {
            Self::Tcp { host: "127.0.0.1".to_owned(), port: 17090 }
        }
    }

    /// Authority of the requests' URI. Zones have no place in one, and unix sockets have no authority.
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port } | Self::Tls { host, port } => {
                bracketed(host.split_once('%').map_or(host, |(address, _)| address), *port)
            }
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

fn bracketed(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => f.write_str(&bracketed(host, *port)),
            Self::Tls { host, port } => write!(f, "tls:{}", bracketed(host, *port)),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests;
