//! The end of the warm-up for each frontend, and what VPP had until then.

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
    /// Time since the start, in words.
    after: String,
    /// Backends of which nothing is known.
    unknown: Vec<String>,
    /// Whether nothing is held back after it.
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

    /// VPP can be programmed, and had this when it was connected to.
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
        effects.state = true;
        for name in self.frontends.names() {
            if self.frontends.released(&name).is_none() {
                self.reweigh(&name, now, effects);
            }
        }
        self.forget_view();
    }

    /// Whether the warm-up lets a frontend go that is held back, and the backends of which nothing is known.
    pub(super) fn may_release(&self, frontend: &Frontend) -> (bool, Vec<String>) {
        let unknown: Vec<_> = backends_of(frontend)
            .into_iter()
            .filter(|name| self.backends.state(name) == State::Unknown)
            .cloned()
            .collect();
        (self.warmup.releases(unknown.is_empty(), self.known.is_empty()), unknown)
    }

    /// Releases a frontend that may go. Logged in either case, and once if it may.
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

    /// After releases: tells when nothing is held back any more.
    pub(super) fn note_last_release(&self, effects: &mut Effects) {
        if let Some(release) = effects.releases.last_mut() {
            release.last = self.warmup.phase() != Phase::Over && !self.frontends.any_held_back();
        }
    }

    /// Lets the backends of which nothing was ever known keep the weights that VPP has for them.
    fn hold(&mut self, name: &Arc<str>, frontend: &Frontend) {
        let vip = vip_key(frontend);
        for backend in backends_of(frontend) {
            let address = self.config.backends.get(backend).map(|backend| backend.address);
            let weight = address.map_or(0, |address| self.known.weight(&vip, address));
            if self.backends.state(backend) == State::Unknown && weight > 0 {
                info!(frontend = %name, %backend, weight, "nothing is known of the backend; it keeps its weight in VPP");
                self.known.hold(vip, backend, weight);
            }
        }
    }

    /// Has the agent's client write what is wanted, or not.
    fn open_gate(&mut self) {
        let may_write = self.warmup.may_write(self.known.is_empty());
        self.orders.decide_on(self.known.view().filter(|_| may_write));
    }

    /// Once everything is released, nothing asks any more what VPP had.
    fn forget_view(&mut self) {
        if self.warmup.phase() == Phase::Over {
            self.known.forget_weights();
        }
    }
}

fn backends_of(frontend: &Frontend) -> BTreeSet<&String> {
    frontend.pools.iter().flat_map(|pool| pool.backends.keys()).collect()
}

/// A time in words, as exact as one wants to read it.
fn words(time: Duration) -> String {
    let time = if time < Duration::from_secs(10) {
        Duration::from_millis(time.as_millis().try_into().unwrap_or(u64::MAX))
    } else {
        Duration::from_secs(time.as_secs())
    };
    humantime::format_duration(time).to_string()
}
