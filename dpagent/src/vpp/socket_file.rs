//! Identity of a socket file, to notice a new one at the same path.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// Device, inode, and creation time, since inodes are reused. Changing owner or mode does not affect them.
pub(super) type SocketFile = (u64, u64, Option<SystemTime>);

/// The socket file at a path, if there is one.
pub(super) fn at(path: &Path) -> Option<SocketFile> {
    let metadata = std::fs::metadata(path).ok()?;
    // Without a birth time, as on older kernels' tmpfs: nobody writes to the file itself.
    let made = metadata.created().or_else(|_| metadata.modified());
    Some((metadata.dev(), metadata.ino(), made.ok()))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, remove_file, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_another_socket_is_another_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        assert_eq!(at(&path), None);
        let first = UnixListener::bind(&path).unwrap();
        let before = at(&path);
        set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(at(&path), before);
        remove_file(&path).unwrap();
        let second = UnixListener::bind(&path).unwrap();
        assert_ne!(at(&path), before);
        drop((first, second));
    }
}
