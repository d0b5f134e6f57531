//! Who is at the other end, as the kernel tells it.

use std::io;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::Instant;
use tracing::warn;

/// How often refused peers are told of in the log, so that nobody can flood it.
const LOG_PERIOD: Duration = Duration::from_secs(1);

/// A peer that may call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// `None` if it is in a pid namespace that is not seen from here.
    pub(super) pid: Option<i32>,
}

/// Why a peer may not call.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// It is not the brain's user.
    #[error("user {uid} (process {pid:?}) may not call: only user {expected} may, by --brain-user")]
    User { uid: u32, pid: Option<i32>, expected: u32 },
    /// The kernel does not tell.
    #[error("the kernel does not tell who calls: {0}")]
    Unknown(String),
}

impl Peer {
    pub(super) fn of(stream: &UnixStream, brain_user: u32) -> Result<Self, Refusal> {
        let credentials =
            stream.peer_cred().map_err(|error: io::Error| Refusal::Unknown(error.to_string()))?;
        let (uid, pid) = (credentials.uid(), credentials.pid().filter(|pid| *pid > 0));
        match uid == brain_user {
            true => Ok(Self { pid }),
            false => Err(Refusal::User { uid, pid, expected: brain_user }),
        }
    }
}

/// Logs refusals, at most one a second, with the number of those left out.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    logged: Option<Instant>,
    left_out: u64,
}

impl Refusals {
    pub(super) fn log(&mut self, refusal: &Refusal, now: Instant) {
        if self.is_due(now) {
            let more = std::mem::take(&mut self.left_out);
            warn!(reason = %refusal, not_logged_before = more, "a connection was refused");
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.logged.is_none_or(|logged| now.saturating_duration_since(logged) >= LOG_PERIOD);
        match due {
            true => self.logged = Some(now),
            false => self.left_out += 1,
        }
        due
    }
}

#[cfg(test)]
mod tests;
