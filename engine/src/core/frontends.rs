//! The frontends, and their weights as their backends change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use imbl::OrdMap;
use maglev_protocol::{VipKey, VipSpec};

use super::{Core, Effects, Now};
use crate::config::Frontend;
use crate::desired::{self, vip_key};
use crate::snapshot::{FrontendView, SyncStatus, Table};
use crate::weights::{self, Scale, Standing};

/// The frontends.
#[derive(Debug, Clone, Default)]
pub(super) struct Frontends {
    views: OrdMap<Arc<str>, Arc<FrontendView>>,
    by_vip: BTreeMap<VipKey, Arc<str>>,
    /// When a backend of a frontend takes its next step to its full weight.
    steps: BTreeMap<Arc<str>, Instant>,
}

impl Frontends {
    /// All of them, by name.
    pub(super) fn views(&self) -> &OrdMap<Arc<str>, Arc<FrontendView>> {
        &self.views
    }

    /// One of them.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<FrontendView>> {
        self.views.get(name)
    }

    /// Their names.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.views.keys().map(Arc::clone).collect()
    }

    /// The name of the one that has this VIP.
    pub(super) fn name_of(&self, vip: &VipKey) -> Option<&Arc<str>> {
        self.by_vip.get(vip)
    }

    /// Whether the warm-up holds any of them back.
    pub(super) fn any_held_back(&self) -> bool {
        self.views.values().any(|view| view.sync == SyncStatus::HeldBack)
    }

    /// As it is configured, if the warm-up has released it.
    pub(super) fn released(&self, name: &str) -> Option<Arc<Frontend>> {
        let view = self.get(name).filter(|view| view.sync != SyncStatus::HeldBack)?;
        Some(Arc::clone(&view.frontend))
    }

    /// Puts a view in the place of the one before, which is returned. `step` is when its weights change next by
    /// themselves.
    pub(super) fn put(
        &mut self,
        name: &Arc<str>,
        view: Arc<FrontendView>,
        step: Option<Instant>,
    ) -> Option<Arc<FrontendView>> {
        match step {
            Some(step) => drop(self.steps.insert(Arc::clone(name), step)),
            None => drop(self.steps.remove(name)),
        }
        self.by_vip.insert(view.spec.key, Arc::clone(name));
        self.views.insert(Arc::clone(name), view)
    }

    /// Takes all of them out, for others to be made.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// The soonest step.
    pub(super) fn next_step(&self) -> Option<Instant> {
        self.steps.values().min().copied()
    }

    /// Those whose step has come.
    pub(super) fn due(&self, now: Instant) -> Vec<Arc<str>> {
        self.steps.iter().filter(|(_, at)| **at <= now).map(|(name, _)| Arc::clone(name)).collect()
    }

    /// How far VPP has come with any of them is not known any more.
    pub(super) fn forget_syncs(&mut self) {
        for name in self.by_vip.values() {
            let view = self.views.get_mut(name).filter(|view| view.sync != SyncStatus::HeldBack);
            if let Some(view) = view {
                Arc::make_mut(view).sync = SyncStatus::Pending;
            }
        }
    }

    /// How far VPP has come with a spec. The answer to an older one says nothing about the newest. If VPP has all of it
    /// for the first time, when it was decided.
    pub(super) fn take_sync(&mut self, spec: &Arc<VipSpec>, status: SyncStatus) -> Option<Instant> {
        let view = self.by_vip.get(&spec.key).and_then(|name| self.views.get_mut(name));
        let view = view.filter(|view| view.sync != SyncStatus::HeldBack && view.spec == *spec)?;
        let view = Arc::make_mut(view);
        view.sync = status;
        if view.sync == SyncStatus::Synced { view.since.take() } else { None }
    }
}

impl Core {
    /// A frontend as it is configured, with the weights that operators have set.
    pub(super) fn in_force(&self, name: &str) -> Option<Arc<Frontend>> {
        let configured = self.config.frontends.get(name)?;
        let mut frontend = Arc::clone(configured);
        for pool in &configured.pools {
            for backend in pool.backends.keys() {
                let Some(weight) = self.overrides.weight(name, &pool.name, backend) else { continue };
                let pools = &mut Arc::make_mut(&mut frontend).pools;
                let pool = pools.iter_mut().find(|other| other.name == pool.name);
                if let Some(configured) = pool.and_then(|pool| pool.backends.get_mut(backend)) {
                    *configured = weight;
                }
            }
        }
        Some(frontend)
    }

    /// The scale for the table that the frontend's VIP has, and what a longer one would do. Neither follows health, so
    /// that of a frontend that was `before` mostly is the same.
    pub(super) fn table(&self, frontend: &Frontend, before: Option<&FrontendView>) -> Arc<Table> {
        let standing = self.known.table_length(&vip_key(frontend));
        if let Some(view) = before.filter(|view| *view.frontend == *frontend)
            && view.table.scale.table_length() == standing.unwrap_or(view.table.wish)
        {
            return Arc::clone(&view.table);
        }
        Arc::new(Table {
            scale: Scale::new(frontend, standing),
            wish: weights::table_length(frontend),
            doubts: weights::doubts(frontend, standing),
        })
    }

    /// Computes a frontend's weights anew.
    pub(super) fn reweigh(&mut self, name: &Arc<str>, now: Now, effects: &mut Effects) {
        if let Some(view) = self.frontends.get(name).cloned() {
            let (frontend, table) = (Arc::clone(&view.frontend), Arc::clone(&view.table));
            self.compute(name, Some(&view), frontend, table, now, effects);
        }
    }

    /// Computes its scale and its weights anew.
    pub(super) fn rescale(&mut self, name: &Arc<str>, now: Now, effects: &mut Effects) {
        if let Some(view) = self.frontends.get(name).cloned() {
            let (frontend, table) = (Arc::clone(&view.frontend), self.table(&view.frontend, Some(&view)));
            self.compute(name, Some(&view), frontend, table, now, effects);
        }
    }

    /// Puts a frontend's view in the place of `before`, and makes it part of what VPP shall have unless it is held
    /// back.
    pub(super) fn compute(
        &mut self,
        name: &Arc<str>,
        before: Option<&FrontendView>,
        frontend: Arc<Frontend>,
        table: Arc<Table>,
        now: Now,
        effects: &mut Effects,
    ) {
        let was_released = before.is_some_and(|view| view.sync != SyncStatus::HeldBack);
        let released = was_released || self.release(name, &frontend, now, effects);
        let standing_of = |backend: &str| self.standing_of(name, backend, now);
        let weights = weights::effective(&frontend, &table.scale, standing_of);
        let spec = desired::vip_spec(&self.config, &frontend, table.wish, &weights);
        let step = weights.next_step.map(|step| now.mono + step);
        let table_length = self.known.table_length(&spec.key);
        // The same spec, computed anew, keeps what is known of it.
        let unchanged = before.filter(|view| was_released && *view.spec == spec);
        let next = match unchanged {
            Some(view) => FrontendView {
                spec: Arc::clone(&view.spec),
                sync: view.sync.clone(),
                since: view.since,
                frontend,
                table,
                weights,
                table_length,
            },
            None => FrontendView {
                spec: Arc::new(spec),
                sync: if released { SyncStatus::Pending } else { SyncStatus::HeldBack },
                since: released.then(|| before.and_then(|view| view.since).unwrap_or(now.mono)),
                frontend,
                table,
                weights,
                table_length,
            },
        };
        if !released {
            effects.wanted |= self.orders.keep(next.spec.key);
        } else if unchanged.is_none() {
            self.orders.put(&next.spec);
            effects.wanted = true;
        }
        let next = Arc::new(next);
        // A reload tells by itself what it made of each frontend.
        if let Some(before) = self.frontends.put(name, Arc::clone(&next), step) {
            effects.tell_frontend(name, &before, &next);
        }
    }

    /// What counts of a backend in a frontend at this time.
    pub fn standing_of(&self, frontend: &str, backend: &str, now: Now) -> Standing {
        let view = self.backends.get(backend);
        let rising =
            view.and_then(|view| view.up_since).map(|since| now.mono.saturating_duration_since(since));
        let vip = self.config.frontends.get(frontend).map(|frontend| vip_key(frontend));
        let held = vip.and_then(|vip| self.known.held(&vip, backend));
        Standing { state: self.backends.state(backend), held, rising }
    }
}
