//! Probe schedule: when the next probe starts.

use std::time::{Duration, Instant};

use crate::config::HealthCheck;

/// Random variation of an interval, as a fraction, so that probes do not fall into step.
const JITTER: f64 = 0.1;
/// Minimum time between the first probes of two backends: at most 20,000 start in a second, about what one
/// core can do, even if the warm-up is shorter.
const FIRST_PROBE_GAP: Duration = Duration::from_micros(50);

/// Which of the probing intervals applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Pace {
    /// Fully up: `interval`.
    Normal,
    /// Unknown, or on its way up or down: `fast-interval`.
    Fast,
    /// Fully down: `down-interval`.
    Down,
    /// No probes.
    Stopped,
}

/// Times between the starts of two probes of one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// While fully up.
    pub normal: Duration,
    /// While unknown, or on the way up or down.
    pub fast: Duration,
    /// While fully down.
    pub down: Duration,
}

impl Intervals {
    /// The intervals of a check.
    pub fn of(check: &HealthCheck) -> Self {
        Self { normal: check.interval, fast: check.fast_interval, down: check.down_interval }
    }

    /// The interval at this pace, or `None` for no probes.
    pub fn at(&self, pace: Pace) -> Option<Duration> {
        match pace {
            Pace::Normal => Some(self.normal),
            Pace::Fast => Some(self.fast),
            Pace::Down => Some(self.down),
            Pace::Stopped => None,
        }
    }

    /// Delay of the first probe after a start. The backends' first probes are spread evenly over the
    /// interval, or over `startup_min_delay` if that is shorter, so that all are known before anything is
    /// written to VPP. `rank` is the backend's index among `backends`; `random` is from 0 to 1.
    pub fn first_delay(
        &self,
        startup_min_delay: Duration,
        rank: usize,
        backends: usize,
        random: f64,
    ) -> Duration {
        let interval = self.normal.min(self.fast);
        let count = u32::try_from(backends).unwrap_or(u32::MAX).max(1);
        let spread = interval.min(startup_min_delay.max(FIRST_PROBE_GAP.saturating_mul(count)));
        let rank = f64::from(u32::try_from(rank).unwrap_or(u32::MAX));
        spread.mul_f64(((rank + random) / f64::from(count)).clamp(0.0, 1.0))
    }
}

/// Start of the next probe: one interval after the start of the last. A probe that took longer than the
/// interval is followed at once; missed starts are skipped. `random` is from 0 to 1.
pub fn next_start(last_start: Instant, now: Instant, interval: Duration, random: f64) -> Instant {
    let stretched = interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * random);
    (last_start + stretched).max(now)
}

#[cfg(test)]
mod tests;
