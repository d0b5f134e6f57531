//! State of the agent and of VPP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::vip::{Encap, Prefix, VipKey};

/// The brain's introduction. The same in every version of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrainHello {
    /// [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION) of the brain.
    pub protocol: u32,
    /// Product version, for logs.
    pub version: String,
    /// Random, changes at every start.
    pub instance: u64,
}

/// The agent's introduction to a brain of its own protocol version. The same in every version of the
/// protocol; new fields go to [`AgentInfo`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentHello {
    /// [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION) of the agent.
    pub protocol: u32,
    /// Product version, for logs.
    pub version: String,
    /// Random, changes at every start.
    pub instance: u64,
    /// The connection to VPP.
    pub vpp: VppInfo,
}

/// The agent's process and abilities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Process id, in the agent's own pid namespace.
    pub pid: u32,
    /// Start time, in Unix seconds.
    pub started: u64,
    /// Why it cannot send echo requests; `None` if it can.
    pub no_echo: Option<String>,
    /// Limits of its policy.
    pub policy: AgentPolicy,
}

/// The part of the agent's policy that a configuration can be checked against before it is programmed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentPolicy {
    /// The policy's file, for messages.
    pub source: String,
    /// Prefixes that may be VIPs.
    pub vips: Vec<Prefix>,
    /// Prefixes whose addresses may be application servers.
    pub servers: Vec<Prefix>,
}

impl AgentPolicy {
    /// An empty policy, usable in constants.
    pub const NONE: Self = Self { source: String::new(), vips: Vec::new(), servers: Vec::new() };

    /// Whether VIPs of this prefix may be programmed.
    pub fn allows_vip(&self, vip: &Prefix) -> bool {
        self.vips.iter().any(|allowed| allowed.covers(vip))
    }

    /// Whether this address may be an application server.
    pub fn allows_server(&self, server: IpAddr) -> bool {
        self.servers.iter().any(|allowed| allowed.covers(&Prefix::host(server)))
    }
}

/// The agent's connection to VPP. As part of [`AgentHello`], the same in every version of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VppInfo {
    /// Incremented by every change of `state`. Not comparable between instances of the agent.
    pub generation: u64,
    /// The current state.
    pub state: VppState,
}

/// State of the connection to VPP. As part of [`AgentHello`], the same in every version of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VppState {
    /// Not connected; the agent keeps trying.
    Disconnected {
        /// The cause. May change while VPP stays disconnected.
        reason: String,
        /// How long VPP had been silent when the agent noticed the loss, in milliseconds; constant until VPP
        /// is back. 0 if the connection was closed while VPP owed no answer, which shows at once, or if the
        /// agent has not been connected yet.
        silent_ms: u64,
    },
    /// Connected to a VPP that lacks required messages. The agent retries when VPP changes.
    Incompatible {
        /// VPP's version.
        version: String,
        /// The messages it lacks.
        missing: Vec<String>,
        /// The oldest version that has them.
        needs: String,
    },
    /// Connected and usable.
    Connected {
        /// VPP's version.
        version: String,
        /// VPP's build date.
        build_date: String,
        /// Directory in which VPP was built.
        build_directory: String,
        /// VPP's process id, in VPP's pid namespace.
        pid: u32,
        /// VPP's start time, in Unix seconds.
        boot_time: Option<u64>,
        /// Time since the agent connected, in seconds.
        connected_for: u64,
    },
}

impl VppState {
    /// A VPP connected for 100 s, for tests.
    #[doc(hidden)]
    pub fn sample(pid: u32, boot_time: Option<u64>) -> Self {
        Self::Connected {
            version: "26.10".to_owned(),
            build_date: "today".to_owned(),
            build_directory: "/build".to_owned(),
            pid,
            boot_time,
            connected_for: 100,
        }
    }
}

/// Whether VPP answers on an open connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Liveness {
    /// Incremented whenever VPP falls silent or answers again. Not comparable between instances of the agent.
    pub generation: u64,
    /// Time without an answer from VPP; `None` while it answers within 200 ms.
    pub silent_for: Option<Duration>,
}

/// The lb plugin's current settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LbConf {
    /// Source of GRE4 tunnels, 255.255.255.255 if never set.
    pub ip4_src_address: Ipv4Addr,
    /// Source of GRE6 tunnels, all ones if never set.
    pub ip6_src_address: Ipv6Addr,
    /// Buckets of each thread's table of pinned flows. 0 if unknown: VPP up to 26.06 tells it only once packets
    /// came to a VIP.
    pub sticky_buckets_per_core: u32,
    /// Seconds after which an idle flow is no longer pinned; 0 if unknown.
    pub flow_timeout: u32,
}

/// State of VPP's lb plugin, without removed VIPs and servers that VPP has not reclaimed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LbState {
    /// Global settings.
    pub conf: LbConf,
    /// VIPs in the order of their keys.
    pub vips: Vec<VipState>,
    /// Time since this was read from VPP: one read serves all callers within a moment.
    pub age: Duration,
}

/// One VIP in VPP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipState {
    /// Prefix, protocol and port.
    pub key: VipKey,
    /// VPP's index, which its counters are stored by. A re-created VIP gets another.
    pub index: u32,
    /// Encapsulation to the servers.
    pub encap: Encap,
    /// Whether VPP hashes flows by their source address alone.
    pub src_ip_sticky: bool,
    /// Buckets of the table for new flows.
    pub new_flows_table_length: u32,
    /// Application servers in the order of their addresses.
    pub servers: Vec<ServerState>,
}

/// One application server of a VIP in VPP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerState {
    /// Address.
    pub address: IpAddr,
    /// Weight in VPP.
    pub weight: u8,
    /// The server's buckets in the new-flow table.
    pub buckets: u32,
    /// Live flows pinned to the server.
    pub flows: u64,
}
