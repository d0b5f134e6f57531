//! Commands on several backends.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::sync::Arc;

use maglev_protocol::Demands;

use super::command::shown;
use super::{BackendWish, CommandError, Core, Done, Effects, Now};
use crate::config::Backend;
use crate::overrides::Remark;

/// Which backends a command on several is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Those with this label.
    Label {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Those at this address.
    Host(IpAddr),
}

impl Selector {
    /// Whether it selects this backend.
    pub fn selects(&self, backend: &Backend) -> bool {
        match self {
            Self::Label { key, value } => backend.labels.get(key) == Some(value),
            Self::Host(address) => backend.address == *address,
        }
    }
}

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label { key, value } => write!(f, "label {}={}", shown(key), shown(value)),
            Self::Host(address) => write!(f, "host {address}"),
        }
    }
}

impl Core {
    /// Gives a command to each selected backend, and asks VPP once for each frontend concerned.
    pub(super) fn wish_all(
        &mut self,
        selector: Selector,
        wish: BackendWish,
        remark: &Remark,
        now: Now,
    ) -> Result<(Effects, Done), CommandError> {
        let selected = self.config.backends.iter().filter(|(_, backend)| selector.selects(backend));
        let names: Vec<Arc<str>> = selected.map(|(name, _)| name.as_str().into()).collect();
        let (mut effects, mut done) = (Effects::default(), Done::default());
        let mut frontends = BTreeSet::new();
        for name in names {
            let result = self.wish(&name, wish, remark.clone(), now);
            if result.is_ok() {
                frontends.extend(self.backends.frontends_of(&name).iter().cloned());
            }
            done.backends.push((name, result.map(|more| effects.merge(more))));
        }
        if done.backends.iter().all(|(_, result)| result.is_err()) {
            let first = done.backends.into_iter().find_map(|(_, result)| result.err());
            return Err(first.unwrap_or(CommandError::NoneSelected(selector)));
        }
        done.asked =
            frontends.iter().filter_map(|name| self.demand(name, Demands::default(), &mut effects)).collect();
        Ok((effects, done))
    }
}
