//! Location of the shell's history.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Maximum number of lines.
pub(crate) const LINES: usize = 1000;

/// Follows the XDG base directory specification, which ignores relative paths. `state` and `home` are the
/// values of XDG_STATE_HOME and HOME.
pub(crate) fn path(state: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    let absolute = |path: &&OsStr| Path::new(path).is_absolute();
    let state = state.filter(absolute).map(PathBuf::from);
    let state = state.or_else(|| home.filter(absolute).map(|home| Path::new(home).join(".local/state")))?;
    Some(state.join("maglevc/history"))
}

/// `None` if it cannot be stored there, as in a read-only home: the shell works without. The line editor
/// makes the file private to its owner.
pub(crate) fn prepared(path: Option<PathBuf>) -> Option<PathBuf> {
    let path = path?;
    DirBuilder::new().recursive(true).mode(0o700).create(path.parent()?).ok()?;
    // Opening a pipe would block the shell.
    let may_be_opened = path.metadata().map_or(true, |found| found.is_file());
    may_be_opened.then_some(path)
}

#[cfg(test)]
mod tests;
