//! Header, directory and vectors of the segment: where each stands and how it is written.
//!
//! A header, then vectors: the directory, and for each kind of counter a vector of one pointer (there is one thread)
//! to the vector of its values. A vector's length stands 8 bytes in front of it.

use super::{SEGMENT_SIZE, StatsError, Target};

/// The version of the layout.
const VERSION: u64 = 2;

/// What VPP's addresses in the segment begin at. Any value would do; this one no reader can take for an offset.
const BASE: u64 = 0x1000_0000_0000;

/// Offsets of the header's fields.
const BASE_FIELD: usize = 8;
const EPOCH: usize = 16;
const IN_PROGRESS: usize = 24;
const DIRECTORY: usize = 32;

/// The header has a page for itself.
const FIRST_VECTOR: usize = 4096;

/// Bytes in front of a vector. Its length is in the last 8 of them.
const VECTOR_HEADER: usize = 16;
const ALIGNMENT: usize = 64;

/// What VPP has behind the length: header size, alignment, growth (measured on VPP 26.10; no reader looks).
const VECTOR_FLAGS: u32 = 0x0000_8608;

const ENTRY_SIZE: usize = 144;
const NAME_SIZE: usize = 128;
const VALUE_IN_ENTRY: usize = 8;
const NAME_IN_ENTRY: usize = 16;
const MOST_ENTRIES: usize = 64;

/// Values for which a new vector has room; then twice as many each time, so that all outgrown ones together take no
/// more room than the last.
const FIRST_ROOM: usize = 64;

/// Kind of a directory entry, with VPP's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar = 1,
    Simple = 2,
    Combined = 3,
    Gauge = 9,
}

/// A place in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryIndex(usize);

/// A counter's values as they stand in the segment, `width` words for each index.
#[derive(Debug)]
pub(super) struct Values {
    width: usize,
    /// Where the pointer to the vector stands.
    pointer: usize,
    vector: usize,
    room: usize,
    words: Vec<u64>,
}

impl Values {
    /// How many indexes there are.
    pub(super) fn length(&self) -> usize {
        self.words.len() / self.width
    }
}

/// Writes the parts of a segment.
#[derive(Debug)]
pub(super) struct Writer<T> {
    target: T,
    epoch: u64,
    free: usize,
    directory: usize,
    entries: usize,
}

impl<T: Target> Writer<T> {
    /// The header and an empty directory, in a target of zeros. The change is left in progress.
    pub(super) fn new(target: T) -> Result<Self, StatsError> {
        let mut writer = Self { target, epoch: 0, free: FIRST_VECTOR, directory: 0, entries: 0 };
        writer.begin()?;
        writer.write_word(0, VERSION)?;
        writer.write_word(BASE_FIELD, BASE)?;
        writer.directory = writer.allocate(MOST_ENTRIES * ENTRY_SIZE, 0)?;
        writer.write_word(DIRECTORY, address(writer.directory))?;
        Ok(writer)
    }

    pub(super) fn target(&self) -> &T {
        &self.target
    }

    /// Tells readers that vectors move.
    pub(super) fn begin(&mut self) -> Result<(), StatsError> {
        self.write_word(IN_PROGRESS, 1)
    }

    /// Tells readers that what they read before is no longer good.
    pub(super) fn end(&mut self) -> Result<(), StatsError> {
        self.epoch += 1;
        self.write_word(EPOCH, self.epoch)?;
        self.write_word(IN_PROGRESS, 0)
    }

    /// Adds a directory entry whose value is 0.
    pub(super) fn add_entry(&mut self, kind: Kind, name: &str) -> Result<EntryIndex, StatsError> {
        if self.entries == MOST_ENTRIES || name.len() >= NAME_SIZE {
            return Err(StatsError::Full { wanted: ENTRY_SIZE, left: 0 });
        }
        let entry = EntryIndex(self.entries);
        let at = self.directory + self.entries * ENTRY_SIZE;
        self.target.write_at(at, &(kind as u32).to_ne_bytes())?;
        self.target.write_at(at + NAME_IN_ENTRY, name.as_bytes())?;
        self.entries += 1;
        self.write_length(self.directory, self.entries)?;
        Ok(entry)
    }

    /// Adds a counter without values.
    pub(super) fn add_values(&mut self, kind: Kind, name: &str, width: usize) -> Result<Values, StatsError> {
        let entry = self.add_entry(kind, name)?;
        let pointer = self.allocate(size_of::<u64>(), 1)?;
        self.write_value(entry, address(pointer))?;
        let mut values = Values { width, pointer, vector: 0, room: 0, words: Vec::new() };
        self.resize(&mut values, 0)?;
        Ok(values)
    }

    /// Gives a counter room for this many indexes; new ones are 0.
    pub(super) fn resize(&mut self, values: &mut Values, length: usize) -> Result<(), StatsError> {
        let kept = values.words.len().min(length * values.width);
        values.words.resize(length * values.width, 0);
        if values.vector != 0 && length <= values.room {
            let fresh = vec![0; (values.words.len() - kept) * size_of::<u64>()];
            self.target.write_at(values.vector + kept * size_of::<u64>(), &fresh)?;
            return self.write_length(values.vector, length);
        }
        let room = length.next_power_of_two().max(FIRST_ROOM);
        values.vector = self.allocate(room * values.width * size_of::<u64>(), length)?;
        values.room = room;
        let bytes: Vec<u8> = values.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.target.write_at(values.vector, &bytes)?;
        self.write_word(values.pointer, address(values.vector))
    }

    /// Writes those words that differ from what is there.
    pub(super) fn update(
        &mut self,
        values: &mut Values,
        words: impl Iterator<Item = u64>,
    ) -> Result<(), StatsError> {
        for (position, (old, new)) in values.words.iter_mut().zip(words).enumerate() {
            if *old != new {
                self.target.write_at(values.vector + position * size_of::<u64>(), &new.to_ne_bytes())?;
                *old = new;
            }
        }
        Ok(())
    }

    /// Sets the value of a scalar or gauge.
    pub(super) fn write_value(&mut self, entry: EntryIndex, value: u64) -> Result<(), StatsError> {
        self.write_word(self.directory + entry.0 * ENTRY_SIZE + VALUE_IN_ENTRY, value)
    }

    /// Room for a vector, which tells its length.
    fn allocate(&mut self, bytes: usize, length: usize) -> Result<usize, StatsError> {
        let vector = (self.free + VECTOR_HEADER).next_multiple_of(ALIGNMENT);
        // One byte is left over: the official client takes a vector that ends with the segment for an overrun.
        if vector + bytes >= SEGMENT_SIZE {
            return Err(StatsError::Full { wanted: bytes, left: SEGMENT_SIZE - self.free });
        }
        self.free = vector + bytes;
        self.target.write_at(vector - size_of::<u32>(), &VECTOR_FLAGS.to_ne_bytes())?;
        self.write_length(vector, length)?;
        Ok(vector)
    }

    fn write_length(&mut self, vector: usize, length: usize) -> Result<(), StatsError> {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        Ok(self.target.write_at(vector - 2 * size_of::<u32>(), &length.to_ne_bytes())?)
    }

    fn write_word(&mut self, offset: usize, word: u64) -> Result<(), StatsError> {
        Ok(self.target.write_at(offset, &word.to_ne_bytes())?)
    }
}

/// VPP's address of a place in the segment.
fn address(offset: usize) -> u64 {
    BASE + u64::try_from(offset).unwrap_or(0)
}
