//! The state directory: one process at a time, and a file that is replaced as a whole or not at all.
//!
//! `lock` is locked as long as the process uses the directory. `overrides.new` becomes `overrides` when it is
//! on the disk. `overrides.damaged` is the newest file of which a line could not be read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use maglev_engine::overrides::{self, Damage, LARGEST_FILE, OtherVersion, Overrides, Unwritable};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::geteuid;

const LOCK: &str = "lock";
const FILE: &str = "overrides";
const TEMPORARY: &str = "overrides.new";
const ASIDE: &str = "overrides.damaged";

/// Why state cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The operating system refuses.
    #[error("cannot {action} {}: {error}; {}", path.display(), remedy(error))]
    Refused {
        /// What was tried, as a verb.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The path leads to something else.
    #[error("{} is not a {expected}: remove it, or choose another state directory", path.display())]
    WrongKind {
        /// The path.
        path: PathBuf,
        /// What belongs there.
        expected: &'static str,
    },
    /// Another process uses the directory.
    #[error(
        "another process uses the state directory {}: stop it, or give this one a state directory of its own",
        .0.display()
    )]
    InUse(PathBuf),
    /// The file is of another version, and stays as it is.
    #[error(
        "cannot read {}: {version}; use the program that wrote it, or move the file away, which takes back what \
         operators set",
        path.display()
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Both versions.
        version: OtherVersion,
    },
    /// The file is larger than [`LARGEST_FILE`], and stays as it is.
    #[error(
        "{} has, or would have, more than the {LARGEST_FILE} bytes that are read: if this program did not write \
         it, move it away; otherwise take back overrides that are not needed",
        .0.display()
    )]
    TooLarge(PathBuf),
    /// An entry cannot be written.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
    /// A file that was not read is not replaced.
    #[error("{} has not been read, and is not replaced before it has been", .0.display())]
    NotRead(PathBuf),
}

/// What would be right.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on that file system",
        ErrorKind::ReadOnlyFilesystem => {
            "make it writable (in a systemd unit: StateDirectory=), or choose another state directory"
        }
        ErrorKind::PermissionDenied => {
            "let this process's user read and write there (chown; in a systemd unit: StateDirectory=), or choose \
             another state directory"
        }
        ErrorKind::NotFound => "make the directory that is missing, or choose another state directory",
        _ => "see to the state directory, or choose another one",
    }
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    move |error| StateError::Refused { action, path: path.to_owned(), error }
}

/// What was kept.
#[derive(Debug)]
pub struct Loaded {
    /// What operators had set.
    pub overrides: Overrides,
    /// There is no file: nothing was set before, or it was lost.
    pub missing: bool,
    /// What of the file could not be read, if anything.
    pub damaged: Option<Damaged>,
}

/// The damage to a file.
#[derive(Debug)]
pub struct Damaged {
    /// The first hundred lines that could not be read, at least one.
    pub lines: Vec<Damage>,
    /// How many more there are.
    pub unlisted: usize,
    /// Where the file is kept as it was found. If it could not be kept, the next save tries again, and replaces
    /// nothing if it fails.
    pub kept: Result<PathBuf, StateError>,
}

/// A directory that this process alone writes to. All calls block.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    standing: Standing,
    /// Without one, the directory cannot be written to, and no other process can use it either.
    lock: Option<Flock<File>>,
    unwritable: Option<StateError>,
}

/// What is known of the file that a save would replace.
#[derive(Debug)]
enum Standing {
    NotRead,
    /// It is damaged, these are its contents, and there is no copy yet.
    NotKept(Vec<u8>),
    Replaceable,
}

impl StateDirectory {
    /// Makes the directory if it is missing (but not the one above it), locks it, and finds out whether it can be
    /// written to: see [`unwritable`](Self::unwritable). What a save has left unfinished is removed.
    ///
    /// # Errors
    /// If another process uses it, it is no directory, or it is missing and cannot be made.
    pub fn open(path: &Path) -> Result<StateDirectory, StateError> {
        match DirBuilder::new().mode(0o750).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(refused("make the directory", path)(error));
            }
            _ => {}
        }
        if !std::fs::metadata(path).map_err(refused("look at", path))?.is_dir() {
            return Err(StateError::WrongKind { path: path.to_owned(), expected: "directory" });
        }
        let mut directory = StateDirectory {
            path: path.to_owned(),
            standing: Standing::NotRead,
            lock: None,
            unwritable: None,
        };
        let writable = directory.take_lock().and_then(|()| {
            directory.create_temporary()?;
            directory.remove_temporary()
        });
        match writable {
            Err(error @ StateError::Refused { .. }) => directory.unwritable = Some(error),
            writable => writable?,
        }
        Ok(directory)
    }

    /// Why it could not be written to when it was opened, if it could not. Each save tries again.
    pub fn unwritable(&self) -> Option<&StateError> {
        self.unwritable.as_ref()
    }

    /// Locks the directory, if that has not been possible before.
    fn take_lock(&mut self) -> Result<(), StateError> {
        if self.lock.is_none() {
            self.lock = Some(lock(&self.path)?);
        }
        Ok(())
    }

    /// Where the overrides are kept.
    pub fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// Reads what was kept. A damaged file is copied to `overrides.damaged`, over an older one.
    ///
    /// # Errors
    /// If the file is of another version, too large, no file, or cannot be read. It stays as it is, and cannot be
    /// replaced by [`save`](Self::save).
    pub fn load(&mut self) -> Result<Loaded, StateError> {
        let path = self.file();
        self.standing = Standing::NotRead;
        let Some(bytes) = read_file(&path)? else {
            self.standing = Standing::Replaceable;
            return Ok(Loaded { overrides: Overrides::default(), missing: true, damaged: None });
        };
        let parsed =
            overrides::parse(&bytes).map_err(|version| StateError::OtherVersion { path, version })?;
        if parsed.damaged.is_empty() {
            self.standing = Standing::Replaceable;
            return Ok(Loaded { overrides: parsed.overrides, missing: false, damaged: None });
        }
        self.standing = Standing::NotKept(bytes);
        let kept = self.keep_damaged().map(|()| self.path.join(ASIDE));
        let damaged = Damaged { lines: parsed.damaged, unlisted: parsed.unlisted, kept };
        Ok(Loaded { overrides: parsed.overrides, missing: false, damaged: Some(damaged) })
    }

    /// Replaces what was kept. When it returns, the new file is on the disk.
    ///
    /// # Errors
    /// If the file has not been read, an entry cannot be written, or the system refuses. The old file is then
    /// still there; only where it was the directory that could not be written out, the new one is, and may be
    /// lost in a power failure.
    pub fn save(&mut self, overrides: &Overrides) -> Result<(), StateError> {
        if let Standing::NotRead = self.standing {
            return Err(StateError::NotRead(self.file()));
        }
        let text = overrides::render(overrides)?;
        if u64::try_from(text.len()).map_or(true, |length| length > LARGEST_FILE) {
            return Err(StateError::TooLarge(self.file()));
        }
        self.take_lock()?;
        self.keep_damaged()?;
        self.replace(FILE, |mut file| file.write_all(text.as_bytes()))
    }

    fn keep_damaged(&mut self) -> Result<(), StateError> {
        if let Standing::NotKept(bytes) = &self.standing {
            self.replace(ASIDE, |mut file| file.write_all(bytes))?;
            self.standing = Standing::Replaceable;
        }
        Ok(())
    }

    /// Puts a new file in the place of another, or of none.
    fn replace(&self, name: &str, write: impl FnOnce(&File) -> io::Result<()>) -> Result<(), StateError> {
        let temporary = self.path.join(TEMPORARY);
        let target = self.path.join(name);
        let file = self.create_temporary()?;
        let replaced = write(&file)
            .and_then(|()| file.sync_all())
            .map_err(refused("write", &temporary))
            .and_then(|()| std::fs::rename(&temporary, &target).map_err(refused("replace", &target)));
        if replaced.is_err() {
            // It takes room, perhaps on a full disk. What cannot be removed now is removed before the next one.
            self.remove_temporary().ok();
        }
        replaced?;
        let directory = File::open(&self.path).map_err(refused("open", &self.path))?;
        directory.sync_all().map_err(refused("write out", &self.path))
    }

    /// An empty file in the place of whatever was left there.
    fn create_temporary(&self) -> Result<File, StateError> {
        self.remove_temporary()?;
        let path = self.path.join(TEMPORARY);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o640);
        create(&options, &path)
    }

    fn remove_temporary(&self) -> Result<(), StateError> {
        let path = self.path.join(TEMPORARY);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(refused("remove", &path)(error)),
            _ => Ok(()),
        }
    }
}

fn lock(directory: &Path) -> Result<Flock<File>, StateError> {
    let path = directory.join(LOCK);
    let mut options = OpenOptions::new();
    // Opening a pipe would wait for its other end.
    options.read(true).write(true).mode(0o640).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    let opened = options.open(&path).or_else(|error| match error.kind() {
        // Where nothing can be written, one that is there can be locked all the same.
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => options.write(false).open(&path),
        _ => Err(error),
    });
    let file = match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => create(options.write(true).create(true), &path)?,
        opened => opened.map_err(refused("open", &path))?,
    };
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        Errno::EWOULDBLOCK => StateError::InUse(directory.to_owned()),
        error => refused("lock", &path)(error.into()),
    })
}

/// Makes a file that belongs to the directory's owner: root, who once runs the program by hand, must leave nothing that
/// the service's own user may not open.
fn create(options: &OpenOptions, path: &Path) -> Result<File, StateError> {
    let file = options.open(path).map_err(refused("create", path))?;
    if geteuid().is_root() {
        let directory = path.parent().unwrap_or(path);
        let owner = std::fs::metadata(directory).map_err(refused("look at", directory))?;
        fchown(&file, Some(owner.uid()), Some(owner.gid())).map_err(refused("change the owner of", path))?;
    }
    Ok(file)
}

/// `None` if there is no file.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    // Opening a pipe would wait for its other end.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(refused("open", path))?,
    };
    if !file.metadata().map_err(refused("look at", path))?.is_file() {
        return Err(StateError::WrongKind { path: path.to_owned(), expected: "regular file" });
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(refused("read", path))?;
    if u64::try_from(bytes.len()).map_or(true, |length| length > LARGEST_FILE) {
        return Err(StateError::TooLarge(path.to_owned()));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests;
