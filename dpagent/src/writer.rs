//! The writer lease: one brain at a time may write, so that two never undo each other's work. Pure.

use std::time::{Duration, Instant};

use maglev_protocol::{AgentError, BrainHello, LEASE};

use crate::server::Peer;

/// If the seat has not been checked for so long, the agent itself was stalled and the writer's messages are
/// unread.
const STALL: Duration = Duration::from_secs(3);

/// The place of the single writer, held as a lease.
#[derive(Debug, Default)]
pub struct WriterSeat {
    writer: Option<Writer>,
    /// When the agent last checked the lease.
    looked: Option<Instant>,
}

/// A connection that wants to write, and its brain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Identifies the connection.
    pub connection: u64,
    /// The brain's hello. Its instance proves that two connections belong to one brain, and is therefore
    /// disclosed to nobody.
    pub brain: BrainHello,
    /// Credentials from the kernel.
    pub peer: Peer,
}

#[derive(Debug)]
struct Writer {
    candidate: Candidate,
    since: Instant,
    /// When the lease was last renewed.
    renewed: Instant,
}

/// How a connection became the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It already was the writer.
    Before,
    /// There was no writer.
    Free,
    /// The writer was the same brain's former connection.
    Own,
    /// Another brain was the writer, and its lease has expired.
    Expired(Peer),
}

impl WriterSeat {
    /// Makes a connection the writer, unless another brain is. A brain that has reconnected takes over from
    /// its own former connection, whose end may not have been noticed yet; any brain takes over when the
    /// lease has expired.
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

    /// Renews the lease if the call came from the writer.
    pub fn renew(&mut self, connection: u64, now: Instant) {
        self.look(now);
        if let Some(writer) = self.writer.as_mut().filter(|writer| writer.candidate.connection == connection)
        {
            writer.renewed = now;
        }
    }

    /// Must be called about once a second: shows that the agent itself was not stalled. The lease does not
    /// run while it is.
    pub fn look(&mut self, now: Instant) {
        let pause =
            self.looked.replace(now).map_or(Duration::ZERO, |looked| now.saturating_duration_since(looked));
        if let Some(writer) = self.writer.as_mut().filter(|_| pause >= STALL) {
            writer.renewed += pause;
        }
    }

    /// Records the end of a connection. True if it was the writer's.
    pub fn leave(&mut self, connection: u64) -> bool {
        self.writer.take_if(|writer| writer.candidate.connection == connection).is_some()
    }

    /// Whether a connection belongs to the process that writes, or to the same brain if its process is
    /// unknown.
    pub fn has(&self, peer: Peer, brain: Option<&BrainHello>) -> bool {
        self.writer.as_ref().is_some_and(|Writer { candidate, .. }| {
            let same_brain = || brain.is_some_and(|other| other.instance == candidate.brain.instance);
            peer == candidate.peer && (peer.pid.is_some() || same_brain())
        })
    }
}

#[cfg(test)]
mod tests;
