//! The state directory: used by one process at a time, with a file that is replaced atomically.
//!
//! `lock` is locked while the process uses the directory. `overrides.new` is renamed to `overrides` once it
//! is on the disk. `overrides.damaged` is the latest file with an unreadable line. `history` and `history.old` are
//! appended to. `config.N` are the applied configurations, see [`copies`]. `fleet` is the last good copy of the fleet, see
//! [`mirrors`].

pub mod copies;
mod history;
pub mod mirrors;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use maglev_engine::overrides::{self, Damage, LARGEST_FILE, OtherVersion, Overrides, Unwritable};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::geteuid;

pub use history::HistoryFiles;

const LOCK: &str = "lock";
const FILE: &str = "overrides";
const TEMPORARY: &str = "overrides.new";
const ASIDE: &str = "overrides.damaged";

/// Why state cannot be persisted.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The operating system refuses.
    #[error("cannot {action} {}: {error}; {}", path.display(), remedy(error))]
    Refused {
        /// The operation that failed, as a verb.
        action: &'static str,
        /// Its file or directory.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The path is of another kind.
    #[error("{} is not a {expected}: remove it, or choose another state directory", path.display())]
    WrongKind {
        /// The path.
        path: PathBuf,
        /// The expected kind.
        expected: &'static str,
    },
    /// Another process uses the directory.
    #[error(
        "another process uses the state directory {}: stop it, or give this one a state directory of its own",
        .0.display()
    )]
    InUse(PathBuf),
    /// The file has another version, and is left alone.
    #[error(
        "cannot read {}: {version}; use the program that wrote it, or move the file away, which clears all overrides",
        path.display()
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Both versions.
        version: OtherVersion,
    },
    /// The file is larger than [`LARGEST_FILE`], and is left alone.
    #[error(
        "{} has, or would have, more than the {LARGEST_FILE} bytes that are read: if this program did not \
        write it, move it away; otherwise clear unneeded overrides",
        .0.display()
    )]
    TooLarge(PathBuf),
    /// An entry cannot be written.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
    /// A file that was not read is not replaced.
    #[error("{} has not been read, and is not replaced until it has been", .0.display())]
    NotRead(PathBuf),
}

/// Suggests a remedy.
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
        ErrorKind::NotFound => "create the missing directory, or choose another state directory",
        _ => "check the state directory, or choose another one",
    }
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    move |error| StateError::Refused { action, path: path.to_owned(), error }
}

/// The loaded state.
#[derive(Debug)]
pub struct Loaded {
    /// The persisted overrides.
    pub overrides: Overrides,
    /// There is no file: nothing was set before, or it was lost.
    pub missing: bool,
    /// Damage to the file, if any.
    pub damaged: Option<Damaged>,
}

/// The damage to a file.
#[derive(Debug)]
pub struct Damaged {
    /// The first hundred unreadable lines, at least one.
    pub lines: Vec<Damage>,
    /// Number of further ones.
    pub unlisted: usize,
    /// Where a copy of the damaged file is. If it could not be copied, the next save retries, and replaces
    /// nothing if that fails.
    pub kept: Result<PathBuf, StateError>,
}

/// A directory that only this process writes to. All calls block.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    standing: Standing,
    /// `None` if the directory is not writable, in which case no other process can use it either.
    lock: Option<Flock<File>>,
    unwritable: Option<StateError>,
}

/// State of the file that a save would replace.
#[derive(Debug)]
enum Standing {
    NotRead,
    /// It is damaged and not copied yet; these are its contents.
    NotKept(Vec<u8>),
    Replaceable,
}

impl StateDirectory {
    /// Creates the directory if it is missing (but not its parent), locks it, and checks whether it is
    /// writable: see [`unwritable`](Self::unwritable). Removes the remains of an interrupted save.
    ///
    /// # Errors
    /// If another process uses it, it is not a directory, or it is missing and cannot be created.
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
            create_temporary(path, TEMPORARY)?;
            remove(path, TEMPORARY)
        });
        match writable {
            Err(error @ StateError::Refused { .. }) => directory.unwritable = Some(error),
            writable => writable?,
        }
        Ok(directory)
    }

    /// Why it was not writable when opened, if it was not. Each save retries.
    pub fn unwritable(&self) -> Option<&StateError> {
        self.unwritable.as_ref()
    }

    /// Locks the directory, unless already locked.
    fn take_lock(&mut self) -> Result<(), StateError> {
        if self.lock.is_none() {
            self.lock = Some(lock(&self.path)?);
        }
        Ok(())
    }

    /// The applied configurations that are kept here.
    pub fn copies(&self) -> copies::Copies {
        copies::Copies::new(self.path.clone())
    }

    /// The last good copy of the fleet, which is kept here.
    pub fn mirrors(&self) -> mirrors::Mirrors {
        mirrors::Mirrors::new(self.path.clone())
    }

    /// The file with the overrides.
    pub fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// Loads the overrides. A damaged file is copied to `overrides.damaged`, replacing an older one.
    ///
    /// # Errors
    /// If the file has another version, is too large, is not a regular file, or cannot be read. It is left
    /// alone then, and [`save`](Self::save) does not replace it.
    pub fn load(&mut self) -> Result<Loaded, StateError> {
        let path = self.file();
        self.standing = Standing::NotRead;
        let Some(bytes) = read_file(&path, LARGEST_FILE)? else {
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

    /// Replaces the file. On return, the new file is on the disk.
    ///
    /// # Errors
    /// If the file has not been read, an entry cannot be written, or the system refuses. The old file is
    /// still there then; only if syncing the directory failed, the new one is, and may be lost in a power
    /// failure.
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
        replace(&self.path, TEMPORARY, FILE, |mut file| file.write_all(text.as_bytes()))
    }

    fn keep_damaged(&mut self) -> Result<(), StateError> {
        if let Standing::NotKept(bytes) = &self.standing {
            replace(&self.path, TEMPORARY, ASIDE, |mut file| file.write_all(bytes))?;
            self.standing = Standing::Replaceable;
        }
        Ok(())
    }
}

/// Creates or replaces a file. On return, it is on the disk.
fn replace(
    directory: &Path,
    temporary: &str,
    name: &str,
    write: impl FnOnce(&File) -> io::Result<()>,
) -> Result<(), StateError> {
    let (target, file) = (directory.join(name), create_temporary(directory, temporary)?);
    let path = directory.join(temporary);
    let replaced = write(&file)
        .and_then(|()| file.sync_all())
        .map_err(refused("write", &path))
        .and_then(|()| std::fs::rename(&path, &target).map_err(refused("replace", &target)));
    if replaced.is_err() {
        // It takes space, perhaps on a full disk. If it cannot be removed now, the next save will try again.
        remove(directory, temporary).ok();
    }
    replaced?;
    sync(directory)
}

fn sync(directory: &Path) -> Result<(), StateError> {
    let opened = File::open(directory).map_err(refused("open", directory))?;
    opened.sync_all().map_err(refused("write out", directory))
}

/// An empty temporary file; replaces any remains.
fn create_temporary(directory: &Path, name: &str) -> Result<File, StateError> {
    remove(directory, name)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o640);
    create(&options, &directory.join(name))
}

/// Removes a file, if there is one.
fn remove(directory: &Path, name: &str) -> Result<(), StateError> {
    let path = directory.join(name);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(refused("remove", &path)(error)),
        _ => Ok(()),
    }
}

fn lock(directory: &Path) -> Result<Flock<File>, StateError> {
    let path = directory.join(LOCK);
    let mut options = OpenOptions::new();
    // Non-blocking, since opening a pipe would wait for its other end.
    options.read(true).write(true).mode(0o640).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    let opened = options.open(&path).or_else(|error| match error.kind() {
        // An existing file can be locked even if nothing can be written.
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

/// Creates a file that belongs to the directory's owner: if root runs the program by hand once, the service's
/// user must still be able to open its files.
fn create(options: &OpenOptions, path: &Path) -> Result<File, StateError> {
    let file = options.open(path).map_err(refused("create", path))?;
    if geteuid().is_root() {
        let directory = path.parent().unwrap_or(path);
        let owner = std::fs::metadata(directory).map_err(refused("look at", directory))?;
        fchown(&file, Some(owner.uid()), Some(owner.gid())).map_err(refused("change the owner of", path))?;
    }
    Ok(file)
}

/// `None` if there is no file. One that is larger than `most` bytes is not read.
fn read_file(path: &Path, most: u64) -> Result<Option<Vec<u8>>, StateError> {
    // Non-blocking, since opening a pipe would wait for its other end.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(refused("open", path))?,
    };
    if !file.metadata().map_err(refused("look at", path))?.is_file() {
        return Err(StateError::WrongKind { path: path.to_owned(), expected: "regular file" });
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(refused("read", path))?;
    if u64::try_from(bytes.len()).map_or(true, |length| length > most) {
        return Err(StateError::TooLarge(path.to_owned()));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests;
