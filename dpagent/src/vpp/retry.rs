//! Pauses between attempts to connect.

use std::path::Path;
use std::time::Duration;

use maglev_daemon::retry::{LONGEST, backoff};
use tokio::time::{Instant, sleep};

use super::socket_file;

/// How often the socket's file is checked, to notice a restarted VPP early. Costs one system call.
const LOOK: Duration = Duration::from_millis(200);

/// Counts attempts.
#[derive(Debug, Default)]
pub(super) struct Retry {
    attempts: u32,
}

impl Retry {
    /// Records how long a connection lasted: if longer than the longest pause, the next attempt comes at
    /// once.
    pub(super) fn connected_for(&mut self, lasted: Duration) {
        if lasted >= LONGEST {
            self.attempts = 0;
        }
    }

    /// Waits before the next attempt: not at all at first, then longer each time. A new socket file ends the
    /// wait.
    pub(super) async fn pause(&mut self, socket: &Path) {
        let pause = backoff(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        let (until, before) = (Instant::now() + pause, socket_file::at(socket));
        while Instant::now() < until {
            sleep(LOOK.min(until - Instant::now())).await;
            let now = socket_file::at(socket);
            if now.is_some() && now != before {
                // Bound, but perhaps not yet listening: retry soon.
                self.attempts = 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
