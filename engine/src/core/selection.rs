//! Commands on several backends.

use std::collections::BTreeSet;
use std::sync::Arc;

use maglev_protocol::Demands;

use super::{BackendWish, CommandError, Core, Done, Effects, Now, Selector};
use crate::overrides::Remark;

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
