//! Applied configurations in the state directory, one file each: `config.7`. All calls block.

use std::io::Write;
use std::path::PathBuf;

use maglev_engine::revisions::{self, Kept, LONGEST_HEADER, Revision, Revisions};
use maglev_probe::files::LARGEST_CONFIGURATION;

use super::{StateError, read_file, refused, remove, replace, sync};

/// Begins the names of the files, before the number.
const PREFIX: &str = "config.";
const TEMPORARY: &str = "config.new";
/// Maximum number of files looked at: more than are ever kept.
const MOST_FILES: usize = 100;
const LARGEST: u64 = LARGEST_CONFIGURATION + LONGEST_HEADER as u64;

/// The files of one state directory.
#[derive(Debug, Clone)]
pub struct Copies {
    directory: PathBuf,
}

impl Copies {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Looks at all files. One that cannot be read counts as damaged.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub fn load(&self) -> Result<Revisions, StateError> {
        let entries = std::fs::read_dir(&self.directory).map_err(refused("list", &self.directory))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let numbers = names.filter_map(|name| number(&name)).take(MOST_FILES);
        Ok(Revisions::of_files(numbers.map(|number| (number, self.read(number).map(|(kept, _)| kept)))))
    }

    /// The text of a revision, if its file is intact.
    pub fn text(&self, number: u64) -> Option<Vec<u8>> {
        self.read(number).filter(|(kept, _)| kept.intact).map(|(_, text)| text)
    }

    fn read(&self, number: u64) -> Option<(Kept, Vec<u8>)> {
        let bytes = read_file(&self.directory.join(name(number)), LARGEST).ok()??;
        let parsed = revisions::parse(&bytes)?;
        Some((parsed.kept, parsed.text.to_vec()))
    }

    /// Creates or replaces the file of a revision. On return, it is on the disk.
    ///
    /// # Errors
    /// If the system refuses. An older file is still there then.
    pub fn save(&self, revision: &Revision, text: &[u8]) -> Result<(), StateError> {
        let path = self.directory.join(name(revision.number));
        let bytes =
            revisions::render(revision, text).map_err(|error| refused("write", &path)(error.into()))?;
        replace(&self.directory, TEMPORARY, &name(revision.number), |mut file| file.write_all(&bytes))
    }

    /// Removes files of revisions, if they exist.
    ///
    /// # Errors
    /// If the system refuses for one of them.
    pub fn remove(&self, numbers: &[u64]) -> Result<(), StateError> {
        numbers.iter().try_for_each(|number| remove(&self.directory, &name(*number)))?;
        if numbers.is_empty() { Ok(()) } else { sync(&self.directory) }
    }
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number}")
}

/// The number in a name that [`name`] makes.
fn number(text: &str) -> Option<u64> {
    text.strip_prefix(PREFIX)?.parse().ok().filter(|number| name(*number) == text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::UNIX_EPOCH;

    use maglev_engine::revisions::{Origin, Sum};

    use super::*;

    fn revision(revisions: &Revisions, text: &[u8]) -> Revision {
        let sum = Sum::of(text);
        revisions.next(Origin::Reload, (sum, Some(sum)), None, None, UNIX_EPOCH)
    }

    #[test]
    fn torn_file_costs_its_own_text_only() {
        let directory = tempfile::tempdir().unwrap();
        let copies = Copies::new(directory.path().to_owned());
        let mut revisions = Revisions::default();
        for text in [b"one", b"two", b"six"] {
            let next = revision(&revisions, text);
            copies.save(&next, text).unwrap();
            revisions.put(next);
        }
        std::fs::write(directory.path().join("config.new"), b"remains").unwrap();
        std::fs::write(directory.path().join("config.007"), b"of somebody else").unwrap();
        assert_eq!(copies.load().unwrap(), revisions);
        let file = directory.path().join("config.2");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777 & !0o640, 0);
        std::fs::write(&file, &std::fs::read(&file).unwrap()[..10]).unwrap();
        let loaded = copies.load().unwrap();
        assert_eq!(loaded.iter().map(|kept| kept.revision.number).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(
            (copies.text(1), copies.text(2), copies.text(3)),
            (Some(b"one".to_vec()), None, Some(b"six".to_vec()))
        );
        copies.remove(&[1, 2, 9]).unwrap();
        assert_eq!(copies.load().unwrap().iter().count(), 1);
        // The number of a damaged file is not used again.
        std::fs::write(directory.path().join("config.8"), b"").unwrap();
        assert_eq!(revision(&copies.load().unwrap(), b"x").number, 9);
    }
}
