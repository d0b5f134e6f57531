//! Backoff between attempts to connect.

use std::time::Duration;

/// First pause; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(100);
/// Maximum pause.
pub const LONGEST: Duration = Duration::from_secs(5);

/// Pause before the next attempt, after `failures` failures: none at first, then doubling up to [`LONGEST`];
/// half of it is random, so that many clients do not return in step.
pub fn backoff(failures: u32) -> Duration {
    stretched(failures, fastrand::f64())
}

fn stretched(failures: u32, random: f64) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => {
            FIRST.saturating_mul(1 << doublings.min(10)).min(LONGEST).mul_f64(0.5 + random / 2.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_attempt_comes_at_once_and_pauses_grow_to_a_limit() {
        assert_eq!(stretched(0, 0.9), Duration::ZERO);
        let full: Vec<_> = (1..=8).map(|failures| stretched(failures, 1.0).as_millis()).collect();
        assert_eq!(full, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(stretched(u32::MAX, 0.0), LONGEST / 2);
    }
}
