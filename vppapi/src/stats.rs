//! Reader of VPP's stats segment: counters in shared memory, which cost VPP nothing to read.
//!
//! VPP hands out a descriptor over a socket; the memory behind it is mapped and read without involving VPP
//! again. VPP writes to it meanwhile. A [`StatsSegment::read`] sees one consistent state of the directory and
//! of the shape of all counters: a change during the read shows in the segment's epoch, and the read is
//! repeated. Counters themselves go on counting, so packets and bytes of one counter may be a few packets
//! apart.
//!
//! The segment is not trusted: offsets and lengths are checked before use, and no call reads or allocates
//! more than the segment holds.
//!
//! This module has no tasks. A mapping outlives its VPP and then shows the last values: watch the API
//! connection to know when to reconnect.

mod directory;
mod error;
mod mapping;
mod receive;
mod view;
mod words;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use directory::Directory;
pub use directory::{Entry, EntryKind};
pub use error::StatsError;
use mapping::Mapping;
pub use view::{Scalar, View};
use words::{Header, Words};

/// Maximum time that a read waits for VPP to stop changing the segment.
pub const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum number of attempts of a read.
pub const READ_ATTEMPTS: u32 = 200;

/// Attempts without a pause: most changes of the segment take VPP microseconds.
const EAGER_ATTEMPTS: u32 = 5;

/// VPP's mapped stats segment.
#[derive(Debug)]
pub struct StatsSegment {
    path: PathBuf,
    mapping: Mapping,
    directory: Cache,
}

impl StatsSegment {
    /// Connects to VPP's stats socket, usually `/run/vpp/stats.sock`, and maps the segment that VPP hands
    /// out.
    ///
    /// # Errors
    /// When nobody listens there, no acceptable descriptor arrives within `limit`, or the segment's version
    /// is unknown. The memory must be sealed against shrinking, as VPP's is.
    pub async fn connect(path: impl AsRef<Path>, limit: Duration) -> Result<Self, StatsError> {
        let path = path.as_ref();
        let received = timeout(limit, receive::receive_descriptor(path)).await;
        let descriptor = received
            .unwrap_or_else(|_| Err(StatsError::ConnectTimeout { path: path.into(), after: limit }))?;
        let mapping = Mapping::new(descriptor, path)?;
        let header = Header::read(&mapping)?;
        tracing::debug!(path = %path.display(), bytes = mapping.len() * 8, epoch = header.epoch, "stats segment mapped");
        Ok(Self { path: path.into(), mapping, directory: Cache::default() })
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `read` on the segment, repeatedly until VPP did not change its structure meanwhile. So `read`
    /// must have no effect other than its result. It should be short, since it does not yield.
    ///
    /// # Errors
    /// Those of `read`, unless caused by a change; [`StatsError::Busy`] when VPP kept changing the segment
    /// for [`READ_ATTEMPTS`] attempts or [`READ_TIMEOUT`].
    pub async fn read<T>(
        &self,
        mut read: impl FnMut(&View<'_>) -> Result<T, StatsError>,
    ) -> Result<T, StatsError> {
        let start = Instant::now();
        for attempt in 0..READ_ATTEMPTS {
            if let Some(value) = attempt_read(&self.mapping, &self.directory, &mut read)? {
                return Ok(value);
            }
            let spent = start.elapsed();
            if spent >= READ_TIMEOUT {
                return Err(StatsError::Busy { attempts: attempt + 1, after: spent });
            }
            if attempt < EAGER_ATTEMPTS {
                tokio::task::yield_now().await;
            } else {
                sleep(Duration::from_micros(fastrand::u64(500..2500))).await;
            }
        }
        Err(StatsError::Busy { attempts: READ_ATTEMPTS, after: start.elapsed() })
    }
}

/// A copy of a stats segment, for example from a file.
#[derive(Debug)]
pub struct Snapshot {
    words: Vec<u64>,
    directory: Cache,
}

impl Snapshot {
    /// Takes the bytes of a segment, in this machine's byte order. Up to seven bytes at the end that do not
    /// fill a word are ignored.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect();
        Self { words, directory: Cache::default() }
    }

    /// Runs `read` on the copy.
    ///
    /// # Errors
    /// Those of `read`, and [`StatsError::Busy`] when the copy was taken while VPP was changing the segment.
    pub fn read<T>(&self, mut read: impl FnMut(&View<'_>) -> Result<T, StatsError>) -> Result<T, StatsError> {
        attempt_read(&self.words, &self.directory, &mut read)?
            .ok_or(StatsError::Busy { attempts: 1, after: Duration::ZERO })
    }
}

/// The directory as last read. Valid while the header stays the same.
#[derive(Debug, Default)]
struct Cache(Mutex<Option<Arc<Directory>>>);

impl Cache {
    fn directory(&self, words: &dyn Words, header: Header) -> Result<Arc<Directory>, StatsError> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = cached.as_ref().filter(|directory| directory.header() == header) {
            return Ok(Arc::clone(directory));
        }
        let directory = Arc::new(Directory::read(words, header)?);
        *cached = Some(Arc::clone(&directory));
        Ok(directory)
    }

    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// One attempt; `None` if the segment was changing.
fn attempt_read<T>(
    words: &dyn Words,
    cache: &Cache,
    read: &mut impl FnMut(&View<'_>) -> Result<T, StatsError>,
) -> Result<Option<T>, StatsError> {
    let header = Header::read(words)?;
    if header.in_progress != 0 {
        return Ok(None);
    }
    let result = cache.directory(words, header).and_then(|directory| read(&View::new(words, &directory)));
    if Header::read(words)? != header {
        cache.forget();
        return Ok(None);
    }
    result.map(Some)
}
