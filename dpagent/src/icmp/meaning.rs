//! Text for ICMP error messages.

use std::net::IpAddr;

/// Describes an ICMP error (RFC 792, RFC 1122 and RFC 1812 for IPv4, RFC 4443 for IPv6). The family is that
/// of the sender's address.
pub(super) fn meaning(from: &IpAddr, kind: u8, code: u8) -> String {
    let known = if from.is_ipv4() { v4(kind, code) } else { v6(kind, code) };
    known.map_or_else(|| format!("ICMP type {kind}, code {code}"), str::to_owned)
}

fn v4(kind: u8, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (3, 0) => "network unreachable",
        (3, 1) => "host unreachable",
        (3, 2) => "protocol unreachable",
        (3, 3) => "port unreachable",
        (3, 4) => "packet too big for the path, and must not be fragmented",
        (3, 5) => "source route failed",
        (3, 6) => "network unknown",
        (3, 7) => "host unknown",
        (3, 8) => "source host isolated",
        (3, 9) => "network administratively prohibited",
        (3, 10) => "host administratively prohibited",
        (3, 11) => "network unreachable for this type of service",
        (3, 12) => "host unreachable for this type of service",
        (3, 13) => "communication administratively prohibited",
        (3, 14) => "host precedence violation",
        (3, 15) => "precedence cutoff in effect",
        (11, 0) => "hop limit exceeded in transit: perhaps a routing loop",
        (11, 1) => "time for reassembling fragments exceeded",
        (12, 0) => "bad header field",
        (12, 1) => "required option missing",
        (12, 2) => "bad header length",
        _ => return None,
    })
}

fn v6(kind: u8, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (1, 0) => "no route to the destination",
        (1, 1) => "communication administratively prohibited",
        (1, 2) => "beyond the scope of the source address",
        (1, 3) => "address unreachable",
        (1, 4) => "port unreachable",
        (1, 5) => "source address failed the ingress or egress policy",
        (1, 6) => "reject route to the destination",
        (2, _) => "packet too big for the path",
        (3, 0) => "hop limit exceeded in transit: perhaps a routing loop",
        (3, 1) => "time for reassembling fragments exceeded",
        (4, 0) => "bad header field",
        (4, 1) => "unknown next header",
        (4, 2) => "unknown IPv6 option",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
