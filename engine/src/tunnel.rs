//! Health checks through the tunnel: which VIPs a backend is probed with, and what the probes say about it.

pub mod hops;
pub mod largest;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use compact_str::{CompactString, format_compact};
use maglev_protocol::{TunnelRefusal, TunnelReport};

use crate::config::{CheckKind, Config, DnsTransport, Frontend, HealthCheck, Service, Via};
use crate::outcome::{ProbeCode, ProbeOutcome, Verdict};

/// Number of probes through the tunnel, and how often they are sent while all backends are up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Pairs of a backend and a VIP.
    pub pairs: usize,
    /// Probes a second.
    pub per_second: f64,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, per_second } = self;
        write!(
            f,
            "checks through the tunnel probe {pairs} pairs of backend and VIP: {per_second:.1} probes a second"
        )
    }
}

/// The VIPs that a check probes on a backend in these frontends, each once: with the frontend's port, if it is of the
/// check's protocol, or else the check's. The port of an ICMP check is 0.
pub fn vips<'f>(
    check: &HealthCheck,
    frontends: impl IntoIterator<Item = &'f Frontend>,
) -> BTreeSet<SocketAddr> {
    let is_dns_over_tcp =
        |kind: &CheckKind| matches!(kind, CheckKind::Dns { dns, .. } if dns.transport == DnsTransport::Tcp);
    let port = |frontend: &Frontend| match (&check.kind, frontend.service) {
        (CheckKind::Tcp { .. } | CheckKind::Http { .. } | CheckKind::Grpc { .. }, Service::Tcp(port)) => port,
        (kind, Service::Tcp(port)) if is_dns_over_tcp(kind) => port,
        (CheckKind::Udp { .. } | CheckKind::Dns { .. }, Service::Udp(port)) => port,
        (kind, _) => kind.port(),
    };
    frontends.into_iter().map(|frontend| SocketAddr::new(frontend.address, port(frontend))).collect()
}

impl Config {
    /// The VIPs of each check through the tunnel: by backend, and by the check's name.
    pub fn tunnel_vips(&self) -> BTreeMap<&str, BTreeMap<&str, BTreeSet<SocketAddr>>> {
        let checks = |backend| self.checks_of(backend).filter(|(_, check)| check.via != Via::Direct);
        let of = |(name, backend)| {
            let checks: BTreeMap<_, _> = checks(backend).map(|(check, _)| (check, BTreeSet::new())).collect();
            (!checks.is_empty()).then_some((String::as_str(name), checks))
        };
        let mut all: BTreeMap<_, _> = self.backends.iter().filter_map(of).collect();
        if all.is_empty() {
            return all;
        }
        for frontend in self.frontends.values() {
            for backend in frontend.pools.iter().flat_map(|pool| pool.backends.keys()) {
                let Some(found) = all.get_mut(backend.as_str()) else { continue };
                for (name, found) in found {
                    let check = self.healthchecks.get(*name);
                    found.extend(check.into_iter().flat_map(|check| vips(check, [&**frontend])));
                }
            }
        }
        all
    }

    /// The probes through the tunnel, if there are any.
    pub fn tunnel_load(&self) -> Option<Load> {
        let mut load = Load { pairs: 0, per_second: 0.0 };
        for (name, vips) in self.tunnel_vips().into_values().flatten() {
            let Some(check) = self.healthchecks.get(name) else { continue };
            load.pairs += vips.len();
            load.per_second +=
                u32::try_from(vips.len()).map_or(0.0, f64::from) / check.interval.as_secs_f64();
        }
        (load.pairs > 0).then_some(load)
    }
}

/// The result of a probe through the tunnel, by what the agent sent before and since: a result without a packet through
/// the tunnel says nothing about the backend, not even a pass. One packet of the former probe, the reset of its
/// connection, may be counted late, and hide this once.
pub fn judge(
    vip: SocketAddr,
    outcome: ProbeOutcome,
    before: &TunnelReport,
    since: &TunnelReport,
) -> ProbeOutcome {
    let verdict = outcome.code.verdict();
    let was_sent = since.sent > before.sent;
    let refusal = since.refusal.as_ref().filter(|_| since.refused > before.refused);
    let (code, detail): (ProbeCode, CompactString) = match (verdict, was_sent, refusal) {
        (Verdict::Passed, true, _) => return outcome,
        (Verdict::NotKnown, ..) | (Verdict::Failed, true, None) => (outcome.code, outcome.detail),
        (_, _, Some(TunnelRefusal { local: true, reason })) => {
            (ProbeCode::SockErr, format_compact!("not sent: {reason}"))
        }
        (_, false, Some(TunnelRefusal { local: false, reason })) => {
            (ProbeCode::L4Con, reason.as_str().into())
        }
        (_, _, Some(TunnelRefusal { reason, .. })) => {
            (outcome.code, format_compact!("{}; {reason}", outcome.detail))
        }
        (_, false, None) => (ProbeCode::SockErr, CompactString::const_new(BESIDE)),
    };
    // Without a word of the server, if it was not the one that answered.
    let asked = outcome.asked.filter(|_| code.verdict() != Verdict::NotKnown);
    ProbeOutcome { code, detail: format_compact!("{}: {detail}", Vip(vip)), asked, ..outcome }
}

/// Why a probe did not go through the tunnel.
const BESIDE: &str = "not probed: its packets did not reach the tunnel; the rule from `tunnel-probes` to the agent's TUN \
                      device is missing, or the VIP is an address of this machine";

/// The result of an echo request through the tunnel. The agent, which makes it, knows itself what it sent.
pub fn name(vip: SocketAddr, outcome: ProbeOutcome) -> ProbeOutcome {
    let detail = format_compact!("{}: {}", Vip(vip), outcome.detail);
    if outcome.passed() { outcome } else { ProbeOutcome { detail, ..outcome } }
}

/// A probe that could not be made.
pub fn not_probed(vip: SocketAddr, reason: impl fmt::Display) -> ProbeOutcome {
    let detail = format_compact!("{}: not probed: {reason}", Vip(vip));
    ProbeOutcome { code: ProbeCode::SockErr, detail, duration: Duration::ZERO, asked: None }
}

/// One result for a backend from those of its VIPs: it must pass for all. The first failure, or else the first that could
/// not be probed, or else the pass with which the server asks for the least traffic, of equal ones the slowest.
pub fn merge(outcomes: impl IntoIterator<Item = ProbeOutcome>) -> ProbeOutcome {
    let pass_rank = |outcome: &ProbeOutcome| (outcome.asked.map(Reverse), outcome.duration);
    let rank = |outcome: &ProbeOutcome| match outcome.code.verdict() {
        Verdict::Failed => 2,
        Verdict::NotKnown => 1,
        Verdict::Passed => 0,
    };
    let worse = |one: ProbeOutcome, other: ProbeOutcome| {
        let (of_one, of_other) = (rank(&one), rank(&other));
        let asks_less = || pass_rank(&other) > pass_rank(&one);
        if of_other > of_one || (of_one, of_other) == (0, 0) && asks_less() { other } else { one }
    };
    outcomes.into_iter().reduce(worse).unwrap_or_else(|| ProbeOutcome {
        code: ProbeCode::SockErr,
        detail: CompactString::const_new("not probed: no frontend uses it, so there is no VIP to probe"),
        duration: Duration::ZERO,
        asked: None,
    })
}

/// A VIP through the tunnel, in details. Without a port, as of ICMP, the port is 0.
struct Vip(SocketAddr);

impl fmt::Display for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address: IpAddr = self.0.ip();
        match self.0.port() {
            0 => write!(f, "{address} through the tunnel"),
            port => write!(f, "{address} port {port} through the tunnel"),
        }
    }
}

#[cfg(test)]
mod tests;
