//! `via` and `size` of a health check.

use std::ops::RangeInclusive;

use super::complaint::Complaint;
use super::model::{CheckKind, Via};
use super::report::Report;
use super::section::Section;
use super::show;
use super::values::{integer, text};
use super::yaml::Node;

pub(super) const WAYS: [&str; 2] = ["direct", "tunnel"];

/// Sizes of echo requests, in bytes with the IP header: the smallest has room for an IPv6 header, ICMP's and a token.
pub(super) const SIZE: RangeInclusive<u32> = 64..=maglev_protocol::MAX_TUNNEL_PACKET as u32;

fn way(node: &Node) -> Result<bool, Complaint> {
    match text(node)?.as_str() {
        "direct" => Ok(false),
        "tunnel" => Ok(true),
        other => Err(Complaint::invalid(
            format!("is {}, which is no way to a backend", show(other)),
            "write `direct` to probe the backend's address, or `tunnel` to probe VIPs through its tunnel",
        )),
    }
}

/// Reads `via` and `size`, and checks that nothing contradicts them.
pub(super) fn via(
    section: &Section<'_>,
    params: Option<&Section<'_>>,
    kind: Option<&CheckKind>,
    report: &mut Report<'_>,
) -> Via {
    let is_icmp = kind.is_none_or(|kind| *kind == CheckKind::Icmp);
    let is_tunnel = section.read("via", way, report).is_some_and(|via| via.value);
    let size = section.read("size", integer(SIZE), report);
    if let Some(size) = size.as_ref().filter(|_| !is_tunnel || !is_icmp) {
        report.invalid(
            size.place,
            format!(
                "{} is set, but this check sends no echo requests through the tunnel",
                section.subject("size")
            ),
            "it is for `type: icmp` with `via: tunnel`; leave it out",
        );
    }
    if !is_tunnel {
        return Via::Direct;
    }
    let source = "leave it out: such probes are sent from the agent's `tunnel-probes`";
    let agent = "move it to a check without `via: tunnel`: the agent is asked at the server's own address";
    for (key, help) in [("probe-ipv4-src", source), ("probe-ipv6-src", source), ("agent-port", agent)] {
        if let Some(place) = section.key_place(key) {
            report.invalid(
                place,
                format!("{} is set, but this check is `via: tunnel`", section.subject(key)),
                help,
            );
        }
    }
    if let (Some(CheckKind::Http { http, .. }), Some(params)) = (kind, params)
        && http.keepalive
        && let Some(place) = params.key_place("keepalive")
    {
        report.invalid(
            place,
            format!("{} is set, but this check is `via: tunnel`", params.subject("keepalive")),
            "leave it out: each probe through the tunnel makes a connection, as new clients do",
        );
    }
    Via::Tunnel { size: size.and_then(|size| u16::try_from(size.value).ok()) }
}
