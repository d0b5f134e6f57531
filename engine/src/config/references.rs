//! References of backends that differ between two configurations. Operators see them as changes of frontends and checks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{BackendChanges, Config};

/// What refers to backends, and what they refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct References {
    /// The frontends that use a backend, where they differ, and of all backends that are new, renamed or moved.
    pub(crate) users: BTreeMap<String, Arc<[Arc<str>]>>,
    /// Backends that name other checks, whatever these contain.
    pub(crate) checks: Vec<String>,
}

/// Compares two configurations, whose changes are known.
pub(crate) fn references(old: &Config, new: &Config, changes: &BackendChanges) -> References {
    let (mut before, mut after) = (users(old), users(new));
    let touched = changes.touched();
    let mut differing = References::default();
    for (name, backend) in &new.backends {
        let [was, is] = [&mut before, &mut after].map(|users| users.remove(&**name).unwrap_or_default());
        if was != is || touched.contains(name) {
            differing.users.insert(name.clone(), is.into_iter().map(Into::into).collect());
        }
        if old.backends.get(name).is_some_and(|old| old.healthchecks != backend.healthchecks) {
            differing.checks.push(name.clone());
        }
    }
    differing
}

/// The frontends of each backend, in alphabetical order.
pub(crate) fn users(config: &Config) -> HashMap<&str, Vec<&str>> {
    let mut users: HashMap<&str, Vec<&str>> = HashMap::new();
    for (name, frontend) in &config.frontends {
        for backend in frontend.pools.iter().flat_map(|pool| pool.backends.keys()) {
            let users = users.entry(backend).or_default();
            if users.last() != Some(&&**name) {
                users.push(name);
            }
        }
    }
    users
}
