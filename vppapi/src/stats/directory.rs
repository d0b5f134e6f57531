//! The segment's directory: a vector of named entries.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::StatsError;
use super::words::{Header, Words, vector};

/// Words of a directory entry: type with padding, value or pointer, and 128 bytes of name.
const ENTRY_WORDS: usize = 18;

/// Kind of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// One value.
    Scalar,
    /// One count per thread and index.
    SimpleCounters,
    /// Packets and bytes, per thread and index.
    CombinedCounters,
    /// Strings by index.
    Names,
    /// An entry that is no longer used.
    Empty,
    /// Alias of one index in another entry's counters.
    Symlink,
    /// Buckets of a histogram.
    Histogram,
    /// A ring buffer.
    RingBuffer,
    /// One value that may decrease.
    Gauge,
    /// A type unknown to VPP 26.10.
    Other(u32),
}

impl From<u32> for EntryKind {
    fn from(value: u32) -> Self {
        match value {
            1 => Self::Scalar,
            2 => Self::SimpleCounters,
            3 => Self::CombinedCounters,
            4 => Self::Names,
            5 => Self::Empty,
            6 => Self::Symlink,
            7 => Self::Histogram,
            8 => Self::RingBuffer,
            9 => Self::Gauge,
            other => Self::Other(other),
        }
    }
}

/// An entry of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, such as `/sys/boottime`.
    pub name: String,
    /// What the value means.
    pub kind: EntryKind,
    /// The value itself, VPP's pointer to the values, or two indexes.
    pub(super) value: u64,
}

impl Entry {
    /// The two indexes of a symlink: of the directory entry, and within its counters.
    pub(super) fn link(&self) -> (u32, u32) {
        let [a0, a1, a2, a3, b0, b1, b2, b3] = self.value.to_ne_bytes();
        (u32::from_ne_bytes([a0, a1, a2, a3]), u32::from_ne_bytes([b0, b1, b2, b3]))
    }
}

/// Positions of the entries by name, valid for one header.
#[derive(Debug)]
pub(super) struct Directory {
    header: Header,
    first: usize,
    count: usize,
    /// Hashes of the names with their positions, sorted. The names themselves, thousands of them, stay in the
    /// segment.
    by_name: Vec<(u64, u32)>,
}

impl Directory {
    /// Reads all names. If a name occurs twice, the first one counts.
    pub(super) fn read(words: &dyn Words, header: Header) -> Result<Self, StatsError> {
        let found = vector(words, header.base, header.directory_vector, ENTRY_WORDS * 8, "the directory")?;
        let mut directory =
            Self { header, first: found.first, count: found.count, by_name: Vec::with_capacity(found.count) };
        for index in 0..u32::try_from(found.count).unwrap_or(u32::MAX) {
            let entry = directory.entry(words, index)?;
            if !entry.name.is_empty() {
                directory.by_name.push((hash(&entry.name), index));
            }
        }
        directory.by_name.sort_unstable();
        Ok(directory)
    }

    pub(super) fn header(&self) -> Header {
        self.header
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn find(&self, words: &dyn Words, name: &str) -> Option<u32> {
        let hash = hash(name);
        let first = self.by_name.partition_point(|(other, _)| *other < hash);
        let candidates = self.by_name.get(first..)?.iter().take_while(|(other, _)| *other == hash);
        let is_it = |index: &u32| self.entry(words, *index).is_ok_and(|entry| entry.name == name);
        candidates.map(|(_, index)| *index).find(is_it)
    }

    /// The current entry at an index.
    pub(super) fn entry(&self, words: &dyn Words, index: u32) -> Result<Entry, StatsError> {
        let damaged = |why: String| StatsError::damaged(format!("directory entry {index}"), why);
        let place = usize::try_from(index).ok().filter(|place| *place < self.count);
        let place = place.ok_or_else(|| damaged(format!("there are only {}", self.count)))?;
        let mut read = [0; ENTRY_WORDS];
        if !words.copy(self.first + place * ENTRY_WORDS, &mut read) {
            return Err(damaged("it lies behind the segment".to_owned()));
        }
        let [kind, value, name @ ..] = read;
        let [k0, k1, k2, k3, ..] = kind.to_ne_bytes();
        Ok(Entry { name: text(&name, 128), kind: u32::from_ne_bytes([k0, k1, k2, k3]).into(), value })
    }
}

fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// The text in the first `length` bytes of these words, up to its first zero byte.
pub(super) fn text(words: &[u64], length: usize) -> String {
    let bytes = words.iter().flat_map(|word| word.to_ne_bytes()).take(length);
    let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
