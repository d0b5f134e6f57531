//! Warnings that clients can cause, at most one in a while, so that nobody can flood the log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const PERIOD: Duration = Duration::from_secs(1);

/// When the last warning was, and how many were left out since.
#[derive(Debug, Default)]
pub(super) struct Paced(Mutex<(Option<Instant>, u64)>);

impl Paced {
    /// Has this told, with the number of those that were left out before it, if it is time.
    pub(super) fn warn(&self, tell: impl FnOnce(u64)) {
        let now = Instant::now();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, left_out) = &mut *state;
        if told.is_some_and(|told| now.saturating_duration_since(told) < PERIOD) {
            *left_out += 1;
            return;
        }
        *told = Some(now);
        let left_out = std::mem::take(left_out);
        drop(state);
        tell(left_out);
    }
}

#[cfg(test)]
mod tests;
