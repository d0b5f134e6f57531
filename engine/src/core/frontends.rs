//! Frontends, and their weights as backends change.

use std::sync::Arc;
use std::time::Instant;

use imbl::OrdMap;
use maglev_protocol::{Dialect, VipKey, VipSpec};

use super::{Core, Effects, Now};
use crate::config::Frontend;
use crate::desired::{self, vip_key};
use crate::health::State;
use crate::snapshot::{BackendView, FrontendView, SyncStatus, Table};
use crate::weights::{self, Scale, Standing};

/// The frontends.
#[derive(Debug, Clone, Default)]
pub(super) struct Frontends {
    views: OrdMap<Arc<str>, Arc<FrontendView>>,
    by_vip: OrdMap<VipKey, Arc<str>>,
    /// When a frontend's slow start takes its next step.
    steps: OrdMap<Arc<str>, Instant>,
}

impl Frontends {
    /// All frontends, by name.
    pub(super) fn views(&self) -> &OrdMap<Arc<str>, Arc<FrontendView>> {
        &self.views
    }

    /// One of them.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<FrontendView>> {
        self.views.get(name)
    }

    /// Names of all frontends.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.views.keys().map(Arc::clone).collect()
    }

    /// The name of the frontend with this VIP.
    pub(super) fn name_of(&self, vip: &VipKey) -> Option<&Arc<str>> {
        self.by_vip.get(vip)
    }

    /// Whether the warm-up holds any of them back.
    pub(super) fn any_held_back(&self) -> bool {
        self.views.values().any(|view| view.sync == SyncStatus::HeldBack)
    }

    /// Its configuration, if the warm-up has released it.
    pub(super) fn released(&self, name: &str) -> Option<Arc<Frontend>> {
        let view = self.get(name).filter(|view| view.sync != SyncStatus::HeldBack)?;
        Some(Arc::clone(&view.frontend))
    }

    /// Replaces a view and returns the previous one. `step` is when its weights change next by themselves.
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

    /// Removes a frontend, and returns it.
    pub(super) fn remove(&mut self, name: &str) -> Option<(Arc<str>, Arc<FrontendView>)> {
        let (name, view) = self.views.remove_with_key(name)?;
        self.steps.remove(&name);
        if self.name_of(&view.spec.key) == Some(&name) {
            self.by_vip.remove(&view.spec.key);
        }
        Some((name, view))
    }

    /// Time of the next step.
    pub(super) fn next_step(&self) -> Option<Instant> {
        self.steps.values().min().copied()
    }

    /// Frontends whose step is due.
    pub(super) fn due(&self, now: Instant) -> Vec<Arc<str>> {
        self.steps.iter().filter(|(_, at)| **at <= now).map(|(name, _)| Arc::clone(name)).collect()
    }

    /// Resets the progress of all frontends in VPP to unknown.
    pub(super) fn forget_syncs(&mut self) {
        for name in self.by_vip.values() {
            let view = self.views.get_mut(name).filter(|view| view.sync != SyncStatus::HeldBack);
            if let Some(view) = view {
                Arc::make_mut(view).sync = SyncStatus::Pending;
            }
        }
    }

    /// Records the progress of a spec in VPP. Ignores the answer to an older spec. Returns when it was
    /// decided, if VPP now has all of it for the first time.
    pub(super) fn take_sync(&mut self, spec: &Arc<VipSpec>, status: SyncStatus) -> Option<Instant> {
        let view = self.by_vip.get(&spec.key).and_then(|name| self.views.get_mut(name));
        let view = view.filter(|view| view.sync != SyncStatus::HeldBack && view.spec == *spec)?;
        let view = Arc::make_mut(view);
        view.sync = status;
        if view.sync == SyncStatus::Synced { view.since.take() } else { None }
    }
}

impl Core {
    /// A frontend's configuration with the weights of the overrides.
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

    /// The scale for the existing table of the frontend's VIP, and the effect of a longer one. Neither
    /// depends on health, so the result for `before` can mostly be reused.
    pub(super) fn table(&self, frontend: &Frontend, before: Option<&FrontendView>) -> Arc<Table> {
        let (vip, dialect) = (vip_key(frontend), self.dialect());
        // A length that is configured goes before the fleet's.
        let fleet = self.fleet.length(&vip).filter(|_| frontend.new_flows_table_length.is_none());
        let standing = self.known.table_length(&vip);
        if let Some(view) = before.filter(|view| *view.frontend == *frontend)
            && view.table.dialect == dialect
            && view.table.fleet == fleet
            && view.table.scale.table_length() == standing.unwrap_or(view.table.wish)
        {
            return Arc::clone(&view.table);
        }
        let standing = standing.or(fleet);
        Arc::new(Table {
            scale: Scale::of(dialect, frontend, standing),
            wish: fleet.unwrap_or_else(|| weights::table_length(frontend)),
            fleet,
            doubts: weights::doubts(dialect, frontend, standing),
            dialect,
            inexpressible: weights::inexpressible(dialect, frontend, standing),
        })
    }

    /// What VPP can be programmed with: as of the last look at it, else as configured.
    pub(super) fn dialect(&self) -> Dialect {
        self.known.dialect().unwrap_or(self.config.lb.vpp_lb_api)
    }

    /// Recomputes a frontend's weights.
    pub(super) fn reweigh(&mut self, name: &Arc<str>, now: Now, effects: &mut Effects) {
        if let Some(view) = self.frontends.get(name).cloned() {
            let (frontend, table) = (Arc::clone(&view.frontend), Arc::clone(&view.table));
            self.compute(name, Some(&view), frontend, table, now, effects);
        }
    }

    /// Recomputes its scale and weights.
    pub(super) fn rescale(&mut self, name: &Arc<str>, now: Now, effects: &mut Effects) {
        if let Some(view) = self.frontends.get(name).cloned() {
            let (frontend, table) = (Arc::clone(&view.frontend), self.table(&view.frontend, Some(&view)));
            self.compute(name, Some(&view), frontend, table, now, effects);
        }
    }

    /// Replaces `before` by a frontend's new view, and updates VPP's desired state unless the frontend is
    /// held back.
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
        let below_before = before.map_or(&[][..], |view| &view.below_min_up);
        let below_min_up = if released { weights.below_min_up(&frontend, below_before) } else { Vec::new() };
        let step = weights.next_step.map(|step| now.mono + step);
        let table_length = self.known.table_length(&spec.key);
        // An equal spec keeps its known progress.
        let unchanged = before.filter(|view| was_released && *view.spec == spec);
        let next = match unchanged {
            Some(view) => FrontendView {
                spec: Arc::clone(&view.spec),
                sync: view.sync.clone(),
                since: view.since,
                frontend,
                table,
                weights,
                below_min_up,
                table_length,
            },
            None => FrontendView {
                spec: Arc::new(spec),
                sync: if released { SyncStatus::Pending } else { SyncStatus::HeldBack },
                since: released.then(|| before.and_then(|view| view.since).unwrap_or(now.mono)),
                frontend,
                table,
                weights,
                below_min_up,
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
        self.routes.touch(next.frontend.address);
        // A reload emits its own events for each frontend.
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
        let share = view.map(|view| view.asked.share()).unwrap_or_default();
        Standing { state: view.map_or(State::Removed, BackendView::state), held, rising, share }
    }
}
