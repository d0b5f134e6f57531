//! The hops between this machine and the service on a VIP, and what one probe of each says about them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use maglev_protocol::{MAX_TUNNEL_PACKET, TUNNEL_OVERHEAD};

use super::vips;
use crate::config::{Backend, CheckKind, Config, Exchange, Frontend, HealthCheck, Service, Via};
use crate::outcome::{ProbeCode, ProbeOutcome, Verdict};

/// Length of an outer IPv6 header beyond that of IPv4, in bytes.
const IPV6_MORE: u16 = 20;

/// A hop, in the order in which packets pass them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hop {
    /// The server's own address.
    Address,
    /// The tunnel to it.
    Tunnel,
    /// The VIP's address on the server.
    Vip,
    /// The service on the VIP.
    Listener,
    /// Full packets through the tunnel.
    Mtu,
}

/// One way into a backend: a VIP with its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Name of the frontend.
    pub frontend: String,
    /// The VIP's address.
    pub vip: IpAddr,
    /// The balanced traffic.
    pub service: Service,
    /// The backend's address.
    pub server: IpAddr,
    /// What tests the service.
    pub listeners: Vec<Listener>,
    /// Size of full packets, in bytes without the tunnel's headers.
    pub full: u16,
}

/// A test of the service on a VIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Name of the health check; `None` for a TCP connection, without one.
    pub name: Option<String>,
    /// The check.
    pub check: HealthCheck,
    /// VIP and port.
    pub target: SocketAddr,
}

impl Listener {
    /// Whether a pass proves that the server answered: a datagram without an expected answer passes without any.
    fn proves_vip(&self) -> bool {
        !matches!(&self.check.kind, CheckKind::Udp { exchange, .. } if exchange.expect.is_none())
    }
}

/// What the probes of a path found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Of the server's own address.
    pub address: ProbeOutcome,
    /// Of the same address, through the tunnel.
    pub tunnel: ProbeOutcome,
    /// Of the VIP's address.
    pub vip: ProbeOutcome,
    /// Of the path's listeners, in their order.
    pub listeners: Vec<ProbeOutcome>,
    /// Of full packets; `None` if the VIP's address does not answer echo requests.
    pub mtu: Option<ProbeOutcome>,
}

/// What is known of a hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The hop.
    pub hop: Hop,
    /// Whether it works.
    pub verdict: Verdict,
    /// Name of the health check that tested it, if there is one.
    pub check: Option<String>,
    /// The probe's own result; `None` without a probe.
    pub outcome: Option<ProbeOutcome>,
    /// What it proves, or what would be right.
    pub meaning: String,
}

/// A check without parameters.
pub fn plain(kind: CheckKind, timeout: Duration) -> HealthCheck {
    HealthCheck {
        kind,
        interval: timeout,
        fast_interval: timeout,
        down_interval: timeout,
        timeout,
        rise: 1,
        fall: 1,
        probe_ipv4_src: None,
        probe_ipv6_src: None,
        send_proxy: None,
        via: Via::Direct,
        agent: None,
    }
}

/// A check that connects to this port.
pub fn connects(port: u16, timeout: Duration) -> HealthCheck {
    plain(CheckKind::Tcp { port, exchange: Exchange::default(), tls: None }, timeout)
}

impl Config {
    /// The ways into a backend, by frontend: all of them, or that of one frontend. Checks without parameters have this
    /// timeout.
    pub fn paths(&self, name: &str, only: Option<&str>, timeout: Duration) -> Vec<Path> {
        let Some(backend) = self.backends.get(name) else { return Vec::new() };
        let frontends =
            self.frontends_of(name).filter(|(frontend, _)| only.is_none_or(|only| only == *frontend));
        frontends.map(|(name, frontend)| self.path(name, frontend, backend, timeout)).collect()
    }

    /// The frontends that have a backend.
    pub fn frontends_of(&self, backend: &str) -> impl Iterator<Item = (&str, &Frontend)> {
        let uses =
            move |frontend: &Frontend| frontend.pools.iter().any(|pool| pool.backends.contains_key(backend));
        let frontends = self.frontends.iter().map(|(name, frontend)| (name.as_str(), &**frontend));
        frontends.filter(move |(_, frontend)| uses(frontend))
    }

    fn path(&self, name: &str, frontend: &Frontend, backend: &Backend, timeout: Duration) -> Path {
        let (vip, service, server) = (frontend.address, frontend.service, backend.address);
        let through = || self.checks_of(backend).filter(|(_, check)| check.via != Via::Direct);
        let listener = |(name, check): (&str, &HealthCheck)| {
            let target = vips(check, [frontend]).into_iter().next().filter(|target| target.port() != 0)?;
            Some(Listener { name: Some(name.to_owned()), check: check.clone(), target })
        };
        let mut listeners: Vec<_> = through().filter_map(listener).collect();
        let port = match service {
            Service::Tcp(port) => Some(port),
            Service::AllPorts => self.tcp_port(backend),
            Service::Udp(_) => None,
        };
        if let (Some(port), true) = (port, listeners.is_empty()) {
            let check = connects(port, timeout);
            listeners.push(Listener { name: None, check, target: SocketAddr::new(vip, port) });
        }
        let size = through().find_map(|(_, check)| match check.via {
            Via::Tunnel { size } => size,
            Via::Direct => None,
        });
        let overhead = TUNNEL_OVERHEAD + if server.is_ipv4() { 0 } else { IPV6_MORE };
        let full = size.unwrap_or_else(|| MAX_TUNNEL_PACKET.saturating_sub(overhead));
        Path { frontend: name.to_owned(), vip, service, server, listeners, full }
    }

    /// The port of a backend's first check over TCP.
    pub fn tcp_port(&self, backend: &Backend) -> Option<u16> {
        let port = |(_, check): (&str, &HealthCheck)| match check.kind {
            CheckKind::Tcp { port, .. } | CheckKind::Http { port, .. } | CheckKind::Grpc { port, .. } => {
                Some(port)
            }
            CheckKind::Icmp | CheckKind::Udp { .. } | CheckKind::Dns { .. } => None,
        };
        self.checks_of(backend).find_map(port)
    }
}

/// The better of two results of one thing, for which one that passes is enough.
pub fn better(one: ProbeOutcome, other: Option<ProbeOutcome>) -> ProbeOutcome {
    let rank = |outcome: &ProbeOutcome| match outcome.code.verdict() {
        Verdict::Passed => 2,
        Verdict::Failed => 1,
        Verdict::NotKnown => 0,
    };
    match other {
        Some(other) if rank(&other) > rank(&one) => other,
        _ => one,
    }
}

/// The hops in order, until one fails behind which nothing can work. A hop works if it answers itself, or if one behind
/// it does.
pub fn reports(path: &Path, evidence: Evidence) -> Vec<Report> {
    let Evidence { address, tunnel, vip, listeners, mtu } = evidence;
    let serves =
        path.listeners.iter().zip(&listeners).any(|(one, outcome)| outcome.passed() && one.proves_vip());
    let is_unknown = |outcome: &ProbeOutcome| outcome.code.verdict() == Verdict::NotKnown;
    let all_unknown = is_unknown(&tunnel) && is_unknown(&vip) && listeners.iter().all(is_unknown);
    let behind_address = tunnel.passed() || vip.passed() || serves;
    let mut reports = Vec::new();
    for (hop, outcome, works_behind) in [
        (Hop::Address, address, behind_address),
        (Hop::Tunnel, tunnel, vip.passed() || serves),
        (Hop::Vip, vip, serves),
    ] {
        let verdict = if works_behind { Verdict::Passed } else { outcome.code.verdict() };
        let meaning = match verdict {
            Verdict::Passed if !outcome.passed() => {
                "it does not answer itself, but what is behind it does".to_owned()
            }
            _ => path.meaning(hop, verdict, &outcome),
        };
        reports.push(Report { hop, verdict, check: None, outcome: Some(outcome), meaning });
        if verdict == Verdict::Failed || hop == Hop::Tunnel && all_unknown {
            return reports;
        }
    }
    reports.extend(path.listeners.iter().zip(listeners).map(|(listener, outcome)| {
        let verdict = outcome.code.verdict();
        let meaning = path.meaning(Hop::Listener, verdict, &outcome);
        Report { hop: Hop::Listener, verdict, check: listener.name.clone(), outcome: Some(outcome), meaning }
    }));
    if path.listeners.is_empty() {
        let meaning =
            "not tested: add a health check with `via: tunnel` that says what to send over UDP".to_owned();
        reports.push(Report {
            hop: Hop::Listener,
            verdict: Verdict::NotKnown,
            check: None,
            outcome: None,
            meaning,
        });
    }
    reports.push(match mtu {
        Some(outcome) => {
            let verdict = outcome.code.verdict();
            let meaning = path.meaning(Hop::Mtu, verdict, &outcome);
            Report { hop: Hop::Mtu, verdict, check: None, outcome: Some(outcome), meaning }
        }
        None => {
            let meaning = "not tested: the VIP's address does not answer echo requests".to_owned();
            Report { hop: Hop::Mtu, verdict: Verdict::NotKnown, check: None, outcome: None, meaning }
        }
    });
    reports
}

impl Path {
    /// What a hop's own result proves, or what would be right.
    fn meaning(&self, hop: Hop, verdict: Verdict, outcome: &ProbeOutcome) -> String {
        let Self { vip, server, full, .. } = self;
        match (verdict, hop) {
            (Verdict::NotKnown, _) => {
                "nothing is known about the server: the fault is on this side".to_owned()
            }
            (Verdict::Passed, Hop::Address) => format!("{server} answers"),
            (Verdict::Passed, Hop::Tunnel) => {
                format!("{server} takes packets out of the tunnel, and its answers come back")
            }
            (Verdict::Passed, Hop::Vip) => format!("{vip} is an address of the server"),
            (Verdict::Passed, Hop::Listener) => format!("the service answers on {vip}"),
            (Verdict::Passed, Hop::Mtu) => format!("packets of {full} bytes pass the tunnel"),
            (Verdict::Failed, Hop::Address) => format!(
                "{server} must answer an echo request or a TCP connection: is the server up, and is there a route to it?"
            ),
            (Verdict::Failed, Hop::Tunnel) => {
                "the server needs a GRE device that takes packets from any address and is up, rp_filter off on it, \
                 and a route back to the agent's `tunnel-probes`"
                    .to_owned()
            }
            (Verdict::Failed, Hop::Vip) => {
                let (length, family) = if vip.is_ipv4() { (32, "IPv4") } else { (128, "IPv6") };
                let other = if vip.is_ipv4() == server.is_ipv4() {
                    ""
                } else {
                    "; or its GRE device does not take packets of this family"
                };
                format!(
                    "the server needs the {family} address {vip}/{length}, on its loopback interface for example{other}"
                )
            }
            (Verdict::Failed, Hop::Listener) => match outcome.code {
                ProbeCode::L4Con | ProbeCode::L4Tout => {
                    format!(
                        "the service must listen on {vip} or on all addresses, and no firewall may be in its way"
                    )
                }
                _ => "the service answers on the VIP, but not as the health check wants".to_owned(),
            },
            (Verdict::Failed, Hop::Mtu) => format!(
                "each link to the server must take {full} bytes and the tunnel's headers; or lower the MSS of the service"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
