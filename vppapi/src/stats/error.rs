//! Errors of the stats segment.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::EntryKind;

/// A segment could not be mapped or read.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// The socket refused the connection, or failed.
    #[error("cannot get VPP's stats segment from {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The descriptor did not arrive in time.
    #[error("VPP at {} handed out no stats segment within {after:?}", path.display())]
    ConnectTimeout {
        /// The socket.
        path: PathBuf,
        /// The time limit.
        after: Duration,
    },
    /// The descriptor received is not a stats segment.
    #[error("no stats segment from {}: {reason}", path.display())]
    Unacceptable {
        /// The socket.
        path: PathBuf,
        /// What was found, and what is expected.
        reason: String,
    },
    /// The segment's layout has an unknown version.
    #[error("stats segment of version {found} found, expected {expected}")]
    Version {
        /// The version found.
        found: u64,
        /// The supported version.
        expected: u64,
    },
    /// The segment contradicts itself.
    #[error("stats segment is damaged at {what}: {why}")]
    Damaged {
        /// The part that was being read.
        what: String,
        /// The contradiction.
        why: String,
    },
    /// There is no entry of that name.
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
        /// The expected kinds.
        expected: &'static str,
    },
    /// VPP kept changing the segment, or stopped in the middle of a change.
    #[error("VPP was changing the stats segment in each of {attempts} attempts to read it ({after:?})")]
    Busy {
        /// Number of attempts.
        attempts: u32,
        /// Time spent on them.
        after: Duration,
    },
}

impl StatsError {
    pub(super) fn damaged(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), why: why.into() }
    }
}
