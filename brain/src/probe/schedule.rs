//! When the next probe starts. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::HealthCheck;

/// How far an interval is stretched or shrunk at random, so that probes do not fall into step.
const JITTER: f64 = 0.1;

/// How often a backend is to be probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Fully up: `interval`.
    Normal,
    /// Unknown, or on its way up or down: `fast-interval`.
    Fast,
    /// Fully down: `down-interval`.
    Down,
    /// Not at all.
    Stopped,
}

/// The interval at this pace, or `None` if there shall be no probe.
pub(super) fn interval(check: &HealthCheck, pace: Pace) -> Option<Duration> {
    match pace {
        Pace::Normal => Some(check.interval),
        Pace::Fast => Some(check.fast_interval),
        Pace::Down => Some(check.down_interval),
        Pace::Stopped => None,
    }
}

/// Start of the next probe: an interval after the start of the last. A probe that took longer than the
/// interval is followed at once; the starts that it missed are not made up for. `random` is from 0 to 1.
pub(super) fn next_start(last_start: Instant, now: Instant, interval: Duration, random: f64) -> Instant {
    let stretched = interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * random);
    (last_start + stretched).max(now)
}

/// Delay of the first probe: somewhere in the interval, or in the time before anything is written to VPP if
/// that is shorter, so that all backends are known by then.
pub(super) fn first_delay(check: &HealthCheck, startup_min_delay: Duration, random: f64) -> Duration {
    check.interval.min(check.fast_interval).min(startup_min_delay).mul_f64(random)
}
