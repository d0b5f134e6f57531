//! Differences between two configurations, for a reload. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::model::{Backend, Bird, Config, FleetHealth, Frontend, HealthChecker, LbSettings, Router};

mod summary;

#[cfg(test)]
mod tests;

/// The differences between two configurations. Displays as one line: `2 backends added (a, b), 1 frontend removed
/// (c)`. All lists of names are in alphabetical order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Backends added and removed, and changes of the others.
    pub backends: BackendChanges,
    /// Frontends.
    pub frontends: FrontendChanges,
    /// Health checks by name, including unused ones.
    pub healthchecks: NamedChanges,
    /// Webhooks by name.
    pub webhooks: NamedChanges,
    /// Keys of `vpp: lb:` whose values differ.
    pub lb: Vec<&'static str>,
    /// Keys of `healthchecker:` whose values differ.
    pub healthchecker: Vec<&'static str>,
    /// Keys of `router:` and `bird:` whose values differ.
    pub router: Vec<&'static str>,
    /// Keys of `fleet:` whose values differ.
    pub fleet: Vec<&'static str>,
}

/// Backends by name. A name may be in several of the lists other than `added` and `removed`. A backend is its
/// address: a name at an address that another name has left is a renamed backend, and is compared with that
/// one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackendChanges {
    /// In the new configuration only.
    pub added: Vec<String>,
    /// In the old configuration only.
    pub removed: Vec<String>,
    /// Have the former address of another name.
    pub renamed: Vec<Rename>,
    /// Have a new address: another server under the same name.
    pub moved: Vec<String>,
    /// Have another check, or became static or stopped being so. The contents of the checks count, not their
    /// names.
    pub rechecked: Vec<String>,
    /// Of those, the ones with checks that stay: for each check that they have now, the index that it had before, unless
    /// it is new.
    pub kept_checks: BTreeMap<String, Vec<Option<usize>>>,
    /// `enabled` has become true.
    pub enabled: Vec<String>,
    /// `enabled` has become false.
    pub disabled: Vec<String>,
    /// Have other labels.
    pub relabeled: Vec<String>,
}

/// A backend's old and new name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// In the old configuration.
    pub from: String,
    /// In the new one.
    pub to: String,
}

/// Frontends by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrontendChanges {
    /// In the new configuration only.
    pub added: Vec<String>,
    /// In the old configuration only.
    pub removed: Vec<String>,
    /// In both, with differences.
    pub changed: Vec<FrontendDiff>,
}

/// Differences of one frontend; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontendDiff {
    /// Its name.
    pub name: String,
    /// Address, protocol or port: another VIP in VPP.
    pub vip: bool,
    /// Pools: their order, names, backends or weights.
    pub pools: bool,
    /// Other keys with different values.
    pub settings: Vec<&'static str>,
}

/// Health checks or webhooks, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedChanges {
    /// In the new configuration only.
    pub added: Vec<String>,
    /// In the old configuration only.
    pub removed: Vec<String>,
    /// In both, with different contents.
    pub changed: Vec<String>,
}

impl Changes {
    /// Whether the two configurations are equal.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

impl BackendChanges {
    /// The backends whose state may change, or that are other servers now.
    pub(crate) fn touched(&self) -> BTreeSet<&String> {
        let lists = [&self.added, &self.moved, &self.rechecked, &self.enabled, &self.disabled];
        lists.into_iter().flatten().chain(self.renamed.iter().map(|rename| &rename.to)).collect()
    }
}

/// Compares two configurations, in time proportional to their size.
pub fn changes(old: &Config, new: &Config) -> Changes {
    Changes {
        backends: backends(old, new),
        frontends: frontends(old, new),
        healthchecks: named(&old.healthchecks, &new.healthchecks),
        webhooks: named(&old.webhooks, &new.webhooks),
        lb: lb(&old.lb, &new.lb),
        healthchecker: healthchecker(&old.healthchecker, &new.healthchecker),
        router: router(&old.router, &new.router),
        fleet: fleet(&old.fleet, &new.fleet),
    }
}

/// Two maps side by side, in the order of their names.
struct Compared<'c, T> {
    added: Vec<String>,
    removed: Vec<String>,
    both: Vec<(&'c String, &'c T, &'c T)>,
}

fn side_by_side<'c, T>(old: &'c BTreeMap<String, T>, new: &'c BTreeMap<String, T>) -> Compared<'c, T> {
    let mut compared = Compared { added: Vec::new(), removed: Vec::new(), both: Vec::new() };
    let mut later = new.iter().peekable();
    for (name, was) in old {
        while let Some((before, _)) = later.next_if(|(other, _)| *other < name) {
            compared.added.push(before.clone());
        }
        match later.next_if(|(other, _)| *other == name) {
            Some((_, is)) => compared.both.push((name, was, is)),
            None => compared.removed.push(name.clone()),
        }
    }
    compared.added.extend(later.map(|(name, _)| name.clone()));
    compared
}

fn backends(old: &Config, new: &Config) -> BackendChanges {
    let Compared { mut added, mut removed, both } = side_by_side(&old.backends, &new.backends);
    let mut checks = CheckComparison { old, new, known: HashMap::new() };
    let (moved, mut same): (Vec<_>, Vec<_>) =
        both.into_iter().partition(|(_, was, is)| was.address != is.address);
    let left = removed.iter().filter_map(|name| old.backends.get_key_value(name));
    let left = left.chain(moved.iter().map(|(name, was, _)| (*name, *was)));
    let came = added.iter().filter_map(|name| new.backends.get_key_value(name));
    let came = came.chain(moved.iter().map(|(name, _, is)| (*name, *is)));
    let renamed = renamed(left.collect(), came.collect(), &mut checks);
    let moved = moved.into_iter().filter(|(name, _, _)| !renamed.iter().any(|(_, to, _, _)| to == name));
    let mut changes = BackendChanges {
        moved: moved.map(|(name, _, _)| name.clone()).collect(),
        renamed: renamed
            .iter()
            .map(|(from, to, _, _)| Rename { from: (*from).clone(), to: (*to).clone() })
            .collect(),
        ..BackendChanges::default()
    };
    same.extend(renamed.iter().map(|(_, to, was, is)| (*to, *was, *is)));
    same.sort_unstable_by_key(|(name, _, _)| *name);
    let (from, to): (BTreeSet<&String>, BTreeSet<&String>) =
        renamed.iter().map(|(from, to, _, _)| (*from, *to)).unzip();
    let kept =
        |names: &mut Vec<String>, renamed: &BTreeSet<&String>| names.retain(|name| !renamed.contains(name));
    kept(&mut added, &to);
    kept(&mut removed, &from);
    (changes.added, changes.removed) = (added, removed);
    for (name, was, is) in same {
        let rechecked = !checks.same(was, is);
        if rechecked {
            let kept = checks.kept(was, is);
            if kept.iter().any(Option::is_some) {
                changes.kept_checks.insert(name.clone(), kept);
            }
        }
        let lists = [
            (&mut changes.rechecked, rechecked),
            (&mut changes.enabled, !was.enabled && is.enabled),
            (&mut changes.disabled, was.enabled && !is.enabled),
            (&mut changes.relabeled, was.labels != is.labels),
        ];
        for (list, _) in lists.into_iter().filter(|(_, applies)| *applies) {
            list.push(name.clone());
        }
    }
    changes
}

/// Pairs the names that left an address with those that came to it, preferring equal checks. In the order of
/// the new names.
fn renamed<'c>(
    left: Vec<(&'c String, &'c Backend)>,
    came: Vec<(&'c String, &'c Backend)>,
    checks: &mut CheckComparison<'c>,
) -> Vec<(&'c String, &'c String, &'c Backend, &'c Backend)> {
    let mut by_address: HashMap<_, Vec<_>> = HashMap::new();
    for (name, was) in left {
        by_address.entry(was.address).or_default().push((name, was));
    }
    let mut renamed = Vec::new();
    for (to, is) in came {
        let Some(candidates) = by_address.get_mut(&is.address).filter(|candidates| !candidates.is_empty())
        else {
            continue;
        };
        let index = candidates.iter().position(|(_, was)| checks.same(was, is)).unwrap_or(0);
        let (from, was) = candidates.remove(index);
        renamed.push((from, to, was, is));
    }
    renamed.sort_unstable_by_key(|(_, to, _, _)| *to);
    renamed
}

/// Compares the checks of backends. Thousands of backends share a check, whose CA certificates may take
/// megabytes, so the result for each pair of names is cached.
struct CheckComparison<'c> {
    old: &'c Config,
    new: &'c Config,
    known: HashMap<(&'c str, &'c str), bool>,
}

impl<'c> CheckComparison<'c> {
    fn same(&mut self, was: &'c Backend, is: &'c Backend) -> bool {
        let (before, after) = (&was.healthchecks, &is.healthchecks);
        // With one check or none, it makes no difference how many are required.
        (was.require == is.require || before.len() < 2)
            && before.len() == after.len()
            && before.iter().zip(after).all(|(before, after)| self.same_check(before, after))
    }

    fn same_check(&mut self, before: &'c str, after: &'c str) -> bool {
        let Self { old, new, known } = self;
        let compare = || old.healthchecks.get(before) == new.healthchecks.get(after);
        *known.entry((before, after)).or_insert_with(compare)
    }

    /// For each check that a backend has now, the index of one with the same contents that it had before, if there is
    /// one: each once, and preferably under its name.
    fn kept(&mut self, was: &'c Backend, is: &'c Backend) -> Vec<Option<usize>> {
        let mut left: Vec<(usize, &'c String)> = was.healthchecks.iter().enumerate().collect();
        let mut kept = vec![None; is.healthchecks.len()];
        for by_name in [true, false] {
            for (kept, after) in kept.iter_mut().zip(&is.healthchecks).filter(|(kept, _)| kept.is_none()) {
                let mut is_it =
                    |before: &'c String| (!by_name || before == after) && self.same_check(before, after);
                let found = left.iter().position(|&(_, before)| is_it(before));
                *kept = found.map(|place| left.remove(place).0);
            }
        }
        kept
    }
}

fn frontends(old: &Config, new: &Config) -> FrontendChanges {
    let Compared { added, removed, both } = side_by_side(&old.frontends, &new.frontends);
    let differing = both.into_iter().filter(|(_, was, is)| was != is);
    let changed = differing.map(|(name, was, is)| frontend(name, was, is)).collect();
    FrontendChanges { added, removed, changed }
}

fn frontend(name: &str, was: &Frontend, is: &Frontend) -> FrontendDiff {
    // Destructured, so that a new field cannot be forgotten here.
    let Frontend {
        description,
        address,
        service,
        src_ip_sticky,
        flush_on_down,
        new_flows_table_length,
        servers_ask,
        slow_start,
        panic_threshold,
        announce,
        pools,
    } = was;
    FrontendDiff {
        name: name.to_owned(),
        vip: (*address, *service) != (is.address, is.service),
        pools: *pools != is.pools,
        settings: differing([
            ("announce", *announce != is.announce),
            ("description", *description != is.description),
            ("flush-on-down", *flush_on_down != is.flush_on_down),
            ("new-flows-table-length", *new_flows_table_length != is.new_flows_table_length),
            ("panic-threshold", *panic_threshold != is.panic_threshold),
            ("scale", *servers_ask != is.servers_ask),
            ("slow-start", *slow_start != is.slow_start),
            ("src-ip-sticky", *src_ip_sticky != is.src_ip_sticky),
        ]),
    }
}

fn named<T: PartialEq>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>) -> NamedChanges {
    let Compared { added, removed, both } = side_by_side(old, new);
    let differing = both.into_iter().filter(|(_, was, is)| was != is);
    NamedChanges { added, removed, changed: differing.map(|(name, _, _)| name.clone()).collect() }
}

fn lb(was: &LbSettings, is: &LbSettings) -> Vec<&'static str> {
    let LbSettings {
        ipv4_src_address,
        ipv6_src_address,
        sticky_buckets_per_core,
        flow_timeout,
        sync_interval,
        startup_min_delay,
        startup_max_delay,
        vpp_lb_api,
    } = was;
    differing([
        ("flow-timeout", *flow_timeout != is.flow_timeout),
        ("ipv4-src-address", *ipv4_src_address != is.ipv4_src_address),
        ("ipv6-src-address", *ipv6_src_address != is.ipv6_src_address),
        ("startup-max-delay", *startup_max_delay != is.startup_max_delay),
        ("startup-min-delay", *startup_min_delay != is.startup_min_delay),
        ("sticky-buckets-per-core", *sticky_buckets_per_core != is.sticky_buckets_per_core),
        ("sync-interval", *sync_interval != is.sync_interval),
        ("vpp-lb-api", *vpp_lb_api != is.vpp_lb_api),
    ])
}

fn healthchecker(was: &HealthChecker, is: &HealthChecker) -> Vec<&'static str> {
    let HealthChecker { transition_history, netns, agent_interval, damping, guard } = was;
    differing([
        ("agent-interval", *agent_interval != is.agent_interval),
        ("damping", *damping != is.damping),
        ("guard", *guard != is.guard),
        ("netns", *netns != is.netns),
        ("transition-history", *transition_history != is.transition_history),
    ])
}

fn fleet(was: &FleetHealth, is: &FleetHealth) -> Vec<&'static str> {
    let FleetHealth { is_fleet, down_votes, vote_ttl } = was;
    differing([
        ("down-votes", *down_votes != is.down_votes),
        ("health", *is_fleet != is.is_fleet),
        ("vote-ttl", *vote_ttl != is.vote_ttl),
    ])
}

fn router(was: &Router, is: &Router) -> Vec<&'static str> {
    match (was, is) {
        (Router::Bird(Bird { socket, prefix }), Router::Bird(is)) => differing([
            ("`prefix` of `bird`", *prefix != is.prefix),
            ("`socket` of `bird`", *socket != is.socket),
        ]),
        _ => differing([("`router`", was != is)]),
    }
}

fn differing<const N: usize>(keys: [(&'static str, bool); N]) -> Vec<&'static str> {
    keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}
