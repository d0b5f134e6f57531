//! Host routes of VIPs' addresses in a routing table of the kernel, from which a router learns them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What the kernel has of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HostRoute {
    /// No route.
    Absent,
    /// A route in the table for a graceful shutdown.
    Gshut,
    /// A route in the table of routes to announce.
    Present,
}

/// Argument of [`host_routes`](crate::Agent::host_routes).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutesSpec {
    /// The desired routes; those of addresses with `None` stay as they are.
    pub routes: BTreeMap<IpAddr, Option<HostRoute>>,
    /// Whether the routes of all other addresses are removed.
    pub remove_others: bool,
}

/// Answer of [`host_routes`](crate::Agent::host_routes).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRoutes {
    /// The table of routes to announce, by the agent's policy.
    pub table: u32,
    /// The addresses that have a route now.
    pub routes: BTreeMap<IpAddr, HostRoute>,
    /// The addresses whose routes the call has changed.
    pub changed: Vec<IpAddr>,
    /// The first change that was refused, and why. The others were made nevertheless.
    pub refused: Option<String>,
}
