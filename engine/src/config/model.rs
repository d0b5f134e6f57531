//! The validated configuration, as the rest of the brain sees it: references resolved, defaults filled in,
//! every rule checked.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::{Dialect, STICKY_BUCKET, size};

use maglev_tls::authorities::Authorities;

use super::check_model::{AgentLine, DnsCheck, Exchange, GrpcCheck, ProxyVersion};
use super::min_up::MinUp;
use super::pattern::Pattern;
use super::require::Require;
use super::stability::{Damping, GuardRule};
use crate::kind::Kind;

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `healthchecker:`
    pub healthchecker: HealthChecker,
    /// `vpp: lb:`
    pub lb: LbSettings,
    /// `router:` and `bird:`
    pub router: Router,
    /// `fleet:`
    pub fleet: FleetHealth,
    /// `healthchecks:` by name.
    pub healthchecks: BTreeMap<String, HealthCheck>,
    /// `backends:` by name.
    pub backends: BTreeMap<String, Backend>,
    /// `frontends:` by name.
    pub frontends: BTreeMap<String, Arc<Frontend>>,
    /// `webhooks:` by name.
    pub webhooks: BTreeMap<String, Arc<Webhook>>,
}

impl Config {
    /// Takes the frontends that are equal over from another configuration, so that both share their memory.
    pub(crate) fn share_frontends(&mut self, other: &Self) {
        for (name, frontend) in &mut self.frontends {
            if let Some(same) = other.frontends.get(name).filter(|other| *other == frontend) {
                *frontend = Arc::clone(same);
            }
        }
    }

    /// The checks of a backend, in its order.
    pub fn checks_of<'c>(&'c self, backend: &'c Backend) -> impl Iterator<Item = (&'c str, &'c HealthCheck)> {
        let checks = backend.healthchecks.iter();
        checks.filter_map(|name| Some((name.as_str(), self.healthchecks.get(name)?)))
    }

    /// Marks the frontends whose servers may ask for a part of their weight.
    pub(super) fn let_servers_ask(&mut self) {
        let Self { healthchecks, backends, frontends, .. } = self;
        let asks = |name: &String| healthchecks.get(name).is_some_and(HealthCheck::asks_for_weight);
        let backend_asks =
            |name: &String| backends.get(name).is_some_and(|backend| backend.healthchecks.iter().any(asks));
        for frontend in frontends.values_mut() {
            let mut names = frontend.pools.iter().flat_map(|pool| pool.backends.keys());
            if names.any(backend_asks) {
                Arc::make_mut(frontend).servers_ask = true;
            }
        }
    }
}

/// Whose view of health counts in a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetHealth {
    /// True if the members' votes decide that a backend is down, and not each member for itself.
    pub is_fleet: bool,
    /// Votes that take a backend down; `None` for a majority of those that are fresh.
    pub down_votes: Option<u32>,
    /// Age at which a vote no longer counts.
    pub vote_ttl: Duration,
}

/// A receiver of events over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where events are sent.
    pub url: Url,
    /// File with the secret that signs deliveries. Read at each of them, so that nothing else holds the secret.
    pub secret_file: PathBuf,
    /// Kinds of events to send.
    pub events: Vec<Kind>,
    /// Authorities to trust instead of the system's.
    pub ca_file: Option<CaFile>,
    /// Time limit of one attempt.
    pub timeout: Duration,
}

impl Webhook {
    /// Whether the receiver's certificate is verified with the system's authorities.
    pub fn trusts_system(&self) -> bool {
        self.url.is_https && self.ca_file.is_none()
    }
}

/// An absolute URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether it is over TLS.
    pub is_https: bool,
    /// Host header: host, and port if one is given.
    pub authority: String,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path, with its query.
    pub path: String,
}

/// Settings of the health checker as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthChecker {
    /// Number of transitions remembered for each backend, at least 1.
    pub transition_history: usize,
    /// Network namespace that this process must have been started in.
    pub netns: Option<String>,
    /// Minimum time between two changes of a backend's weight by its server's own word.
    pub agent_interval: Duration,
    /// Flap damping, if it is wanted.
    pub damping: Option<Damping>,
    /// The guard against failures of many backends at once, if it is wanted.
    pub guard: Option<GuardRule>,
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
    /// Time after the start before which nothing is written to VPP.
    pub startup_min_delay: Duration,
    /// Time after the start at which all frontends are released, even with unknown backends.
    pub startup_max_delay: Duration,
    /// What the VPP can be programmed with that the configuration is meant for. A connected VPP itself decides.
    pub vpp_lb_api: Dialect,
}

impl LbSettings {
    /// Memory of the tables of pinned flows in VPP, as text.
    pub fn sticky_memory(&self) -> String {
        let buckets = self.sticky_buckets_per_core;
        let bytes = u64::from(buckets).saturating_mul(STICKY_BUCKET);
        format!("{buckets} sticky buckets take {} of VPP's main heap for each VPP thread", size(bytes))
    }
}

/// One named health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Type of the probe, with its parameters.
    pub kind: CheckKind,
    /// Time between the starts of two probes while the backend is fully up.
    pub interval: Duration,
    /// The same while it is unknown or changing its state.
    pub fast_interval: Duration,
    /// The same while it is fully down.
    pub down_interval: Duration,
    /// Time limit of a whole probe.
    pub timeout: Duration,
    /// Consecutive passes that make a backend up, at least 1.
    pub rise: u32,
    /// Consecutive failures that make a backend down, at least 1.
    pub fall: u32,
    /// Source address of probes to IPv4 backends.
    pub probe_ipv4_src: Option<Ipv4Addr>,
    /// Source address of probes to IPv6 backends.
    pub probe_ipv6_src: Option<Ipv6Addr>,
    /// PROXY protocol header at the start of each connection.
    pub send_proxy: Option<ProxyVersion>,
    /// Where probes are sent, and how.
    pub via: Via,
    /// Where the server says itself how much traffic it wants.
    pub agent: Option<AgentLine>,
}

/// Where probes are sent, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// To the backend's own address.
    Direct,
    /// To the VIPs that the backend serves, through the tunnel to it.
    Tunnel {
        /// Size of echo requests, in bytes with their IP header; `None` for small ones.
        size: Option<u16>,
    },
}

impl HealthCheck {
    /// Source address of probes to this target, if one is configured for its family.
    pub fn source_for(&self, target: IpAddr) -> Option<IpAddr> {
        match target {
            IpAddr::V4(_) => self.probe_ipv4_src.map(IpAddr::V4),
            IpAddr::V6(_) => self.probe_ipv6_src.map(IpAddr::V6),
        }
    }

    /// Whether a server may ask for a part of its weight, so that the scale must have steps for it.
    pub fn asks_for_weight(&self) -> bool {
        let header =
            |kind: &CheckKind| matches!(kind, CheckKind::Http { http, .. } if http.agent_header.is_some());
        self.agent.is_some() || header(&self.kind)
    }

    /// Whether probes verify certificates with the system's authorities.
    pub fn trusts_system(&self) -> bool {
        match &self.kind {
            CheckKind::Tcp { tls, .. } | CheckKind::Http { tls, .. } | CheckKind::Grpc { tls, .. } => {
                tls.as_ref().is_some_and(|tls| tls.verify && tls.ca_file.is_none())
            }
            CheckKind::Dns { .. } | CheckKind::Icmp | CheckKind::Udp { .. } => false,
        }
    }
}

/// Type of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// Connects, perhaps exchanges bytes, and closes again.
    Tcp {
        /// Port of the backend.
        port: u16,
        /// Bytes to send and to expect on the connection. Without `expect`, nothing is exchanged.
        exchange: Exchange,
        /// TLS over the connection.
        tls: Option<TlsCheck>,
    },
    /// One HTTP/1.1 request, over TLS for `https`.
    Http {
        /// Port of the backend.
        port: u16,
        /// Request and expected response.
        http: HttpCheck,
        /// TLS under the request.
        tls: Option<TlsCheck>,
    },
    /// An ICMP echo.
    Icmp,
    /// One datagram.
    Udp {
        /// Port of the backend.
        port: u16,
        /// The datagram, and the expected reply. Without `expect`, silence passes.
        exchange: Exchange,
    },
    /// One DNS query.
    Dns {
        /// Port of the backend.
        port: u16,
        /// Question and expected answer.
        dns: DnsCheck,
    },
    /// One request of `grpc.health.v1`, over HTTP/2.
    Grpc {
        /// Port of the backend.
        port: u16,
        /// Service that is asked about.
        grpc: GrpcCheck,
        /// TLS under the request.
        tls: Option<TlsCheck>,
    },
}

impl CheckKind {
    /// Port of the backend; 0 for ICMP.
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. }
            | Self::Http { port, .. }
            | Self::Udp { port, .. }
            | Self::Dns { port, .. }
            | Self::Grpc { port, .. } => *port,
            Self::Icmp => 0,
        }
    }
}

/// Request of an HTTP probe, and expected response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    /// Method.
    pub method: HttpMethod,
    /// Path, with its query.
    pub path: String,
    /// Host header; the backend's address if not set.
    pub host: Option<String>,
    /// Further request headers, in the order given.
    pub headers: Vec<(String, String)>,
    /// Body of a `POST`.
    pub body: String,
    /// Whether the connection is kept for the next probe.
    pub keepalive: bool,
    /// Status codes that pass.
    pub response_codes: StatusCodes,
    /// Pattern that the first 64 KiB of the body must match.
    pub response_regexp: Option<Pattern>,
    /// Status codes that pass, and by which the server asks for no new flows.
    pub drain_codes: StatusCodes,
    /// Response header with the server's own word.
    pub agent_header: Option<String>,
}

/// Method of an HTTP probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMethod {
    /// With a body, read as far as a `response-regexp` needs it.
    Get,
    /// Headers only.
    Head,
    /// What the server supports.
    Options,
    /// Sends a body.
    Post,
}

impl HttpMethod {
    /// Its name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
        }
    }
}

/// Ranges of status codes, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusCodes(pub Vec<(u16, u16)>);

impl StatusCodes {
    /// Whether this code passes.
    pub fn contains(&self, code: u16) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&code))
    }
}

/// TLS parameters of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsCheck {
    /// Whether the certificate must be valid for the server name.
    pub verify: bool,
    /// Server name for SNI.
    pub sni: Option<String>,
    /// Authorities to trust instead of the system's.
    pub ca_file: Option<CaFile>,
}

/// The authorities of one PEM file, read only when the configuration is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaFile {
    /// Path of the file.
    pub path: String,
    /// At least one; shared by all checks that name the file.
    pub authorities: Arc<Authorities>,
}

/// One named application server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Address, which is also its identity in VPP.
    pub address: IpAddr,
    /// Names of its health checks, which are distinct; a backend without one is always up.
    pub healthchecks: Vec<String>,
    /// How many of them must be up.
    pub require: Require,
    /// Whether it is in service.
    pub enabled: bool,
    /// What operators select it by.
    pub labels: BTreeMap<String, String>,
}

impl Backend {
    /// The name of a check, if it has several.
    pub fn check_name(&self, check: usize) -> Option<&str> {
        self.healthchecks.get(check).filter(|_| self.healthchecks.len() > 1).map(String::as_str)
    }

    /// Its labels as operators write them: `rack=r1`.
    pub fn label_words(&self) -> impl Iterator<Item = String> {
        self.labels.iter().map(|(key, value)| format!("{key}={value}"))
    }
}

/// One named VIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontend {
    /// Description for operators.
    pub description: String,
    /// The VIP's address.
    pub address: IpAddr,
    /// The balanced traffic.
    pub service: Service,
    /// Whether VPP hashes flows by their source address alone.
    pub src_ip_sticky: bool,
    /// Whether to flush the pinned flows of a backend that goes down.
    pub flush_on_down: bool,
    /// Buckets of VPP's table for new flows; `None` to derive it from the weights.
    pub new_flows_table_length: Option<u32>,
    /// Whether servers may ask for a part of their weight, so that the scale must have steps for it.
    pub servers_ask: bool,
    /// Time over which a recovered backend's weight rises; `None` for at once.
    pub slow_start: Option<Duration>,
    /// Percentage of a pool's backends, 1 to 100. With fewer of them up, all take new flows, healthy or not.
    pub panic_threshold: Option<u8>,
    /// When the router announces its address; `None` if never.
    pub announce: Option<Announce>,
    /// Pools in order of preference; none is empty, and there is at least one.
    pub pools: Vec<Pool>,
}

/// When the route of a VIP's address is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// Backends that must be able to serve, of the pool that takes new flows.
    pub min_up: MinUp,
    /// Backends beyond those before the route comes back.
    pub hysteresis: u32,
    /// Time after a withdrawal before which it does not.
    pub hold_down: Duration,
    /// Which of the frontends of one address must be able to serve.
    pub ports: Ports,
    /// Whether the route stays when no backend at all is up.
    pub last: Last,
    /// Whether the route stays while VPP is disconnected.
    pub when_vpp_away: WhenVppAway,
}

/// Which of the frontends of one address must be able to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// All of them.
    All,
    /// At least one.
    Any,
}

/// What happens to a route when no backend at all is up: the checks themselves may be at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// It stays.
    Keep,
    /// It is withdrawn.
    Withdraw,
}

/// What happens to a route while VPP is disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenVppAway {
    /// It is withdrawn.
    Withdraw,
    /// It stays. Its packets are lost if VPP is dead.
    Keep,
}

/// The router that announces the routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Router {
    /// BIRD, over its control socket.
    Bird(Bird),
    /// Routes in a table of the kernel, from which any router learns them. The agent has them; its policy names the table.
    Kernel,
}

impl Router {
    /// Its name, in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bird(_) => "BIRD",
            Self::Kernel => "kernel routes",
        }
    }
}

/// How BIRD is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bird {
    /// Its control socket.
    pub socket: PathBuf,
    /// How the names of the VIPs' protocols begin.
    pub prefix: String,
}

/// The traffic of a VIP's address that is balanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// All traffic.
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
    /// How many of them should be up; at most all of them.
    pub min_up: Option<MinUp>,
}
