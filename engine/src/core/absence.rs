//! Distrusts probes while VPP is disconnected or silent: they go through VPP, so they say nothing about the
//! backends then.
//!
//! A dead VPP is noticed at once, a hanging one some tenths of a second later. Backends that went down
//! meanwhile return to their previous state; if one of them really is dead, the probes after VPP's return
//! find it. A restarted VPP opens its API before its interfaces are configured: until it has settled,
//! failures are not believed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::{info, warn};

use super::{Core, Effects, Now};
use crate::health::State;
use crate::outcome::Report;
use crate::snapshot::BackendView;

/// VPP's last absence, as far as the agent reported it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Absence {
    /// None since the agent's first report.
    #[default]
    Never,
    /// The agent was disconnected at `since`, so nothing is known; `known` has `back` and `settled` of an
    /// earlier absence.
    Unwatched { since: Instant, known: Option<(Instant, Instant)> },
    /// Absent since `left`; the interfaces of its predecessor may come up as late as `settled`.
    Since { left: Instant, settled: Option<Instant> },
    /// Absent until `back`; its interfaces may come up as late as `settled`.
    Until { back: Instant, settled: Instant },
}

/// Time that a restarted VPP may need for its interfaces after opening its API: about 1 s (measured on VPP
/// 26.10 with a short startup-config).
const INTERFACES: Duration = Duration::from_secs(2);
/// The same with a long startup-config; also, the first packet to each new neighbour is lost to ARP.
const SETTLE: Duration = Duration::from_secs(5);
/// A VPP that had been running for less than this when first seen may not have settled.
const YOUNG: Duration = Duration::from_secs(10);

/// Whether a VPP with this start time, in Unix seconds, may still be configuring its interfaces.
pub(super) fn has_just_started(boot_time: Option<u64>, now: SystemTime) -> bool {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    boot_time.is_some_and(|boot| now.saturating_sub(Duration::from_secs(boot)) < YOUNG)
}

impl Absence {
    /// When the interfaces of the current VPP are up at the latest. A silence does not make that sooner.
    fn settled(self) -> Option<Instant> {
        match self {
            Self::Never | Self::Unwatched { known: None, .. } => None,
            Self::Since { settled, .. } => settled,
            Self::Until { settled, .. } | Self::Unwatched { known: Some((_, settled)), .. } => Some(settled),
        }
    }

    /// Whether VPP may have caused a probe's failure: it was absent during a part of the probe, or had not
    /// settled. For an unknown backend, only failures within [`INTERFACES`] and the first one after that are
    /// ignored, so that frontends need not wait for it.
    fn spoils(self, report: &Report, view: &BackendView) -> bool {
        match self {
            Self::Never | Self::Unwatched { known: None, .. } => false,
            Self::Since { .. } => true,
            Self::Until { back, settled } | Self::Unwatched { known: Some((back, settled)), .. } => {
                let Some(start) = report.ended.checked_sub(report.outcome.duration) else { return true };
                let check = view.checks.get(report.check);
                let last = || check.and_then(|check| check.tally.last_probe());
                let failed_before = || last().is_some_and(|last| last.ended >= back);
                let known = view.health.state() != State::Unknown;
                let too_soon = || start < back + INTERFACES || !failed_before();
                start < back || start < settled && (known || too_soon())
            }
        }
    }
}

impl Core {
    /// Whether a probe's failure counts.
    pub(super) fn believes(&self, report: &Report) -> bool {
        let spoils = |view| self.absence.spoils(report, view);
        report.outcome.passed() || !self.backends.get(&report.backend).is_some_and(spoils)
    }

    /// The agent found VPP disconnected or silent, without an answer for `silent`.
    pub(super) fn vpp_left(&mut self, silent: Duration, now: Now, effects: &mut Effects) {
        if matches!(self.absence, Absence::Since { .. }) {
            return;
        }
        let unwatched = match self.absence {
            Absence::Unwatched { since, .. } => Some(since),
            _ => None,
        };
        self.absence = Absence::Since { left: now.mono, settled: self.absence.settled() };
        info!("VPP does not answer: failed probes are ignored until it does");
        if let Some(since) = unwatched.or(now.mono.checked_sub(silent)) {
            self.doubt(since, false, now, effects);
        }
    }

    /// Restores the backends that went down since then.
    fn doubt(&mut self, since: Instant, probation: bool, now: Now, effects: &mut Effects) {
        let damping = self.config.healthchecker.damping;
        let down = self.backends.down_since(since);
        for backend in down.into_iter().chain(self.steady.waiting()) {
            match self.backends.doubt(&backend, probation, damping.as_ref(), now) {
                Ok(Some(transition)) => self.follow(&backend, transition, now, effects),
                Ok(None) => {}
                Err(refused) => warn!(%backend, %refused, "a state cannot be taken back"),
            }
        }
    }

    /// VPP answers again; if it was restarted, its interfaces may not be up yet.
    pub(super) fn vpp_returned(&mut self, restarted: bool, now: Now, effects: &mut Effects) {
        let back = now.mono;
        let settled =
            if restarted { back + SETTLE } else { self.absence.settled().unwrap_or(back).max(back) };
        match self.absence {
            Absence::Since { left, .. } => {
                let silent_ms = (back - left).as_millis();
                info!(silent_ms, restarted, "VPP answers again: failed probes count again");
            }
            // It is unknown whether VPP answered while backends went down; one more failure confirms them.
            Absence::Unwatched { since, .. } => self.doubt(since, true, now, effects),
            Absence::Never | Absence::Until { .. } if restarted => {}
            Absence::Never | Absence::Until { .. } => return,
        }
        self.absence = Absence::Until { back, settled };
    }

    /// The agent is disconnected, so VPP's liveness is unknown.
    pub(super) fn vpp_unwatched(&mut self, now: Now) {
        let known = match self.absence {
            Absence::Unwatched { .. } => return,
            Absence::Never => None,
            // Results of probes that began earlier may still arrive.
            Absence::Since { settled, .. } => Some((now.mono, settled.unwrap_or(now.mono).max(now.mono))),
            Absence::Until { back, settled } => Some((back, settled)),
        };
        self.absence = Absence::Unwatched { since: now.mono, known };
    }
}
