//! Encoding of ICMP and ICMPv6 echo requests, and decoding of what a raw socket receives (RFC 792, RFC 4443).

use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use maglev_protocol::MAX_ECHO_SIZE;

use crate::raw::checksum;

/// Bytes of the token at the start of a request's payload.
pub const TOKEN_LENGTH: usize = 16;
/// Longest request, without its IP header.
pub const LONGEST_REQUEST: usize = HEADER_LENGTH + MAX_ECHO_SIZE as usize;

/// Type, code, checksum, and four bytes that depend on the type.
pub(super) const HEADER_LENGTH: usize = 8;
const IPV4_HEADER_LENGTH: usize = 20;
const ICMPV4: u8 = 1;
const ICMPV6: u8 = 58;
/// The next-header value of IPv6's fragment header (RFC 8200, 4.5).
const FRAGMENT: u8 = 44;

/// ICMP types: echo reply, destination unreachable, echo request, time exceeded, parameter problem. Source
/// quench and redirect are omitted: they do not say whether a request arrived.
mod v4 {
    pub(super) const REPLY: u8 = 0;
    pub(super) const REQUEST: u8 = 8;
    pub(super) const ERRORS: [u8; 3] = [3, 11, 12];
}

/// ICMPv6 types: echo request and reply; destination unreachable, packet too big, time exceeded, parameter
/// problem.
mod v6 {
    pub(super) const REPLY: u8 = 129;
    pub(super) const REQUEST: u8 = 128;
    pub(super) const ERRORS: [u8; 4] = [1, 2, 3, 4];
}

/// ICMP types that tell the fate of a request.
pub(super) fn telling_v4() -> impl Iterator<Item = u8> {
    iter::once(v4::REPLY).chain(v4::ERRORS)
}

/// ICMPv6 types that tell the fate of a request.
pub(super) fn telling_v6() -> impl Iterator<Item = u8> {
    iter::once(v6::REPLY).chain(v6::ERRORS)
}

/// Random bytes known only to the receiver of a request and the hosts on the path.
pub type Token = [u8; TOKEN_LENGTH];

/// Identifies a request among those in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EchoId {
    /// The header's identifier.
    pub identifier: u16,
    /// The header's sequence number.
    pub sequence: u16,
}

/// The fields common to echo requests and replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Identifier and sequence number.
    pub id: EchoId,
    /// Bytes after the header; within a quote, as much as is quoted, perhaps padded.
    pub payload: &'a [u8],
}

/// A received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// An echo reply.
    Reply(Echo<'a>),
    /// An error: an echo request could not be delivered.
    Error {
        /// ICMP type.
        kind: u8,
        /// ICMP code.
        code: u8,
        /// Destination of the quoted request.
        target: IpAddr,
        /// The quoted request.
        quoted: Echo<'a>,
    },
    /// Not about echo requests of this machine.
    Other,
}

/// Why a packet could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Truncated within a header.
    #[error("{what} is cut off: {found} bytes, but it has at least {least}")]
    Short {
        /// Which header.
        what: &'static str,
        /// Number of bytes received.
        found: usize,
        /// Number of bytes required.
        least: usize,
    },
    /// Wrong IP version.
    #[error("{what} is of IP version {found} where only version {right} can be")]
    Version {
        /// Which header.
        what: &'static str,
        /// The version found.
        found: u8,
        /// The version expected.
        right: u8,
    },
    /// Wrong checksum.
    #[error("the ICMP checksum is wrong: summed up with it the message gives {sum:#06x} instead of 0")]
    Checksum {
        /// Sum over the message including its checksum; 0 if intact.
        sum: u16,
    },
}

/// Writes an echo request over `into`.
///
/// The payload is the token, followed by a fixed filling up to `size` bytes. The checksum of an ICMPv6
/// request is left to the kernel (RFC 3542, 3.1), since it covers the source address, which the kernel
/// chooses.
pub fn write_request(target: &IpAddr, id: EchoId, token: &Token, size: u16, into: &mut Vec<u8>) {
    let kind = if target.is_ipv4() { v4::REQUEST } else { v6::REQUEST };
    into.clear();
    into.extend([kind, 0, 0, 0]);
    into.extend(id.identifier.to_be_bytes());
    into.extend(id.sequence.to_be_bytes());
    into.extend(token);
    into.extend(filling(size));
    if target.is_ipv4() {
        let checksum = checksum(into).to_be_bytes();
        if let Some(field) = into.get_mut(2..4) {
            field.copy_from_slice(&checksum);
        }
    }
}

/// Whether this is the whole payload of a request with this token and size.
pub fn is_payload(payload: &[u8], token: &Token, size: u16) -> bool {
    payload.len() == usize::from(size)
        && payload.strip_prefix(token).is_some_and(|rest| rest.iter().copied().eq(filling(size)))
}

/// Filling of a payload after the token.
fn filling(size: u16) -> impl Iterator<Item = u8> {
    (0..size).skip(TOKEN_LENGTH).map(|at| at.to_be_bytes()[1])
}

/// Decodes what a raw IPv4 socket receives: an IP header with options, and the ICMP message, whose checksum
/// the kernel has not verified.
///
/// # Errors
/// When the packet is truncated or damaged.
pub fn decode_v4(datagram: &[u8]) -> Result<Message<'_>, Malformed> {
    let ip = Ipv4::split("an IPv4 header", datagram)?;
    let sum = checksum(ip.body);
    if sum != 0 {
        return Err(Malformed::Checksum { sum });
    }
    let (kind, code, body) = split_message("an ICMP message", ip.body)?;
    if kind == v4::REPLY {
        return Ok(Message::Reply(echo(body)));
    }
    if !v4::ERRORS.contains(&kind) {
        return Ok(Message::Other);
    }
    let quoted = Ipv4::split("a quoted IPv4 header", body.payload)?;
    if quoted.protocol != ICMPV4 || quoted.fragment_offset != 0 {
        return Ok(Message::Other);
    }
    quoted_request(kind, code, quoted.target.into(), v4::REQUEST, quoted.body)
}

/// Decodes what a raw ICMPv6 socket receives: the message alone, whose checksum the kernel has verified.
///
/// # Errors
/// When the packet is truncated or damaged.
pub fn decode_v6(message: &[u8]) -> Result<Message<'_>, Malformed> {
    let (kind, code, body) = split_message("an ICMPv6 message", message)?;
    if kind == v6::REPLY {
        return Ok(Message::Reply(echo(body)));
    }
    if !v6::ERRORS.contains(&kind) {
        return Ok(Message::Other);
    }
    let (target, mut next, mut rest) = split_ipv6("a quoted IPv6 header", body.payload)?;
    // A request longer than the link's MTU left this machine in fragments; the first one contains the token.
    if next == FRAGMENT {
        let what = "a quoted fragment header";
        let (header, after) = split(what, rest)?;
        let [after_fragment, _, offset_high, offset_low, ..]: [u8; 8] = header;
        if u16::from_be_bytes([offset_high, offset_low]) >> 3 != 0 {
            return Ok(Message::Other);
        }
        (next, rest) = (after_fragment, after);
    }
    if next != ICMPV6 {
        return Ok(Message::Other);
    }
    quoted_request(kind, code, target.into(), v6::REQUEST, rest)
}

fn quoted_request(
    kind: u8,
    code: u8,
    target: IpAddr,
    request: u8,
    message: &[u8],
) -> Result<Message<'_>, Malformed> {
    let (quoted_kind, _, body) = split_message("a quoted message", message)?;
    if quoted_kind != request {
        return Ok(Message::Other);
    }
    Ok(Message::Error { kind, code, target, quoted: echo(body) })
}

/// An IPv4 packet.
struct Ipv4<'a> {
    protocol: u8,
    /// Fragment offset, in units of 8 bytes.
    fragment_offset: u16,
    target: Ipv4Addr,
    body: &'a [u8],
}

impl<'a> Ipv4<'a> {
    fn split(what: &'static str, bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) = split::<IPV4_HEADER_LENGTH>(what, bytes)?;
        let [first, _, _, _, _, _, flags, offset, _, protocol, _, _, _, _, _, _, target @ ..] = header;
        let version = first >> 4;
        if version != 4 {
            return Err(Malformed::Version { what, found: version, right: 4 });
        }
        let least = usize::from(first & 0xf) * 4;
        let short = Malformed::Short { what, found: bytes.len(), least: least.max(IPV4_HEADER_LENGTH) };
        let options = least.checked_sub(IPV4_HEADER_LENGTH).ok_or(short)?;
        Ok(Self {
            protocol,
            fragment_offset: u16::from_be_bytes([flags, offset]) & 0x1fff,
            target: target.into(),
            body: rest.get(options..).ok_or(short)?,
        })
    }
}

/// Splits an IPv6 packet into destination, next header and the rest.
fn split_ipv6<'a>(what: &'static str, bytes: &'a [u8]) -> Result<(Ipv6Addr, u8, &'a [u8]), Malformed> {
    let (fixed, rest) = split::<8>(what, bytes)?;
    let [first, _, _, _, _, _, next, _] = fixed;
    if first >> 4 != 6 {
        return Err(Malformed::Version { what, found: first >> 4, right: 6 });
    }
    let (_source, rest) = split::<16>(what, rest)?;
    let (target, rest) = split::<16>(what, rest)?;
    Ok((target.into(), next, rest))
}

/// The part of a message after type, code and checksum.
struct Body<'a> {
    word: [u8; 4],
    payload: &'a [u8],
}

fn split_message<'a>(what: &'static str, bytes: &'a [u8]) -> Result<(u8, u8, Body<'a>), Malformed> {
    let ([kind, code, _, _, word @ ..], payload) = split::<HEADER_LENGTH>(what, bytes)?;
    Ok((kind, code, Body { word, payload }))
}

fn echo(body: Body<'_>) -> Echo<'_> {
    let [a, b, c, d] = body.word;
    let id = EchoId { identifier: u16::from_be_bytes([a, b]), sequence: u16::from_be_bytes([c, d]) };
    Echo { id, payload: body.payload }
}

fn split<'a, const N: usize>(what: &'static str, bytes: &'a [u8]) -> Result<([u8; N], &'a [u8]), Malformed> {
    let (head, rest) =
        bytes.split_first_chunk().ok_or(Malformed::Short { what, found: bytes.len(), least: N })?;
    Ok((*head, rest))
}

#[cfg(test)]
mod tests;
