//! Opens a file that nobody but root and one other user can have written or put there.
//!
//! The path is walked as the kernel would walk it, directory by directory and link by link, each checked
//! before it is used. An attacker who can replace none of them cannot lead the walk elsewhere, neither before
//! nor during it.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::Mode;

/// Maximum number of symbolic links on a path, the same as the kernel's.
const MOST_LINKS: usize = 40;

/// Why a file could not be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The kernel refused.
    Io(io::Error),
    /// Another user could have written it, or it is not a regular file.
    Untrusted(String),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for OpenError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Opens a regular file for reading. Anything else is refused, since opening it may block or have side
/// effects.
pub(super) fn open_file(path: &Path, own: u32) -> Result<File, OpenError> {
    let look = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let root = || open("/", look | OFlag::O_DIRECTORY, Mode::empty()).map(File::from);
    let (mut directory, mut place) = (root()?, PathBuf::from("/"));
    check_writers("its directory /", &directory.metadata()?, own)?;
    let mut names = names(&std::path::absolute(path)?);
    let mut links = 0;
    while let Some(name) = names.pop() {
        let found = File::from(openat(&directory, name.as_os_str(), look, Mode::empty())?);
        let metadata = found.metadata()?;
        let whole = place.join(&name);
        if metadata.is_symlink() {
            check_writers(&format!("the link {}", whole.display()), &metadata, own)?;
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::ELOOP.into());
            }
            let target = PathBuf::from(readlinkat(&found, "")?);
            if target.is_absolute() {
                (directory, place) = (root()?, PathBuf::from("/"));
            }
            names.extend(self::names(&target));
        } else if metadata.is_dir() {
            check_writers(&format!("its directory {}", whole.display()), &metadata, own)?;
            (directory, place) = (found, whole);
        } else if !names.is_empty() {
            return Err(Errno::ENOTDIR.into());
        } else if let Some(kind) = other_kind(&metadata) {
            return Err(OpenError::Untrusted(format!("it is a {kind}, it must be a regular file")));
        } else {
            check_writers("it", &metadata, own)?;
            let read = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            return Ok(openat(&directory, name.as_os_str(), read, Mode::empty())?.into());
        }
    }
    Err(OpenError::Untrusted("it is a directory, it must be a regular file".to_owned()))
}

/// The components of a path, last one first. The root of an absolute path is not among them.
fn names(path: &Path) -> Vec<OsString> {
    let names =
        path.components().rev().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    names.map(|part| part.as_os_str().to_owned()).collect()
}

fn other_kind(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    match () {
        () if kind.is_fifo() => Some("FIFO"),
        () if kind.is_socket() => Some("socket"),
        () if kind.is_char_device() || kind.is_block_device() => Some("device"),
        () => None,
    }
}

/// A user who may write to a directory may replace its entries, unless its sticky bit is set. A link's own
/// mode does not matter.
fn check_writers(what: &str, metadata: &Metadata, own: u32) -> Result<(), OpenError> {
    let (owner, mode) = (metadata.uid(), metadata.mode());
    if owner != 0 && owner != own {
        let reason = format!("{what} belongs to user {owner}, it must be root's: chown root");
        return Err(OpenError::Untrusted(reason));
    }
    let sticky = metadata.is_dir() && mode & 0o1000 != 0;
    if mode & 0o022 != 0 && !sticky && !metadata.is_symlink() {
        let mode = mode & 0o7777;
        return Err(OpenError::Untrusted(format!(
            "{what} may be written by others (mode {mode:04o}), only its owner may: chmod go-w"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
