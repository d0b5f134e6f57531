//! The weights of frontends, as their backends change.

use std::sync::Arc;
use std::time::SystemTime;

use tracing::{debug, info};

use super::{Core, Effects, Event};
use crate::config::Config;
use crate::controller::snapshot::{FrontendView, SyncStatus};
use crate::desired;
use crate::health::State;
use crate::weights::{self, EffectiveWeights};

impl Core {
    /// Computes a frontend's weights anew.
    pub(super) fn reweigh(&mut self, name: &Arc<str>, now: SystemTime, effects: &mut Effects) {
        let Some(next) = self.weigh(name) else {
            return;
        };
        let Some(view) = self.frontends.get(name) else {
            return;
        };
        let held_back = next.sync == SyncStatus::HeldBack;
        log_failover(name, &self.config, &view.weights, &next.weights, held_back);
        let (from, to) = (view.weights.state, next.weights.state);
        if from != to {
            effects.tell(Event::Frontend { frontend: Arc::clone(name), from, to, at: now, held_back });
        }
        let released = view.sync == SyncStatus::HeldBack && !held_back;
        if released {
            info!(frontend = %name, "all backends known; released");
        }
        let wanted = !held_back && (released || view.spec != next.spec);
        // The same spec, computed anew, keeps what is known of it.
        let next = if wanted || held_back {
            next
        } else {
            FrontendView {
                spec: Arc::clone(&view.spec),
                sync: view.sync.clone(),
                kept_table_length: view.kept_table_length,
                ..next
            }
        };
        if wanted {
            self.want(&next);
        }
        effects.wanted |= wanted;
        self.frontends.insert(Arc::clone(name), Arc::new(next));
    }

    /// Makes a frontend's spec part of what VPP shall have, unless the frontend is held back.
    pub(super) fn want(&mut self, view: &FrontendView) {
        let key = view.spec.key;
        if view.sync == SyncStatus::HeldBack {
            self.wanted.keep.insert(key);
        } else {
            self.wanted.keep.remove(&key);
            self.wanted.vips.insert(key, Arc::clone(&view.spec));
        }
    }

    pub(super) fn weigh(&self, name: &str) -> Option<FrontendView> {
        let frontend = self.config.frontends.get(name)?;
        let state_of = |backend: &str| self.state_of(backend);
        let weights = weights::effective(frontend, state_of);
        let spec = Arc::new(desired::vip_spec(&self.config, frontend, &weights));
        let mut backends = frontend.pools.iter().flat_map(|pool| pool.backends.keys());
        let was_released = self.frontends.get(name).is_some_and(|view| view.sync != SyncStatus::HeldBack);
        let known = was_released || backends.all(|backend| state_of(backend) != State::Unknown);
        let sync = if known { SyncStatus::Pending } else { SyncStatus::HeldBack };
        Some(FrontendView { weights, spec, sync, kept_table_length: None })
    }

    pub(super) fn state_of(&self, backend: &str) -> State {
        self.backends.get(backend).map_or(State::Removed, |view| view.health.state())
    }
}

fn log_failover(
    name: &str,
    config: &Config,
    before: &EffectiveWeights,
    after: &EffectiveWeights,
    held_back: bool,
) {
    let pool_name = |weights: &EffectiveWeights| {
        let pools = config.frontends.get(name).map(|frontend| &frontend.pools);
        pools
            .zip(weights.active_pool)
            .and_then(|(pools, index)| pools.get(index))
            .map_or("none", |pool| pool.name.as_str())
    };
    if before.active_pool != after.active_pool {
        let (from, to) = (pool_name(before), pool_name(after));
        if held_back {
            debug!(frontend = name, from, to, "active pool would change, but the frontend is held back");
        } else {
            info!(frontend = name, from, to, "active pool changed");
        }
    }
}
