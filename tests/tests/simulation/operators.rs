//! The simulation's own record of overrides: independent of the brain, and much simpler.

use std::collections::BTreeMap;

use maglev_engine::config::Config;
use maglev_engine::core::{BackendWish, Command};
use maglev_engine::overrides::{BackendOverride, Overrides, PoolMember};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Operators {
    pub(crate) backends: BTreeMap<String, BackendOverride>,
    pub(crate) weights: BTreeMap<PoolMember, u8>,
}

impl Operators {
    /// Records a command that was executed.
    pub(crate) fn commanded(&mut self, command: &Command, config: &Config) {
        match command {
            Command::Backend { backend, wish } => {
                let enabled = config.backends.get(backend).is_some_and(|backend| backend.enabled);
                let next = match wish {
                    BackendWish::Pause => Some(BackendOverride::Paused),
                    BackendWish::Disable => enabled.then_some(BackendOverride::Disabled),
                    BackendWish::Resume | BackendWish::Enable => {
                        (!enabled).then_some(BackendOverride::Enabled)
                    }
                    BackendWish::Clear => None,
                };
                match next {
                    Some(next) => drop(self.backends.insert(backend.clone(), next)),
                    None => drop(self.backends.remove(backend)),
                }
            }
            Command::SetWeight { member, weight, .. } => {
                self.weights.insert(member.clone(), *weight);
                self.reloaded(config);
            }
            Command::ClearWeight { member } => drop(self.weights.remove(member)),
            Command::Recreate { .. } | Command::Sync { .. } => {}
            Command::Reload(config) => self.reloaded(config),
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
