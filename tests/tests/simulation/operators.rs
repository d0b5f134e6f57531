//! The simulation's own record of overrides: independent of the brain, and much simpler.

use std::collections::BTreeMap;

use maglev_engine::config::Config;
use maglev_engine::core::{BackendWish, Command, Done};
use maglev_engine::overrides::{BackendOverride, Overrides, PoolMember};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Operators {
    pub(crate) backends: BTreeMap<String, BackendOverride>,
    pub(crate) weights: BTreeMap<PoolMember, u8>,
}

impl Operators {
    /// Records a command that was executed.
    pub(crate) fn commanded(&mut self, command: &Command, done: &Done, config: &Config) {
        match command {
            Command::Backend { backend, wish } => self.wished(backend, *wish, config),
            Command::Backends { wish, .. } => {
                let carried_out = done.backends.iter().filter(|(_, result)| result.is_ok());
                carried_out.for_each(|(backend, _)| self.wished(backend, *wish, config));
            }
            Command::SetWeight { member, weight, .. } => {
                self.weights.insert(member.clone(), *weight);
                self.reloaded(config);
            }
            Command::ClearWeight { member } => drop(self.weights.remove(member)),
            // The simulation announces no routes.
            Command::DrainLb(_) => {}
            Command::Recreate { .. } | Command::Sync { .. } | Command::Announce(_) => {}
            Command::Reload(reload) => self.reloaded(reload.config()),
        }
    }

    fn wished(&mut self, backend: &str, wish: BackendWish, config: &Config) {
        let enabled = config.backends.get(backend).is_some_and(|backend| backend.enabled);
        let next = match wish {
            BackendWish::Pause => Some(BackendOverride::Paused),
            BackendWish::Disable => enabled.then_some(BackendOverride::Disabled),
            BackendWish::Resume | BackendWish::Enable => (!enabled).then_some(BackendOverride::Enabled),
            BackendWish::Clear => None,
        };
        match next {
            Some(next) => drop(self.backends.insert(backend.to_owned(), next)),
            None => drop(self.backends.remove(backend)),
        }
    }

    /// Drops weight overrides that the configuration now equals.
    pub(crate) fn reloaded(&mut self, config: &Config) {
        self.weights.retain(|member, weight| member.configured_weight(config) != Some(*weight));
    }

    /// Whether the brain has the same overrides.
    pub(crate) fn agrees(&self, overrides: &Overrides) -> bool {
        let backends = overrides.backends.iter().map(|(name, dated)| (name, dated.value));
        let weights = overrides.weights.iter().map(|(member, dated)| (member, dated.value));
        backends.eq(self.backends.iter().map(|(name, value)| (name, *value)))
            && weights.eq(self.weights.iter().map(|(member, value)| (member, *value)))
    }
}
