//! Probes go to the backends through VPP: while it is away, they say nothing about the backends.
//!
//! A VPP that dies is noticed at once, one that hangs only some seconds later. Backends that went down meanwhile
//! are taken back to what they were; if one of them really is dead, the probes after VPP's return find it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::{Core, Effects, Now};
use crate::controller::snapshot::BackendView;
use crate::health::{self, State};
use crate::probe::Report;

/// The last time that VPP was away, as far as the agent told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Absence {
    /// Not since the start.
    #[default]
    Never,
    /// Now.
    Since(Instant),
    /// Until then.
    Until(Instant),
}

impl Absence {
    /// Whether a probe that failed may have done so because VPP was away: if VPP was not there during all of it.
    fn spoils(self, report: &Report) -> bool {
        match self {
            Self::Never => false,
            Self::Since(_) => true,
            Self::Until(back) => {
                report.ended.checked_sub(report.outcome.duration).is_none_or(|start| start < back)
            }
        }
    }
}

impl Core {
    /// Whether a probe's failure is to be believed.
    pub(super) fn believes(&self, report: &Report) -> bool {
        report.outcome.passed() || !self.absence.spoils(report)
    }

    /// The agent found that VPP is away, and had not answered for `silent`.
    pub(super) fn vpp_left(&mut self, silent: Duration, now: Now, effects: &mut Effects) {
        if matches!(self.absence, Absence::Since(_)) {
            return;
        }
        self.absence = Absence::Since(now.mono);
        info!("VPP is away: probes that fail are not believed until it is back");
        let Some(since) = now.mono.checked_sub(silent) else { return };
        let went_down = |view: &BackendView| {
            view.health.state() == State::Down && view.changed.is_some_and(|at| at >= since)
        };
        let doubtful = self.backends.iter().filter(|(_, view)| went_down(view));
        let doubtful: Vec<_> = doubtful.map(|(name, _)| Arc::clone(name)).collect();
        for backend in doubtful {
            if let Some(view) = self.backends.get_mut(&backend) {
                Arc::make_mut(view).cold = false;
            }
            match self.input(&backend, health::Input::Doubt, now) {
                Ok(more) => effects.merge(more),
                Err(refused) => warn!(%backend, %refused, "a state cannot be taken back"),
            }
        }
    }

    /// VPP answers.
    pub(super) fn vpp_returned(&mut self, now: Now) {
        if let Absence::Since(left) = self.absence {
            self.absence = Absence::Until(now.mono);
            let away = humantime::format_duration(Duration::from_secs((now.mono - left).as_secs()));
            info!(%away, "VPP is back: probes that start now are believed");
        }
    }

    /// Nobody tells any more whether VPP is there.
    pub(super) fn vpp_unwatched(&mut self, now: Now) {
        if let Absence::Since(_) = self.absence {
            self.absence = Absence::Until(now.mono);
        }
    }
}
