//! Credentials of a peer, from the kernel.

use std::fmt;
use std::io;

use maglev_protocol::process;
use tokio::net::UnixStream;

/// A peer that may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// `None` if its pid namespace is not visible from here.
    pub pid: Option<i32>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&process(self.pid))
    }
}

/// Why a peer may not call.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// It does not run as the brain's user.
    #[error("{peer} may not call: only user {expected} may, by --brain-user")]
    User { uid: u32, peer: Peer, expected: u32 },
    /// The kernel does not know the peer.
    #[error("cannot identify the caller: {0}")]
    Unknown(String),
}

impl Refusal {
    /// The refused user, for the log.
    pub(super) fn who(&self) -> String {
        match self {
            Self::User { uid, .. } => format!("user {uid}"),
            Self::Unknown(_) => "somebody".to_owned(),
        }
    }
}

impl Peer {
    pub(super) fn of(stream: &UnixStream, brain_user: u32) -> Result<Self, Refusal> {
        let credentials =
            stream.peer_cred().map_err(|error: io::Error| Refusal::Unknown(error.to_string()))?;
        let (uid, peer) = (credentials.uid(), Self { pid: credentials.pid().filter(|pid| *pid > 0) });
        match uid == brain_user {
            true => Ok(peer),
            false => Err(Refusal::User { uid, peer, expected: brain_user }),
        }
    }
}

#[cfg(test)]
mod tests;
