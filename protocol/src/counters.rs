//! VPP's counters.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::vip::VipKey;

/// Answer of [`counters`](crate::Agent::counters).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Time since the VIPs' counters were read; at most a second.
    pub age: Duration,
    /// VIPs in the order of their keys.
    pub vips: Vec<VipCounters>,
    /// Traffic to application servers, in the order of their addresses; read together with `vips`. Only of
    /// servers that VPP had at the last read of `servers`.
    pub sent: Vec<ServerTraffic>,
    /// The servers' counters, if requested.
    pub servers: Option<ServerFigures>,
}

/// Counters of one VIP, summed over VPP's threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipCounters {
    /// Prefix, protocol and port.
    pub key: VipKey,
    /// Number of this run of the counters. It changes when they restart from 0, because the VIP was
    /// re-created or VPP restarted. It survives a restart of the agent, unless VPP reused the index for
    /// another VIP while the agent watched.
    pub epoch: u64,
    /// Packets of flows already pinned to a server.
    pub existing_sessions: u64,
    /// Packets that started a flow.
    pub first_session: u64,
    /// Packets forwarded without pinning their flow, since the table of pinned flows was full.
    pub untracked: u64,
    /// Packets dropped because no server takes new flows.
    pub no_server: u64,
    /// Traffic to the VIP's prefix; `None` if VPP has no route to it. VIPs that share a prefix share this
    /// counter, so it must not be summed over them.
    pub route: Option<RouteCounters>,
}

/// Traffic to a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCounters {
    /// Like [`VipCounters::epoch`], for these two counters.
    pub epoch: u64,
    /// Packets forwarded.
    pub packets: u64,
    /// Bytes forwarded.
    pub bytes: u64,
}

/// Traffic that VPP's lb plugin sent to one application server, over all its VIPs. Packets that reach the
/// server on any other way, health checks for one, are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerTraffic {
    /// Address.
    pub address: IpAddr,
    /// Packets, since VPP has the server.
    pub packets: u64,
    /// Bytes, with the tunnel's headers.
    pub bytes: u64,
    /// How long the counter had not changed when it was read: no packet was sent in that time. 0 at the
    /// agent's first read.
    pub idle: Duration,
}

/// State of the application servers. VPP reports it only in dumps, which hold up its forwarding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFigures {
    /// Time since they were read.
    pub age: Duration,
    /// In the order of VIPs, then of addresses.
    pub servers: Vec<ServerFigure>,
}

/// State of one application server in VPP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFigure {
    /// The VIP that the server belongs to.
    pub vip: VipKey,
    /// Address.
    pub address: IpAddr,
    /// Weight in VPP.
    pub weight: u8,
    /// The server's buckets in the new-flow table.
    pub buckets: u32,
    /// Flows pinned to the server, at most: VPP counts a flow that has ended until it reuses or flushes its entry.
    /// 0 once VPP has sent the server no packet for its flow-timeout, when none can be live.
    pub flows: u64,
}
