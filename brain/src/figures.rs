//! What VPP counts, for all who ask at once: operators and the exporter by the thousand make the agent work no more than
//! one does.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, Shared};
use maglev_protocol::{Counters, ServerFigure, ServerFigures, VipKey};
use tokio::time::Instant;

use crate::agent::{AgentReader, CallError};

/// How long an answer of the agent serves all who ask, a failure too.
pub const SHARED_FOR: Duration = Duration::from_secs(1);

/// What the agent answered, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed<T> {
    /// The answer.
    pub value: T,
    /// When it came.
    pub at: Instant,
}

impl Timed<Counters> {
    /// How old the VIPs' counters are.
    pub fn vips_age(&self, now: Instant) -> Duration {
        self.value.age.saturating_add(now.saturating_duration_since(self.at))
    }

    /// How old the servers' figures are, if the agent has any.
    pub fn servers_age(&self, now: Instant) -> Option<Duration> {
        let servers = self.value.servers.as_ref()?;
        Some(servers.age.saturating_add(now.saturating_duration_since(self.at)))
    }

    /// The figures of one server of a VIP, if VPP has it.
    pub fn server(&self, vip: &VipKey, address: IpAddr) -> Option<&ServerFigure> {
        let ServerFigures { servers, .. } = self.value.servers.as_ref()?;
        let found = servers.binary_search_by_key(&(*vip, address), |server| (server.vip, server.address));
        found.ok().and_then(|index| servers.get(index))
    }
}

/// What one question to the agent brings.
pub type Answer = Result<Arc<Timed<Counters>>, CallError>;

type Ask = dyn Fn() -> BoxFuture<'static, Result<Counters, CallError>> + Send + Sync;
/// A question that may be under way, and its answer with the time when it came.
type Asked = Shared<BoxFuture<'static, (Instant, Answer)>>;

/// Asks the agent what VPP counts: one question at a time, whose answer all get who ask meanwhile and within
/// [`SHARED_FOR`] after it, unless it was [forgotten](Self::forget).
#[derive(Clone)]
pub struct Figures {
    ask: Arc<Ask>,
    newest: Arc<Mutex<Option<Asked>>>,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}

impl Figures {
    /// Asks through this reader.
    pub fn new(reader: AgentReader) -> Self {
        Self::from_source(move || {
            let reader = reader.clone();
            async move { reader.counters().await }.boxed()
        })
    }

    /// Asks this source, which must end by itself: it is not asked again before.
    pub fn from_source(
        ask: impl Fn() -> BoxFuture<'static, Result<Counters, CallError>> + Send + Sync + 'static,
    ) -> Self {
        Self { ask: Arc::new(ask), newest: Arc::default() }
    }

    /// What VPP counts, at most [`SHARED_FOR`] older than when the agent told it. Whoever stops waiting takes the answer
    /// from nobody else. To be called within a tokio runtime.
    ///
    /// # Errors
    /// As the source's.
    pub async fn get(&self) -> Answer {
        let asked = self.asked(Instant::now());
        asked.await.1
    }

    /// Has the next one who asks get an answer that is newer than this moment: VPP was changed.
    pub fn forget(&self) {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn asked(&self, now: Instant) -> Asked {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let serves = |asked: &&Asked| {
            asked.peek().is_none_or(|(at, _)| now.saturating_duration_since(*at) < SHARED_FOR)
        };
        if let Some(asked) = newest.as_ref().filter(serves) {
            return asked.clone();
        }
        // A task of its own, so that the question outlives those who asked first.
        let question = tokio::spawn((self.ask)());
        let asked = async move {
            let answer =
                question.await.unwrap_or_else(|error| Err(CallError::Away(format!("not asked: {error}"))));
            let at = Instant::now();
            (at, answer.map(|value| Arc::new(Timed { value, at })))
        };
        newest.insert(asked.boxed().shared()).clone()
    }
}

#[cfg(test)]
mod tests;
