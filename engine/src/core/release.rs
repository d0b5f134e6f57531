//! The end of the warm-up for each frontend, and what VPP had until then.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::{Programmed, VipKey};
use tracing::{debug, info, warn};

use super::{Core, Effects, Now};
use crate::config::Frontend;
use crate::desired::{ViewId, vip_key};
use crate::health::State;
use crate::snapshot::SyncStatus;
use crate::warmup::Phase;

/// What VPP had when it was last looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// The look, while VPP can be programmed.
    id: Option<ViewId>,
    /// Whether VPP had no VIP at all.
    empty: bool,
    /// Weights of servers. VIPs that are held back have them still.
    weights: BTreeMap<VipKey, BTreeMap<IpAddr, u8>>,
}

impl View {
    fn is_of_an_empty_vpp(&self) -> bool {
        self.id.is_some() && self.empty
    }

    /// Whether VPP can be programmed now.
    pub(super) fn is_current(&self) -> bool {
        self.id.is_some()
    }
}

/// A frontend that the warm-up released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    frontend: Arc<str>,
    /// Time since the start, in words.
    after: String,
    /// Backends of which nothing is known.
    unknown: Vec<String>,
}

impl Release {
    /// Writes it to the log.
    pub fn log(&self) {
        let Self { frontend, after, unknown } = self;
        if unknown.is_empty() {
            info!(%frontend, %after, "all backends known; released");
        } else {
            let unknown = unknown.join(" ");
            warn!(%frontend, unknown, %after, "released although not all backends are known");
        }
    }
}

impl Core {
    /// VPP cannot be programmed any more.
    pub(super) fn vpp_lost(&mut self, effects: &mut Effects) {
        self.view = View::default();
        self.tally.forget_foreign();
        self.wanted.view = None;
        effects.wanted = true;
        self.forget_syncs();
    }

    /// VPP can be programmed, and had this when it was connected to.
    pub(super) fn vpp_seen(&mut self, id: ViewId, programmed: Programmed, now: Now, effects: &mut Effects) {
        self.standing = programmed.vips.iter().map(|vip| (vip.key, vip.new_flows_table_length)).collect();
        let empty = programmed.vips.is_empty();
        let weights = programmed.vips.into_iter().map(|vip| (vip.key, vip.servers)).collect();
        self.view = View { id: Some(id), empty, weights };
        if empty && self.warmup.phase() == Phase::Waiting {
            info!(
                "VPP is empty, so there is nothing to protect: frontends are released as they become known"
            );
        }
        self.open_gate();
        effects.wanted = true;
        self.forget_syncs();
        for name in self.names() {
            if let Some(frontend) = self.released(&name) {
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
            Phase::Over => info!(%after, "warm-up is over: every frontend is released"),
        }
        self.open_gate();
        effects.wanted = true;
        effects.state = true;
        for name in self.names() {
            if self.released(&name).is_none() {
                self.reweigh(&name, now, effects);
            }
        }
        self.forget_view();
    }

    /// Whether a frontend that is held back may go. It is logged in either case, and once if it may.
    pub(super) fn releases(
        &mut self,
        name: &Arc<str>,
        frontend: &Frontend,
        now: Now,
        effects: &mut Effects,
    ) -> bool {
        let mut unknown: Vec<_> =
            backends_of(frontend).filter(|name| self.state_of(name) == State::Unknown).collect();
        unknown.dedup();
        let after = words(self.warmup.elapsed(now.mono));
        if !self.warmup.releases(unknown.is_empty(), self.view.is_of_an_empty_vpp()) {
            debug!(frontend = %name, ?unknown, %after, "held back");
            return false;
        }
        let unknown: Vec<String> = unknown.into_iter().cloned().collect();
        if !unknown.is_empty() {
            self.hold(name, frontend);
        }
        effects.releases.push(Release { frontend: Arc::clone(name), after, unknown });
        true
    }

    /// Lets the backends of which nothing was ever known keep the weights that VPP has for them.
    fn hold(&mut self, name: &Arc<str>, frontend: &Frontend) {
        let Some(weights) = self.view.weights.get(&vip_key(frontend)) else { return };
        let mut held = BTreeMap::new();
        for backend in backends_of(frontend) {
            let unknown = self.state_of(backend) == State::Unknown;
            let address = self.config.backends.get(backend).map(|backend| backend.address);
            let weight = address.and_then(|address| weights.get(&address)).copied().unwrap_or(0);
            if unknown && weight > 0 {
                held.insert(backend.clone(), weight);
            }
        }
        for (backend, weight) in &held {
            info!(frontend = %name, %backend, weight, "nothing is known of the backend; it keeps its weight in VPP");
        }
        if !held.is_empty() {
            self.held.entry(vip_key(frontend)).or_default().extend(held);
        }
    }

    /// Has the agent's client write what is wanted, or not.
    fn open_gate(&mut self) {
        let may_write = self.warmup.may_write(self.view.is_of_an_empty_vpp());
        self.wanted.view = self.view.id.filter(|_| may_write);
    }

    /// Once everything is released, nothing asks any more what VPP had.
    fn forget_view(&mut self) {
        if self.warmup.phase() == Phase::Over {
            self.view.weights.clear();
        }
    }

    fn released(&self, name: &str) -> Option<Arc<Frontend>> {
        let view = self.frontends.get(name).filter(|view| view.sync != SyncStatus::HeldBack)?;
        Some(Arc::clone(&view.frontend))
    }

    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.frontends.keys().map(Arc::clone).collect()
    }
}

fn backends_of(frontend: &Frontend) -> impl Iterator<Item = &String> {
    frontend.pools.iter().flat_map(|pool| pool.backends.keys())
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
