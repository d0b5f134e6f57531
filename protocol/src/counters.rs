//! What VPP counts.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::vip::VipKey;

/// Answer of [`counters`](crate::Agent::counters).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// How long ago the VIPs' counters were read; at most a second.
    pub age: Duration,
    /// VIPs in the order of their keys.
    pub vips: Vec<VipCounters>,
    /// The servers' figures, if they were asked for.
    pub servers: Option<ServerFigures>,
}

/// Counters of one VIP, summed over VPP's threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipCounters {
    /// Which VIP.
    pub key: VipKey,
    /// Which life of the counters this is. It changes when they begin again at 0, because the VIP was made anew
    /// or VPP restarted; it is the same before and after a restart of the agent, unless VPP used its index for
    /// two lives while the agent watched.
    pub epoch: u64,
    /// Packets of flows that were known.
    pub existing_sessions: u64,
    /// First packets of flows.
    pub first_session: u64,
    /// Packets that were balanced without being remembered, since the table of pinned flows was full.
    pub untracked: u64,
    /// Packets that were dropped because no server takes new flows.
    pub no_server: u64,
    /// What went to the VIP's prefix; `None` if VPP has no route of it. VIPs that share a prefix share this
    /// counter: it must not be summed over them.
    pub route: Option<RouteCounters>,
}

/// Packets to a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCounters {
    /// As [`VipCounters::epoch`], for these two.
    pub epoch: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Figures of the application servers. VPP tells them only in dumps, which hold up its forwarding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFigures {
    /// How long ago they were read.
    pub age: Duration,
    /// In the order of VIPs, then of addresses.
    pub servers: Vec<ServerFigure>,
}

/// What VPP has of one application server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFigure {
    /// Its VIP.
    pub vip: VipKey,
    /// Address.
    pub address: IpAddr,
    /// Weight in VPP.
    pub weight: u8,
    /// Buckets of the new-flow table that are the server's.
    pub buckets: u32,
    /// Live flows pinned to the server.
    pub flows: u64,
}
