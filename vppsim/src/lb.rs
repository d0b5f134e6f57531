//! A model of VPP's lb plugin: effect and return value of each request, without sockets or a clock.
//!
//! Facts were measured on VPP 26.10; those only read in its source say so. Times are the [`Uptime`] of the
//! simulated VPP.

mod collect;
mod flows;
mod heap;
mod servers;
pub mod sticky;
mod vips;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use vppapi::retval::Retval;

use crate::address::Ip46Prefix;
use crate::fib::Fib;
use crate::pool::Pool;

use sticky::StickyTable;

pub use collect::COLLECTION_PERIOD;
pub use flows::{FlowId, NoServer, OpenedFlow, Routed};
pub use heap::{Heap, Startup};
pub use servers::Server;
pub use vips::{NewVip, Vip, VipKind};

/// How long VPP has been running.
pub type Uptime = Duration;

/// Maximum length of a simulated table: above it, two copies of 4 bytes a bucket exceed VPP's heap of 1 GiB.
pub const MAX_TABLE_LENGTH: u32 = 1 << 26;

/// Identity of a VIP. Without a port, the protocol is 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VipKey {
    /// Destination addresses.
    pub prefix: Ip46Prefix,
    /// IP protocol number.
    pub protocol: u8,
    /// Destination port, 0 for all.
    pub port: u16,
}

impl VipKey {
    /// The key; port 0 turns the protocol into 255, whatever it was.
    pub fn new(prefix: Ip46Prefix, protocol: u8, port: u16) -> Self {
        let protocol = if port == 0 { u8::MAX } else { protocol };
        Self { prefix, protocol, port }
    }
}

impl fmt::Display for VipKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            0 => write!(f, "{} all ports", self.prefix),
            port => write!(f, "{} protocol {} port {port}", self.prefix, self.protocol),
        }
    }
}

/// The plugin's global configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conf {
    /// Source of GRE over IPv4.
    pub ip4_source: Ipv4Addr,
    /// Source of GRE over IPv6.
    pub ip6_source: Ipv6Addr,
    /// Size of each thread's table of pinned flows, a power of two.
    pub sticky_buckets: u32,
    /// Seconds without a packet after which a flow is no longer pinned.
    pub flow_timeout: u32,
}

/// VPP's configuration unless changed (measured on VPP 26.10).
impl Default for Conf {
    fn default() -> Self {
        let (ip4_source, ip6_source) = (Ipv4Addr::BROADCAST, Ipv6Addr::from(u128::MAX));
        Self { ip4_source, ip6_source, sticky_buckets: 1024, flow_timeout: 40 }
    }
}

/// Why a request changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The VIP or server is not there, or the server was removed.
    #[error("no such VIP or application server")]
    NoSuchEntry,
    /// The VIP or server exists, or the prefix would mix per-port VIPs with one of all ports.
    #[error("exists already, or the prefix mixes per-port VIPs with one of all ports")]
    Exists,
    /// Another port of the prefix has another encap.
    #[error("another port of this prefix has another encap")]
    OtherEncap,
    /// A length that is not a power of two.
    #[error("{0} is not a power of two")]
    BadLength(u32),
    /// The address family does not fit the encap.
    #[error("the address family does not fit the encap")]
    WrongFamily,
    /// VPP would not survive the request.
    #[error("a real VPP dies of this request: {0}")]
    Deadly(String),
}

impl Refusal {
    /// VPP's return value for it. `None` if VPP would be dead.
    pub fn retval(&self) -> Option<Retval> {
        match self {
            Refusal::NoSuchEntry => Some(Retval::NO_SUCH_ENTRY),
            Refusal::Exists => Some(Retval::VALUE_EXIST),
            Refusal::OtherEncap => Some(Retval::INVALID_ARGUMENT),
            Refusal::BadLength(_) => Some(Retval::INVALID_MEMORY_SIZE),
            Refusal::WrongFamily => Some(Retval::INVALID_ADDRESS_FAMILY),
            Refusal::Deadly(_) => None,
        }
    }
}

/// What the data path must do because of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A VIP with this index takes packets from now on.
    VipAdded(u32),
    /// The VIP with this index takes no more packets.
    VipRemoved(u32),
    /// Packets of this flow no longer reach its server. The flow is forgotten.
    FlowEnded(FlowId),
}

/// The four counters of a VIP, in the order of VPP's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// A packet of a pinned flow.
    ExistingSession,
    /// The packet that pinned a flow.
    FirstSession,
    /// A packet of a flow that cannot be pinned because its bucket is full, whether or not it has a server.
    Untracked,
    /// A packet while no server has a weight, unless it is untracked.
    NoServer,
}

impl Counter {
    /// All four.
    pub const ALL: [Self; 4] = [Self::ExistingSession, Self::FirstSession, Self::Untracked, Self::NoServer];

    /// The name in the CLI text and in the stats segment (measured on VPP 26.10).
    pub fn name(self) -> &'static str {
        match self {
            Self::ExistingSession => "packet from existing sessions",
            Self::FirstSession => "first session packet",
            Self::Untracked => "untracked packet",
            Self::NoServer => "no server configured",
        }
    }
}

/// The counters of one VIP, in the order of [`Counter::ALL`].
pub type Counters = [u64; 4];

/// The whole state of the plugin.
#[derive(Debug)]
pub struct Lb {
    conf: Conf,
    vips: Pool<Vip>,
    servers: Pool<Server>,
    /// By server index. VPP does not clear it when the index goes to another server (read in its source).
    last_used: Vec<u32>,
    /// By VIP index.
    counters: Vec<Counters>,
    fib: Fib,
    startup: Startup,
    /// Whether servers have weights, and a process collects removed ones: from VPP 26.10 on.
    weights: bool,
    /// The sticky table of each thread, from its first packet on.
    threads: Vec<Option<StickyTable>>,
    flows: BTreeMap<FlowId, flows::Flow>,
    next_flow: u64,
    rebuilds: u64,
    death: Option<String>,
    effects: Vec<Effect>,
}

impl Default for Lb {
    fn default() -> Self {
        Self {
            conf: Conf::default(),
            // Index 0 of both is a default of VPP's own, which no dump shows.
            vips: Pool::starting_at(1),
            servers: Pool::starting_at(1),
            last_used: Vec::new(),
            counters: vec![Counters::default()],
            fib: Fib::default(),
            startup: Startup::default(),
            weights: true,
            threads: heap::threads(Startup::default()),
            flows: BTreeMap::new(),
            next_flow: 0,
            rebuilds: 0,
            death: None,
            effects: Vec::new(),
        }
    }
}

impl Lb {
    /// Forgets everything, like a restarted VPP. Pending effects are dropped, too; ids of flows are not
    /// reused.
    pub fn restart(&mut self) {
        let Self { next_flow, startup, weights, .. } = *self;
        *self = Self { next_flow, startup, weights, threads: heap::threads(startup), ..Self::default() };
    }

    /// Whether servers have weights.
    pub fn has_weights(&self) -> bool {
        self.weights
    }

    /// Makes it that of a VPP with weights, or of an older one.
    pub fn set_weights(&mut self, weights: bool) {
        self.weights = weights;
    }

    /// The global configuration.
    pub fn conf(&self) -> &Conf {
        &self.conf
    }

    /// Every VIP with its index, the removed ones too that are not yet collected.
    pub fn vips(&self) -> impl Iterator<Item = (u32, &Vip)> {
        self.vips.iter()
    }

    /// The VIP with this index, removed or not.
    pub fn vip(&self, index: u32) -> Option<&Vip> {
        self.vips.get(index)
    }

    /// The index of the VIP with this key that is in use.
    pub fn find(&self, key: &VipKey) -> Option<u32> {
        self.vips.iter().find(|(_, vip)| vip.used && vip.key == *key).map(|(index, _)| index)
    }

    /// A VIP's servers with their indexes, removed ones too, in the order of VPP's dumps.
    pub fn servers_of<'a>(&'a self, vip: &'a Vip) -> impl Iterator<Item = (u32, &'a Server)> {
        vip.servers.iter().filter_map(|(_, index)| Some((*index, self.servers.get(*index)?)))
    }

    /// How many servers all VIPs have together, removed ones too.
    pub fn server_count(&self) -> usize {
        self.servers.len()
    }

    /// The second of VPP's uptime in which a server was last removed; 0 if it never was.
    pub fn last_used(&self, server: u32) -> u32 {
        self.last_used.get(server as usize).copied().unwrap_or(0)
    }

    /// The counters of all VIPs, by VIP index.
    pub fn counters(&self) -> &[Counters] {
        &self.counters
    }

    /// The routes of VIPs and servers.
    pub fn fib(&self) -> &Fib {
        &self.fib
    }

    /// Number of rebuilds of new-flow tables since VPP started, each of which holds up forwarding. [`Vip::rebuilds`] has
    /// those of one VIP.
    pub fn rebuilds(&self) -> u64 {
        self.rebuilds
    }

    /// What happened since the last call, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn count(&mut self, vip: u32, counter: Counter) {
        if let Some(counters) = self.counters.get_mut(vip as usize)
            && let Some(value) = counters.get_mut(counter as usize)
        {
            *value += 1;
        }
    }
}

/// VPP's clock in whole seconds, which is all that the plugin keeps.
fn seconds(now: Uptime) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}
