//! Changes of state, as data: for the log now, and for whoever listens.

use std::sync::Arc;
use std::time::SystemTime;

use tracing::{debug, info, warn};

use super::Effects;
use crate::health::Transition;
use crate::weights::FrontendState;

/// A change of state of a backend or a frontend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A backend changed.
    Backend {
        /// Its name.
        backend: Arc<str>,
        /// From, to, when and why.
        transition: Transition,
    },
    /// Another pool of a frontend takes new flows.
    ActivePool {
        /// Name of the frontend.
        frontend: Arc<str>,
        /// The pool before, if there was one.
        from: Option<String>,
        /// The pool now, if there is one.
        to: Option<String>,
        /// Whether VPP is not told yet.
        held_back: bool,
    },
    /// Too few backends of a pool are up, so that all of them take new flows; or that is over.
    Panic {
        /// Name of the frontend.
        frontend: Arc<str>,
        /// Name of the pool.
        pool: String,
        /// Whether it began.
        begins: bool,
    },
    /// A frontend changed.
    Frontend {
        /// Its name.
        frontend: Arc<str>,
        /// State before.
        from: FrontendState,
        /// State after.
        to: FrontendState,
        /// When.
        at: SystemTime,
        /// Whether VPP is not told yet, since not all backends are known.
        held_back: bool,
    },
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
}

impl Event {
    /// Writes it to the log.
    pub fn log(&self) {
        match self {
            Self::Backend { backend, transition } => info!(
                %backend, from = %transition.from, to = %transition.to, cause = %transition.cause,
                "backend changed"
            ),
            Self::ActivePool { frontend, from, to, held_back } => {
                let [from, to] = [from, to].map(|pool| pool.as_deref().unwrap_or("none"));
                if *held_back {
                    debug!(%frontend, from, to, "active pool would change, but the frontend is held back");
                } else {
                    info!(%frontend, from, to, "active pool changed");
                }
            }
            Self::Panic { frontend, pool, begins: true } => {
                warn!(%frontend, pool, "panic: too few backends are up, so all of the pool get traffic");
            }
            Self::Panic { frontend, pool, begins: false } => info!(%frontend, pool, "panic is over"),
            Self::Frontend { frontend, from, to, held_back, .. } => {
                let (from, to) = (from.word(), to.word());
                match to {
                    // Known of the first few backends only, while VPP serves what it has.
                    _ if *held_back => debug!(%frontend, from, to, "frontend changed, but is held back"),
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
}
