//! Probes through the tunnel: sent to a VIP, and delivered to one application server in GRE, as VPP does it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Maximum number of targets of one connection.
pub const MOST_TUNNEL_TARGETS: usize = 16_384;
/// Maximum size of a probe's packet, in bytes, with its IP header and without GRE and the outer header.
pub const MAX_TUNNEL_PACKET: u16 = 1500;
/// What the tunnel adds to a packet, in bytes: GRE's header and an outer IPv4 header.
pub const TUNNEL_OVERHEAD: u16 = 24;

/// A VIP on an application server, target of [`tunnel`](crate::Agent::tunnel).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TunnelTarget {
    /// Destination of the probe. The server's own address tests the tunnel alone.
    pub vip: IpAddr,
    /// The application server that gets it.
    pub server: IpAddr,
}

/// What became of the packets from one probe address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelReport {
    /// Packets sent to the server.
    pub sent: u64,
    /// Packets that were not.
    pub refused: u64,
    /// Why the last of those was not.
    pub refusal: Option<TunnelRefusal>,
}

/// Why a packet was not sent through the tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelRefusal {
    /// Whether the cause is local and says nothing about the server; otherwise there is no way to it.
    pub local: bool,
    /// The kernel's error, or the rule that the packet breaks.
    pub reason: String,
}
