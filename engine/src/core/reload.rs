//! Replacing the configuration. What is the same in both keeps its state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use maglev_protocol::VipKey;
use tracing::{info, warn};

use super::backends::{new_view, rise_and_fall};
use super::frontends::Frontends;
use super::{Core, Effects, Ended, Event, FrontendChange, FrontendNow, InVpp, Now, Release};
use crate::config::{BackendChanges, Changes, Config, Rename, changes};
use crate::desired::vip_key;
use crate::health::{Cause, State, Transition};
use crate::snapshot::{BackendView, SyncStatus};
use crate::warmup::Phase;

impl Core {
    /// Creates backends and frontends at the start.
    pub(super) fn start(&mut self, now: Now) {
        let names: Vec<Arc<str>> = self.config.backends.keys().map(|name| name.as_str().into()).collect();
        for name in &names {
            self.backends.add(name, new_view(&self.config, name, false, now));
            while self.settle(name, now).is_some() {}
        }
        self.tell_backends_their_frontends();
        self.tell_backends_their_checks();
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
        self.make_frontends(&Frontends::default(), now, &mut effects);
        effects.releases.iter().for_each(Release::log);
    }

    /// Replaces the configuration.
    pub(super) fn reload(&mut self, config: Arc<Config>, now: Now) -> (Effects, Changes) {
        let changes = changes(&self.config, &config);
        info!(%changes, "configuration reloaded");
        let mut effects = Effects { state: true, wanted: true, ..Effects::default() };
        effects.tell(Event::Reloaded { changes: changes.to_string() });
        self.rename_backends(&changes.backends.renamed, &config, now, &mut effects);
        self.keep_weights_of(&changes.backends);
        self.config = config;
        self.orders.configure(&self.config.lb);
        self.reload_backends(&changes, now, &mut effects);
        self.note_overrides(&mut effects);
        self.routes.configure(&self.config, now);
        effects.routes = true;
        let before = self.frontends.take();
        self.make_frontends(&before, now, &mut effects);
        self.forget_vips(&before, &mut effects);
        self.tell_frontends(&before, &mut effects);
        self.tally.reloads.add(1);
        self.tally.take_config(now.wall);
        (effects, changes)
    }

    /// Emits the changes of frontends by name: a VIP may belong to another name now.
    fn tell_frontends(&self, before: &Frontends, effects: &mut Effects) {
        let (before, after) = (before.views(), self.frontends.views());
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            effects.tell(Event::FrontendRemoved { frontend: Arc::clone(name) });
        }
        for (name, view) in after {
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
    fn rename_backends(&mut self, renamed: &[Rename], config: &Config, now: Now, effects: &mut Effects) {
        if renamed.is_empty() {
            return;
        }
        let names: BTreeMap<String, String> =
            renamed.iter().map(|Rename { from, to }| (from.clone(), to.clone())).collect();
        let views = self.backends.rename(renamed);
        for (Rename { from, to }, view) in renamed.iter().zip(views) {
            let [old, new]: [Arc<str>; 2] = [from, to].map(|name| name.as_str().into());
            if !config.backends.contains_key(from) {
                let to = State::Removed;
                effects.tell(Event::Backend { backend: Arc::clone(&old), transition: view.renamed(to, now) });
            }
            if !self.config.backends.contains_key(to) {
                effects.tell(Event::BackendAdded { backend: Arc::clone(&new) });
            }
            let transition = Transition { from: State::Unknown, ..view.renamed(view.health.state(), now) };
            effects.tell(Event::Backend { backend: Arc::clone(&new), transition });
            info!(from, to, "backend renamed; it keeps its state and overrides");
            effects.probers.extend([old, new]);
        }
        self.known.rename_backends(&names);
        let overrides = Arc::make_mut(&mut self.overrides);
        let before = overrides.clone();
        rename_keys(&mut overrides.backends, &names);
        overrides.weights = std::mem::take(&mut overrides.weights)
            .into_iter()
            .map(|(mut member, set)| {
                if let Some(to) = names.get(&member.backend) {
                    member.backend.clone_from(to);
                }
                (member, set)
            })
            .collect();
        effects.overrides |= *overrides != before;
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

    fn reload_backends(&mut self, changes: &Changes, now: Now, effects: &mut Effects) {
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
            if let Some(transition) = self.backends.recheck(&name, rise_and_fall(&self.config, &name), now) {
                effects.tell(Event::Backend { backend: Arc::clone(&name), transition });
            }
            effects.probers.insert(name);
        }
        if changes.healthchecker.contains(&"transition-history") {
            self.backends.limit_history(self.config.healthchecker.transition_history);
        }
        self.tell_backends_their_frontends();
        self.tell_backends_their_checks();
        let touched =
            [&backends.added, &backends.moved, &backends.rechecked, &backends.enabled, &backends.disabled];
        let renamed = backends.renamed.iter().map(|rename| &rename.to);
        let touched: BTreeSet<&String> = touched.into_iter().flatten().chain(renamed).collect();
        for name in touched {
            let name: Arc<str> = name.as_str().into();
            while let Some(transition) = self.settle(&name, now) {
                effects.tell(Event::Backend { backend: Arc::clone(&name), transition });
            }
            if let Some(view) = self.backends.get(&name) {
                effects.paces.insert(name, view.health.pace());
            }
        }
    }

    fn tell_backends_their_frontends(&mut self) {
        let mut users: BTreeMap<&str, Vec<Arc<str>>> = BTreeMap::new();
        for (name, frontend) in &self.config.frontends {
            let name: Arc<str> = name.as_str().into();
            for backend in frontend.pools.iter().flat_map(|pool| pool.backends.keys()) {
                let users = users.entry(backend).or_default();
                if users.last() != Some(&name) {
                    users.push(Arc::clone(&name));
                }
            }
        }
        self.backends.set_frontends(users);
    }

    /// A check of the same name keeps its counters, whatever it checks now.
    fn tell_backends_their_checks(&mut self) {
        let tally = |name: &String| self.checks.get(name).map(Arc::clone).unwrap_or_default();
        let checks = self.config.healthchecks.keys().map(|name| (name.clone(), tally(name))).collect();
        self.checks = Arc::new(checks);
        for (name, backend) in &self.config.backends {
            let check = backend.healthcheck.as_ref().and_then(|check| self.checks.get(check));
            self.backends.set_check(name, check);
        }
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

    /// Creates all frontends of the configuration; an existing VIP keeps its known state.
    fn make_frontends(&mut self, before: &Frontends, now: Now, effects: &mut Effects) {
        let names: Vec<Arc<str>> = self.config.frontends.keys().map(|name| name.as_str().into()).collect();
        for name in names {
            let Some(frontend) = self.in_force(&name) else { continue };
            let old = before.name_of(&vip_key(&frontend)).and_then(|old_name| before.get(old_name));
            let old = old.map(Arc::as_ref);
            let table = self.table(&frontend, old);
            self.compute(&name, old, frontend, table, now, effects);
        }
    }

    /// VIPs that are no longer configured are removed from VPP.
    fn forget_vips(&mut self, before: &Frontends, effects: &mut Effects) {
        for (name, view) in before.views() {
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

impl BackendView {
    /// The transition that a renamed backend's new or old name gets.
    fn renamed(&self, to: State, now: Now) -> Transition {
        Transition { from: self.health.state(), to, at: now.wall, cause: Cause::Event("renamed") }
    }
}

/// Renames keys, all at once, since two names may be swapped.
pub(super) fn rename_keys<T>(map: &mut BTreeMap<String, T>, names: &BTreeMap<String, String>) {
    if names.keys().any(|name| map.contains_key(name)) {
        let renamed = |(name, value)| (names.get(&name).cloned().unwrap_or(name), value);
        *map = std::mem::take(map).into_iter().map(renamed).collect();
    }
}
