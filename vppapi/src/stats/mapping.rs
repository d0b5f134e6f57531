//! The memory shared with VPP: all of this crate's `unsafe` code.
#![allow(unsafe_code, reason = "shared memory can be read only through raw pointers")]

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};

use super::StatsError;
use super::words::Words;

/// Maximum length of a segment, in bytes. VPP's default is 32 MiB.
const MAX_LENGTH: u64 = 4 << 30;

/// A read-only segment in this process's memory. Another process writes to it at any time, so no reference
/// into it is ever created: words are copied one by one, with atomic loads.
#[derive(Debug)]
pub(super) struct Mapping {
    memory: MmapRaw,
}

impl Mapping {
    /// Maps the whole file. It must be sealed against shrinking; otherwise its owner could make a later read
    /// crash this process.
    pub(super) fn new(descriptor: OwnedFd, path: &Path) -> Result<Self, StatsError> {
        let unacceptable = |reason: String| StatsError::Unacceptable { path: path.into(), reason };
        let failed = |source| StatsError::Connect { path: path.into(), source };
        let file = File::from(descriptor);
        let seals = fcntl(&file, FcntlArg::F_GET_SEALS).map_or(SealFlag::empty(), SealFlag::from_bits_retain);
        if !seals.contains(SealFlag::F_SEAL_SHRINK) {
            let reason = "descriptor of memory that may shrink found, expected one sealed with F_SEAL_SHRINK";
            return Err(unacceptable(reason.to_owned()));
        }
        let length = file.metadata().map_err(failed)?.len();
        if length > MAX_LENGTH {
            return Err(unacceptable(format!("{length} bytes found, at most {MAX_LENGTH} are mapped")));
        }
        let memory = MmapOptions::new().map_raw_read_only(&file).map_err(failed)?;
        Ok(Self { memory })
    }
}

impl Words for Mapping {
    fn len(&self) -> usize {
        self.memory.len() / 8
    }

    fn copy(&self, first: usize, into: &mut [u64]) -> bool {
        if first.checked_add(into.len()).is_none_or(|end| end > self.len()) {
            return false;
        }
        let start = self.memory.as_ptr().cast::<u64>().cast_mut();
        for (index, word) in into.iter_mut().enumerate() {
            // SAFETY: `first + index` is below `len()`, so the eight bytes lie within the mapping. The
            // mapping lives as long as `self`, and stays backed by memory, since the file is sealed against
            // shrinking. It begins at a page, so the pointer is aligned. Nothing in this process writes to
            // it; other processes do, which an atomic load allows. A relaxed load of this size is a plain
            // load, so read-only memory is enough; that holds on the 64-bit machines that VPP runs on.
            *word = unsafe { AtomicU64::from_ptr(start.add(first + index)) }.load(Ordering::Relaxed);
        }
        // Later reads must not be reordered before this one: the epoch checks rely on it.
        fence(Ordering::Acquire);
        true
    }
}
