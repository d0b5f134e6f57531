//! Comparison of two states.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use maglev_protocol::{VipKey, VipSpec};
use maglev_table::buckets::{Candidate, buckets};

use super::words::{self, Shortage};
use super::{BackendPreview, Fate, Flows, FrontendPreview, Preview, Severity, Share, Side, VipChange};
use crate::config::Config;
use crate::core::Core;
use crate::snapshot::{FrontendView, SyncStatus};
use crate::weights::Capacity;

/// A frontend with its table in VPP, existing or future.
struct Laid<'v> {
    name: &'v str,
    view: &'v FrontendView,
    config: &'v Config,
    length: u32,
    /// The server of each bucket, by its position in the spec, from 1; 0 for none.
    table: Vec<u32>,
}

impl<'v> Laid<'v> {
    fn new(name: &'v str, view: &'v FrontendView, config: &'v Config, length: u32) -> Self {
        let servers = (1..).zip(&view.spec.servers);
        let candidates: Vec<_> = servers
            .map(|(id, (&address, server))| Candidate { id, address, weight: server.weight })
            .collect();
        Self { name, view, config, length, table: buckets(length, &candidates) }
    }

    fn owners(&self) -> Vec<Option<IpAddr>> {
        let servers: Vec<_> = self.view.spec.servers.keys().copied().collect();
        let owner = |id: &u32| servers.get(usize::try_from(id.checked_sub(1)?).ok()?).copied();
        self.table.iter().map(owner).collect()
    }

    fn side(&self) -> Side {
        let pool = |index: Option<usize>| Some(self.view.frontend.pools.get(index?)?.name.clone());
        let weights = &self.view.weights;
        Side {
            state: weights.state,
            active_pool: pool(weights.active_pool),
            panic: pool(weights.panic),
            table_length: self.length,
        }
    }

    /// Rows by pool and backend, with the server's address.
    fn rows(&self) -> BTreeMap<(usize, String, String), (IpAddr, Share)> {
        let mut owned: BTreeMap<IpAddr, u32> = BTreeMap::new();
        for server in self.owners().into_iter().flatten() {
            *owned.entry(server).or_default() += 1;
        }
        let pools = self.view.frontend.pools.iter().zip(&self.view.weights.pools).enumerate();
        let rows = pools.flat_map(|(index, (pool, weights))| {
            weights.iter().map(move |(backend, weight)| (index, &pool.name, backend, weight))
        });
        rows.filter_map(|(index, pool, backend, weight)| {
            let server = self.config.backends.get(backend)?.address;
            let share = Share {
                effective: weight.effective,
                programmed: self.view.spec.servers.get(&server).map_or(0, |server| server.weight),
                buckets: owned.get(&server).copied().unwrap_or(0),
            };
            Some(((index, pool.clone(), backend.clone()), (server, share)))
        })
        .collect()
    }

    /// Capacity of each pool, by name.
    fn capacity(&self) -> impl Iterator<Item = (&'v String, &'v Capacity)> {
        self.view.frontend.pools.iter().map(|pool| &pool.name).zip(&self.view.weights.capacity)
    }

    fn serves(&self) -> bool {
        self.view.spec.servers.values().any(|server| server.weight > 0)
    }
}

/// Compares the state before a change with the one after.
pub(super) fn compare(before: &Core, after: &Core, flows: Flows<'_>) -> Preview {
    let (was, is) = (by_vip(before), by_vip(after));
    let keys: BTreeSet<_> = was.keys().chain(is.keys()).copied().collect();
    let demands = after.wanted().demands;
    let mut frontends: Vec<_> = keys
        .into_iter()
        .filter_map(|key| {
            let demands = demands.get(&key).map(|demanded| &demanded.demands);
            let recreate = demands.is_some_and(|demands| demands.recreate);
            let flush = demands.map(|demands| demands.flush.clone()).unwrap_or_default();
            one(key, was.get(&key).copied(), is.get(&key).copied(), recreate, &flush, flows)
        })
        .collect();
    frontends.sort_by(|one, other| (&one.frontend, one.vip).cmp(&(&other.frontend, other.vip)));
    let sentences = words::settings(&before.wanted().conf, &after.wanted().conf);
    let own = sentences.iter().map(|(severity, _)| *severity);
    let severity = frontends.iter().map(|frontend| frontend.severity).chain(own).max().unwrap_or_default();
    let sentences = sentences.into_iter().map(|(_, sentence)| sentence).collect();
    Preview { events: before.events(), severity, sentences, frontends }
}

/// A frontend's name, view and configuration.
type Named<'c> = (&'c str, &'c FrontendView, &'c Config);

fn by_vip(core: &Core) -> BTreeMap<VipKey, Named<'_>> {
    let views = core.frontends();
    views.map(|(name, view)| (view.spec.key, (&**name, &**view, &**core.config()))).collect()
}

/// What happens to one VIP; `None` if nothing does.
fn one(
    vip: VipKey,
    was: Option<Named<'_>>,
    is: Option<Named<'_>>,
    recreate: bool,
    flush: &BTreeSet<IpAddr>,
    flows: Flows<'_>,
) -> Option<FrontendPreview> {
    let change = match (was, is) {
        (Some((_, was, _)), Some((_, is, _))) if is_another(was, is, recreate) => VipChange::Recreated,
        (Some(_), Some(_)) => VipChange::Kept,
        (None, _) => VipChange::Added,
        (Some(_), None) => VipChange::Removed,
    };
    if let (VipChange::Kept, Some((_, was, _)), Some((_, is, _))) = (change, was, is)
        && flush.is_empty()
        && Arc::ptr_eq(&was.spec, &is.spec)
        && was.weights == is.weights
    {
        return None;
    }
    let length = |(_, view, _): Named<'_>| view.table_length.unwrap_or(view.spec.new_flows_table_length);
    let before = was.map(|named| Laid::new(named.0, named.1, named.2, length(named)));
    let after = is.map(|named| {
        let kept = before.as_ref().filter(|_| change == VipChange::Kept).map(|before| before.length);
        Laid::new(named.0, named.1, named.2, kept.unwrap_or(named.1.spec.new_flows_table_length))
    });
    let backends = rows(vip, change, before.as_ref(), after.as_ref(), flush, flows);
    let shortages = shortages(before.as_ref(), after.as_ref());
    let (moved_buckets, sides) = (moved(before.as_ref(), after.as_ref()), (&before, &after));
    let is_same = sides.0.as_ref().map(Laid::side) == sides.1.as_ref().map(Laid::side)
        && moved_buckets == 0
        && shortages.is_empty()
        && backends.iter().all(|row| row.before == row.after && row.fate == Fate::Stay);
    if change == VipChange::Kept && is_same {
        return None;
    }
    let named = after.as_ref().or(before.as_ref())?;
    let mut preview = FrontendPreview {
        frontend: named.name.to_owned(),
        vip,
        change,
        held_back: named.view.sync == SyncStatus::HeldBack,
        before: before.as_ref().map(Laid::side),
        after: after.as_ref().map(Laid::side),
        backends,
        moved_buckets,
        severity: Severity::None,
        sentences: Vec::new(),
    };
    let serves = |laid: &Option<Laid<'_>>| laid.as_ref().is_some_and(Laid::serves);
    let mut sentences = words::frontend(&preview, serves(&before), serves(&after));
    sentences.extend(shortages.iter().map(words::min_up));
    sentences.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    preview.severity = sentences.first().map(|(severity, _)| *severity).unwrap_or_default();
    preview.sentences = sentences.into_iter().map(|(_, sentence)| sentence).collect();
    Some(preview)
}

/// The pools that the change takes below their `min-up`, or further below.
fn shortages<'v>(before: Option<&Laid<'v>>, after: Option<&Laid<'v>>) -> Vec<Shortage<'v>> {
    let was: BTreeMap<_, _> = before.into_iter().flat_map(Laid::capacity).collect();
    let is = after.into_iter().flat_map(Laid::capacity);
    let shortages = is.filter_map(|(pool, &after)| {
        let missing = was.get(pool).map_or(0, |before| before.missing());
        (after.missing() > missing).then_some(Shortage { pool, further: missing > 0, after })
    });
    shortages.collect()
}

/// The agent's rule for re-creating: a VIP cannot change its encapsulation or stickiness, nor its table
/// length unless requested.
fn is_another(was: &FrontendView, is: &FrontendView, recreate: bool) -> bool {
    let (old, new): (&VipSpec, &VipSpec) = (&was.spec, &is.spec);
    let length = was.table_length.unwrap_or(old.new_flows_table_length);
    old.encap != new.encap
        || old.src_ip_sticky != new.src_ip_sticky
        || recreate && length != new.new_flows_table_length
}

/// Buckets that move although their server stays in service.
fn moved(before: Option<&Laid<'_>>, after: Option<&Laid<'_>>) -> u32 {
    let (Some(before), Some(after)) = (before, after) else { return 0 };
    if before.length != after.length {
        return 0;
    }
    let stays = |server: &IpAddr| after.view.spec.servers.get(server).is_some_and(|server| server.weight > 0);
    let pairs = before.owners().into_iter().zip(after.owners());
    let moved = pairs.filter(|(from, to)| from != to && from.as_ref().is_some_and(stays));
    u32::try_from(moved.count()).unwrap_or(u32::MAX)
}

fn rows(
    vip: VipKey,
    change: VipChange,
    before: Option<&Laid<'_>>,
    after: Option<&Laid<'_>>,
    flush: &BTreeSet<IpAddr>,
    flows: Flows<'_>,
) -> Vec<BackendPreview> {
    let mut was = before.map(Laid::rows).unwrap_or_default();
    let is = after.map(Laid::rows).unwrap_or_default();
    let mut rows = Vec::new();
    for ((_, pool, backend), (server, share)) in &is {
        // A pool keeps its identity when another one is put in front of it.
        let known = was.keys().find(|(_, other, name)| (other, name) == (pool, backend)).cloned();
        let share_before = known.and_then(|key| was.remove(&key)).filter(|(other, _)| other == server);
        rows.push((
            pool.clone(),
            backend.clone(),
            *server,
            share_before.map(|(_, share)| share),
            Some(*share),
        ));
    }
    let gone = was
        .into_iter()
        .map(|((_, pool, backend), (server, share))| (pool, backend, server, Some(share), None));
    rows.extend(gone);
    let rows = rows.into_iter().map(|(pool, backend, server, was, is)| {
        let fate = fate(&server, change, before, after, flush);
        BackendPreview { pool, backend, server, before: was, after: is, fate, flows: flows(&vip, &server) }
    });
    rows.collect()
}

/// What happens to a server's pinned flows, by the agent's rule: the step into a state that flushes is what
/// flushes.
fn fate(
    server: &IpAddr,
    change: VipChange,
    before: Option<&Laid<'_>>,
    after: Option<&Laid<'_>>,
    flush: &BTreeSet<IpAddr>,
) -> Fate {
    let Some(was) = before.and_then(|before| before.view.spec.servers.get(server)) else { return Fate::Stay };
    let elsewhere = if after.is_some_and(Laid::serves) { Fate::Move } else { Fate::Cut };
    match (change, after.and_then(|after| after.view.spec.servers.get(server))) {
        (VipChange::Removed, _) => Fate::Cut,
        (VipChange::Recreated, _) => {
            if after.is_some_and(Laid::serves) {
                Fate::Rehash
            } else {
                Fate::Cut
            }
        }
        (VipChange::Kept | VipChange::Added, None) => elsewhere,
        (VipChange::Kept | VipChange::Added, Some(_)) if flush.contains(server) => elsewhere,
        (VipChange::Kept | VipChange::Added, Some(is)) if is.weight == 0 && is.flush => {
            // A server that was flushed earlier has no flows left.
            if was.weight == 0 && was.flush { Fate::Stay } else { elsewhere }
        }
        (VipChange::Kept | VipChange::Added, Some(is)) if is.weight == 0 && was.weight > 0 => Fate::Finish,
        (VipChange::Kept | VipChange::Added, Some(_)) => Fate::Stay,
    }
}
