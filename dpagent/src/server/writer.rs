//! Who may write: one brain at a time, so that two never undo each other's work in turns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use maglev_protocol::{AgentError, BrainHello};
use tokio::time::Instant;

use super::peer::Peer;
use super::seats::Session;

/// The one place for a writer. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct WriterSeat(Arc<Mutex<Option<Writer>>>);

/// A connection that may want to write, and the brain at its other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Tells connections apart.
    pub(super) connection: u64,
    /// How the brain introduced itself. Its instance is the proof that two connections are of one brain, and so is told
    /// to nobody.
    pub(super) brain: BrainHello,
    /// As the kernel tells it.
    pub(super) peer: Peer,
}

#[derive(Debug)]
struct Writer {
    candidate: Candidate,
    since: Instant,
}

impl WriterSeat {
    /// Makes a connection the writer, if it is not yet, and nobody else is; true if that is new. A brain that has
    /// connected anew takes the place from its own former connection, whose end may not have been noticed yet.
    ///
    /// # Errors
    /// [`AgentError::AnotherWriter`].
    pub(super) fn take(&self, candidate: &Candidate, now: Instant) -> Result<bool, AgentError> {
        let mut seat = self.lock();
        if let Some(writer) = &*seat {
            let Candidate { connection, brain, peer } = &writer.candidate;
            if *connection == candidate.connection {
                return Ok(false);
            }
            let newer = candidate.connection > *connection;
            let same = brain.instance == candidate.brain.instance && *peer == candidate.peer;
            if !same || !newer {
                return Err(AgentError::AnotherWriter {
                    version: brain.version.clone(),
                    pid: peer.pid,
                    seconds: now.saturating_duration_since(writer.since).as_secs(),
                });
            }
        }
        *seat = Some(Writer { candidate: candidate.clone(), since: now });
        Ok(true)
    }

    /// A connection has ended. True if it was the writer's.
    pub(super) fn leave(&self, connection: u64) -> bool {
        let mut seat = self.lock();
        seat.take_if(|writer| writer.candidate.connection == connection).is_some()
    }

    /// Whether a connection is of the process that writes, or of the same brain in a process that cannot be told.
    pub(super) fn has(&self, session: &Session) -> bool {
        self.lock().as_ref().is_some_and(|Writer { candidate: Candidate { brain, peer, .. }, .. }| {
            let same_brain = || session.brain().is_some_and(|other| other.instance == brain.instance);
            session.peer == *peer && (peer.pid.is_some() || same_brain())
        })
    }

    /// Whoever panicked left either no writer or a whole one.
    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
