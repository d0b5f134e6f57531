//! Where the lines that were typed are kept.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Lines kept.
pub(crate) const LINES: usize = 1000;

/// By the XDG base directory specification, which ignores relative paths. `state` and `home` are the
/// environment's XDG_STATE_HOME and HOME.
pub(crate) fn path(state: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    let absolute = |path: &&OsStr| Path::new(path).is_absolute();
    let state = state.filter(absolute).map(PathBuf::from);
    let state = state.or_else(|| home.filter(absolute).map(|home| Path::new(home).join(".local/state")))?;
    Some(state.join("maglevc/history"))
}

/// None if it cannot be kept there, as in a home that cannot be written: the shell does without. The file
/// itself is for its owner only; the line editor makes it so.
pub(crate) fn prepared(path: Option<PathBuf>) -> Option<PathBuf> {
    let path = path?;
    DirBuilder::new().recursive(true).mode(0o700).create(path.parent()?).ok()?;
    // A pipe there would hold the shell.
    let may_be_opened = path.metadata().map_or(true, |found| found.is_file());
    may_be_opened.then_some(path)
}

#[cfg(test)]
mod tests;
