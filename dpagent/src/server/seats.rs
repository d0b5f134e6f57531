//! Connections, and which of them gives way when there are too many.
//!
//! A new connection replaces one that has not said hello, or else the one that has been idle longest. The
//! writing brain keeps all of its connections, and no process can take all places.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use maglev_protocol::BrainHello;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::peer::Peer;

/// Maximum number of connections: three of a brain, as many of its successor, and some operators' tools.
pub const MOST_CONNECTIONS: usize = 16;
/// Maximum number of connections of one process. Further ones are closed at once.
pub const MOST_OF_A_PROCESS: usize = 8;

/// A connection, as others see it.
#[derive(Debug)]
pub(super) struct Session {
    /// Identifies the connection; later ones have higher numbers.
    pub(super) number: u64,
    pub(super) peer: Peer,
    /// The brain, once it has said hello with this protocol.
    brain: OnceLock<BrainHello>,
    /// Time of its last request.
    used: Mutex<Instant>,
    /// Cancelled when the connection must end.
    gives_way: CancellationToken,
}

impl Session {
    pub(super) fn new(number: u64, peer: Peer, now: Instant) -> Self {
        let (brain, gives_way) = (OnceLock::new(), CancellationToken::new());
        Self { number, peer, brain, used: Mutex::new(now), gives_way }
    }

    pub(super) fn brain(&self) -> Option<&BrainHello> {
        self.brain.get()
    }

    /// Records the first hello. False if it is not the first.
    pub(super) fn greet(&self, brain: BrainHello) -> bool {
        self.brain.set(brain).is_ok()
    }

    pub(super) fn use_now(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns when the connection must give way to another one.
    pub(super) async fn must_go(&self) {
        self.gives_way.cancelled().await;
    }

    fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All connections. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Seats(Arc<Mutex<BTreeMap<u64, Arc<Session>>>>);

impl Seats {
    /// Finds a place for a connection; returns the one that gives way for it, if any. If there is no place,
    /// the connection is returned with the reason.
    pub(super) fn take(
        &self,
        session: &Arc<Session>,
        is_writer: impl Fn(&Session) -> bool,
    ) -> Result<Option<Arc<Session>>, &'static str> {
        let mut seats = self.lock();
        if seats.values().filter(|other| other.peer == session.peer).count() >= MOST_OF_A_PROCESS {
            return Err("a process may have 8 connections");
        }
        let mut gone = None;
        if seats.len() >= MOST_CONNECTIONS {
            let others = seats.values().filter(|other| !is_writer(other));
            let least = others.min_by_key(|other| (other.brain().is_some(), other.used(), other.number));
            let least = Arc::clone(least.ok_or("all 16 belong to the brain that writes to VPP")?);
            least.gives_way.cancel();
            seats.remove(&least.number);
            gone = Some(least);
        }
        seats.insert(session.number, Arc::clone(session));
        Ok(gone)
    }

    /// Removes a connection that has ended.
    pub(super) fn leave(&self, number: u64) {
        self.lock().remove(&number);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
