//! What the kernel says that each thread may do: `/proc/self/task/*/status`, described in proc(5).

use std::io;
use std::path::{Path, PathBuf};

const THREADS: &str = "/proc/self/task";

/// Why it is not certain that nothing is left.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The kernel cannot be asked.
    #[error("cannot read {}, to see that no privilege is left: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It does not say.
    #[error("{} has no line {field:?} with a number in it", path.display())]
    Unsaid {
        /// The file.
        path: PathBuf,
        /// What should be there.
        field: &'static str,
    },
    /// A privilege is left.
    #[error("{} still says {field} {found:#x} where {expected} is expected", path.display())]
    Left {
        /// The file.
        path: PathBuf,
        /// What it says.
        field: &'static str,
        /// As a set of bits.
        found: u64,
        /// As a set of bits.
        expected: u64,
    },
}

/// One thread's privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Status<'a>(&'a str);

impl Status<'_> {
    /// A field's number, in the field's own base.
    fn number(&self, field: &str, base: u32) -> Option<u64> {
        let mut fields = self.0.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = fields.find(|(name, _)| *name == field)?;
        u64::from_str_radix(value.trim(), base).ok()
    }

    /// The first field that shows more than it should, with what it shows, if it shows anything.
    fn excess(&self, bounding_is_empty: bool) -> Option<(&'static str, u64, Option<u64>)> {
        let sets = ["CapInh", "CapPrm", "CapEff", "CapAmb"].map(|field| (field, 0, self.number(field, 16)));
        let bounding = bounding_is_empty.then(|| ("CapBnd", 0, self.number("CapBnd", 16)));
        let no_new = ("NoNewPrivs", 1, self.number("NoNewPrivs", 10));
        let mut fields = sets.into_iter().chain(bounding).chain([no_new]);
        fields.find(|(_, expected, found)| *found != Some(*expected))
    }
}

/// Makes sure that no thread of this process has a capability or can come by one.
///
/// # Errors
/// When one has, or the kernel cannot be asked.
pub(super) fn check_all_threads(bounding_is_empty: bool) -> Result<(), StatusError> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| StatusError::Read { path, source }
    };
    let threads = Path::new(THREADS);
    for thread in std::fs::read_dir(threads).map_err(read(threads))? {
        let path = thread.map_err(read(threads))?.path().join("status");
        let text = std::fs::read_to_string(&path).map_err(read(&path))?;
        match Status(&text).excess(bounding_is_empty) {
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
