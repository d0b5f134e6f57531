//! When VPP was last heard of.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use vppapi::client::ClientError;

/// The time of VPP's last answer. Clones share it.
#[derive(Debug, Clone)]
pub struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    /// VPP answers now.
    pub fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Notes the time if VPP has answered, be it with a refusal.
    pub fn note<T>(&self, result: Result<T, ClientError>) -> Result<T, ClientError> {
        if is_answer(&result) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        result
    }

    /// Notes the time if VPP has answered all of a burst. Of one that broke off, it is not known when the answers
    /// before the break came.
    pub fn note_all<T>(&self, results: &[Result<T, ClientError>]) {
        if !results.is_empty() && results.iter().all(is_answer) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    /// When that was.
    pub fn at(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long ago that was.
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
