//! Changes of state, as data: for the log now, and for whoever listens.

use std::sync::Arc;
use std::time::SystemTime;

use tracing::{debug, info, warn};

use super::{Core, Effects};
use crate::health::Transition;
use crate::snapshot::{AgentStatus, FrontendView, SyncStatus};
use crate::weights::FrontendState;

/// A change of state. All of them together, after any snapshot, make the next one's states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A backend changed.
    Backend {
        /// Its name.
        backend: Arc<str>,
        /// From, to, when and why.
        transition: Transition,
    },
    /// The configuration has a backend that it did not have. Nothing is known of it yet.
    BackendAdded {
        /// Its name.
        backend: Arc<str>,
    },
    /// Something about a frontend changed.
    Frontend {
        /// Its name.
        frontend: Arc<str>,
        /// What.
        change: FrontendChange,
        /// All of it as it is now.
        now: FrontendNow,
    },
    /// The configuration does not have a frontend any more.
    FrontendRemoved {
        /// Its name.
        frontend: Arc<str>,
    },
    /// The agent was connected, went, or is away for another reason.
    Agent {
        /// As it is now.
        status: Arc<AgentStatus>,
    },
    /// VPP came, went, or is not known of any more.
    Vpp {
        /// As it is now.
        status: Arc<AgentStatus>,
    },
    /// Another configuration was taken.
    Reloaded {
        /// What is different, on one line.
        changes: String,
    },
    /// An operator set something or took it back.
    Operator {
        /// What, as one would type it.
        command: String,
    },
}

/// What of a frontend is told when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontendNow {
    /// Its state.
    pub state: FrontendState,
    /// Name of the pool that takes new flows by rights, if one does.
    pub active_pool: Option<String>,
    /// Name of the pool in which too few are up, so that all of it takes new flows, if there is one.
    pub panic_pool: Option<String>,
    /// Whether VPP is not told yet, since not all backends are known.
    pub held_back: bool,
}

impl FrontendNow {
    /// What is told of this view.
    pub fn of(view: &FrontendView) -> Self {
        let [active_pool, panic_pool] = pools(view).map(|pool| pool.map(str::to_owned));
        let held_back = view.sync == SyncStatus::HeldBack;
        Self { state: view.weights.state, active_pool, panic_pool, held_back }
    }
}

/// What changed of a frontend, and what it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrontendChange {
    /// The configuration did not have it.
    Added,
    /// It is held back, or is no more.
    HeldBack,
    /// Another pool takes new flows.
    ActivePool(Option<String>),
    /// Too few backends of a pool are up, so that all of them take new flows; or that is over.
    Panic(Option<String>),
    /// It has another state.
    State(FrontendState),
}

/// A change of state, its number and when it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// 1 for the first since the start, and so on without a gap.
    pub number: u64,
    /// When it was told.
    pub at: SystemTime,
    /// The change.
    pub event: Event,
    /// Who made it, if an operator did and is known.
    pub who: Option<Arc<str>>,
}

impl Event {
    /// Writes it to the log, unless that was done with its reasons where it was decided.
    pub fn log(&self) {
        match self {
            Self::Backend { backend, transition } => info!(
                %backend, from = %transition.from, to = %transition.to, cause = %transition.cause,
                "backend changed"
            ),
            Self::Frontend { frontend, change, now } => change.log(frontend, now),
            Self::BackendAdded { .. }
            | Self::FrontendRemoved { .. }
            | Self::Agent { .. }
            | Self::Vpp { .. }
            | Self::Reloaded { .. }
            | Self::Operator { .. } => {}
        }
    }
}

impl FrontendChange {
    fn log(&self, frontend: &str, now: &FrontendNow) {
        match self {
            Self::Added | Self::HeldBack => {}
            Self::ActivePool(from) => {
                let [from, to] = [from, &now.active_pool].map(|pool| pool.as_deref().unwrap_or("none"));
                if now.held_back {
                    debug!(%frontend, from, to, "active pool would change, but the frontend is held back");
                } else {
                    info!(%frontend, from, to, "active pool changed");
                }
            }
            Self::Panic(from) => {
                if let Some(pool) = from {
                    info!(%frontend, pool, "panic is over");
                }
                if let Some(pool) = &now.panic_pool {
                    warn!(%frontend, pool, "panic: too few backends are up, so all of the pool get traffic");
                }
            }
            Self::State(from) => {
                let (from, to) = (from.word(), now.state.word());
                match to {
                    // Known of the first few backends only, while VPP serves what it has.
                    _ if now.held_back => debug!(%frontend, from, to, "frontend changed, but is held back"),
                    "down" => warn!(%frontend, from, to, "frontend changed: no backend takes new flows"),
                    _ => info!(%frontend, from, to, "frontend changed"),
                }
            }
        }
    }
}

impl Effects {
    pub(super) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Tells what is different of a frontend, in the order in which one thing follows from another.
    pub(super) fn tell_frontend(&mut self, name: &Arc<str>, before: &FrontendView, view: &FrontendView) {
        let ([old_pool, old_panic], [pool, panic]) = (pools(before), pools(view));
        let (old_state, state) = (before.weights.state, view.weights.state);
        let owned = |pool: Option<&str>| pool.map(str::to_owned);
        let mut changes = Vec::new();
        if old_pool != pool {
            changes.push(FrontendChange::ActivePool(owned(old_pool)));
        }
        if old_panic != panic {
            changes.push(FrontendChange::Panic(owned(old_panic)));
        }
        if old_state != state {
            changes.push(FrontendChange::State(old_state));
        }
        let held_back = |view: &FrontendView| view.sync == SyncStatus::HeldBack;
        if changes.is_empty() && held_back(before) != held_back(view) {
            changes.push(FrontendChange::HeldBack);
        }
        for change in changes {
            self.tell(Event::Frontend { frontend: Arc::clone(name), change, now: FrontendNow::of(view) });
        }
    }
}

impl Core {
    /// What is told if the agent's status is another one than `before`.
    pub(super) fn tell_agent(&self, before: &AgentStatus) -> Effects {
        let mut effects = Effects::default();
        let status = &self.agent;
        if status.connection != before.connection {
            effects.tell(Event::Agent { status: Arc::clone(status) });
        }
        // Why nothing is known of VPP depends on whether the agent is there.
        if status.vpp != before.vpp || status.connection.is_ok() != before.connection.is_ok() {
            effects.tell(Event::Vpp { status: Arc::clone(status) });
        }
        effects
    }
}

/// Names of the active pool and of the one in panic. Their places say nothing: a reload may change them.
fn pools(view: &FrontendView) -> [Option<&str>; 2] {
    [view.weights.active_pool, view.weights.panic]
        .map(|index| Some(view.frontend.pools.get(index?)?.name.as_str()))
}
