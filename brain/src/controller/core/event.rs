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

impl Event {
    /// Writes it to the log.
    pub fn log(&self) {
        match self {
            Self::Backend { backend, transition } => info!(
                %backend, from = %transition.from, to = %transition.to, cause = %transition.cause,
                "backend changed"
            ),
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
