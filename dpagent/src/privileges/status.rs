//! Check of each thread's privileges in `/proc/self/task/*/status`, described in proc(5).

use std::io;
use std::path::{Path, PathBuf};

use caps::CapsHashSet;

const THREADS: &str = "/proc/self/task";

/// Why it is uncertain whether all privileges are dropped.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// A status file cannot be read.
    #[error("cannot read {}, to see that no privilege is left: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A field is missing.
    #[error("{} has no line {field:?} with a number in it", path.display())]
    Unsaid {
        /// The file.
        path: PathBuf,
        /// The missing field.
        field: &'static str,
    },
    /// A privilege is left.
    #[error("{} still says {field} {found:#x} where {expected} is expected", path.display())]
    Left {
        /// The file.
        path: PathBuf,
        /// The field that shows it.
        field: &'static str,
        /// The bits found.
        found: u64,
        /// The bits expected.
        expected: u64,
    },
}

/// The text of one thread's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Status<'a>(&'a str);

impl Status<'_> {
    /// A field's number, in this base.
    fn number(&self, field: &str, base: u32) -> Option<u64> {
        let mut fields = self.0.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = fields.find(|(name, _)| *name == field)?;
        u64::from_str_radix(value.trim(), base).ok()
    }

    /// The first field that shows another privilege than these, or is missing, with its value if there is one.
    fn excess(&self, bounding_is_empty: bool, kept: u64) -> Option<(&'static str, u64, Option<u64>)> {
        let sets = [("CapInh", 0), ("CapPrm", kept), ("CapEff", kept), ("CapAmb", 0)];
        let sets = sets.map(|(field, expected)| (field, expected, self.number(field, 16)));
        let bounding = bounding_is_empty.then(|| ("CapBnd", 0, self.number("CapBnd", 16)));
        let no_new = ("NoNewPrivs", 1, self.number("NoNewPrivs", 10));
        let mut fields = sets.into_iter().chain(bounding).chain([no_new]);
        fields.find(|(_, expected, found)| *found != Some(*expected))
    }
}

/// Checks that no thread of this process has a capability but these, or can regain one.
///
/// # Errors
/// When a thread has one, or its status cannot be read.
pub(super) fn check_all_threads(bounding_is_empty: bool, kept: &CapsHashSet) -> Result<(), StatusError> {
    let kept = kept.iter().fold(0, |bits, capability| bits | capability.bitmask());
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| StatusError::Read { path, source }
    };
    let threads = Path::new(THREADS);
    for thread in std::fs::read_dir(threads).map_err(read(threads))? {
        let path = thread.map_err(read(threads))?.path().join("status");
        let text = std::fs::read_to_string(&path).map_err(read(&path))?;
        match Status(&text).excess(bounding_is_empty, kept) {
            None => {}
            Some((field, expected, Some(found))) => {
                return Err(StatusError::Left { path, field, found, expected });
            }
            Some((field, _, None)) => return Err(StatusError::Unsaid { path, field }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
