//! Positions of each VIP's counters in the stats segment. Pure.

use std::collections::{BTreeMap, BTreeSet};

use maglev_protocol::{Prefix, VipKey};

use super::places as known;
use crate::mirror::Mirror;

/// Position of one VIP's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Prefix, protocol and port.
    pub vip: VipKey,
    /// VPP's index of the VIP.
    pub index: u32,
    /// Index of the route to its prefix, if there is one.
    pub route: Option<u32>,
}

/// Routes looked up so far.
#[derive(Debug, Default)]
pub(super) struct Places {
    routes: BTreeMap<Prefix, Route>,
}

/// A route exists for as long as any VIP of its prefix does.
#[derive(Debug)]
struct Route {
    index: Option<u32>,
    /// The VIPs of the prefix when the route was looked up. While one of them exists, the route is the same.
    vips: BTreeSet<u32>,
}

impl Places {
    /// The prefixes whose routes must be looked up. Forgets prefixes without VIPs.
    pub(super) fn missing(&mut self, mirror: &Mirror) -> Vec<Prefix> {
        let vips = by_prefix(mirror);
        self.routes.retain(|prefix, route| {
            vips.get(prefix).is_some_and(|indexes| !indexes.is_disjoint(&route.vips))
        });
        vips.into_keys().filter(|prefix| !self.routes.contains_key(prefix)).collect()
    }

    /// Records the result of looking up routes.
    pub(super) fn learn(&mut self, mirror: &Mirror, found: impl Iterator<Item = (Prefix, Option<u32>)>) {
        let mut vips = by_prefix(mirror);
        for (prefix, index) in found {
            let vips = vips.remove(&prefix).unwrap_or_default();
            self.routes.insert(prefix, Route { index, vips });
        }
    }

    /// The positions of all VIPs whose index is known.
    pub(super) fn of(&self, mirror: &Mirror) -> Vec<Place> {
        let route = |prefix: &Prefix| self.routes.get(prefix).and_then(|route| route.index);
        known(mirror).map(|(vip, index)| Place { vip, index, route: route(&vip.prefix) }).collect()
    }
}

fn by_prefix(mirror: &Mirror) -> BTreeMap<Prefix, BTreeSet<u32>> {
    let mut vips = BTreeMap::<_, BTreeSet<_>>::new();
    for (key, index) in known(mirror) {
        vips.entry(key.prefix).or_default().insert(index);
    }
    vips
}
