//! When to try again to connect.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::socket_file;

/// Longest pause, and how long a connection must have lasted for the next attempt to come at once.
const LONGEST: Duration = Duration::from_secs(5);
const FIRST: Duration = Duration::from_millis(100);
/// How soon a VPP that is back is noticed by its new socket. Looking costs a system call.
const LOOK: Duration = Duration::from_millis(200);

/// Counts attempts.
#[derive(Debug, Default)]
pub(super) struct Retry {
    attempts: u32,
}

impl Retry {
    /// A connection was made, and lasted this long.
    pub(super) fn connected_for(&mut self, lasted: Duration) {
        if lasted >= LONGEST {
            self.attempts = 0;
        }
    }

    /// Waits before the next attempt: not at all at first, then doubling, with half of it at random. A socket that
    /// is not the one before ends the wait.
    pub(super) async fn pause(&mut self, socket: &Path) {
        let pause = backoff(self.attempts, fastrand::f64());
        self.attempts = self.attempts.saturating_add(1);
        let (until, before) = (Instant::now() + pause, socket_file::at(socket));
        while Instant::now() < until {
            sleep(LOOK.min(until - Instant::now())).await;
            let now = socket_file::at(socket);
            if now.is_some() && now != before {
                // Bound, but perhaps not yet listening: soon again, then.
                self.attempts = 1;
                return;
            }
        }
    }
}

fn backoff(attempts: u32, random: f64) -> Duration {
    match attempts.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => {
            FIRST.saturating_mul(1 << doublings.min(10)).min(LONGEST).mul_f64(0.5 + random / 2.0)
        }
    }
}

#[cfg(test)]
mod tests;
