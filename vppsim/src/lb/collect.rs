//! Collection of removed servers and VIPs.
//!
//! A VIP's removed servers are looked at when a server of it is added or removed, and by a process of VPP's that runs
//! every [`COLLECTION_PERIOD`]; both only if the last look was at least so long ago. The process also frees removed
//! VIPs without servers (read in VPP's source; that removed ones vanish after a minute was measured).

use std::time::Duration;

use super::{Lb, Uptime, seconds};
use crate::address::Ip46Prefix;

/// How often VPP's process for it runs, and the least time between two looks at one VIP.
pub const COLLECTION_PERIOD: Duration = Duration::from_secs(60);

/// How long a removed server is kept in any case, so that VPP's threads have stopped using it.
const GRACE_SECONDS: u32 = 10;

impl Lb {
    /// What VPP's process does every [`COLLECTION_PERIOD`]. Without weights there is none.
    pub fn collect_garbage(&mut self, now: Uptime) {
        if !self.has_weights() {
            return;
        }
        let indexes: Vec<_> = self.vips.iter().map(|(index, _)| index).collect();
        for index in indexes {
            self.collect_servers(index, now);
            if self.vips.get(index).is_some_and(|vip| !vip.used && vip.servers.is_empty()) {
                self.vips.remove(index);
            }
        }
    }

    /// Frees the removed servers of a VIP, if it is time to.
    pub(super) fn collect_servers(&mut self, vip_index: u32, now: Uptime) {
        let now = seconds(now);
        let period = seconds(COLLECTION_PERIOD);
        let Some(vip) = self.vips.get_mut(vip_index) else {
            return;
        };
        if now < vip.last_collection.saturating_add(period) {
            return;
        }
        vip.last_collection = now;
        let members: Vec<_> = vip.servers.iter().map(|(place, server)| (place, *server)).collect();
        for (place, index) in members {
            let old_enough = now >= self.last_used(index).saturating_add(GRACE_SECONDS);
            let Some(server) = self.servers.get(index) else {
                continue;
            };
            if server.used || self.pinned_to(index) > 0 || !old_enough {
                continue;
            }
            self.fib.remove_server(Ip46Prefix::host(server.address));
            self.servers.remove(index);
            if let Some(vip) = self.vips.get_mut(vip_index) {
                vip.servers.remove(place);
            }
        }
    }
}
