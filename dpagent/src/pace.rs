//! A token bucket: rate limit per second. Pure: callers pass the time.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket of one second's tokens, which refills steadily. The rate may change at each use.
#[derive(Debug)]
pub(crate) struct Pace {
    left: f64,
    as_of: Instant,
}

impl Pace {
    /// Starts full.
    pub(crate) fn new(now: Instant) -> Self {
        Self { left: f64::INFINITY, as_of: now }
    }

    /// Takes one token; otherwise returns when there will be one.
    pub(crate) fn take(&mut self, per_second: u32, now: Instant) -> Result<(), Instant> {
        let per_second = f64::from(per_second);
        let passed = now.saturating_duration_since(self.as_of).as_secs_f64();
        self.left = (self.left + passed * per_second).min(per_second);
        self.as_of = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        // One nanosecond more, so that rounding never makes it too early.
        Err(now + Duration::from_secs_f64((1.0 - self.left) / per_second) + Duration::from_nanos(1))
    }
}

#[cfg(test)]
mod tests;
