//! The history's files in the state directory: `history`, to which lines are appended, and `history.old`, which
//! `history` becomes when it is full.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use maglev_engine::history::{LARGEST_SEGMENT, is_full};
use nix::fcntl::OFlag;

use super::{StateDirectory, StateError, create, refused};

const NEWER: &str = "history";
const OLDER: &str = "history.old";

/// The files, which only this process writes to. All calls block.
#[derive(Debug, Clone)]
pub struct HistoryFiles {
    directory: PathBuf,
}

impl StateDirectory {
    /// The files of the history in this directory.
    pub fn history(&self) -> HistoryFiles {
        HistoryFiles { directory: self.path.clone() }
    }
}

impl HistoryFiles {
    /// The contents of both files, the older one first. A missing one is empty; of one that is too large, the end is
    /// left out.
    ///
    /// # Errors
    /// If a file cannot be read, or is not a regular one.
    pub fn read(&self) -> Result<[Vec<u8>; 2], StateError> {
        Ok([self.read_one(OLDER)?, self.read_one(NEWER)?])
    }

    fn read_one(&self, name: &str) -> Result<Vec<u8>, StateError> {
        let path = self.directory.join(name);
        let mut bytes = Vec::new();
        if let Some((file, _)) = open(OpenOptions::new().read(true), &path)? {
            // Lines that begin a new file may make it a little longer.
            let most = 2 * LARGEST_SEGMENT;
            file.take(most).read_to_end(&mut bytes).map_err(refused("read", &path))?;
        }
        Ok(bytes)
    }

    /// Appends whole lines; on return, they are on the disk. `head` has the lines that begin a new file.
    ///
    /// # Errors
    /// If the system refuses. Some of the lines may have been written: the next call begins a new line.
    pub fn append(&self, lines: &str, head: impl FnOnce() -> String) -> Result<(), StateError> {
        let path = self.directory.join(NEWER);
        let existing = open(OpenOptions::new().read(true).append(true), &path)?;
        let (mut file, size) = match existing {
            Some((_, size)) if is_full(size, lines.len() as u64) => {
                std::fs::rename(&path, self.directory.join(OLDER)).map_err(refused("rename", &path))?;
                self.begin(&path, &head())?
            }
            Some(existing) => existing,
            None => self.begin(&path, &head())?,
        };
        let mut last = [b'\n'];
        if size > 0 {
            file.read_exact_at(&mut last, size - 1).map_err(refused("read", &path))?;
        }
        // What a crash has left of a line must not take the next one with it.
        let torn = if last == *b"\n" { "" } else { "\n" };
        let text = format!("{torn}{lines}");
        file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).map_err(refused("write", &path))
    }

    /// A new file.
    fn begin(&self, path: &Path, head: &str) -> Result<(File, u64), StateError> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create_new(true).mode(0o640);
        let mut file = create(&options, path)?;
        file.write_all(head.as_bytes()).map_err(refused("write", path))?;
        let directory = File::open(&self.directory).map_err(refused("open", &self.directory))?;
        directory.sync_all().map_err(refused("write out", &self.directory))?;
        Ok((file, head.len() as u64))
    }
}

/// A regular file and its size; `None` if there is no file.
fn open(options: &mut OpenOptions, path: &Path) -> Result<Option<(File, u64)>, StateError> {
    // Non-blocking, since opening a pipe would wait for its other end.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match options.custom_flags(flags.bits()).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(refused("open", path))?,
    };
    let metadata = file.metadata().map_err(refused("look at", path))?;
    if !metadata.is_file() {
        return Err(StateError::WrongKind { path: path.to_owned(), expected: "regular file" });
    }
    Ok(Some((file, metadata.len())))
}

#[cfg(test)]
mod tests;
