//! Who may write: one brain at a time, so that two never undo each other's work in turns. Pure.

use std::time::Instant;

use maglev_protocol::{AgentError, BrainHello};

use crate::server::Peer;

/// The one place for a writer.
#[derive(Debug, Default)]
pub struct WriterSeat(Option<Writer>);

/// A connection that may want to write, and the brain at its other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Tells connections apart.
    pub connection: u64,
    /// How the brain introduced itself. Its instance is the proof that two connections are of one brain, and so is told
    /// to nobody.
    pub brain: BrainHello,
    /// As the kernel tells it.
    pub peer: Peer,
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
    pub fn take(&mut self, candidate: &Candidate, now: Instant) -> Result<bool, AgentError> {
        if let Some(writer) = &self.0 {
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
        self.0 = Some(Writer { candidate: candidate.clone(), since: now });
        Ok(true)
    }

    /// A connection has ended. True if it was the writer's.
    pub fn leave(&mut self, connection: u64) -> bool {
        self.0.take_if(|writer| writer.candidate.connection == connection).is_some()
    }

    /// Whether a connection is of the process that writes, or of the same brain in a process that cannot be told.
    pub fn has(&self, peer: Peer, brain: Option<&BrainHello>) -> bool {
        self.0.as_ref().is_some_and(|Writer { candidate, .. }| {
            let same_brain = || brain.is_some_and(|other| other.instance == candidate.brain.instance);
            peer == candidate.peer && (peer.pid.is_some() || same_brain())
        })
    }
}

#[cfg(test)]
mod tests;
