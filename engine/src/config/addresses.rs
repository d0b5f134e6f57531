//! Readers of IP addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4};

use super::complaint::Complaint;
use super::show;
use super::values::scalar;
use super::yaml::Node;

/// An address that can stand for one host.
pub(super) fn address(node: &Node) -> Result<IpAddr, Complaint> {
    let help = "write it like `192.0.2.1` or `2001:db8::1`";
    let text = &scalar(node, "an IP address", help)?.text;
    let Ok(address) = text.parse::<IpAddr>() else {
        let Some((what, bare)) = bare_address(text) else {
            return Err(Complaint::invalid(format!("is {}, which is not an IP address", show(text)), help));
        };
        return Err(one_host(text, bare).err().unwrap_or_else(|| {
            Complaint::invalid(
                format!("is {}, which is not an IP address", show(text)),
                format!("write the address alone, without {what}: `{bare}`"),
            )
        }));
    };
    one_host(text, address).map(|()| address)
}

/// The address in a text with something appended, and a name for that.
fn bare_address(text: &str) -> Option<(&'static str, IpAddr)> {
    let in_brackets = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let inside = in_brackets.map_or(text, |(inside, _)| inside);
    let (what, bare) = if let Some((bare, _)) = inside.split_once('%') {
        ("a zone", bare)
    } else if let Some((bare, _)) = inside.split_once('/') {
        ("a prefix length", bare)
    } else if let Some((bare, after)) = in_brackets {
        (if after.is_empty() { "brackets" } else { "brackets and a port" }, bare)
    } else if let Ok(socket) = text.parse::<SocketAddrV4>() {
        return Some(("a port", socket.ip().to_owned().into()));
    } else {
        let short = |part: &'_ str| match part.trim_start_matches('0') {
            "" if !part.is_empty() => "0".to_owned(),
            short => short.to_owned(),
        };
        let bare = text.split('.').map(short).collect::<Vec<_>>().join(".").parse().ok()?;
        return Some(("zeros before its numbers, which mean octal to some programs", bare));
    };
    Some((what, bare.parse().ok()?))
}

/// Rejects an address that cannot stand for one host.
fn one_host(text: &str, address: IpAddr) -> Result<(), Complaint> {
    let of_no_host = match address {
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            return Err(Complaint::invalid(
                format!("is {}, an IPv4 address in the form of an IPv6 one", show(text)),
                format!("write `{}`", address.to_canonical()),
            ));
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            "a link-local address, which is valid on one link only"
        }
        _ if address.is_unspecified() => "the unspecified address",
        _ if address.is_multicast() => "a multicast address",
        // VPP keeps both families in 16 bytes, and treats any address with 12 leading zero bytes as IPv4.
        IpAddr::V6(v6) if v6.to_bits() >> 32 == 0 => "an address that VPP treats as IPv4",
        _ => return Ok(()),
    };
    let zone = if text.contains('%') { ", which needs no zone" } else { "" };
    Err(Complaint::invalid(
        format!("is {}, {of_no_host}", show(text)),
        format!("write a unicast address of one host that can be routed to{zone}"),
    ))
}

/// The address of an IPv4 host.
pub(super) fn ipv4(node: &Node) -> Result<Ipv4Addr, Complaint> {
    match address(node)? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(address) => Err(Complaint::invalid(
            format!("is `{address}`, an IPv6 address"),
            "write an IPv4 address, like `192.0.2.1`",
        )),
    }
}

/// The address of an IPv6 host.
pub(super) fn ipv6(node: &Node) -> Result<Ipv6Addr, Complaint> {
    match address(node)? {
        IpAddr::V6(address) => Ok(address),
        IpAddr::V4(address) => Err(Complaint::invalid(
            format!("is `{address}`, an IPv4 address"),
            "write an IPv6 address, like `2001:db8::1`",
        )),
    }
}
