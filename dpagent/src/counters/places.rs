//! Where in the stats segment the counters of each VIP are. Pure.

use std::collections::{BTreeMap, BTreeSet};

use maglev_protocol::{Prefix, VipKey};

use super::places as known;
use crate::mirror::Mirror;

/// Where the counters of one VIP are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The VIP.
    pub vip: VipKey,
    /// VPP's index of it.
    pub index: u32,
    /// The index of its prefix' route, if there is one.
    pub route: Option<u32>,
}

/// The routes that were asked for.
#[derive(Debug, Default)]
pub(super) struct Places {
    routes: BTreeMap<Prefix, Route>,
}

/// A route is there for as long as any VIP of its prefix is.
#[derive(Debug)]
struct Route {
    index: Option<u32>,
    /// The VIPs that were there when it was asked for. While one of them is, it is the same route.
    vips: BTreeSet<u32>,
}

impl Places {
    /// The prefixes whose routes are to be asked for. Forgets those that are gone.
    pub(super) fn missing(&mut self, mirror: &Mirror) -> Vec<Prefix> {
        let vips = by_prefix(mirror);
        self.routes.retain(|prefix, route| {
            vips.get(prefix).is_some_and(|indexes| !indexes.is_disjoint(&route.vips))
        });
        vips.into_keys().filter(|prefix| !self.routes.contains_key(prefix)).collect()
    }

    /// Takes over what was found.
    pub(super) fn learn(&mut self, mirror: &Mirror, found: impl Iterator<Item = (Prefix, Option<u32>)>) {
        let mut vips = by_prefix(mirror);
        for (prefix, index) in found {
            let vips = vips.remove(&prefix).unwrap_or_default();
            self.routes.insert(prefix, Route { index, vips });
        }
    }

    /// All VIPs whose index is known.
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
