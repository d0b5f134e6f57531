//! Traffic that the lb plugin sent to each application server, and since when there was none. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use maglev_protocol::ServerTraffic;
use tokio::time::Instant;

use crate::cli_text::TextVip;

/// Traffic to the servers of one VPP.
#[derive(Debug, Default)]
pub(super) struct Sent {
    servers: BTreeMap<IpAddr, Server>,
}

#[derive(Debug)]
struct Server {
    route: u32,
    counted: Option<Counted>,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    sums: (u64, u64),
    /// From the read that first gave these sums to the last read.
    idle: Duration,
    /// The last read.
    read: Instant,
}

impl Sent {
    /// Keeps the servers in use, with their current routes. A server whose route has another index starts again.
    pub(super) fn keep(&mut self, text: &[TextVip]) {
        let mut last = std::mem::take(&mut self.servers);
        let servers = text.iter().filter(|vip| !vip.removed).flat_map(|vip| &vip.servers);
        for server in servers.filter(|server| !server.removed) {
            let Some(route) = server.route else { continue };
            let known = last.remove(&server.address).filter(|known| known.route == route);
            self.servers
                .entry(server.address)
                .or_insert_with(|| known.unwrap_or(Server { route, counted: None }));
        }
    }

    /// The routes to read, in the order of their servers.
    pub(super) fn routes(&self) -> Vec<u32> {
        self.servers.values().map(|server| server.route).collect()
    }

    /// Records packets and bytes of the [routes](Self::routes), read at `now`.
    pub(super) fn count(&mut self, read: Vec<Option<(u64, u64)>>, now: Instant) {
        let mut read = read.into_iter();
        for server in self.servers.values_mut() {
            let sums = read.next().flatten();
            server.counted = sums.map(|sums| {
                let last = server.counted.filter(|last| last.sums == sums);
                let idle = last.map(|last| last.idle + now.saturating_duration_since(last.read));
                Counted { sums, idle: idle.unwrap_or_default(), read: now }
            });
        }
    }

    /// Whether the server was sent no packet for at least `time` before the last read; `false` if it is unknown.
    pub(super) fn is_idle(&self, server: IpAddr, time: Duration) -> bool {
        let counted = self.servers.get(&server).and_then(|server| server.counted);
        counted.is_some_and(|counted| counted.idle >= time)
    }

    /// The traffic as of the last read.
    pub(super) fn traffic(&self) -> Vec<ServerTraffic> {
        let traffic = |(address, server): (&IpAddr, &Server)| {
            let Counted { sums: (packets, bytes), idle, .. } = server.counted?;
            Some(ServerTraffic { address: *address, packets, bytes, idle })
        };
        self.servers.iter().filter_map(traffic).collect()
    }
}

#[cfg(test)]
mod tests;
