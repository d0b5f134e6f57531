//! The segment's memory: anonymous, of fixed size, sealed against shrinking.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{SEGMENT_SIZE, Target};

/// A handle to the memory. Clones share it.
///
/// It is written with system calls rather than mapped, which avoids unsafe code; words are aligned, and the
/// kernel copies them whole.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Mutex<Arc<File>>>);

impl Memory {
    /// Allocates zeroed memory. Parts never written take no space.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(Arc::new(make()?)))))
    }

    /// Makes this handle and its clones refer to the other memory. Existing mappings of the old one stay as
    /// they are.
    pub fn replace_by(&self, other: &Self) {
        let file = other.file();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = file;
    }

    /// The memory as it is now, to be handed out.
    pub fn file(&self) -> Arc<File> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn make() -> io::Result<File> {
    let fd = memfd_create("stat segment", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let file = File::from(fd);
    file.set_len(u64::try_from(SEGMENT_SIZE).unwrap_or(u64::MAX))?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))?;
    Ok(file)
}

impl Target for Memory {
    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.file().write_all_at(bytes, u64::try_from(offset).unwrap_or(u64::MAX))
    }
}
