//! Time of VPP's last answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use vppapi::client::ClientError;

/// Time of VPP's last answer. Clones share it.
#[derive(Debug, Clone)]
pub struct LastAnswer(Arc<Mutex<Instant>>);

impl LastAnswer {
    /// Starts with an answer now.
    pub fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Records the time if VPP has answered, even with a refusal.
    pub fn note<T>(&self, result: Result<T, ClientError>) -> Result<T, ClientError> {
        if is_answer(&result) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        result
    }

    /// Records the time if VPP has answered every request of a burst. If the burst was cut short, it is
    /// unknown when the last answer came.
    pub fn note_all<T>(&self, results: &[Result<T, ClientError>]) {
        if !results.is_empty() && results.iter().all(is_answer) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    /// Time of the last answer.
    pub fn at(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the last answer.
    pub fn silence(&self) -> Duration {
        self.at().elapsed()
    }
}

fn is_answer<T>(result: &Result<T, ClientError>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => matches!(
            error,
            ClientError::Refused { .. } | ClientError::Decode(_) | ClientError::TooManyDetails { .. }
        ),
    }
}

#[cfg(test)]
mod tests;
