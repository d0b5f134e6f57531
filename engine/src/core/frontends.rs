//! The weights of frontends, as their backends change.

use std::sync::Arc;

use super::{Core, Effects, Now};
use crate::config::Frontend;
use crate::desired::{self, vip_key};
use crate::health::State;
use crate::snapshot::{FrontendView, SyncStatus, Table};
use crate::weights::{self, Scale, Standing};

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
        let standing = self.standing.get(&vip_key(frontend)).copied();
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
        let released = was_released || self.releases(name, &frontend, now, effects);
        let standing_of = |backend: &str| self.standing_of(name, backend, now);
        let weights = weights::effective(&frontend, &table.scale, standing_of);
        let spec = desired::vip_spec(&self.config, &frontend, table.wish, &weights);
        match weights.next_step {
            Some(step) => drop(self.steps.insert(Arc::clone(name), now.mono + step)),
            None => drop(self.steps.remove(name)),
        }
        let table_length = self.standing.get(&spec.key).copied();
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
        let key = next.spec.key;
        if !released {
            effects.wanted |= self.wanted.keep.insert(key).is_none();
        } else if unchanged.is_none() {
            self.wanted.keep.remove(&key);
            self.wanted.put(Arc::clone(&next.spec));
            effects.wanted = true;
        }
        let next = Arc::new(next);
        // A reload tells by itself what it made of each frontend.
        if let Some(before) = self.frontends.insert(Arc::clone(name), Arc::clone(&next)) {
            effects.tell_frontend(name, &before, &next);
        }
    }

    /// What counts of a backend in a frontend at this time.
    pub fn standing_of(&self, frontend: &str, backend: &str, now: Now) -> Standing {
        let view = self.backends.get(backend);
        let rising =
            view.and_then(|view| view.up_since).map(|since| now.mono.saturating_duration_since(since));
        let vip = self.config.frontends.get(frontend).map(|frontend| vip_key(frontend));
        let held = vip.and_then(|vip| self.held.get(&vip)?.get(backend)).copied();
        Standing { state: self.state_of(backend), held, rising }
    }

    pub(super) fn state_of(&self, backend: &str) -> State {
        self.backends.get(backend).map_or(State::Removed, |view| view.health.state())
    }
}
