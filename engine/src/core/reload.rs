//! Replacing the configuration. What is the same in both keeps its state.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use maglev_protocol::VipKey;
use tracing::{info, warn};

use super::backends::{checks, new_view};
use super::comparison::{Comparison, Reload};
use super::frontends::Frontends;
use super::{Core, Effects, Ended, Event, FrontendChange, FrontendNow, InVpp, Now, Release};
use crate::config::references::{References, users};
use crate::config::{BackendChanges, Changes, FrontendChanges, FrontendDiff, Rename};
use crate::desired::vip_key;
use crate::health::{Cause, State, Transition};
use crate::overrides::PoolMember;
use crate::snapshot::{BackendView, FrontendView, SyncStatus};
use crate::warmup::Phase;

impl Core {
    /// Creates backends and frontends at the start.
    pub(super) fn start(&mut self, now: Now) {
        let names: Vec<Arc<str>> = self.config.backends.keys().map(|name| name.as_str().into()).collect();
        for name in &names {
            self.backends.add(name, new_view(&self.config, name, false, now));
            while self.settle(name, now).is_some() {}
        }
        // Backends of the same frontends share the list.
        let mut lists: HashMap<Vec<&str>, Arc<[Arc<str>]>> = HashMap::new();
        for (name, users) in users(&self.config) {
            let list = lists
                .entry(users)
                .or_insert_with_key(|users| users.iter().copied().map(Into::into).collect());
            self.backends.set_frontends(name, Arc::clone(list));
        }
        self.make_tallies();
        names.iter().for_each(|name| self.take_checks(name));
        self.note_overrides(&mut Effects::default());
        if self.warmup.phase() == Phase::Waiting {
            let lb = &self.config.lb;
            let [writes_after, over_after] =
                [lb.startup_min_delay, lb.startup_max_delay].map(humantime::format_duration);
            info!(%writes_after, %over_after, "warm-up: VPP keeps what it has");
        } else if self.warmup.phase() == Phase::Over {
            info!("no warm-up: `startup-max-delay` is 0s");
        }
        self.routes.configure(&self.config, now);
        let mut effects = Effects::default();
        // No vote has been seen yet.
        self.configure_fleet(now, &mut effects);
        let names = self.config.frontends.keys().map(|name| name.as_str().into()).collect();
        self.make_frontends(&names, &Frontends::default(), now, &mut effects);
        effects.releases.iter().for_each(Release::log);
    }

    /// Replaces the configuration. Costs as much as what changed: the comparison is made beforehand, and what
    /// is equal is left alone.
    pub(super) fn reload(&mut self, reload: Reload, now: Now) -> (Effects, Changes) {
        let comparison = reload.compared_with(&self.config);
        let Comparison { changes, references, tunnels, .. } = &*comparison;
        let config = Arc::clone(reload.config());
        info!(%changes, "configuration reloaded");
        let mut effects = Effects { state: true, wanted: true, ..Effects::default() };
        effects.tell(Event::Reloaded { changes: changes.to_string() });
        self.rename_backends(&changes.backends.renamed, now, &mut effects);
        self.keep_weights_of(&changes.backends);
        self.config = config;
        // Probed with its new VIPs at once; it keeps its state.
        effects.probers.extend(tunnels.iter().map(|name| Arc::from(name.as_str())));
        self.orders.configure(&self.config.lb);
        self.reload_backends(changes, references, now, &mut effects);
        self.note_overrides(&mut effects);
        let is_polled = !changes.fleet.is_empty()
            || self.config.fleet.is_fleet
                && !(changes.backends.touched().is_empty() && changes.backends.removed.is_empty());
        let judged = if is_polled { self.configure_fleet(now, &mut effects) } else { Vec::new() };
        let frontends = &changes.frontends;
        let (names, gone) = (self.frontends_to_make(changes), &frontends.removed);
        let moved =
            !frontends.added.is_empty() || !gone.is_empty() || frontends.changed.iter().any(moves_route);
        if moved || !changes.router.is_empty() {
            self.routes.configure(&self.config, now);
        }
        effects.routes = true;
        let before = self.frontends.clone();
        let replaced = names.iter().map(|name| &**name).chain(gone.iter().map(String::as_str));
        let replaced: Vec<_> = replaced.filter_map(|name| self.frontends.remove(name)).collect();
        self.make_frontends(&names, &before, now, &mut effects);
        self.forget_vips(&replaced, &mut effects);
        for backend in judged {
            self.reweigh_all(&backend, now, &mut effects);
        }
        self.steady_reload(changes, now);
        self.tell_frontends(&names, &replaced, &before, &mut effects);
        self.tally.reloads.add(1);
        self.tally.take_config(now.wall);
        (effects, changes.clone())
    }

    /// The frontends that changed, or one of whose backends did; all of them, if VPP is assumed to have another lb API.
    fn frontends_to_make(&self, changes: &Changes) -> BTreeSet<Arc<str>> {
        if changes.lb.contains(&"vpp-lb-api") {
            return self.config.frontends.keys().map(|name| name.as_str().into()).collect();
        }
        let FrontendChanges { added, changed, .. } = &changes.frontends;
        let names = added.iter().chain(changed.iter().map(|diff| &diff.name));
        let touched = changes.backends.touched();
        let of_backends =
            touched.into_iter().flat_map(|backend| self.backends.frontends_of(backend).to_vec());
        names.map(|name| name.as_str().into()).chain(of_backends).collect()
    }

    /// Emits the changes of frontends by name: a VIP may belong to another name now.
    fn tell_frontends(
        &self,
        names: &BTreeSet<Arc<str>>,
        replaced: &[(Arc<str>, Arc<FrontendView>)],
        before: &Frontends,
        effects: &mut Effects,
    ) {
        for (name, _) in replaced.iter().filter(|(name, _)| self.frontends.get(name).is_none()) {
            effects.tell(Event::FrontendRemoved { frontend: Arc::clone(name) });
        }
        for name in names {
            let Some(view) = self.frontends.get(name) else { continue };
            match before.get(name) {
                Some(before) => effects.tell_frontend(name, before, view),
                None => {
                    let (frontend, now) = (Arc::clone(name), FrontendNow::of(view));
                    effects.tell(Event::Frontend { frontend, change: FrontendChange::Added, now });
                }
            }
        }
    }

    /// Recomputes a frontend after its configuration or overrides changed.
    pub(super) fn remake(&mut self, name: &Arc<str>, now: Now, effects: &mut Effects) {
        let (Some(frontend), Some(view)) = (self.in_force(name), self.frontends.get(name).cloned()) else {
            return;
        };
        let table = self.table(&frontend, Some(&view));
        self.compute(name, Some(&view), frontend, table, now, effects);
    }

    /// VPP identifies a server by its address: a renamed backend is the same server, and keeps its state and
    /// overrides.
    fn rename_backends(&mut self, renamed: &[Rename], now: Now, effects: &mut Effects) {
        if renamed.is_empty() {
            return;
        }
        let names: BTreeMap<String, String> =
            renamed.iter().map(|Rename { from, to }| (from.clone(), to.clone())).collect();
        let both: BTreeSet<&String> = names.keys().chain(names.values()).collect();
        for name in &both {
            let Some(view) = self.backends.get(name) else { continue };
            let transition = view.renamed(State::Removed, now);
            effects.tell(Event::Backend { backend: name.as_str().into(), transition });
        }
        let overrides = Arc::clone(&self.overrides);
        // A server whose name another one gets, and which gets none, is gone with all that was set for it.
        for name in names.values().filter(|name| !names.contains_key(*name)) {
            self.forget_held(&Arc::from(name.as_str()));
            if self.backends.remove(name, now.wall).is_some() {
                let overrides = Arc::make_mut(&mut self.overrides);
                overrides.backends.remove(name);
                overrides.weights.retain(|member, _| member.backend != *name);
            }
        }
        let views = self.backends.rename(renamed);
        for (Rename { from, to }, view) in renamed.iter().zip(views) {
            let [old, new]: [Arc<str>; 2] = [from, to].map(|name| name.as_str().into());
            effects.tell(Event::BackendAdded { backend: Arc::clone(&new) });
            let transition = Transition { from: State::Unknown, ..view.renamed(view.health.state(), now) };
            effects.tell(Event::Backend { backend: Arc::clone(&new), transition });
            info!(from, to, "backend renamed; it keeps its state and overrides");
            effects.probers.extend([old, new]);
        }
        self.known.rename_backends(&names);
        let renamed = Arc::make_mut(&mut self.overrides);
        rename_keys(&mut renamed.backends, &names);
        let weights = &mut renamed.weights;
        let moving = weights.extract_if(.., |member, _| names.contains_key(&member.backend));
        let moving: Vec<_> = moving.collect();
        let moved = moving.into_iter().filter_map(|(member, set)| {
            let backend = names.get(&member.backend)?.clone();
            Some((PoolMember { backend, ..member }, set))
        });
        weights.extend(moved);
        effects.overrides |= self.overrides != overrides;
    }

    /// Backends with a new check keep their weights until it has a result.
    fn keep_weights_of(&mut self, changes: &BackendChanges) {
        for backend in &changes.rechecked {
            let renamed = changes.renamed.iter().find(|rename| rename.to == *backend);
            let old = renamed.map_or(backend, |rename| &rename.from);
            for frontend in self.backends.frontends_of(backend).iter() {
                let Some(view) = self.frontends.get(frontend) else { continue };
                let programmed = view.weights.pools.iter().filter_map(|pool| pool.get(old));
                let weight = programmed.map(|weight| weight.programmed).max().unwrap_or(0);
                if weight > 0 {
                    self.known.hold(view.spec.key, backend, weight);
                }
            }
        }
    }

    fn reload_backends(
        &mut self,
        changes: &Changes,
        references: &References,
        now: Now,
        effects: &mut Effects,
    ) {
        let backends = &changes.backends;
        for name in backends.removed.iter().chain(&backends.moved) {
            let name: Arc<str> = name.as_str().into();
            self.forget_held(&name);
            effects.probers.insert(Arc::clone(&name));
            if let Some(transition) = self.backends.remove(&name, now.wall) {
                effects.tell(Event::Backend { backend: name, transition });
            }
        }
        for name in backends.added.iter().chain(&backends.moved) {
            let name: Arc<str> = name.as_str().into();
            self.backends.add(&name, new_view(&self.config, &name, true, now));
            effects.tell(Event::BackendAdded { backend: Arc::clone(&name) });
            effects.probers.insert(name);
        }
        for name in backends.rechecked.iter().filter(|name| !backends.moved.contains(name)) {
            let name: Arc<str> = name.as_str().into();
            let checks = checks(&self.config, &name);
            let kept = backends.kept_checks.get(&*name).cloned();
            let kept = kept.unwrap_or_else(|| vec![None; checks.counters().len()]);
            if let Some(transition) = self.backends.recheck(&name, checks, kept, now) {
                effects.tell(Event::Backend { backend: Arc::clone(&name), transition });
            }
            effects.probers.insert(name);
        }
        if changes.healthchecker.contains(&"transition-history") {
            self.backends.limit_history(self.config.healthchecker.transition_history);
        }
        for (name, frontends) in &references.users {
            self.backends.set_frontends(name, Arc::clone(frontends));
        }
        let touched = backends.touched();
        self.make_tallies();
        touched.iter().copied().chain(&references.checks).for_each(|name| self.take_checks(name));
        for name in touched {
            let name: Arc<str> = name.as_str().into();
            while let Some(transition) = self.settle(&name, now) {
                effects.tell(Event::Backend { backend: Arc::clone(&name), transition });
            }
            if let Some(view) = self.backends.get(&name) {
                effects.set_paces(&name, &view.health);
            }
        }
    }

    /// A check of the same name keeps its counters, whatever it checks now.
    fn make_tallies(&mut self) {
        let tally = |name: &String| self.checks.get(name).map(Arc::clone).unwrap_or_default();
        let checks = self.config.healthchecks.keys().map(|name| (name.clone(), tally(name))).collect();
        self.checks = Arc::new(checks);
    }

    /// Gives a backend the names and counters of its checks.
    fn take_checks(&mut self, name: &str) {
        let Some(backend) = self.config.backends.get(name) else { return };
        let checks = backend.healthchecks.iter().enumerate();
        let checks = checks.map(|(index, check)| (backend.check_name(index), self.checks.get(check)));
        self.backends.set_checks(name, checks);
    }

    /// Drops weight overrides that equal the configuration, and reports overrides without a target.
    fn note_overrides(&mut self, effects: &mut Effects) {
        if self.overrides.is_empty() {
            return;
        }
        let overrides = Arc::make_mut(&mut self.overrides);
        for entry in overrides.forget_equal(&self.config) {
            info!(%entry, "override dropped: the configuration has the same weight");
            effects.overrides = true;
        }
        for entry in overrides.unmatched(&self.config) {
            warn!(%entry, "override without a target in the configuration; kept in case it returns");
        }
    }

    /// Creates frontends of the configuration; an existing VIP keeps its known state.
    fn make_frontends(
        &mut self,
        names: &BTreeSet<Arc<str>>,
        before: &Frontends,
        now: Now,
        effects: &mut Effects,
    ) {
        for name in names {
            let Some(frontend) = self.in_force(name) else { continue };
            let old = before.name_of(&vip_key(&frontend)).and_then(|old_name| before.get(old_name));
            let old = old.map(Arc::as_ref);
            let table = self.table(&frontend, old);
            self.compute(name, old, frontend, table, now, effects);
        }
    }

    /// VIPs that are no longer configured are removed from VPP.
    fn forget_vips(&mut self, replaced: &[(Arc<str>, Arc<FrontendView>)], effects: &mut Effects) {
        for (name, view) in replaced {
            let key: VipKey = view.spec.key;
            if self.frontends.name_of(&key).is_some() {
                continue;
            }
            if view.sync != SyncStatus::HeldBack {
                info!(frontend = %name, vip = %key, "removed from the configuration; its VIP will be removed");
            }
            self.known.forget_vip(&key);
            self.routes.forget_vip(&key);
            if let Some(demand) = self.orders.forget(&key) {
                let in_vpp = InVpp::Refused("removed from the configuration".to_owned());
                effects.ended.push(Ended { demand, in_vpp, report: None });
            }
        }
    }
}

/// Whether a frontend's route may belong to another address now, or no longer exist.
fn moves_route(diff: &FrontendDiff) -> bool {
    diff.vip || diff.settings.contains(&"announce")
}

impl BackendView {
    /// The transition that a renamed backend's new or old name gets.
    fn renamed(&self, to: State, now: Now) -> Transition {
        Transition { from: self.health.state(), to, at: now.wall, cause: Cause::Event("renamed") }
    }
}

/// Renames keys, all at once, since two names may be swapped.
pub(super) fn rename_keys<T>(map: &mut BTreeMap<String, T>, names: &BTreeMap<String, String>) {
    let renamed: Vec<_> = names.iter().filter_map(|(from, to)| Some((to, map.remove(from)?))).collect();
    map.extend(renamed.into_iter().map(|(to, value)| (to.clone(), value)));
}
