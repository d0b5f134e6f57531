//! Raw ICMP sockets.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use maglev_protocol::EchoOutcome;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tracing::warn;

use super::packet::{HEADER_LENGTH, telling_v4, telling_v6};
use crate::raw::why_refused;
use crate::tunnel::Tunnel;

/// Requested size of each socket buffer, in bytes. The kernel doubles it: 8 MiB hold the 8,192 requests or
/// replies that may be in flight, at 768 bytes of accounting for a small one.
const BUFFER: usize = 4 << 20;

/// The sockets of both families, opened while the process still has the privilege.
#[derive(Debug)]
pub struct Sockets {
    pub(super) v4: Result<RawSocket, Absent>,
    pub(super) v6: Result<RawSocket, Absent>,
    /// The way of requests from probe addresses.
    pub(super) tunnel: Option<Tunnel>,
}

impl Sockets {
    /// Sends requests from the tunnel's probe addresses through it.
    #[must_use]
    pub fn with_tunnel(self, tunnel: Tunnel) -> Self {
        Self { tunnel: Some(tunnel), ..self }
    }
}

/// A raw ICMP or ICMPv6 socket, not yet registered with a runtime.
#[derive(Debug)]
pub(super) struct RawSocket(OwnedFd);

/// Why an address family cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this machine's kernel lacks {family}: {reason}")]
pub struct Absent {
    pub(super) family: &'static str,
    pub(super) reason: String,
}

/// Why no socket was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `CAP_NET_RAW` is missing.
    #[error("cannot open a raw {family} socket: {source}; the process needs the capability CAP_NET_RAW")]
    Privilege {
        /// ICMP or ICMPv6.
        family: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// Any other error.
    #[error("cannot {action} a raw {family} socket: {source}")]
    Kernel {
        /// ICMP or ICMPv6.
        family: &'static str,
        /// The operation that failed.
        action: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
}

/// Opens a socket for each family. Needs `CAP_NET_RAW`; nothing later does.
///
/// # Errors
/// When the capability is missing or the kernel has no resources left. A family that the kernel lacks is not
/// an error.
pub fn open() -> Result<Sockets, OpenError> {
    let v4 = open_one("ICMP", Domain::IPV4, Protocol::ICMPV4, &filter_v4())?;
    let v6 = open_one("ICMPv6", Domain::IPV6, Protocol::ICMPV6, &filter_v6())?;
    Ok(Sockets { v4, v6, tunnel: None })
}

fn open_one(
    family: &'static str,
    domain: Domain,
    protocol: Protocol,
    filter: &[SockFilter],
) -> Result<Result<RawSocket, Absent>, OpenError> {
    let kernel = |action| move |source| OpenError::Kernel { family, action, source };
    let socket = match Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(protocol)) {
        Ok(socket) => socket,
        Err(source) => {
            return match source.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EPERM | Errno::EACCES) => Err(OpenError::Privilege { family, source }),
                Some(Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT) => {
                    Ok(Err(Absent { family, reason: source.to_string() }))
                }
                _ => Err(kernel("open")(source)),
            };
        }
    };
    socket.attach_filter(filter).map_err(kernel("set the filter of"))?;
    socket.set_recv_buffer_size(BUFFER).map_err(kernel("size the receive buffer of"))?;
    socket.set_send_buffer_size(BUFFER).map_err(kernel("size the send buffer of"))?;
    let receive = socket.recv_buffer_size().map_err(kernel("read the size of the receive buffer of"))?;
    let send = socket.send_buffer_size().map_err(kernel("read the size of the send buffer of"))?;
    if receive.min(send) < BUFFER {
        warn!(
            family,
            receive,
            send,
            wanted = 2 * BUFFER,
            "small socket buffers: with many echo requests at once answers may be lost; \
             net.core.rmem_max and net.core.wmem_max of {BUFFER} prevent it"
        );
    }
    Ok(Ok(RawSocket(socket.into())))
}

/// Builds a classic BPF program (the kernel's `Documentation/networking/filter.rst`): load the type, accept
/// the packet if it is one of these. Without it, every ICMP message to this machine, requests included, wakes
/// a raw socket.
fn filter(load: impl IntoIterator<Item = SockFilter>, types: impl Iterator<Item = u8>) -> Vec<SockFilter> {
    let mut program: Vec<_> = load.into_iter().collect();
    for kind in types {
        // `jeq #kind, 0, 1`: continue with the next instruction if equal, else skip it.
        program.push(SockFilter::new(0x15, 0, 1, kind.into()));
        program.push(keep(u32::MAX));
    }
    program.push(keep(0));
    program
}

/// `ret #bytes`: keep this many bytes of the packet.
fn keep(bytes: u32) -> SockFilter {
    SockFilter::new(0x06, 0, 0, bytes)
}

fn filter_v4() -> Vec<SockFilter> {
    // `ldxb 4*([0]&0xf)`, the length of the IP header; `ldb [x+0]`.
    filter([SockFilter::new(0xb1, 0, 0, 0), SockFilter::new(0x50, 0, 0, 0)], telling_v4())
}

fn filter_v6() -> Vec<SockFilter> {
    // `ldb [0]`: the kernel delivers no IPv6 header.
    filter([SockFilter::new(0x30, 0, 0, 0)], telling_v6())
}

/// The socket operations that [`LaneLoop`](super::lane::LaneLoop) needs.
pub(super) trait Wire: Send + Sync {
    /// Waits until a packet can be received.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Waits until a packet can be sent.
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Receives the next packet and its sender without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if there is none.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, IpAddr)>;

    /// Sends without waiting.
    fn send(&self, packet: &[u8], target: IpAddr, source: Option<IpAddr>) -> Sending;
}

/// A raw socket registered with a runtime.
///
/// tokio has no raw sockets, and its `AsyncFd` cannot be created without `unsafe`. Its `UdpSocket` does what
/// is needed on any datagram socket: wait, and receive with the sender's address.
#[derive(Debug)]
pub(super) struct IcmpSocket(UdpSocket, Option<Tunnel>);

/// Outcome of sending a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sending {
    Sent,
    /// The socket's buffer is full: wait until it is writable.
    BufferFull,
    /// The kernel has no memory, or no free neighbour entry: retry after a pause, since the kernel does not
    /// notify. Other targets may not be affected.
    NoRoom,
    /// The kernel refused it, with this outcome for the request.
    Refused(EchoOutcome),
}

impl IcmpSocket {
    /// Registers a socket with the current runtime.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub(super) fn new(socket: RawSocket, tunnel: Option<Tunnel>) -> io::Result<Self> {
        Ok(Self(UdpSocket::from_std(socket.0.into())?, tunnel))
    }
}

impl Wire for IcmpSocket {
    async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    async fn writable(&self) -> io::Result<()> {
        self.0.writable().await
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, IpAddr)> {
        self.0.try_recv_from(buffer).map(|(length, from)| (length, from.ip()))
    }

    fn send(&self, packet: &[u8], target: IpAddr, source: Option<IpAddr>) -> Sending {
        if let (Some(source), Some(tunnel)) = (source, &self.1)
            && let Some(sent) = tunnel.send_icmp(source, target, packet)
        {
            return sent.map_or_else(Sending::Refused, |()| Sending::Sent);
        }
        let send = || Ok(send_from(&self.0, packet, target, source, MsgFlags::empty())?);
        let sent = self.0.try_io(Interest::WRITABLE, send);
        let error = match sent {
            Ok(_) => return Sending::Sent,
            Err(error) => error,
        };
        // tokio itself returns this, without an errno, when it knows that the socket is not writable.
        if error.kind() == io::ErrorKind::WouldBlock {
            return Sending::BufferFull;
        }
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOBUFS | Errno::ENOMEM | Errno::EINTR) => Sending::NoRoom,
            _ => {
                let foreign = source.filter(|source| !is_own(&self.0, *source));
                Sending::Refused(refusal(&error, target, foreign))
            }
        }
    }
}

/// Sends with the source address in ancillary data, so that one socket serves all sources; the kernel checks
/// that the address is this machine's.
fn send_from(
    socket: &UdpSocket,
    packet: &[u8],
    target: IpAddr,
    source: Option<IpAddr>,
    flags: MsgFlags,
) -> Result<usize, Errno> {
    let target = SockaddrStorage::from(SocketAddr::new(target, 0));
    let send = |control: &[ControlMessage<'_>]| {
        sendmsg(socket.as_raw_fd(), &[IoSlice::new(packet)], control, flags, Some(&target))
    };
    match source {
        None => send(&[]),
        Some(IpAddr::V4(source)) => send(&[ControlMessage::Ipv4PacketInfo(&packet_info_v4(source))]),
        Some(IpAddr::V6(source)) => send(&[ControlMessage::Ipv6PacketInfo(&packet_info_v6(source))]),
    }
}

/// Whether an address is this machine's. The send error does not tell: for a foreign source, Linux returns
/// what it also returns for a missing route (IPv4) or a blackhole (IPv6). A packet from an own address to
/// itself always has a route.
fn is_own(socket: &UdpSocket, source: IpAddr) -> bool {
    /// `MSG_PROBE` of Linux's `include/linux/socket.h`: looks up the route and sends nothing.
    const ONLY_LOOK: MsgFlags = MsgFlags::from_bits_retain(0x10);
    let packet = [0; HEADER_LENGTH];
    send_from(socket, &packet, source, Some(source), ONLY_LOOK).is_ok()
}

fn packet_info_v4(source: Ipv4Addr) -> libc::in_pktinfo {
    libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
        ipi_addr: libc::in_addr { s_addr: 0 },
    }
}

fn packet_info_v6(source: Ipv6Addr) -> libc::in6_pktinfo {
    libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: source.octets() }, ipi6_ifindex: 0 }
}

/// Outcome of a request that the kernel refused; `foreign` is its source address if it is not this machine's.
fn refusal(error: &io::Error, target: IpAddr, foreign: Option<IpAddr>) -> EchoOutcome {
    if let Some(source) = foreign {
        return EchoOutcome::NotSent {
            reason: format!("{source} is not an address of this machine ({error})"),
        };
    }
    match why_refused(error, target) {
        (true, reason) => EchoOutcome::NotSent { reason },
        (false, reason) => EchoOutcome::NoRoute { reason },
    }
}

#[cfg(test)]
mod tests;
