//! Rate limit on full reads of VPP. A read holds up VPP's forwarding, so all callers share one rate,
//! `reads-per-second` of the policy.
//!
//! `lb_state` is coalesced: one read serves every caller within the time of one read, unless VPP was written
//! to since. A read that must wait for its turn waits before it is queued, so that no write waits behind it.
//! Reads that the agent needs itself (after connecting, or when an answer of VPP contradicts the mirror) are
//! not counted.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use maglev_protocol::{AgentError, LbState};
use tokio::time::{Instant, sleep_until, timeout};

use crate::pace::Pace;
use crate::policy::SharedPolicy;

/// Maximum wait for a turn to read. Beyond it, the read is refused.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The latest read for `lb_state`.
#[derive(Debug)]
struct Newest {
    at: Instant,
    /// [`Reads::changes`] before it.
    changes: u64,
    state: LbState,
}

/// Decides when VPP's whole state may be read.
#[derive(Debug)]
pub(super) struct Reads {
    policy: SharedPolicy,
    pace: Mutex<Pace>,
    /// Held by the read whose turn is next; the others wait in order.
    next: tokio::sync::Mutex<()>,
    newest: tokio::sync::Mutex<Option<Newest>>,
    /// Incremented whenever VPP's state may have changed.
    changes: AtomicU64,
}

impl Reads {
    pub(super) fn new(policy: SharedPolicy) -> Self {
        Self {
            policy,
            pace: Mutex::new(Pace::new(Instant::now())),
            next: tokio::sync::Mutex::default(),
            newest: tokio::sync::Mutex::default(),
            changes: AtomicU64::new(0),
        }
    }

    /// VPP was written to, connected or disconnected: earlier reads are outdated.
    pub(super) fn outdated(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for a turn to read. A caller that gives up uses none.
    ///
    /// # Errors
    /// If it would take longer than [`LONGEST_WAIT`].
    pub(super) async fn turn(&self) -> Result<(), AgentError> {
        let turn = async {
            let _next = self.next.lock().await;
            while let Err(when) = self.take() {
                sleep_until(when).await;
            }
        };
        timeout(LONGEST_WAIT, turn).await.map_err(|_| self.refusal())
    }

    /// Takes a turn only if one is free and nobody is waiting.
    pub(super) fn turn_now(&self) -> Result<(), AgentError> {
        let _next = self.next.try_lock().map_err(|_| self.refusal())?;
        self.take().map_err(|_| self.refusal())
    }

    /// The state of the latest read, or of a new one if that is too old.
    pub(super) async fn state<F>(&self, read: impl FnOnce() -> F) -> Result<LbState, AgentError>
    where
        F: Future<Output = Result<LbState, AgentError>>,
    {
        let mut newest = self.newest.lock().await;
        let changes = self.changes.load(Ordering::Relaxed);
        let least_age = Duration::from_secs(1) / self.per_second();
        let serves = |newest: &&Newest| newest.changes == changes && newest.at.elapsed() < least_age;
        if let Some(newest) = newest.as_ref().filter(serves) {
            return Ok(LbState { age: newest.at.elapsed(), ..newest.state.clone() });
        }
        *newest = None;
        self.turn().await?;
        let changes = self.changes.load(Ordering::Relaxed);
        let state = read().await?;
        *newest = Some(Newest { at: Instant::now(), changes, state: state.clone() });
        Ok(state)
    }

    fn per_second(&self) -> u32 {
        self.policy.current().limits.reads_per_second
    }

    fn take(&self) -> Result<(), Instant> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.take(self.per_second(), Instant::now())
    }

    fn refusal(&self) -> AgentError {
        let per_second = self.per_second();
        let rule = self.policy.current().limit("reads-per-second", per_second);
        AgentError::TooMany {
            what: format!("reads of VPP's whole state in a second ({rule})"),
            most: per_second.into(),
        }
    }
}

#[cfg(test)]
mod tests;
