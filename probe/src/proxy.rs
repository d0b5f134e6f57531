//! The PROXY protocol's header, which comes first on a connection
//! (<https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt>).

use std::net::SocketAddr;

use compact_str::{CompactString, format_compact};
use maglev_engine::config::ProxyVersion;
use maglev_engine::outcome::{Finding, ProbeCode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::connect::{in_words, judge};

/// Starts every binary header.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, and the command PROXY.
const PROXY: u8 = 0x21;
/// Version 2, and the command LOCAL, of a connection without addresses.
const LOCAL: u8 = 0x20;
/// TCP over IPv4 and IPv6.
const TCP: (u8, u8) = (0x11, 0x21);

/// Sends the header, with the addresses of the probe's own connection, as HAProxy's checks do.
pub(super) async fn introduce(
    stream: &mut TcpStream,
    version: ProxyVersion,
    target: SocketAddr,
    deadline: Instant,
) -> Result<(), Finding> {
    let source = stream.local_addr().map_err(|error| {
        (ProbeCode::SockErr, format_compact!("the connection has no address: {}", in_words(&error)))
    })?;
    // What follows must not wait for the acknowledgement of the header. If it fails, it does, and no harm else.
    drop(stream.set_nodelay(true));
    match timeout_at(deadline, stream.write_all(&header(version, source, target))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err((
            judge(&error, ProbeCode::L4Con),
            format_compact!("{} before the PROXY header", in_words(&error)),
        )),
        Err(_) => Err((
            ProbeCode::L4Tout,
            CompactString::const_new("connected, but the PROXY header could not be sent in time"),
        )),
    }
}

fn header(version: ProxyVersion, source: SocketAddr, target: SocketAddr) -> Vec<u8> {
    match version {
        ProxyVersion::V1 => text(source, target).into_bytes(),
        ProxyVersion::V2 => binary(source, target),
    }
}

fn text(source: SocketAddr, target: SocketAddr) -> String {
    let family = match (source, target) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) => "TCP4",
        (SocketAddr::V6(_), SocketAddr::V6(_)) => "TCP6",
        _ => return "PROXY UNKNOWN\r\n".to_owned(),
    };
    format!("PROXY {family} {} {} {} {}\r\n", source.ip(), target.ip(), source.port(), target.port())
}

fn binary(source: SocketAddr, target: SocketAddr) -> Vec<u8> {
    let (command, family, addresses) = match (source, target) {
        (SocketAddr::V4(source), SocketAddr::V4(target)) => {
            (PROXY, TCP.0, [source.ip().octets(), target.ip().octets()].concat())
        }
        (SocketAddr::V6(source), SocketAddr::V6(target)) => {
            (PROXY, TCP.1, [source.ip().octets(), target.ip().octets()].concat())
        }
        _ => return [&SIGNATURE[..], &[LOCAL, 0, 0, 0]].concat(),
    };
    let ports = [source.port().to_be_bytes(), target.port().to_be_bytes()].concat();
    // Addresses and ports: 12 bytes, or 36.
    let length = u8::try_from(addresses.len() + ports.len()).unwrap_or_default();
    [&SIGNATURE[..], &[command, family, 0, length], &addresses[..], &ports[..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(v4: bool) -> (SocketAddr, SocketAddr) {
        let [source, target] = match v4 {
            true => ["192.0.2.1:56324", "198.51.100.2:443"],
            false => ["[2001:db8::1]:56324", "[2001:db8::2]:443"],
        };
        (source.parse().unwrap(), target.parse().unwrap())
    }

    #[test]
    fn text_names_both_ends() {
        let (source, target) = addresses(true);
        assert_eq!(text(source, target), "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
        let (source, target) = addresses(false);
        assert_eq!(text(source, target), "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n");
        assert_eq!(text(source, addresses(true).1), "PROXY UNKNOWN\r\n");
    }

    /// By the tables of section 2.2.
    #[test]
    fn binary_names_both_ends() {
        let (source, target) = addresses(true);
        let expected = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11\x00\x0c\
            \xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb";
        assert_eq!(binary(source, target), expected);
        let (source, target) = addresses(false);
        let header = binary(source, target);
        assert_eq!((header[12], header[13], &header[14..16], header.len()), (0x21, 0x21, &[0, 36][..], 52));
        assert!(header.ends_with(b"\x00\x02\xdc\x04\x01\xbb"), "the target's last byte, and the ports");
        assert_eq!(binary(source, addresses(true).1)[12..], [0x20, 0, 0, 0]);
    }
}
