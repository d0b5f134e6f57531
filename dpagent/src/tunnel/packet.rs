//! Packets of probes: what is read from the TUN device, and what is sent in GRE (RFC 2784, RFC 7676).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use maglev_protocol::MAX_TUNNEL_PACKET;

use crate::raw::checksum;

/// Longest packet that is sent, in bytes, without GRE and the outer header.
pub const LONGEST: usize = MAX_TUNNEL_PACKET as usize;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
/// IPv4's "don't fragment" flag.
const DONT_FRAGMENT: u16 = 0x4000;
/// Initial time to live, or hop limit.
const HOPS: u8 = 64;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Source and destination of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Source.
    pub source: IpAddr,
    /// Destination.
    pub target: IpAddr,
}

/// Why a packet is not forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Neither IPv4 nor IPv6.
    #[error("IP version {0} instead of 4 or 6")]
    Version(u8),
    /// Cut off, longer than it says, or longer than [`LONGEST`].
    #[error("a packet of {0} bytes whose header says otherwise, or too long")]
    Length(usize),
}

/// Addresses of a whole packet.
///
/// # Errors
/// When it is not exactly one IP packet of at most [`LONGEST`] bytes.
pub fn addresses(packet: &[u8]) -> Result<Addresses, Malformed> {
    let wrong = Malformed::Length(packet.len());
    let exactly = |length: usize| (length == packet.len() && length <= LONGEST).then_some(()).ok_or(wrong);
    match packet.first().ok_or(wrong)? >> 4 {
        4 => {
            let header: [u8; IPV4_HEADER] = *packet.first_chunk().ok_or(wrong)?;
            let [first, _, high, low, _, _, _, _, _, _, _, _, s0, s1, s2, s3, target @ ..] = header;
            exactly(u16::from_be_bytes([high, low]).into())?;
            let length = usize::from(first & 0xf) * 4;
            if !(IPV4_HEADER..=packet.len()).contains(&length) {
                return Err(wrong);
            }
            Ok(Addresses {
                source: Ipv4Addr::new(s0, s1, s2, s3).into(),
                target: Ipv4Addr::from(target).into(),
            })
        }
        6 => {
            let ([_, _, _, _, high, low, _, _], rest) = packet.split_first_chunk::<8>().ok_or(wrong)?;
            exactly(usize::from(u16::from_be_bytes([*high, *low])) + IPV6_HEADER)?;
            let (source, rest) = rest.split_first_chunk::<16>().ok_or(wrong)?;
            let target = rest.first_chunk::<16>().ok_or(wrong)?;
            Ok(Addresses { source: Ipv6Addr::from(*source).into(), target: Ipv6Addr::from(*target).into() })
        }
        other => Err(Malformed::Version(other)),
    }
}

/// GRE's header, without checksum, key and sequence number, as VPP writes it: the protocol is that of the packet in it.
pub fn gre_header(inner: IpAddr) -> [u8; 4] {
    let protocol: u16 = if inner.is_ipv4() { 0x0800 } else { 0x86dd };
    let [high, low] = protocol.to_be_bytes();
    [0, 0, high, low]
}

/// Writes an ICMP message with its IP header over `into`. It must not be fragmented. The checksum of an ICMPv6 message is
/// filled in, that of ICMP must be in place. `None` if the addresses are of different families, or the message is too long.
pub fn write_icmp(addresses: Addresses, message: &[u8], into: &mut Vec<u8>) -> Option<()> {
    into.clear();
    let length = u16::try_from(message.len()).ok()?;
    match (addresses.source, addresses.target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            let total = length.checked_add(20).filter(|total| *total <= MAX_TUNNEL_PACKET)?;
            into.extend([0x45, 0]);
            into.extend(total.to_be_bytes());
            into.extend([0, 0]);
            into.extend(DONT_FRAGMENT.to_be_bytes());
            into.extend([HOPS, ICMP, 0, 0]);
            into.extend(source.octets());
            into.extend(target.octets());
            let sum = checksum(into);
            fill_in(into, 10, sum);
            into.extend(message);
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            length.checked_add(40).filter(|total| *total <= MAX_TUNNEL_PACKET)?;
            // The pseudo-header (RFC 8200, 8.1) first, for the checksum.
            into.extend(source.octets());
            into.extend(target.octets());
            into.extend(u32::from(length).to_be_bytes());
            into.extend([0, 0, 0, ICMPV6]);
            into.extend(message);
            fill_in(into, IPV6_HEADER + 2, 0);
            let sum = checksum(into);
            fill_in(into, IPV6_HEADER + 2, sum);
            let [high, low] = length.to_be_bytes();
            let header = [&[0x60, 0, 0, 0, high, low, ICMPV6, HOPS], &source.octets()[..], &target.octets()];
            into.splice(..IPV6_HEADER, header.concat());
        }
        _ => return None,
    }
    Some(())
}

fn fill_in(packet: &mut [u8], at: usize, sum: u16) {
    if let Some(field) = packet.get_mut(at..at + 2) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
