//! Probes go to the backends through VPP: while it is away, they say nothing about the backends.
//!
//! A VPP that dies is noticed at once, one that hangs some tenths of a second later. Backends that went down meanwhile
//! are taken back to what they were; if one of them really is dead, the probes after VPP's return find it. A VPP that
//! was restarted opens its API before its interfaces are configured: until it has settled, failures are not believed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::{info, warn};

use super::{Core, Effects, Now};
use crate::health::State;
use crate::outcome::Report;
use crate::snapshot::BackendView;

/// The last time that VPP was away, as far as the agent told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Absence {
    /// Not since the agent told of it for the first time.
    #[default]
    Never,
    /// Nobody has told since then; what was known then of `back` and `settled`, if it had been away before.
    Unwatched { since: Instant, known: Option<(Instant, Instant)> },
    /// Now, from `left`; of a VPP whose interfaces may come up as late as `settled`.
    Since { left: Instant, settled: Option<Instant> },
    /// Until `back`; its interfaces may have come up as late as `settled`.
    Until { back: Instant, settled: Instant },
}

/// How long after the API of a restarted VPP its interfaces may need: about 1 s (measured on VPP 26.10 with a short
/// startup-config).
const INTERFACES: Duration = Duration::from_secs(2);
/// The same with a long startup-config; besides, the first packet to each new neighbour is lost to ARP.
const SETTLE: Duration = Duration::from_secs(5);
/// A VPP that has run for less than this when the brain first sees it may not have settled.
const YOUNG: Duration = Duration::from_secs(10);

/// Whether a VPP that started at this time, in Unix seconds, may still be configuring its interfaces.
pub(super) fn has_just_started(boot_time: Option<u64>, now: SystemTime) -> bool {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    boot_time.is_some_and(|boot| now.saturating_sub(Duration::from_secs(boot)) < YOUNG)
}

impl Absence {
    /// Until when the interfaces of the VPP that is there may not be up: a silence of it does not make that sooner.
    fn settled(self) -> Option<Instant> {
        match self {
            Self::Never | Self::Unwatched { known: None, .. } => None,
            Self::Since { settled, .. } => settled,
            Self::Until { settled, .. } | Self::Unwatched { known: Some((_, settled)), .. } => Some(settled),
        }
    }

    /// Whether a probe that failed may have done so because of VPP: if VPP was not there during all of it, or had not
    /// settled. Of a backend of which nothing is known, only failures within [`INTERFACES`] and the first one after that
    /// are not believed, lest frontends wait for it.
    fn spoils(self, report: &Report, view: &BackendView) -> bool {
        match self {
            Self::Never | Self::Unwatched { known: None, .. } => false,
            Self::Since { .. } => true,
            Self::Until { back, settled } | Self::Unwatched { known: Some((back, settled)), .. } => {
                let Some(start) = report.ended.checked_sub(report.outcome.duration) else { return true };
                let failed_before = || view.last_probe.as_ref().is_some_and(|last| last.ended >= back);
                let known = view.health.state() != State::Unknown;
                let too_soon = || start < back + INTERFACES || !failed_before();
                start < back || start < settled && (known || too_soon())
            }
        }
    }
}

impl Core {
    /// Whether a probe's failure is to be believed.
    pub(super) fn believes(&self, report: &Report) -> bool {
        let view = self.backends.get(&report.backend);
        report.outcome.passed() || !view.is_some_and(|view| self.absence.spoils(report, view))
    }

    /// The agent found that VPP is disconnected or silent, and had not answered for `silent`.
    pub(super) fn vpp_left(&mut self, silent: Duration, now: Now, effects: &mut Effects) {
        if matches!(self.absence, Absence::Since { .. }) {
            return;
        }
        let unwatched = match self.absence {
            Absence::Unwatched { since, .. } => Some(since),
            _ => None,
        };
        self.absence = Absence::Since { left: now.mono, settled: self.absence.settled() };
        info!("VPP does not answer: probes that fail are not believed until it does");
        if let Some(since) = unwatched.or(now.mono.checked_sub(silent)) {
            self.doubt(since, false, now, effects);
        }
    }

    /// Takes back the backends that went down since then.
    fn doubt(&mut self, since: Instant, probation: bool, now: Now, effects: &mut Effects) {
        for backend in self.backends.down_since(since) {
            match self.backends.doubt(&backend, probation, now) {
                Ok(Some(transition)) => self.follow(&backend, transition, now, effects),
                Ok(None) => {}
                Err(refused) => warn!(%backend, %refused, "a state cannot be taken back"),
            }
        }
    }

    /// VPP answers; if it was restarted, its interfaces may not be up yet.
    pub(super) fn vpp_returned(&mut self, restarted: bool, now: Now, effects: &mut Effects) {
        let back = now.mono;
        let settled =
            if restarted { back + SETTLE } else { self.absence.settled().unwrap_or(back).max(back) };
        match self.absence {
            Absence::Since { left, .. } => {
                let silent_ms = (back - left).as_millis();
                info!(silent_ms, restarted, "VPP answers again: probes that start from now on are believed");
            }
            // Whether VPP answered while backends went down is not known; one more failure proves them right.
            Absence::Unwatched { since, .. } => self.doubt(since, true, now, effects),
            Absence::Never | Absence::Until { .. } if restarted => {}
            Absence::Never | Absence::Until { .. } => return,
        }
        self.absence = Absence::Until { back, settled };
    }

    /// Nobody tells any more whether VPP answers.
    pub(super) fn vpp_unwatched(&mut self, now: Now) {
        let known = match self.absence {
            Absence::Unwatched { .. } => return,
            Absence::Never => None,
            // Results of probes that began before may still come.
            Absence::Since { settled, .. } => Some((now.mono, settled.unwrap_or(now.mono).max(now.mono))),
            Absence::Until { back, settled } => Some((back, settled)),
        };
        self.absence = Absence::Unwatched { since: now.mono, known };
    }
}
