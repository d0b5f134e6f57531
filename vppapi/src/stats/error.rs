//! What can go wrong with a stats segment.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::EntryKind;

/// A segment that could not be had or read.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// The socket could not be connected to, or failed.
    #[error("cannot get VPP's stats segment from {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The descriptor did not come in time.
    #[error("VPP at {} handed out no stats segment within {after:?}", path.display())]
    ConnectTimeout {
        /// The socket.
        path: PathBuf,
        /// The limit.
        after: Duration,
    },
    /// What came over the socket is not a stats segment.
    #[error("no stats segment from {}: {reason}", path.display())]
    Unacceptable {
        /// The socket.
        path: PathBuf,
        /// What was found, and what would be right.
        reason: String,
    },
    /// The segment has another layout than is known here.
    #[error("stats segment of version {found} found, expected {expected}")]
    Version {
        /// The version found.
        found: u64,
        /// The version known here.
        expected: u64,
    },
    /// The segment contradicts itself.
    #[error("stats segment is damaged at {what}: {why}")]
    Damaged {
        /// The part that was being read.
        what: String,
        /// What was wrong with it.
        why: String,
    },
    /// The directory has no entry of that name.
    #[error("the stats segment has no {name:?}")]
    NoSuchEntry {
        /// The name.
        name: String,
    },
    /// The entry is of another kind.
    #[error("{name:?} in the stats segment is {found:?}, expected {expected}")]
    WrongKind {
        /// The name.
        name: String,
        /// The entry's kind.
        found: EntryKind,
        /// The kinds that would be right, in words.
        expected: &'static str,
    },
    /// VPP kept changing the segment, or stopped in the middle of a change.
    #[error("VPP was changing the stats segment in each of {attempts} attempts to read it ({after:?})")]
    Busy {
        /// How often it was tried.
        attempts: u32,
        /// For how long.
        after: Duration,
    },
}

impl StatsError {
    pub(super) fn damaged(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), why: why.into() }
    }
}
