//! Warm-up: when a frontend is first programmed after the brain's start. Pure; the clock is the process's
//! own, and nothing restarts it.
//!
//! A brain that has just started knows less than VPP does: VPP's state was decided by a brain that had probed
//! everything. So nothing is written for a while, then each frontend as soon as all of its backends are
//! known, and at the end the rest.

use std::time::{Duration, Instant};

/// Phase of the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing is written, unless VPP has no VIPs.
    Waiting,
    /// Frontends are released as their backends become known.
    Releasing,
    /// Everything has been released.
    Over,
}

/// The gate that every frontend passes once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warmup {
    started: Instant,
    min_delay: Duration,
    max_delay: Duration,
    phase: Phase,
}

impl Warmup {
    /// A warm-up that began at `started`. With both delays 0 there is none.
    pub fn new(started: Instant, min_delay: Duration, max_delay: Duration) -> Self {
        let mut warmup = Self { started, min_delay, max_delay, phase: Phase::Waiting };
        warmup.phase = warmup.phase_at(started);
        warmup
    }

    /// The phase as of the last [`advance`](Self::advance).
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Time since the start.
    pub fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// Advances to the phase of this time; returns it if it is new.
    pub fn advance(&mut self, now: Instant) -> Option<Phase> {
        let phase = self.phase_at(now).max(self.phase);
        (std::mem::replace(&mut self.phase, phase) != phase).then_some(phase)
    }

    /// When the next phase begins.
    pub fn next_phase_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting => Some(self.started + self.min_delay),
            Phase::Releasing => Some(self.started + self.max_delay),
            Phase::Over => None,
        }
    }

    /// Whether a frontend may be programmed. `known`: all of its backends are known. `vpp_is_empty`: VPP had
    /// no VIPs when it was connected, so there is nothing to protect.
    pub fn releases(&self, known: bool, vpp_is_empty: bool) -> bool {
        match self.phase {
            Phase::Waiting => known && vpp_is_empty,
            Phase::Releasing => known,
            Phase::Over => true,
        }
    }

    /// Whether anything may be written to VPP, such as its settings, or the removal of VIPs that are not
    /// configured.
    pub fn may_write(&self, vpp_is_empty: bool) -> bool {
        self.phase != Phase::Waiting || vpp_is_empty
    }

    fn phase_at(&self, now: Instant) -> Phase {
        let elapsed = self.elapsed(now);
        if elapsed >= self.max_delay {
            Phase::Over
        } else if elapsed >= self.min_delay {
            Phase::Releasing
        } else {
            Phase::Waiting
        }
    }
}

#[cfg(test)]
mod tests;
