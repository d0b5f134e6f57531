//! Questions to the agent that many may ask at once: operators by the thousand make VPP work no more than one does.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use maglev_engine::agent::CallError;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long an answer of the agent serves all who ask, a failure too.
pub(crate) const SHARED_FOR: Duration = Duration::from_secs(1);

/// An answer of the agent, and when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed<T> {
    /// The answer.
    pub value: T,
    /// When it came.
    pub at: Instant,
}

/// What one question to the agent brings.
pub(crate) type Answer<T> = Result<Arc<Timed<T>>, CallError>;

type Ask<T> = dyn Fn() -> BoxFuture<'static, Result<T, CallError>> + Send + Sync;
/// A question: `None` while it is under way, then its answer and when it came.
type Asked<T> = watch::Receiver<Option<(Instant, Answer<T>)>>;

/// Asks one question at a time. Its answer serves everyone who asks meanwhile and within [`SHARED_FOR`] after it came,
/// unless it was [forgotten](Self::forget). Clones share it.
pub struct Coalesced<T> {
    ask: Arc<Ask<T>>,
    newest: Arc<Mutex<Option<Asked<T>>>>,
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
    /// Asks this source, which must end by itself: it is not asked again before.
    pub fn from_source<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<T, CallError>> + Send + 'static,
    {
        Self { ask: Arc::new(move || ask().boxed()), newest: Arc::default() }
    }

    /// The answer, which came at most [`SHARED_FOR`] ago. Callers that stop waiting take it from nobody else. To be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// As the source's.
    pub async fn get(&self) -> Answer<T> {
        let mut asked = self.asked(Instant::now());
        let answered = asked.wait_for(Option::is_some).await;
        match answered.as_deref() {
            Ok(Some((_, answer))) => answer.clone(),
            Ok(None) | Err(_) => Err(CallError::Away("not asked: the brain is ending".to_owned())),
        }
    }

    /// The next caller gets an answer to a question asked after this moment: VPP was changed.
    pub fn forget(&self) {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn asked(&self, now: Instant) -> Asked<T> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let serves = |asked: &&Asked<T>| {
            asked.borrow().as_ref().is_none_or(|(at, _)| now.saturating_duration_since(*at) < SHARED_FOR)
        };
        if let Some(asked) = newest.as_ref().filter(serves) {
            return asked.clone();
        }
        // Tasks of their own, so that the question outlives its first callers, and its answer gets its time even if nobody
        // waits for it any more.
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
