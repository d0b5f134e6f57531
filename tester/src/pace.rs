//! When requests are made: the cadence of one VIP, and upper bounds on requests per second. Pure.

use std::time::{Duration, Instant};

use maglev_engine::schedule::next_start;

/// Start times of one VIP's probes: an interval from start to start, with the jitter of health checks.
///
/// Counted from when a probe was due rather than from when it began, so that the delays of timers do not add up. A probe
/// that takes longer than the interval is followed at once; the starts that it missed are not made up for.
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    interval: Duration,
    due: Instant,
}

impl Cadence {
    /// The first probe is due at `first`.
    pub fn new(interval: Duration, first: Instant) -> Self {
        Self { interval, due: first }
    }

    /// When the next probe is due.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// A probe has ended. `random`, from 0 to 1, is the jitter of the next one.
    pub fn ended(&mut self, now: Instant, random: f64) {
        self.due = next_start(self.due, now, self.interval, random);
    }
}

/// At most so many requests a second, evenly spaced: there are no bursts.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    gap: Duration,
    free: Instant,
}

impl Rate {
    /// `per_second` is at least 1.
    pub fn new(per_second: u32, now: Instant) -> Self {
        Self { gap: Duration::from_secs(1) / per_second.max(1), free: now }
    }

    /// When the next request may be made. It counts as made.
    pub fn reserve(&mut self, now: Instant) -> Instant {
        let at = self.free.max(now);
        self.free = at + self.gap;
        at
    }
}

#[cfg(test)]
mod tests;
