//! VPP's stats segment, as part of the connection to VPP.
//!
//! VPP hands out the segment and closes the socket, so the loss of the segment is not signalled: its socket
//! file is checked with every ping. If the segment was replaced, or appears where there was none, the whole
//! connection is closed and made again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::warn;
use vppapi::stats::{StatsError, StatsSegment};

use super::socket_file::{self, SocketFile};
use crate::heap::Heap;

/// Time limit for VPP to hand out the segment. Calls wait meanwhile.
const LIMIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Stats {
    path: PathBuf,
    /// The socket that the segment came from.
    file: Option<SocketFile>,
    segment: Result<StatsSegment, String>,
}

impl Stats {
    /// Maps the segment. VPP can be programmed without it.
    pub(super) async fn connect(path: &Path) -> Self {
        let file = socket_file::at(path);
        let segment = open(path).await.map_err(|error| {
            warn!(%error, "VPP's stats cannot be read: going on without counters");
            error.to_string()
        });
        Self { path: path.to_owned(), file, segment }
    }

    /// VPP's start time, in Unix seconds.
    pub(super) async fn boot_time(&self) -> Option<u64> {
        let segment = self.segment.as_ref().ok()?;
        segment.read(|view| view.boot_time()).await.ok()
    }

    /// The segment, or why there is none.
    pub(super) fn segment(&self) -> Result<&StatsSegment, &str> {
        self.segment.as_ref().map_err(String::as_str)
    }

    /// The state of VPP's main heap, or why it is unknown.
    pub(super) async fn heap(&mut self) -> Result<Heap, String> {
        let read = match &self.segment {
            Ok(segment) => segment.read(Heap::read).await,
            Err(reason) => return Err(reason.clone()),
        };
        read.map_err(|error| {
            // No retry, since calls are waiting.
            if matches!(error, StatsError::Busy { .. }) {
                self.give_up(&error);
            }
            error.to_string()
        })
    }

    /// Drops the segment after a permanent error.
    pub(super) fn give_up(&mut self, error: &StatsError) {
        warn!(%error, "VPP's stats cannot be read any more: going on without counters");
        self.segment = Err(error.to_string());
    }

    /// Why the segment must be opened again, if that is so.
    pub(super) async fn news(&self) -> Option<String> {
        let path = self.path.display();
        match (&self.segment, socket_file::at(&self.path)) {
            (_, None) => None,
            (Ok(_), now) => (now != self.file).then(|| format!("VPP's stats socket {path} was replaced")),
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
