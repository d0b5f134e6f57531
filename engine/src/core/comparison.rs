//! Comparison of a new configuration with the one in use, made before the core takes it.

use std::sync::Arc;

use crate::config::references::{References, references};
use crate::config::{Changes, Config, changes};

/// A new configuration, compared with the one in use.
#[derive(Debug, Clone)]
pub struct Reload {
    config: Arc<Config>,
    compared: Option<Arc<Comparison>>,
}

/// Differences between two configurations.
#[derive(Debug)]
pub(super) struct Comparison {
    /// What the configuration was compared with.
    before: Arc<Config>,
    pub(super) changes: Changes,
    pub(super) references: References,
    /// Backends that are probed through the tunnel as before, with other VIPs.
    pub(super) tunnels: Vec<String>,
}

impl Comparison {
    fn new(before: &Arc<Config>, after: &Config) -> Self {
        let changes = changes(before, after);
        let references = references(before, after, &changes.backends);
        let (were, are) = (before.tunnel_vips(), after.tunnel_vips());
        let differ = are.iter().filter(|(name, vips)| were.get(*name).is_some_and(|were| were != *vips));
        let tunnels = differ.map(|(name, _)| (*name).to_owned()).collect();
        Self { before: Arc::clone(before), changes, references, tunnels }
    }
}

impl Reload {
    /// Compares a configuration with the current one, which takes time proportional to their size; the core
    /// then takes time proportional to what changed.
    pub fn prepared(mut config: Config, current: &Arc<Config>) -> Self {
        config.share_frontends(current);
        let compared = Some(Arc::new(Comparison::new(current, &config)));
        Self { config: Arc::new(config), compared }
    }

    /// The new configuration.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The comparison with this configuration. Another one may have come into use since it was made.
    pub(super) fn compared_with(&self, current: &Arc<Config>) -> Arc<Comparison> {
        let compared = self.compared.as_ref().filter(|compared| Arc::ptr_eq(&compared.before, current));
        compared.map_or_else(|| Arc::new(Comparison::new(current, &self.config)), Arc::clone)
    }
}

impl From<Arc<Config>> for Reload {
    /// Leaves the comparison to the core.
    fn from(config: Arc<Config>) -> Self {
        Self { config, compared: None }
    }
}
