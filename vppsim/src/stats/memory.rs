//! The segment's memory: anonymous, of fixed size, sealed against shrinking.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{SEGMENT_SIZE, Target};

/// A handle of the memory. Clones are of the same memory.
///
/// It is written by system calls rather than mapped, so that no unsafe code is needed; words are aligned, and the
/// kernel copies them whole.
#[derive(Debug, Clone)]
pub struct Memory(Arc<File>);

impl Memory {
    /// New memory, all zeros. What is not written takes no room.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new() -> io::Result<Self> {
        let fd = memfd_create("stat segment", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        let file = File::from(fd);
        file.set_len(u64::try_from(SEGMENT_SIZE).unwrap_or(u64::MAX))?;
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))?;
        Ok(Self(Arc::new(file)))
    }
}

impl AsFd for Memory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Target for Memory {
    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, u64::try_from(offset).unwrap_or(u64::MAX))
    }
}
