//! Work that blocks: on a disk, on the user database, on a processor. Each piece has a thread of its own, and a time limit.
//!
//! tokio's `spawn_blocking` panics when no thread can be started, or keeps the work in its queue until something else needs
//! a thread; and nothing bounds how long it is waited for. Here all of it is an error, and the next piece is tried afresh.

use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum BlockingError {
    /// The process, its user, or the machine has all the threads that it may have.
    #[error("no thread could be started for {what}: {error}")]
    NoThread {
        /// What the thread was for.
        what: &'static str,
        /// The system's reason.
        error: std::io::Error,
    },
    /// It goes on, and nobody waits for it any more.
    #[error("{what} has not ended within {} s", limit.as_secs())]
    Late {
        /// What it is.
        what: &'static str,
        /// For how long it was waited for.
        limit: Duration,
    },
    /// As many pieces as may be under way were started before, and none has ended.
    #[error("{what} was not begun within {} s: {most} before it have not ended", limit.as_secs())]
    Busy {
        /// What it is.
        what: &'static str,
        /// How many.
        most: usize,
        /// For how long it was waited.
        limit: Duration,
    },
    /// A mistake in this program.
    #[error("{0} failed: it panicked")]
    Panicked(&'static str),
}

/// One kind of blocking work. Clones share its bounds.
#[derive(Debug, Clone)]
pub struct Blocking {
    what: &'static str,
    most: usize,
    limit: Duration,
    free: Arc<Semaphore>,
}

impl Blocking {
    /// Work of this name, in the form of "reading the file". At most so many pieces are under way, those that hang
    /// included; one more waits. The limit is for waiting and working together.
    #[must_use]
    pub fn new(what: &'static str, most: usize, limit: Duration) -> Self {
        Self { what, most, limit, free: Arc::new(Semaphore::new(most)) }
    }

    /// Does one piece of work. It is done to its end even if this future is dropped once it has begun.
    ///
    /// # Errors
    /// If it cannot be begun, has not ended in time, or panics.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        let Self { what, most, limit, .. } = *self;
        let until = Instant::now() + limit;
        let free = Arc::clone(&self.free).acquire_owned();
        // Never closed.
        let Ok(Ok(place)) = timeout_at(until, free).await else {
            return Err(BlockingError::Busy { what, most, limit });
        };
        let (result, ended) = oneshot::channel();
        let thread = Builder::new().name("blocking".to_owned()).spawn(move || {
            let done = work();
            // An error means that nobody waits any more.
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
