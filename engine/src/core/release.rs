//! Release of each frontend from the warm-up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::Programmed;
use tracing::{debug, info, warn};

use super::{Core, Effects, Now};
use crate::config::Frontend;
use crate::desired::{ViewId, vip_key};
use crate::health::State;
use crate::warmup::Phase;

/// A frontend that the warm-up released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    frontend: Arc<str>,
    /// Time since the start, as text.
    after: String,
    /// Backends that are still unknown.
    unknown: Vec<String>,
    /// Whether it was the last one held back.
    last: bool,
}

impl Release {
    /// Writes it to the log.
    pub fn log(&self) {
        let Self { frontend, after, unknown, last } = self;
        if unknown.is_empty() {
            info!(%frontend, %after, "all backends known; released");
        } else {
            let unknown = unknown.join(" ");
            warn!(%frontend, unknown, %after, "released although not all backends are known");
        }
        if *last {
            info!(%after, "warm-up complete: every frontend is released");
        }
    }
}

impl Core {
    /// VPP cannot be programmed any more.
    pub(super) fn vpp_lost(&mut self, effects: &mut Effects) {
        self.known.lost();
        self.tally.forget_foreign();
        self.open_gate();
        effects.wanted = true;
        self.frontends.forget_syncs();
    }

    /// VPP can be programmed, and had this state when it was connected.
    pub(super) fn vpp_seen(&mut self, id: ViewId, programmed: Programmed, now: Now, effects: &mut Effects) {
        self.known.seen(id, programmed);
        if self.known.is_empty() && self.warmup.phase() == Phase::Waiting {
            info!(
                "VPP is empty, so there is nothing to protect: frontends are released as they become known"
            );
        }
        self.open_gate();
        effects.wanted = true;
        self.frontends.forget_syncs();
        for name in self.frontends.names() {
            if let Some(frontend) = self.frontends.released(&name) {
                self.hold(&name, &frontend);
            }
            self.rescale(&name, now, effects);
        }
        self.forget_view();
    }

    /// A phase of the warm-up began.
    pub(super) fn phase_began(&mut self, now: Now, effects: &mut Effects) {
        let after = words(self.warmup.elapsed(now.mono));
        match self.warmup.phase() {
            Phase::Waiting => {}
            Phase::Releasing => info!(%after, "warm-up: frontends whose backends are all known are released"),
            Phase::Over if self.frontends.any_held_back() => {
                info!(%after, "warm-up is over: every frontend is released");
            }
            Phase::Over => {}
        }
        self.open_gate();
        effects.wanted = true;
        effects.routes = true;
        effects.state = true;
        for name in self.frontends.names() {
            if self.frontends.released(&name).is_none() {
                self.reweigh(&name, now, effects);
            }
        }
        self.forget_view();
    }

    /// Whether the warm-up may release a frontend, and its unknown backends.
    pub(super) fn may_release(&self, frontend: &Frontend) -> (bool, Vec<String>) {
        let unknown: Vec<_> = backends_of(frontend)
            .into_iter()
            .filter(|name| self.backends.state(name) == State::Unknown)
            .cloned()
            .collect();
        (self.warmup.releases(unknown.is_empty(), self.known.is_empty()), unknown)
    }

    /// Releases a frontend if the warm-up allows it.
    pub(super) fn release(
        &mut self,
        name: &Arc<str>,
        frontend: &Frontend,
        now: Now,
        effects: &mut Effects,
    ) -> bool {
        let (may_go, unknown) = self.may_release(frontend);
        let after = words(self.warmup.elapsed(now.mono));
        if !may_go {
            debug!(frontend = %name, ?unknown, %after, "held back");
            return false;
        }
        if !unknown.is_empty() {
            self.hold(name, frontend);
        }
        effects.releases.push(Release { frontend: Arc::clone(name), after, unknown, last: false });
        true
    }

    /// Emits the end of the warm-up after the last release.
    pub(super) fn note_last_release(&self, effects: &mut Effects) {
        if let Some(release) = effects.releases.last_mut() {
            release.last = self.warmup.phase() != Phase::Over && !self.frontends.any_held_back();
        }
    }

    /// Lets the backends that were never known keep their weights in VPP.
    fn hold(&mut self, name: &Arc<str>, frontend: &Frontend) {
        let vip = vip_key(frontend);
        for backend in backends_of(frontend) {
            let address = self.config.backends.get(backend).map(|backend| backend.address);
            let weight = address.map_or(0, |address| self.known.weight(&vip, address));
            if self.backends.state(backend) == State::Unknown && weight > 0 {
                info!(frontend = %name, %backend, weight, "the backend is still unknown; it keeps its weight in VPP");
                self.known.hold(vip, backend, weight);
            }
        }
    }

    /// Allows or forbids writing to VPP.
    fn open_gate(&mut self) {
        let may_write = self.warmup.may_write(self.known.is_empty());
        self.orders.decide_on(self.known.view().filter(|_| may_write));
    }

    /// After the last release, VPP's earlier state is no longer needed.
    fn forget_view(&mut self) {
        if self.warmup.phase() == Phase::Over {
            self.known.forget_weights();
        }
    }
}

fn backends_of(frontend: &Frontend) -> BTreeSet<&String> {
    frontend.pools.iter().flat_map(|pool| pool.backends.keys()).collect()
}

/// Formats a time with a sensible precision.
fn words(time: Duration) -> String {
    let time = if time < Duration::from_secs(10) {
        Duration::from_millis(time.as_millis().try_into().unwrap_or(u64::MAX))
    } else {
        Duration::from_secs(time.as_secs())
    };
    humantime::format_duration(time).to_string()
}
