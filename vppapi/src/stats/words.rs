//! Access to the segment's memory, and its header.

use super::StatsError;

/// The segment's memory as 8-byte words. Everything that VPP stores there is aligned to them.
pub(super) trait Words {
    /// The number of words.
    fn len(&self) -> usize;

    /// Copies words, each atomically, and all before any that a later call reads. Returns false, with `into`
    /// unchanged, if they are out of range.
    #[must_use]
    fn copy(&self, first: usize, into: &mut [u64]) -> bool;
}

impl Words for Vec<u64> {
    fn len(&self) -> usize {
        self.len()
    }

    fn copy(&self, first: usize, into: &mut [u64]) -> bool {
        let range = first.checked_add(into.len()).and_then(|end| self.get(first..end));
        if let Some(range) = range {
            into.copy_from_slice(range);
        }
        range.is_some()
    }
}

/// The segment's first words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// VPP's own address of the segment, which its pointers are relative to.
    pub(super) base: u64,
    /// Changes with every change of the structure.
    pub(super) epoch: u64,
    /// Nonzero while VPP changes the structure.
    pub(super) in_progress: u64,
    /// Pointer to the directory.
    pub(super) directory_vector: u64,
}

/// The layout version that this module reads, that of VPP 26.10.
const VERSION: u64 = 2;

impl Header {
    pub(super) fn read(words: &dyn Words) -> Result<Self, StatsError> {
        let mut header = [0; 5];
        if !words.copy(0, &mut header) {
            return Err(StatsError::damaged("the header", "the segment is shorter"));
        }
        let [version, base, epoch, in_progress, directory_vector] = header;
        if version != VERSION {
            return Err(StatsError::Version { found: version, expected: VERSION });
        }
        Ok(Self { base, epoch, in_progress, directory_vector })
    }
}

/// A vector in the segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vector {
    /// Index of the first word.
    pub(super) first: usize,
    /// Number of elements.
    pub(super) count: usize,
}

/// The word that a pointer refers to.
pub(super) fn locate(words: &dyn Words, base: u64, pointer: u64, what: &str) -> Result<usize, StatsError> {
    let damaged =
        |why: &str| Err(StatsError::damaged(what, format!("pointer {pointer:#x} {why} (base {base:#x})")));
    let Some(offset) = pointer.checked_sub(base) else { return damaged("lies before the segment") };
    if offset % 8 != 0 {
        return damaged("is not aligned to 8 bytes");
    }
    match usize::try_from(offset / 8) {
        Ok(word) if word < words.len() => Ok(word),
        _ => damaged("lies behind the segment"),
    }
}

/// The vector that a pointer refers to, checked to lie within the segment with all of its elements, each of
/// `width` bytes. A null pointer is an empty vector.
pub(super) fn vector(
    words: &dyn Words,
    base: u64,
    pointer: u64,
    element_bytes: usize,
    what: &str,
) -> Result<Vector, StatsError> {
    if pointer == 0 {
        return Ok(Vector { first: 0, count: 0 });
    }
    let first = locate(words, base, pointer, what)?;
    // The length is a u32, 8 bytes before the first element.
    let mut length = [0];
    if !first.checked_sub(1).is_some_and(|before| words.copy(before, &mut length)) {
        return Err(StatsError::damaged(what, format!("no length before pointer {pointer:#x}")));
    }
    let [length] = length;
    let [b0, b1, b2, b3, ..] = length.to_ne_bytes();
    let count = usize::try_from(u32::from_ne_bytes([b0, b1, b2, b3])).unwrap_or(usize::MAX);
    let taken = count.checked_mul(element_bytes).map(|bytes| bytes.div_ceil(8));
    let left = words.len() - first;
    if taken.is_none_or(|taken| taken > left) {
        let why =
            format!("{count} elements of {element_bytes} bytes do not fit the {left} words behind them");
        return Err(StatsError::damaged(what, why));
    }
    Ok(Vector { first, count })
}
