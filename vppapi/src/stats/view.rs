//! Access to the segment's values by name.

use super::StatsError;
use super::directory::{Directory, Entry, EntryKind, text};
use super::words::{Vector, Words, vector};

/// A segment during a read. All values of one view belong to one state of the segment's structure.
#[derive(Clone, Copy)]
pub struct View<'a> {
    words: &'a dyn Words,
    directory: &'a Directory,
}

/// A scalar or gauge: a u64, or an f64 in older VPP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalar(u64);

impl Scalar {
    /// The raw bits in the segment.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The value as a floating-point number.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.float().unwrap_or(self.0 as f64)
    }

    /// The value as an integer; an f64 is truncated, and negative values become 0.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "cutting off is what is wanted"
    )]
    pub fn as_u64(self) -> u64 {
        self.float().map_or(self.0, |float| float as u64)
    }

    /// The bits as an f64, if they must be one: an f64 between 2^-64 and 2^64 is beyond 4 * 10^18 as a u64,
    /// which exceeds any scalar of VPP.
    fn float(self) -> Option<f64> {
        const MOST: f64 = 18_446_744_073_709_551_616.0;
        let float = f64::from_bits(self.0);
        (1.0 / MOST..MOST).contains(&float.abs()).then_some(float)
    }
}

impl<'a> View<'a> {
    pub(super) fn new(words: &'a dyn Words, directory: &'a Directory) -> Self {
        Self { words, directory }
    }

    /// The segment's epoch, which increases with every change of its structure.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.directory.header().epoch
    }

    /// All entries in order, including empty ones.
    ///
    /// # Errors
    /// When the segment is damaged.
    pub fn directory(&self) -> Result<Vec<Entry>, StatsError> {
        let count = u32::try_from(self.directory.count()).unwrap_or(u32::MAX);
        (0..count).map(|index| self.directory.entry(self.words, index)).collect()
    }

    /// The directory index of the entry with that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<u32> {
        self.directory.find(self.words, name)
    }

    /// The value of a scalar or gauge.
    ///
    /// # Errors
    /// When there is no entry of that name, or one of another kind.
    pub fn scalar(&self, name: &str) -> Result<Scalar, StatsError> {
        let entry = self.entry(name)?;
        match entry.kind {
            EntryKind::Scalar | EntryKind::Gauge => Ok(Scalar(entry.value)),
            _ => Err(wrong_kind(entry, "a scalar or gauge")),
        }
    }

    /// VPP's start time, in Unix seconds.
    ///
    /// # Errors
    /// Like [`View::scalar`].
    pub fn boot_time(&self) -> Result<u64, StatsError> {
        self.scalar("/sys/boottime").map(Scalar::as_u64)
    }

    /// The counts of an entry, per thread, then per index. For a symlink, only the index that it refers to.
    ///
    /// # Errors
    /// When there is no entry of that name, it is of another kind, or the segment is damaged.
    pub fn simple_counters(&self, name: &str) -> Result<Vec<Vec<u64>>, StatsError> {
        self.counters(name, EntryKind::SimpleCounters, "simple counters", |[count]| count)
    }

    /// Packets and bytes of an entry, per thread, then per index. For a symlink, only the index that it
    /// refers to.
    ///
    /// # Errors
    /// When there is no entry of that name, it is of another kind, or the segment is damaged.
    pub fn combined_counters(&self, name: &str) -> Result<Vec<Vec<(u64, u64)>>, StatsError> {
        self.counters(name, EntryKind::CombinedCounters, "combined counters", |[packets, bytes]| {
            (packets, bytes)
        })
    }

    /// The counts at some indexes, each summed over all threads; `None` for an index that no thread has. Much
    /// cheaper than reading all counters of a large entry.
    ///
    /// # Errors
    /// Like [`View::simple_counters`], and when threads times indexes exceed what the segment holds.
    pub fn simple_sums(&self, name: &str, indexes: &[u32]) -> Result<Vec<Option<u64>>, StatsError> {
        let sums = self.sums(name, EntryKind::SimpleCounters, "simple counters", indexes)?;
        Ok(sums.into_iter().map(|sum| sum.map(|[count]| count)).collect())
    }

    /// Packets and bytes at some indexes, each summed over all threads; `None` for an index that no thread
    /// has. Much cheaper than reading all counters of a large entry: `/net/route/to` has one for each of
    /// VPP's routes.
    ///
    /// # Errors
    /// Like [`View::combined_counters`], and when threads times indexes exceed what the segment holds.
    pub fn combined_sums(&self, name: &str, indexes: &[u32]) -> Result<Vec<Option<(u64, u64)>>, StatsError> {
        let sums = self.sums(name, EntryKind::CombinedCounters, "combined counters", indexes)?;
        Ok(sums.into_iter().map(|sum| sum.map(|[packets, bytes]| (packets, bytes))).collect())
    }

    /// The strings of an entry by index; empty for an index without one.
    ///
    /// # Errors
    /// When there is no entry of that name, it is of another kind, or the segment is damaged.
    pub fn names(&self, name: &str) -> Result<Vec<String>, StatsError> {
        let entry = self.entry(name)?;
        if entry.kind != EntryKind::Names {
            return Err(wrong_kind(entry, "names"));
        }
        let mut budget = Budget::new(self.words);
        let pointers = self.vector(entry.value, 8, name)?;
        let pointers = self.elements::<1>(pointers, name, &mut budget)?;
        let read = |[pointer]: [u64; 1]| {
            let string = self.vector(pointer, 1, name)?;
            let words = Vector { first: string.first, count: string.count.div_ceil(8) };
            let words = self.elements::<1>(words, name, &mut budget)?;
            Ok(text(words.as_flattened(), string.count))
        };
        pointers.into_iter().map(read).collect()
    }

    fn entry(&self, name: &str) -> Result<Entry, StatsError> {
        let no_such_entry = || StatsError::NoSuchEntry { name: name.to_owned() };
        let index = self.find(name).ok_or_else(no_such_entry)?;
        self.directory.entry(self.words, index)
    }

    /// Pointers to the counters of each thread, and the index of a symlink.
    fn threads(
        &self,
        name: &str,
        kind: EntryKind,
        expected: &'static str,
        budget: &mut Budget,
    ) -> Result<(Vec<u64>, Option<u32>), StatsError> {
        let mut entry = self.entry(name)?;
        let mut index = None;
        if entry.kind == EntryKind::Symlink {
            let (target, within) = entry.link();
            entry = self.directory.entry(self.words, target)?;
            index = Some(within);
        }
        if entry.kind != kind {
            return Err(wrong_kind(Entry { name: name.to_owned(), ..entry }, expected));
        }
        let threads = self.vector(entry.value, 8, name)?;
        Ok((self.elements::<1>(threads, name, budget)?.into_iter().flatten().collect(), index))
    }

    fn counters<const N: usize, T>(
        &self,
        name: &str,
        kind: EntryKind,
        expected: &'static str,
        convert: impl Fn([u64; N]) -> T,
    ) -> Result<Vec<Vec<T>>, StatsError> {
        let mut budget = Budget::new(self.words);
        let (threads, index) = self.threads(name, kind, expected, &mut budget)?;
        let read = |pointer: u64| {
            let mut counters = self.vector(pointer, N * 8, name)?;
            if let Some(index) = index {
                counters = part(counters, index, N);
            }
            Ok(self.elements(counters, name, &mut budget)?.into_iter().map(&convert).collect())
        };
        threads.into_iter().map(read).collect()
    }

    fn sums<const N: usize>(
        &self,
        name: &str,
        kind: EntryKind,
        expected: &'static str,
        indexes: &[u32],
    ) -> Result<Vec<Option<[u64; N]>>, StatsError> {
        let mut budget = Budget::new(self.words);
        let (threads, link) = self.threads(name, kind, expected, &mut budget)?;
        let mut sums = vec![None; indexes.len()];
        for pointer in threads {
            let mut counters = self.vector(pointer, N * 8, name)?;
            if let Some(link) = link {
                counters = part(counters, link, N);
            }
            if counters.count == 0 {
                continue;
            }
            budget.spend(indexes.len().saturating_mul(N), name)?;
            for (index, sum) in indexes.iter().zip(&mut sums) {
                let one = part(counters, *index, N);
                let mut read = [0; N];
                if one.count == 0 {
                    continue;
                }
                if !self.words.copy(one.first, &mut read) {
                    return Err(StatsError::damaged(name, "a counter lies behind the segment"));
                }
                let sum = sum.get_or_insert([0_u64; N]);
                for (sum, read) in sum.iter_mut().zip(read) {
                    *sum = sum.wrapping_add(read);
                }
            }
        }
        Ok(sums)
    }

    fn vector(&self, pointer: u64, element_bytes: usize, what: &str) -> Result<Vector, StatsError> {
        vector(self.words, self.directory.header().base, pointer, element_bytes, what)
    }

    fn elements<const N: usize>(
        &self,
        vector: Vector,
        what: &str,
        budget: &mut Budget,
    ) -> Result<Vec<[u64; N]>, StatsError> {
        budget.spend(vector.count.saturating_mul(N), what)?;
        let mut elements = vec![[0; N]; vector.count];
        if !self.words.copy(vector.first, elements.as_flattened_mut()) {
            return Err(StatsError::damaged(what, "its elements lie behind the segment"));
        }
        Ok(elements)
    }
}

/// Number of words that one call may copy. Vectors of a valid segment do not overlap, so no call needs more
/// than the segment holds; a malicious segment with many pointers to one vector runs out of budget.
struct Budget {
    left: usize,
}

impl Budget {
    fn new(words: &dyn Words) -> Self {
        Self { left: words.len() }
    }

    fn spend(&mut self, words: usize, what: &str) -> Result<(), StatsError> {
        let overlapping =
            || StatsError::damaged(what, "its vectors overlap: they are longer than the segment");
        self.left = self.left.checked_sub(words).ok_or_else(overlapping)?;
        Ok(())
    }
}

/// The element at an index, `width` words long; empty if the vector is shorter.
fn part(vector: Vector, index: u32, width: usize) -> Vector {
    match usize::try_from(index) {
        Ok(index) if index < vector.count => Vector { first: vector.first + index * width, count: 1 },
        _ => Vector { first: vector.first, count: 0 },
    }
}

fn wrong_kind(entry: Entry, expected: &'static str) -> StatsError {
    StatsError::WrongKind { name: entry.name, found: entry.kind, expected }
}
