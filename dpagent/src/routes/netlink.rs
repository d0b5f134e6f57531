//! The kernel's routes over a netlink socket: requests, answers, and the socket.
//!
//! The kernel carries out a request while it is sent, and its answer is there before the call returns: nothing waits.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::IpAddr;

use maglev_protocol::Prefix;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::libc::{EEXIST, ENOENT, ESRCH};

use super::{Change, Kernel};

/// Size of the receive buffer: twice the kernel's largest datagram of a dump.
const DATAGRAM: usize = 64 * 1024;
/// Size of a message's header, in bytes.
const HEADER: usize = 16;

/// A netlink socket. Both its opening and its use need `CAP_NET_ADMIN`.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    received: Vec<u8>,
}

impl Netlink {
    /// Opens the socket.
    ///
    /// # Errors
    /// The system's.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.set_non_blocking(true)?;
        // Lets the kernel filter dumps by table and protocol. Before Linux 4.20 it dumps all tables.
        socket.set_netlink_get_strict_chk(true).or_else(unless(nix::libc::ENOPROTOOPT))?;
        Ok(Self { socket, sequence: 0, received: Vec::with_capacity(DATAGRAM) })
    }

    /// Makes a request, and passes the routes of its answer on.
    fn call(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        mut each: impl FnMut(RouteMessage),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&encode(message, flags, self.sequence), 0)?;
        loop {
            self.received.clear();
            let received = self.socket.recv(&mut self.received, 0);
            received.map_err(|error| match error.kind() {
                ErrorKind::WouldBlock => io::Error::new(ErrorKind::TimedOut, "the kernel did not answer"),
                _ => error,
            })?;
            if decode(&self.received, self.sequence, &mut each)? {
                return Ok(());
            }
        }
    }
}

fn unless(expected: i32) -> impl Fn(io::Error) -> io::Result<()> {
    move |error| if error.raw_os_error() == Some(expected) { Ok(()) } else { Err(error) }
}

impl Kernel for Netlink {
    fn read(&mut self, table: u32, protocol: u8) -> io::Result<BTreeSet<IpAddr>> {
        let mut found = BTreeSet::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let each = |route| found.extend(host(&route, table, protocol));
            let dump = self.call(list(family, table, protocol), NLM_F_DUMP, each);
            // The table has never had a route.
            dump.or_else(unless(ENOENT))?;
        }
        Ok(found)
    }

    fn change(&mut self, change: Change, protocol: u8) -> io::Result<()> {
        let route = route(change, protocol);
        if !change.add {
            let done = self.call(RouteNetlinkMessage::DelRoute(route), NLM_F_ACK, drop);
            // Somebody else was faster.
            return done.or_else(unless(ESRCH));
        }
        // Never in place of a route of somebody else.
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.call(RouteNetlinkMessage::NewRoute(route), flags, drop).map_err(|error| {
            match error.raw_os_error() {
                Some(EEXIST) => io::Error::new(ErrorKind::AlreadyExists, "somebody else has a route there"),
                _ => error,
            }
        })
    }
}

/// Table numbers above 255 do not fit the header; the attribute takes precedence over it.
fn header(family: AddressFamily, protocol: u8) -> RouteHeader {
    RouteHeader { address_family: family, protocol: protocol.into(), ..RouteHeader::default() }
}

/// The request for all routes of a family, table and protocol.
pub(crate) fn list(family: AddressFamily, table: u32, protocol: u8) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header = header(family, protocol);
    message.attributes = vec![RouteAttribute::Table(table)];
    RouteNetlinkMessage::GetRoute(message)
}

/// The route of a change.
pub(crate) fn route(change: Change, protocol: u8) -> RouteMessage {
    let Change { address, table, add } = change;
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        destination_prefix_length: Prefix::host(address).length,
        // Without a type, whatever has that address and protocol is removed.
        kind: if add { RouteType::BlackHole } else { RouteType::Unspec },
        ..header(family, protocol)
    };
    message.attributes = vec![RouteAttribute::Destination(address.into()), RouteAttribute::Table(table)];
    message
}

/// The route's address, if it is a host route of this table and protocol.
pub(crate) fn host(route: &RouteMessage, table: u32, protocol: u8) -> Option<IpAddr> {
    let header = &route.header;
    let mut is_in = u32::from(header.table);
    let mut address = None;
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Table(table) => is_in = *table,
            RouteAttribute::Destination(RouteAddress::Inet(found)) => address = Some(IpAddr::V4(*found)),
            RouteAttribute::Destination(RouteAddress::Inet6(found)) => address = Some(IpAddr::V6(*found)),
            _ => {}
        }
    }
    let is_ours = is_in == table && header.protocol == protocol.into();
    address.filter(|address| is_ours && header.destination_prefix_length == Prefix::host(*address).length)
}

pub(crate) fn encode(message: RouteNetlinkMessage, flags: u16, sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    (header.flags, header.sequence_number) = (NLM_F_REQUEST | flags, sequence);
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Passes on the routes of a datagram. Returns whether the answer is complete.
///
/// # Errors
/// The kernel's answer, or a datagram that is not one.
pub(crate) fn decode(
    mut rest: &[u8],
    sequence: u32,
    each: &mut impl FnMut(RouteMessage),
) -> io::Result<bool> {
    while let Some((length, _)) = rest.split_first_chunk() {
        let length = usize::try_from(u32::from_ne_bytes(*length)).unwrap_or(usize::MAX);
        let message = rest.get(..length).filter(|message| message.len() >= HEADER);
        let message = message
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the kernel's answer is malformed"))?;
        // What cannot be decoded is not ours: ours are simple.
        if let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(message)
            && message.header.sequence_number == sequence
        {
            let code = match message.payload {
                NetlinkPayload::Done(done) => Some(done.code),
                NetlinkPayload::Error(error) => Some(error.code.map_or(0, std::num::NonZero::get)),
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => {
                    each(route);
                    None
                }
                _ => None,
            };
            match code {
                Some(0) => return Ok(true),
                Some(code) => return Err(io::Error::from_raw_os_error(code.saturating_abs())),
                None => {}
            }
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
