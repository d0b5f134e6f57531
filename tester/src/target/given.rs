//! VIPs of the command line.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use maglev_engine::config::CheckKind;

use super::{Request, Target, get, verified};

/// What is wrong with a VIP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GivenError {
    /// Another scheme.
    #[error("unknown scheme `{0}://`; expected one of: tcp://, udp://, http://, https://")]
    Scheme(String),
    /// No address, or no port where one is needed.
    #[error(
        "{0:?} is no VIP: use ADDRESS:PORT or [IPV6]:PORT, with tcp://, udp://, http:// or https:// before it"
    )]
    Address(String),
    /// A path where none can be asked for.
    #[error("{0:?} has a path, which only http:// and https:// take")]
    Path(String),
}

/// Reads `ADDRESS:PORT`, with a scheme before it if the port does not tell what to ask. http and https need no port, and
/// take a path.
///
/// # Errors
/// [`GivenError`].
pub fn from_text(text: &str) -> Result<Target, GivenError> {
    let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    let default_port = match scheme {
        None | Some("tcp" | "udp") => None,
        Some("http") => Some(80),
        Some("https") => Some(443),
        Some(other) => return Err(GivenError::Scheme(other.to_owned())),
    };
    let (address, path) = rest.split_once('/').map_or((rest, None), |(address, path)| (address, Some(path)));
    let vip = address_of(address, default_port).ok_or_else(|| GivenError::Address(text.to_owned()))?;
    let path = match (path, default_port) {
        (Some(path), None) if !path.is_empty() => return Err(GivenError::Path(text.to_owned())),
        (path, _) => format!("/{}", path.unwrap_or_default()),
    };
    let http = |tls| Request::Check(CheckKind::Http { port: vip.port(), http: get(&path), tls });
    let request = match scheme {
        None => Request::of_port(vip.port()),
        Some("udp") => Request::Udp,
        Some("http") => http(None),
        Some("https") => http(Some(verified())),
        Some(_) => Request::tcp(vip.port()),
    };
    Ok(Target { name: text.to_owned(), vip, request, src_ip_sticky: false })
}

fn address_of(text: &str, default_port: Option<u16>) -> Option<SocketAddr> {
    let alone = || {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address = match bracketed {
            Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => text.parse().ok().filter(IpAddr::is_ipv4),
        };
        Some(SocketAddr::new(address?, default_port?))
    };
    text.parse::<SocketAddr>().ok().or_else(alone).filter(|vip| vip.port() != 0)
}
