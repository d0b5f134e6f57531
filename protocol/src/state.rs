//! What the agent knows of itself and of VPP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::vip::{Encap, Prefix, VipKey};

/// How the brain introduces itself. The same in every version of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrainHello {
    /// [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION) of the brain.
    pub protocol: u32,
    /// Product version, for logs.
    pub version: String,
    /// Random, new at every start.
    pub instance: u64,
}

/// How the agent introduces itself to a brain of its own protocol. The same in every version of the protocol; what
/// is to be added goes to [`AgentInfo`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentHello {
    /// [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION) of the agent.
    pub protocol: u32,
    /// Product version, for logs.
    pub version: String,
    /// Random, new at every start.
    pub instance: u64,
    /// The connection to VPP.
    pub vpp: VppInfo,
}

/// The agent's process, and what it can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Process id, in the agent's own pid namespace.
    pub pid: u32,
    /// Its start, in Unix seconds.
    pub started: u64,
    /// Why it can send no echo requests; `None` if it can.
    pub no_echo: Option<String>,
    /// What its policy allows to be programmed.
    pub policy: AgentPolicy,
}

/// The part of the agent's policy by which a configuration can be judged before it is programmed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentPolicy {
    /// Its file, for messages.
    pub source: String,
    /// Prefixes that may be VIPs.
    pub vips: Vec<Prefix>,
    /// Prefixes whose addresses may be application servers.
    pub servers: Vec<Prefix>,
}

impl AgentPolicy {
    /// An empty policy, for constants.
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
    /// Raised by every change of `state`. Not comparable between instances of the agent.
    pub generation: u64,
    /// The connection now.
    pub state: VppState,
}

/// State of the connection to VPP. As part of [`AgentHello`], the same in every version of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VppState {
    /// Not connected; the agent keeps trying.
    Disconnected {
        /// Why not. May change while VPP stays away.
        reason: String,
        /// For how long VPP had answered nothing when the agent found it away, in milliseconds; it stays the same
        /// until VPP is back. 0 if the connection was closed while VPP owed no answer, which shows at once, or if
        /// the agent has not been connected yet.
        silent_ms: u64,
    },
    /// Connected to a VPP that lacks messages that are needed. The agent tries again when VPP changes.
    Incompatible {
        /// VPP's version.
        version: String,
        /// The messages that it lacks.
        missing: Vec<String>,
        /// The version that has them, in words.
        needs: String,
    },
    /// Connected, and usable.
    Connected {
        /// VPP's version.
        version: String,
        /// VPP's build date.
        build_date: String,
        /// Directory in which VPP was built.
        build_directory: String,
        /// VPP's process id, in VPP's pid namespace.
        pid: u32,
        /// VPP's start, in Unix seconds.
        boot_time: Option<u64>,
        /// Seconds since the agent connected.
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

/// Whether VPP answers, on a connection that stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Liveness {
    /// Raised whenever VPP falls silent or answers again. Not comparable between instances of the agent.
    pub generation: u64,
    /// For how long VPP has answered nothing; `None` while it answers within 200 ms.
    pub silent_for: Option<Duration>,
}

/// The lb plugin's settings as VPP has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LbConf {
    /// Source of GRE4 tunnels, 255.255.255.255 if never set.
    pub ip4_src_address: Ipv4Addr,
    /// Source of GRE6 tunnels, all ones if never set.
    pub ip6_src_address: Ipv6Addr,
    /// Buckets of each thread's table of pinned flows.
    pub sticky_buckets_per_core: u32,
    /// Seconds after which an idle flow is forgotten.
    pub flow_timeout: u32,
}

/// What VPP's lb plugin has. Removed VIPs and servers that VPP has not yet forgotten are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LbState {
    /// Global settings.
    pub conf: LbConf,
    /// VIPs in the order of their keys.
    pub vips: Vec<VipState>,
    /// How long ago this was read from VPP: one read serves all callers within a moment.
    pub age: Duration,
}

/// One VIP as VPP has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipState {
    /// Which VIP.
    pub key: VipKey,
    /// VPP's index of it, which its counters are kept by. A VIP made anew gets another.
    pub index: u32,
    /// Encapsulation to the servers.
    pub encap: Encap,
    /// Whether flows are told apart by their source address alone.
    pub src_ip_sticky: bool,
    /// Buckets of the table for new flows.
    pub new_flows_table_length: u32,
    /// Application servers in the order of their addresses.
    pub servers: Vec<ServerState>,
}

/// One application server of a VIP as VPP has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerState {
    /// Address.
    pub address: IpAddr,
    /// Weight in VPP.
    pub weight: u8,
    /// Buckets of the new-flow table that are the server's.
    pub buckets: u32,
    /// Live flows pinned to the server.
    pub flows: u64,
}
