//! Opens the connection of a probe.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use compact_str::{CompactString, format_compact};
use maglev_engine::outcome::{Finding, ProbeCode};
use maglev_protocol::is_local;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use rustix::net::connect_unspec;
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

/// Maximum number of sockets that a thread keeps of each address family: more than are in use at once, with thousands of
/// probes a second of a fast network.
const MOST_KEPT: usize = 256;

thread_local! {
    /// Sockets of earlier probes, for IPv6 and IPv4.
    static KEPT: RefCell<[Vec<TcpSocket>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// The side that speaks first on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// Neither at once: being connected is enough, or a handshake of several round trips follows.
    Nobody,
    /// The probe. The handshake's last packet then carries its request instead of a separate one, which saves
    /// a tenth of a probe's CPU time.
    Probe,
}

/// Source of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    /// Address and port; port 0 means any.
    pub(super) address: SocketAddr,
    /// Whether the address is only routed to this machine, and on none of its interfaces.
    pub(super) is_routed: bool,
}

impl From<SocketAddr> for Source {
    fn from(address: SocketAddr) -> Self {
        Self { address, is_routed: false }
    }
}

impl Source {
    /// Lets a socket be bound to it. If that fails, so does binding.
    pub(super) fn admit(&self, socket: SockRef<'_>) {
        if self.is_routed {
            let is_ipv4 = self.address.is_ipv4();
            drop(if is_ipv4 { socket.set_freebind_v4(true) } else { socket.set_freebind_v6(true) });
        }
    }
}

/// Connects, from `source` if given. Dropping the stream resets the connection: neither side keeps it in
/// TIME_WAIT, of which thousands of probes a second would leave too many.
pub(super) async fn connect(
    target: SocketAddr,
    source: Option<Source>,
    first: First,
    deadline: Instant,
) -> Result<TcpStream, Finding> {
    let socket = open(target, source, first)?;
    match timeout_at(deadline, socket.connect(target)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err((judge(&error, ProbeCode::L4Con), refusal(&error))),
        Err(_) => Err((ProbeCode::L4Tout, CompactString::const_new("no answer to the connection attempt"))),
    }
}

/// Resets a connection, as dropping it does, and keeps its socket for a later [`First::Probe`] without a source: making
/// and closing one is a tenth of a probe's CPU time.
pub(super) fn reset(stream: TcpStream, target: SocketAddr) {
    // What fails is dropped.
    if let Ok(stream) = stream.into_std()
        && connect_unspec(&stream).is_ok()
    {
        let place = usize::from(target.is_ipv4());
        KEPT.with_borrow_mut(|kept| {
            if let Some(kept) = kept.get_mut(place).filter(|kept| kept.len() < MOST_KEPT) {
                kept.push(TcpSocket::from_std_stream(stream));
            }
        });
    }
}

/// A socket of an earlier probe. Nothing of its connection is left, except for the option to reset.
fn kept(target: SocketAddr) -> Option<TcpSocket> {
    KEPT.with_borrow_mut(|kept| kept.get_mut(usize::from(target.is_ipv4()))?.pop())
}

fn open(target: SocketAddr, source: Option<Source>, first: First) -> Result<TcpSocket, Finding> {
    if first == First::Probe
        && source.is_none()
        && let Some(socket) = kept(target)
    {
        delay_acknowledgement(&socket);
        return Ok(socket);
    }
    let socket =
        if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(|error| {
            (ProbeCode::SockErr, format_compact!("no socket for the probe: {}", in_words(&error)))
        })?;
    if let Some(source) = source {
        source.admit(SockRef::from(&socket));
        let source = source.address;
        if source.port() == 0 {
            // The port is chosen when the target is known, and may be shared by targets; else one source would do for
            // as many probes as there are ephemeral ports. Without it, it does for those.
            setsockopt(&socket, IpBindAddressNoPort, &true).ok();
        } else {
            // Without it, a port that another target's connection has left in TIME_WAIT is refused.
            socket.set_reuseaddr(true).ok();
        }
        socket.bind(source).map_err(|error| {
            let from = if source.port() == 0 { source.ip().to_string() } else { source.to_string() };
            (ProbeCode::SockErr, format_compact!("cannot probe from {from}: {}", in_words(&error)))
        })?;
    }
    // If it fails, connections are closed normally, which does no harm.
    drop(socket.set_zero_linger());
    if first == First::Probe {
        delay_acknowledgement(&socket);
    }
    Ok(socket)
}

fn delay_acknowledgement(socket: &TcpSocket) {
    // If it fails, one more packet is sent, which does no harm.
    drop(SockRef::from(socket).set_tcp_quickack(false));
}

/// Acknowledges received data at once. A peer that sends its response in small pieces waits for that before
/// the next one (Nagle's algorithm): 40 ms where [`First::Probe`] has delayed acknowledgements.
pub(super) fn acknowledge(stream: &TcpStream) {
    // If it fails, the rest arrives later, which does no other harm.
    drop(SockRef::from(stream).set_tcp_quickack(true));
}

/// The meaning of an error of a probe's connection: `failed`, unless the fault is local. If the kernel gave
/// up waiting, it counts as a timeout.
pub(super) fn judge(error: &io::Error, failed: ProbeCode) -> ProbeCode {
    match (error.raw_os_error(), failed) {
        (Some(errno), _) if is_local(errno) => ProbeCode::SockErr,
        _ if error.kind() != ErrorKind::TimedOut => failed,
        (_, ProbeCode::L4Con) => ProbeCode::L4Tout,
        (_, ProbeCode::L6Rsp) => ProbeCode::L6Tout,
        _ => ProbeCode::L7Tout,
    }
}

/// Describes a failed attempt to connect. Two of the system's own texts do not say what to look for.
pub(super) fn refusal(error: &io::Error) -> CompactString {
    let hint = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EACCES) => ": a firewall or a route on the way prohibits it",
        Some(Errno::EINVAL) => ": its route is a blackhole",
        _ => "",
    };
    format_compact!("{}{hint}", in_words(error))
}

/// An operating system's error without its number.
pub(super) fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;
