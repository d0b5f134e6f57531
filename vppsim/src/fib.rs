//! The routes that the lb plugin adds: their indexes, and their packet and byte counters.
//!
//! VPP numbers the forwarding objects of routes from one pool. The number is a route's `stats_index` in the
//! API, in `/net/route/to` and in `/net/route/via`, and the `dpo` of an application server in the CLI text. Servers with one
//! address share a route.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::Ip46Prefix;
use crate::pool::Pool;

/// The routes that every VPP has, in the order of their indexes from 1 on (measured on VPP 26.10).
const BUILT_IN: [(IpAddr, u8, Source); 7] = [
    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0, Source::Default),
    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 32, Source::Default),
    (IpAddr::V4(Ipv4Addr::new(240, 0, 0, 0)), 4, Source::Special),
    (IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), 4, Source::Special),
    (IpAddr::V4(Ipv4Addr::BROADCAST), 32, Source::Default),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0, Source::Default),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10, Source::LinkLocal),
];

/// What a route carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that the lb plugin handed to the route in a tunnel; they are not in `packets` (measured on VPP 26.10).
    pub via_packets: u64,
    /// Their bytes, with the tunnel's headers.
    pub via_bytes: u64,
}

/// Why a route exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// VIPs have this prefix.
    Vip,
    /// An application server has this address, and no VIP.
    Server,
    /// Made by VPP as a default: packets are dropped.
    Default,
    /// Made by VPP for addresses that nobody has: packets are dropped.
    Special,
    /// Made by VPP for link-local addresses.
    LinkLocal,
}

impl Source {
    /// VPP's number of the source of such a route (measured on VPP 26.10).
    pub fn number(self) -> u8 {
        match self {
            Self::Vip => 23,
            Self::Server => 18,
            Self::Default => 20,
            Self::Special | Self::LinkLocal => 1,
        }
    }
}

/// A route that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The route's prefix.
    pub prefix: Ip46Prefix,
    /// Its `stats_index`.
    pub index: u32,
    /// Why it exists.
    pub source: Source,
    /// Whether it drops packets. That of a server does what the next wider route does (measured on VPP 26.10).
    pub drops: bool,
}

#[derive(Debug)]
struct Route {
    index: u32,
    built_in: Option<Source>,
    has_vip: bool,
    servers: u32,
}

/// The routes of the default table.
#[derive(Debug)]
pub struct Fib {
    routes: BTreeMap<Ip46Prefix, Route>,
    indexes: Pool<()>,
    traffic: Vec<Traffic>,
}

impl Default for Fib {
    fn default() -> Self {
        let traffic = vec![Traffic::default()];
        let mut fib = Self { routes: BTreeMap::new(), indexes: Pool::starting_at(1), traffic };
        for (address, length, source) in BUILT_IN {
            if let Ok(prefix) = Ip46Prefix::new(address, length) {
                fib.route(prefix).built_in = Some(source);
            }
        }
        fib
    }
}

impl Fib {
    /// Makes sure that there is a route for the VIPs of a prefix.
    pub fn add_vip(&mut self, prefix: Ip46Prefix) {
        self.route(prefix).has_vip = true;
    }

    /// Takes the route for the VIPs of a prefix away.
    pub fn remove_vip(&mut self, prefix: Ip46Prefix) {
        if let Some(route) = self.routes.get_mut(&prefix) {
            route.has_vip = false;
        }
        self.drop_unused(prefix);
    }

    /// Counts one more server with this address, and tells its route's index.
    pub fn add_server(&mut self, prefix: Ip46Prefix) -> u32 {
        let route = self.route(prefix);
        route.servers += 1;
        route.index
    }

    /// Counts one server less with this address.
    pub fn remove_server(&mut self, prefix: Ip46Prefix) {
        if let Some(route) = self.routes.get_mut(&prefix) {
            route.servers = route.servers.saturating_sub(1);
        }
        self.drop_unused(prefix);
    }

    /// The route of exactly this prefix.
    pub fn exact(&self, prefix: Ip46Prefix) -> Option<Found> {
        let route = self.routes.get(&prefix)?;
        let source = route.source();
        let decisive = match source {
            Source::Server => self.covering(prefix).find(|wider| *wider != Source::Server),
            other => Some(other),
        };
        let drops = !matches!(decisive, Some(Source::Vip | Source::LinkLocal));
        Some(Found { prefix, index: route.index, source, drops })
    }

    /// The longest route that covers this prefix.
    pub fn longest(&self, prefix: Ip46Prefix) -> Option<Found> {
        let covering = self.routes.keys().filter(|candidate| candidate.covers(prefix));
        self.exact(*covering.max_by_key(|candidate| candidate.length)?)
    }

    /// Why each route exists that covers a prefix, the longest first.
    fn covering(&self, prefix: Ip46Prefix) -> impl Iterator<Item = Source> {
        let mut covering: Vec<_> =
            self.routes.iter().filter(|(candidate, _)| candidate.covers(prefix)).collect();
        covering.sort_by_key(|(candidate, _)| std::cmp::Reverse(candidate.length));
        covering.into_iter().map(|(_, route)| route.source())
    }

    /// Counts a packet to a prefix.
    pub fn count(&mut self, prefix: Ip46Prefix, bytes: u64) {
        let Some(route) = self.routes.get(&prefix) else {
            return;
        };
        if let Some(traffic) = self.traffic.get_mut(route.index as usize) {
            traffic.packets += 1;
            traffic.bytes += bytes;
        }
    }

    /// Counts a packet that the lb plugin hands to the route of this index.
    pub fn count_via(&mut self, route: u32, bytes: u64) {
        if let Some(traffic) = self.traffic.get_mut(route as usize) {
            traffic.via_packets += 1;
            traffic.via_bytes += bytes;
        }
    }

    /// What each route carried, by index.
    pub fn traffic(&self) -> &[Traffic] {
        &self.traffic
    }

    fn route(&mut self, prefix: Ip46Prefix) -> &mut Route {
        self.routes.entry(prefix).or_insert_with(|| {
            let index = self.indexes.insert(());
            if self.traffic.len() <= index as usize {
                self.traffic.resize(index as usize + 1, Traffic::default());
            }
            if let Some(traffic) = self.traffic.get_mut(index as usize) {
                *traffic = Traffic::default();
            }
            Route { index, built_in: None, has_vip: false, servers: 0 }
        })
    }

    fn drop_unused(&mut self, prefix: Ip46Prefix) {
        if let Some(route) = self.routes.get(&prefix)
            && route.built_in.is_none()
            && !route.has_vip
            && route.servers == 0
        {
            self.indexes.remove(route.index);
            self.routes.remove(&prefix);
        }
    }
}

impl Route {
    fn source(&self) -> Source {
        match self.has_vip {
            true => Source::Vip,
            false => self.built_in.unwrap_or(Source::Server),
        }
    }
}
