//! Coalesces requests to the agent: thousands of operators cost VPP no more than one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use maglev_engine::agent::CallError;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long an answer of the agent, even a failure, is shared.
pub(crate) const SHARED_FOR: Duration = Duration::from_secs(1);

/// An answer of the agent with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed<T> {
    /// The answer.
    pub value: T,
    /// Time of arrival.
    pub at: Instant,
}

/// Result of a request to the agent.
pub(crate) type Answer<T> = Result<Arc<Timed<T>>, CallError>;

type Ask<T> = dyn Fn() -> BoxFuture<'static, Result<T, CallError>> + Send + Sync;
/// A request: `None` while in flight, then its result with the time.
type Pending<T> = watch::Receiver<Option<(Instant, Answer<T>)>>;

/// Makes one request at a time. Its answer serves all callers meanwhile and for [`SHARED_FOR`] afterwards,
/// unless [forgotten](Self::forget). Clones share it.
pub struct Coalesced<T> {
    ask: Arc<Ask<T>>,
    newest: Arc<Mutex<Option<Pending<T>>>>,
}

impl<T> Clone for Coalesced<T> {
    fn clone(&self) -> Self {
        Self { ask: Arc::clone(&self.ask), newest: Arc::clone(&self.newest) }
    }
}

impl<T> fmt::Debug for Coalesced<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalesced").finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> Coalesced<T> {
    /// Uses this source. Its requests must end by themselves, since the next one waits for the last.
    pub fn from_source<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<T, CallError>> + Send + 'static,
    {
        Self { ask: Arc::new(move || ask().boxed()), newest: Arc::default() }
    }

    /// An answer at most [`SHARED_FOR`] old. A caller that stops waiting does not affect the others. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// Those of the source.
    pub async fn get(&self) -> Answer<T> {
        let mut asked = self.asked(Instant::now());
        let answered = asked.wait_for(Option::is_some).await;
        match answered.as_deref() {
            Ok(Some((_, answer))) => answer.clone(),
            Ok(None) | Err(_) => Err(CallError::Away("not asked: maglev-brain is shutting down".to_owned())),
        }
    }

    /// Invalidates the answer, because VPP has changed: the next caller gets one that is requested from now
    /// on.
    pub fn forget(&self) {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn asked(&self, now: Instant) -> Pending<T> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let serves = |asked: &&Pending<T>| {
            asked.borrow().as_ref().is_none_or(|(at, _)| now.saturating_duration_since(*at) < SHARED_FOR)
        };
        if let Some(asked) = newest.as_ref().filter(serves) {
            return asked.clone();
        }
        // Tasks of their own, so that the request outlives its first callers, and its answer gets a timestamp
        // even if nobody waits any more.
        let question = tokio::spawn((self.ask)());
        let (answered, asked) = watch::channel(None);
        tokio::spawn(async move {
            let answer =
                question.await.unwrap_or_else(|error| Err(CallError::Away(format!("not asked: {error}"))));
            let at = Instant::now();
            answered.send_replace(Some((at, answer.map(|value| Arc::new(Timed { value, at })))));
        });
        newest.insert(asked).clone()
    }
}

#[cfg(test)]
mod tests;
