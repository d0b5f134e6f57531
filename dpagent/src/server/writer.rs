//! Who may write: one brain at a time, so that two never undo each other's work in turns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use maglev_protocol::{AgentError, BrainHello};
use tokio::time::Instant;
use tracing::info;

/// The one place for a writer. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct WriterSeat(Arc<Mutex<Option<Writer>>>);

/// A connection that may want to write, and the brain at its other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Tells connections apart.
    pub(super) connection: u64,
    /// How the brain introduced itself.
    pub(super) brain: BrainHello,
    /// As the kernel tells it.
    pub(super) pid: Option<i32>,
}

#[derive(Debug)]
struct Writer {
    candidate: Candidate,
    since: Instant,
}

impl WriterSeat {
    /// Makes a connection the writer, if it is not yet, and nobody else is. A brain that has connected anew takes the
    /// place from its own former connection, whose end may not have been noticed yet.
    ///
    /// # Errors
    /// [`AgentError::AnotherWriter`].
    pub(super) fn take(&self, candidate: &Candidate, now: Instant) -> Result<(), AgentError> {
        let mut seat = self.lock();
        if let Some(writer) = &*seat {
            let Candidate { connection, brain, pid } = &writer.candidate;
            if *connection == candidate.connection {
                return Ok(());
            }
            let newer = candidate.connection > *connection;
            if brain.instance != candidate.brain.instance || !newer {
                return Err(AgentError::AnotherWriter {
                    version: brain.version.clone(),
                    instance: brain.instance,
                    pid: *pid,
                    seconds: now.saturating_duration_since(writer.since).as_secs(),
                });
            }
        }
        let Candidate { connection, brain, pid } = candidate;
        info!(
            parent: None, version = brain.version, instance = brain.instance, pid, connection,
            "this brain writes to VPP from now on"
        );
        *seat = Some(Writer { candidate: candidate.clone(), since: now });
        Ok(())
    }

    /// A connection has ended.
    pub(super) fn leave(&self, connection: u64) {
        let mut seat = self.lock();
        if seat.as_ref().is_some_and(|writer| writer.candidate.connection == connection) {
            info!(parent: None, connection, "the brain that writes to VPP is gone; VPP keeps what it has");
            *seat = None;
        }
    }

    /// Whoever panicked left either no writer or a whole one.
    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
