//! VPP's stats segment, as a part of the connection to VPP.
//!
//! VPP hands out the segment and hangs up, so its end does not show by itself: the socket is looked at with every ping.
//! A segment that is another one, or is there where none was, ends the whole connection, and all is made anew together.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::warn;
use vppapi::stats::{StatsError, StatsSegment};

use super::socket_file::{self, SocketFile};
use crate::heap::Heap;

/// How long VPP may take to hand it out. Calls wait meanwhile.
const LIMIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Stats {
    path: PathBuf,
    /// The socket that it came from.
    file: Option<SocketFile>,
    segment: Result<StatsSegment, String>,
}

impl Stats {
    /// Maps the segment. Without it, VPP can be programmed all the same.
    pub(super) async fn connect(path: &Path) -> Self {
        let file = socket_file::at(path);
        let segment = open(path).await.map_err(|error| {
            warn!(%error, "VPP's stats cannot be read: going on without counters");
            error.to_string()
        });
        Self { path: path.to_owned(), file, segment }
    }

    /// VPP's start, in Unix seconds.
    pub(super) async fn boot_time(&self) -> Option<u64> {
        let segment = self.segment.as_ref().ok()?;
        segment.read(|view| view.boot_time()).await.ok()
    }

    /// The segment, or why there is none.
    pub(super) fn segment(&self) -> Result<&StatsSegment, &str> {
        self.segment.as_ref().map_err(String::as_str)
    }

    /// What it says of VPP's main heap, or why it says nothing.
    pub(super) async fn heap(&mut self) -> Result<Heap, String> {
        let read = match &self.segment {
            Ok(segment) => segment.read(Heap::read).await,
            Err(reason) => return Err(reason.clone()),
        };
        read.map_err(|error| {
            // Calls must not wait for it again and again.
            if matches!(error, StatsError::Busy { .. }) {
                self.give_up(&error);
            }
            error.to_string()
        })
    }

    /// Reading failed for good: what was mapped is of no use any more.
    pub(super) fn give_up(&mut self, error: &StatsError) {
        warn!(%error, "VPP's stats cannot be read any more: going on without counters");
        self.segment = Err(error.to_string());
    }

    /// Whether there is another segment to be had now, in words.
    pub(super) async fn news(&self) -> Option<String> {
        let path = self.path.display();
        match (&self.segment, socket_file::at(&self.path)) {
            (_, None) => None,
            (Ok(_), now) => (now != self.file).then(|| format!("VPP's stats socket {path} is another one")),
            (Err(_), _) => {
                open(&self.path).await.is_ok().then(|| format!("VPP's stats can be read again at {path}"))
            }
        }
    }
}

/// Maps the segment, if it can be read.
async fn open(path: &Path) -> Result<StatsSegment, StatsError> {
    let segment = StatsSegment::connect(path, LIMIT).await?;
    segment.read(|view| view.boot_time()).await?;
    Ok(segment)
}
