//! The configuration as the rest of the brain sees it: references resolved to names that exist, defaults
//! filled in, every rule checked. Only [`super::load`] makes one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::{STICKY_BUCKET, size};

use maglev_tls::authorities::Authorities;

use super::pattern::Pattern;

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `healthchecker:`
    pub healthchecker: HealthChecker,
    /// `vpp: lb:`
    pub lb: LbSettings,
    /// `healthchecks:` by name.
    pub healthchecks: BTreeMap<String, HealthCheck>,
    /// `backends:` by name.
    pub backends: BTreeMap<String, Backend>,
    /// `frontends:` by name.
    pub frontends: BTreeMap<String, Arc<Frontend>>,
}

/// Settings of the health checker as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthChecker {
    /// How many transitions each backend remembers, at least 1.
    pub transition_history: usize,
    /// Name of the network namespace in which this process must have been put.
    pub netns: Option<String>,
}

/// Settings of VPP's lb plugin, and of how it is programmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LbSettings {
    /// Source of tunnels to IPv4 backends.
    pub ipv4_src_address: Option<Ipv4Addr>,
    /// Source of tunnels to IPv6 backends.
    pub ipv6_src_address: Option<Ipv6Addr>,
    /// Buckets of each VPP thread's table of pinned flows, a power of two.
    pub sticky_buckets_per_core: u32,
    /// Time after which VPP forgets an idle flow: whole seconds, 1 to 120.
    pub flow_timeout: Duration,
    /// Time between two full comparisons with VPP.
    pub sync_interval: Duration,
    /// Time after the start before which nothing is written.
    pub startup_min_delay: Duration,
    /// Time after the start at which frontends are released whether all is known or not.
    pub startup_max_delay: Duration,
}

impl LbSettings {
    /// What the tables of pinned flows take of VPP's memory, in words.
    pub fn sticky_memory(&self) -> String {
        let buckets = self.sticky_buckets_per_core;
        let bytes = u64::from(buckets).saturating_mul(STICKY_BUCKET);
        format!("{buckets} sticky buckets take {} of VPP's main heap for each VPP thread", size(bytes))
    }
}

/// One named health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What a probe does.
    pub kind: CheckKind,
    /// Time from one probe's start to the next while the backend is fully up.
    pub interval: Duration,
    /// The same while the backend is unknown or on its way up or down.
    pub fast_interval: Duration,
    /// The same while the backend is fully down.
    pub down_interval: Duration,
    /// Time that a whole probe may take.
    pub timeout: Duration,
    /// Passes in a row that make a backend up, at least 1.
    pub rise: u32,
    /// Failures in a row that make a backend down, at least 1.
    pub fall: u32,
    /// Source address of probes to IPv4 backends.
    pub probe_ipv4_src: Option<Ipv4Addr>,
    /// Source address of probes to IPv6 backends.
    pub probe_ipv6_src: Option<Ipv6Addr>,
}

impl HealthCheck {
    /// The source address for probes of this target, if one is configured for its family.
    pub fn source_for(&self, target: IpAddr) -> Option<IpAddr> {
        match target {
            IpAddr::V4(_) => self.probe_ipv4_src.map(IpAddr::V4),
            IpAddr::V6(_) => self.probe_ipv6_src.map(IpAddr::V6),
        }
    }

    /// Whether probes verify certificates by the system's authorities.
    pub fn trusts_system(&self) -> bool {
        let (CheckKind::Tcp { tls, .. } | CheckKind::Http { tls, .. }) = &self.kind else { return false };
        tls.as_ref().is_some_and(|tls| tls.verify && tls.ca_file.is_none())
    }
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// Connects, and closes again.
    Tcp {
        /// Port of the backend.
        port: u16,
        /// TLS on top of the connection.
        tls: Option<TlsCheck>,
    },
    /// One HTTP/1.1 request, over TLS for `https`.
    Http {
        /// Port of the backend.
        port: u16,
        /// What is asked, and what must come back.
        http: HttpCheck,
        /// TLS below the request.
        tls: Option<TlsCheck>,
    },
    /// An ICMP echo.
    Icmp,
}

/// What an HTTP probe asks, and what must come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    /// `GET` or `HEAD`.
    pub method: HttpMethod,
    /// Path, with its query.
    pub path: String,
    /// Host header; the backend's address if not set.
    pub host: Option<String>,
    /// Further request headers, in the order given.
    pub headers: Vec<(String, String)>,
    /// Which status codes pass.
    pub response_codes: StatusCodes,
    /// What the first 64 KiB of the body must match.
    pub response_regexp: Option<Pattern>,
}

/// Method of an HTTP probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMethod {
    /// The body is asked for, and read as far as a `response-regexp` needs it.
    Get,
    /// Headers only.
    Head,
}

/// Ranges of status codes, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusCodes(pub Vec<(u16, u16)>);

impl StatusCodes {
    /// Whether this code passes.
    pub fn contains(&self, code: u16) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&code))
    }
}

/// TLS of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsCheck {
    /// Whether the certificate must be valid for the server name.
    pub verify: bool,
    /// Server name to ask for.
    pub sni: Option<String>,
    /// The authorities to trust instead of the system's.
    pub ca_file: Option<CaFile>,
}

/// The authorities of one PEM file. It is read with the configuration, and not again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaFile {
    /// Where they come from.
    pub path: String,
    /// At least one; shared by all checks that name the file.
    pub authorities: Arc<Authorities>,
}

/// One named application server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Address, which is also its identity in VPP.
    pub address: IpAddr,
    /// Name of its health check; without one it is up at once and stays so.
    pub healthcheck: Option<String>,
    /// Whether it takes part at all.
    pub enabled: bool,
}

/// One named VIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontend {
    /// For operators.
    pub description: String,
    /// The VIP's address.
    pub address: IpAddr,
    /// What of it is balanced.
    pub service: Service,
    /// Whether flows are told apart by their source address alone.
    pub src_ip_sticky: bool,
    /// Whether a backend that goes down loses its pinned flows at once.
    pub flush_on_down: bool,
    /// Buckets of VPP's table for new flows, if not to be chosen by the weights.
    pub new_flows_table_length: Option<u32>,
    /// Time in which a backend that comes up rises to its weight, if not at once.
    pub slow_start: Option<Duration>,
    /// Percent of a pool's backends, 1 to 100, below which all of them take new flows again, up or not.
    pub panic_threshold: Option<u8>,
    /// Pools in order of preference; none is empty, and there is at least one.
    pub pools: Vec<Pool>,
}

/// Which traffic to a VIP's address is balanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Everything.
    AllPorts,
    /// One TCP port.
    Tcp(u16),
    /// One UDP port.
    Udp(u16),
}

/// A named group of backends that serve together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Name, unique in its frontend.
    pub name: String,
    /// Weight, 0 to 100, by the backend's name.
    pub backends: BTreeMap<String, u8>,
}
