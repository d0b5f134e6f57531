//! What tells one socket from its successor at the same path.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Device, inode, and time of its last change: inodes are used again.
pub(super) type SocketFile = (u64, u64, i64, i64);

/// The socket that is at a path now, if there is one.
pub(super) fn at(path: &Path) -> Option<SocketFile> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}
