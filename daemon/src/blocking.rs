//! Blocking work: on a disk, on the user database, on a processor. Each job has its own thread and a time
//! limit.
//!
//! tokio's `spawn_blocking` panics when no thread can be started, or leaves the job in its queue until
//! another one needs a thread, and it has no time limit. Here all of these are errors, and the next job is
//! tried afresh.

use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// Why a job has no result.
#[derive(Debug, thiserror::Error)]
pub enum BlockingError {
    /// The process, its user, or the machine has reached its limit on threads.
    #[error("no thread could be started for {what}: {error}")]
    NoThread {
        /// The job.
        what: &'static str,
        /// The system's error.
        error: std::io::Error,
    },
    /// The job exceeded its time limit. It continues, but its result is dropped.
    #[error("{what} has not ended within {} s", limit.as_secs())]
    Late {
        /// The job.
        what: &'static str,
        /// The time limit.
        limit: Duration,
    },
    /// The maximum number of jobs is running, and none ended in time.
    #[error("{what} did not start within {} s: {most} others have not ended", limit.as_secs())]
    Busy {
        /// The job.
        what: &'static str,
        /// The maximum number.
        most: usize,
        /// Time waited.
        limit: Duration,
    },
    /// A bug in this program.
    #[error("{0} failed: it panicked")]
    Panicked(&'static str),
}

/// One kind of blocking job. Clones share its limits.
#[derive(Debug, Clone)]
pub struct Blocking {
    what: &'static str,
    most: usize,
    limit: Duration,
    free: Arc<Semaphore>,
}

impl Blocking {
    /// A kind of job with this name, in the form "reading the file". At most `most` jobs run at once,
    /// including those that hang; one more waits. The time limit covers waiting and working.
    #[must_use]
    pub fn new(what: &'static str, most: usize, limit: Duration) -> Self {
        Self { what, most, limit, free: Arc::new(Semaphore::new(most)) }
    }

    /// Runs one job. Once begun, it runs to its end even if this future is dropped.
    ///
    /// # Errors
    /// If it cannot be begun, does not end in time, or panics.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        let Self { what, most, limit, .. } = *self;
        let until = Instant::now() + limit;
        let free = Arc::clone(&self.free).acquire_owned();
        // The semaphore is never closed.
        let Ok(Ok(place)) = timeout_at(until, free).await else {
            return Err(BlockingError::Busy { what, most, limit });
        };
        let (result, ended) = oneshot::channel();
        let thread = Builder::new().name("blocking".to_owned()).spawn(move || {
            let done = work();
            // Fails only if nobody waits any more.
            drop(result.send(done));
            drop(place);
        });
        thread.map_err(|error| BlockingError::NoThread { what, error })?;
        match timeout_at(until, ended).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err(BlockingError::Panicked(what)),
            Err(_) => Err(BlockingError::Late { what, limit }),
        }
    }
}

#[cfg(test)]
mod tests;
