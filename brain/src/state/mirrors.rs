//! The file with the last good copy of the fleet. All calls block.

use std::io::Write;
use std::path::PathBuf;

use super::{StateError, read_file, replace};

const FILE: &str = "fleet";
const TEMPORARY: &str = "fleet.new";
const ASIDE: &str = "fleet.damaged";
/// Maximum size of the file, in bytes.
const LARGEST: u64 = 256 << 20;

/// The file in one state directory.
#[derive(Debug, Clone)]
pub struct Mirrors {
    directory: PathBuf,
}

impl Mirrors {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Reads the file; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read, or is too large.
    pub fn read(&self) -> Result<Option<Vec<u8>>, StateError> {
        read_file(&self.directory.join(FILE), LARGEST)
    }

    /// Replaces the file. On return, it is on the disk.
    ///
    /// # Errors
    /// If the system refuses. The older file is still there then.
    pub fn save(&self, bytes: &[u8]) -> Result<(), StateError> {
        replace(&self.directory, TEMPORARY, FILE, |mut file| file.write_all(bytes))
    }

    /// Keeps a damaged file under another name; returns its path.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_aside(&self, bytes: &[u8]) -> Result<PathBuf, StateError> {
        replace(&self.directory, TEMPORARY, ASIDE, |mut file| file.write_all(bytes))?;
        Ok(self.directory.join(ASIDE))
    }
}
