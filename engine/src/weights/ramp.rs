//! The slow start of one backend.

use std::time::Duration;

/// The programmed weight after `elapsed` of a slow start that takes `whole`, and the time to its next step;
/// `None` once it has all of `full`. Proportional to the time, but at least 1 from the start.
pub fn ramp(full: u8, elapsed: Duration, whole: Duration) -> (u8, Option<Duration>) {
    if full <= 1 || elapsed >= whole {
        return (full, None);
    }
    let (steps, elapsed, whole) = (u128::from(full), elapsed.as_nanos(), whole.as_nanos());
    // Below `full`, since `elapsed` is below `whole`.
    let reached = (steps * elapsed / whole).max(1);
    let next = (whole * (reached + 1)).div_ceil(steps) - elapsed;
    let next = u64::try_from(next).map_or(Duration::MAX, Duration::from_nanos);
    (u8::try_from(reached).unwrap_or(full), Some(next))
}

#[cfg(test)]
mod tests;
