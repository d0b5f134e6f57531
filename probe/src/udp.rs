//! One datagram and its reply.
//!
//! The socket is connected: only datagrams from the target's address and port arrive, and the kernel reports the ICMP
//! errors about those that were sent.

use std::net::SocketAddr;

use compact_str::{CompactString, format_compact};
use maglev_engine::config::Exchange;
use maglev_engine::outcome::{Finding, ProbeCode};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::connect::{Source, in_words, judge, refusal};
use super::exchange::judge_whole;

/// Length of the part of a datagram that is read, in bytes.
const DATAGRAM_LIMIT: usize = 4096;

/// Sends the datagram, and judges the first reply; without `expect`, any reply and no reply pass.
pub(super) async fn ask(
    target: SocketAddr,
    source: Option<Source>,
    exchange: &Exchange,
    deadline: Instant,
) -> Result<Finding, Finding> {
    let socket = open(target, source)?;
    send(&socket, exchange.send.as_deref().unwrap_or_default(), deadline).await?;
    let reply = receive(&socket, deadline).await?;
    Ok(match (reply, &exchange.expect) {
        (Some(reply), Some(expect)) => judge_whole(expect, &reply),
        (Some(reply), None) => (ProbeCode::L4Ok, format_compact!("answer of {} bytes", reply.len())),
        (None, Some(_)) => (ProbeCode::L4Tout, CompactString::const_new("no answer in time")),
        (None, None) => (ProbeCode::L4Ok, CompactString::const_new("no ICMP error in time")),
    })
}

/// A socket connected to the target, from `source` if given.
pub(super) fn open(target: SocketAddr, source: Option<Source>) -> Result<UdpSocket, Finding> {
    let no_socket = |error: std::io::Error| {
        (ProbeCode::SockErr, format_compact!("no socket for the probe: {}", in_words(&error)))
    };
    let socket = Socket::new(Domain::for_address(target), Type::DGRAM, None).map_err(no_socket)?;
    if let Some(source) = source {
        source.admit(SockRef::from(&socket));
        let from = source.address;
        socket.bind(&from.into()).map_err(|error| {
            (ProbeCode::SockErr, format_compact!("cannot probe from {}: {}", from.ip(), in_words(&error)))
        })?;
    }
    // Without it, Linux keeps to itself what it takes for passing: an unreachable host, for example. If it fails, that
    // counts as silence.
    match target {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true).ok(),
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true).ok(),
    };
    socket.connect(&target.into()).map_err(|error| failed(&error))?;
    socket.set_nonblocking(true).and_then(|()| UdpSocket::from_std(socket.into())).map_err(no_socket)
}

/// Sends one datagram.
pub(super) async fn send(socket: &UdpSocket, datagram: &[u8], deadline: Instant) -> Result<(), Finding> {
    match timeout_at(deadline, socket.send(datagram)).await {
        Ok(sent) => sent.map(drop).map_err(|error| failed(&error)),
        Err(_) => {
            Err((ProbeCode::SockErr, CompactString::const_new("the datagram could not be sent in time")))
        }
    }
}

/// The next datagram; `None` if none came in time.
pub(super) async fn receive(socket: &UdpSocket, deadline: Instant) -> Result<Option<Vec<u8>>, Finding> {
    let mut datagram = Vec::with_capacity(DATAGRAM_LIMIT);
    match timeout_at(deadline, socket.recv_buf(&mut datagram)).await {
        Ok(Ok(_)) => Ok(Some(datagram)),
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => Ok(None),
    }
}

fn failed(error: &std::io::Error) -> Finding {
    (judge(error, ProbeCode::L4Con), refusal(error))
}

#[cfg(test)]
mod tests;
