//! The routes that the lb plugin makes: who has which index, and how many packets and bytes it carried.
//!
//! VPP numbers the forwarding objects of routes from one pool. The number is a route's `stats_index` in the API and
//! in `/net/route/to`, and the `dpo` of an application server in the CLI text. Servers with one address share a route.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::address::Ip46Prefix;
use crate::pool::Pool;

/// The first number that is free on a VPP without interfaces (measured on VPP 26.10).
const FIRST_INDEX: u32 = 8;

/// What a route carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why a route exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// VIPs have this prefix.
    Vip,
    /// An application server has this address, and no VIP.
    Server,
}

#[derive(Debug)]
struct Route {
    index: u32,
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
        let traffic = vec![Traffic::default(); FIRST_INDEX as usize];
        Self {
            routes: BTreeMap::new(),
            indexes: Pool::starting_at(FIRST_INDEX),
            traffic,
        }
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
    pub fn exact(&self, prefix: Ip46Prefix) -> Option<(Ip46Prefix, u32, Source)> {
        self.routes
            .get(&prefix)
            .map(|route| (prefix, route.index, route.source()))
    }

    /// The longest route that covers this prefix.
    pub fn longest(&self, prefix: Ip46Prefix) -> Option<(Ip46Prefix, u32, Source)> {
        let covering = self
            .routes
            .iter()
            .filter(|(candidate, _)| candidate.covers(prefix));
        covering
            .max_by_key(|(candidate, _)| candidate.length)
            .map(|(found, route)| (*found, route.index, route.source()))
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
            Route {
                index,
                has_vip: false,
                servers: 0,
            }
        })
    }

    fn drop_unused(&mut self, prefix: Ip46Prefix) {
        if let Some(route) = self.routes.get(&prefix)
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
        if self.has_vip { Source::Vip } else { Source::Server }
    }
}
