//! Who may write: one brain at a time, so that two never undo each other's work in turns. Pure.

use std::time::{Duration, Instant};

use maglev_protocol::{AgentError, BrainHello, LEASE};

use crate::server::Peer;

/// Without a look at the seat for so long, the agent itself did not run: what the writer has sent meanwhile is unread.
const STALL: Duration = Duration::from_secs(3);

/// The one place for a writer, who has it as a lease.
#[derive(Debug, Default)]
pub struct WriterSeat {
    writer: Option<Writer>,
    /// When the agent last looked at it.
    looked: Option<Instant>,
}

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
    /// When the lease was renewed last.
    renewed: Instant,
}

/// How a connection became the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was it before.
    Before,
    /// Nobody else was.
    Free,
    /// The brain's own former connection was.
    Own,
    /// Another brain was, and its lease is over.
    Expired(Peer),
}

impl WriterSeat {
    /// Makes a connection the writer, if it is not yet, and nobody else is. A brain that has connected anew takes the
    /// place from its own former connection, whose end may not have been noticed yet; anybody takes it from a brain
    /// whose lease is over.
    ///
    /// # Errors
    /// [`AgentError::AnotherWriter`].
    pub fn take(&mut self, candidate: &Candidate, now: Instant) -> Result<Taken, AgentError> {
        self.look(now);
        let mut taken = Taken::Free;
        if let Some(writer) = &self.writer {
            let Candidate { connection, brain, peer } = &writer.candidate;
            if *connection == candidate.connection {
                self.renew(candidate.connection, now);
                return Ok(Taken::Before);
            }
            let same = brain.instance == candidate.brain.instance && *peer == candidate.peer;
            taken = if same && candidate.connection > *connection {
                Taken::Own
            } else if !same && now.saturating_duration_since(writer.renewed) >= LEASE {
                Taken::Expired(*peer)
            } else {
                return Err(AgentError::AnotherWriter {
                    version: brain.version.clone(),
                    pid: peer.pid,
                    seconds: now.saturating_duration_since(writer.since).as_secs(),
                });
            };
        }
        self.writer = Some(Writer { candidate: candidate.clone(), since: now, renewed: now });
        Ok(taken)
    }

    /// A call has come on a connection. If it is the writer's, that is a sign of life.
    pub fn renew(&mut self, connection: u64, now: Instant) {
        self.look(now);
        if let Some(writer) = self.writer.as_mut().filter(|writer| writer.candidate.connection == connection)
        {
            writer.renewed = now;
        }
    }

    /// To be called about once a second: shows that the agent itself has not been held up. The lease does not run while
    /// it is.
    pub fn look(&mut self, now: Instant) {
        let pause =
            self.looked.replace(now).map_or(Duration::ZERO, |looked| now.saturating_duration_since(looked));
        if let Some(writer) = self.writer.as_mut().filter(|_| pause >= STALL) {
            writer.renewed += pause;
        }
    }

    /// A connection has ended. True if it was the writer's.
    pub fn leave(&mut self, connection: u64) -> bool {
        self.writer.take_if(|writer| writer.candidate.connection == connection).is_some()
    }

    /// Whether a connection is of the process that writes, or of the same brain in a process that cannot be told.
    pub fn has(&self, peer: Peer, brain: Option<&BrainHello>) -> bool {
        self.writer.as_ref().is_some_and(|Writer { candidate, .. }| {
            let same_brain = || brain.is_some_and(|other| other.instance == candidate.brain.instance);
            peer == candidate.peer && (peer.pid.is_some() || same_brain())
        })
    }
}

#[cfg(test)]
mod tests;
