//! Writes header, directory and vectors of the segment.
//!
//! After the header come vectors: the directory, and for each counter a vector with one pointer (there is one
//! thread) to the vector of its values. A vector's length is 8 bytes before it.

use std::collections::HashMap;

use super::{Damage, SEGMENT_SIZE, StatsError, Target};

/// The version of the layout.
const VERSION: u64 = 2;

/// Base of VPP's addresses in the segment. Arbitrary, but impossible to mistake for an offset.
const BASE: u64 = 0x1000_0000_0000;

/// An address outside the segment, and not that of a word.
const NOWHERE: u64 = BASE + 0x7000_0003;

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
const VALUE_IN_ENTRY: usize = 8;

/// Entries for which the first directory has room; then twice as many each time.
const FIRST_ENTRIES: usize = 64;

/// Most entries. The VPP 26.10 that was recorded has 3157.
pub(crate) const MOST_ENTRIES: usize = 20_000;

/// Initial capacity of a new vector; then doubled each time. An outgrown vector's space is reused for the
/// next one of that size.
const FIRST_ROOM: usize = 64;

/// Kind of a directory entry, with VPP's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar = 1,
    Simple = 2,
    Combined = 3,
    Symlink = 6,
    Gauge = 9,
}

/// A place in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryIndex(usize);

/// A counter's values as they stand in the segment, `width` words for each index.
#[derive(Debug)]
pub(super) struct Values {
    entry: EntryIndex,
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

    fn size(&self) -> usize {
        self.room * self.width * size_of::<u64>()
    }
}

/// A directory entry as it stands in the segment.
#[derive(Debug)]
struct Entry {
    kind: Kind,
    name: String,
    value: u64,
}

/// Writes the parts of a segment.
#[derive(Debug)]
pub(super) struct Writer<T> {
    target: T,
    epoch: u64,
    /// Whether readers are kept waiting between changes too.
    busy: bool,
    free: usize,
    /// Vectors that nothing points to any more, by their size in bytes.
    outgrown: HashMap<usize, Vec<usize>>,
    directory: usize,
    directory_room: usize,
    entries: Vec<Entry>,
}

impl<T: Target> Writer<T> {
    /// The header and an empty directory, in a target of zeros. The change is left in progress.
    pub(super) fn new(target: T) -> Result<Self, StatsError> {
        let mut writer = Self {
            target,
            epoch: 0,
            busy: false,
            free: FIRST_VECTOR,
            outgrown: HashMap::new(),
            directory: 0,
            directory_room: 0,
            entries: Vec::new(),
        };
        writer.begin()?;
        writer.write_header()?;
        writer.place_directory(FIRST_ENTRIES)?;
        Ok(writer)
    }

    pub(super) fn target(&self) -> &T {
        &self.target
    }

    /// Marks the start of a change: vectors may move.
    pub(super) fn begin(&mut self) -> Result<(), StatsError> {
        self.write_word(IN_PROGRESS, 1)
    }

    /// Marks the end of a change: earlier reads are invalid.
    pub(super) fn end(&mut self) -> Result<(), StatsError> {
        self.epoch += 1;
        self.write_word(EPOCH, self.epoch)?;
        self.write_word(IN_PROGRESS, self.busy.into())
    }

    /// Whether a change seems to be in progress even when none is. Takes effect with the end of the next change.
    pub(super) fn set_busy(&mut self, busy: bool) {
        self.busy = busy;
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Adds a directory entry. Within a change.
    pub(super) fn add_entry(&mut self, kind: Kind, name: &str, value: u64) -> Result<EntryIndex, StatsError> {
        if self.entries.len() >= MOST_ENTRIES {
            return Err(StatsError::DirectoryFull);
        }
        if self.entries.len() == self.directory_room {
            self.place_directory(2 * self.directory_room)?;
        }
        let entry = EntryIndex(self.entries.len());
        self.entries.push(Entry { kind, name: name.to_owned(), value });
        self.write_entry(entry)?;
        self.write_length(self.directory, self.entries.len())?;
        Ok(entry)
    }

    /// Puts the directory, with room for so many entries, in another place. Within a change.
    fn place_directory(&mut self, room: usize) -> Result<(), StatsError> {
        let (old, old_room) = (self.directory, self.directory_room);
        self.directory = self.allocate(room * ENTRY_SIZE, self.entries.len())?;
        self.directory_room = room;
        for index in 0..self.entries.len() {
            self.write_entry(EntryIndex(index))?;
        }
        self.write_word(DIRECTORY, address(self.directory))?;
        self.give_back(old, old_room * ENTRY_SIZE);
        Ok(())
    }

    /// The same directory in another place. Within a change.
    pub(super) fn move_directory(&mut self) -> Result<(), StatsError> {
        self.place_directory(self.directory_room)
    }

    fn write_entry(&mut self, index: EntryIndex) -> Result<(), StatsError> {
        let at = self.directory + index.0 * ENTRY_SIZE;
        let Some(entry) = self.entries.get(index.0) else { return Ok(()) };
        let mut bytes = Vec::with_capacity(ENTRY_SIZE);
        bytes.extend_from_slice(&(entry.kind as u32).to_ne_bytes());
        bytes.resize(VALUE_IN_ENTRY, 0);
        bytes.extend_from_slice(&entry.value.to_ne_bytes());
        bytes.extend_from_slice(entry.name.as_bytes());
        bytes.resize(ENTRY_SIZE, 0);
        Ok(self.target.write_at(at, &bytes)?)
    }

    /// Adds a counter without values. Within a change.
    pub(super) fn add_values(&mut self, kind: Kind, name: &str, width: usize) -> Result<Values, StatsError> {
        let pointer = self.allocate(size_of::<u64>(), 1)?;
        let entry = self.add_entry(kind, name, address(pointer))?;
        let mut values = Values { entry, width, pointer, vector: 0, room: 0, words: Vec::new() };
        self.resize(&mut values, 0)?;
        Ok(values)
    }

    /// Adds a symlink to one index of a counter. Within a change.
    pub(super) fn add_link(&mut self, name: &str, values: &Values, index: u32) -> Result<(), StatsError> {
        let [a, b, c, d] = u32::try_from(values.entry.0).unwrap_or(u32::MAX).to_ne_bytes();
        let [e, f, g, h] = index.to_ne_bytes();
        self.add_entry(Kind::Symlink, name, u64::from_ne_bytes([a, b, c, d, e, f, g, h])).map(drop)
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
        self.place_values(values, length.next_power_of_two().max(FIRST_ROOM))
    }

    /// Puts a counter's values, with room for so many indexes, in another place. Within a change.
    fn place_values(&mut self, values: &mut Values, room: usize) -> Result<(), StatsError> {
        let (old, old_size) = (values.vector, values.size());
        let vector = self.allocate(room * values.width * size_of::<u64>(), values.length())?;
        let bytes: Vec<u8> = values.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.target.write_at(vector, &bytes)?;
        (values.vector, values.room) = (vector, room);
        self.write_word(values.pointer, address(vector))?;
        self.give_back(old, old_size);
        Ok(())
    }

    /// The same values in another place, and the pointer to them too. Within a change.
    pub(super) fn move_values(&mut self, values: &mut Values) -> Result<(), StatsError> {
        let old = values.pointer;
        values.pointer = self.allocate(size_of::<u64>(), 1)?;
        self.place_values(values, values.room)?;
        self.write_value(values.entry, address(values.pointer))?;
        self.give_back(old, size_of::<u64>());
        Ok(())
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
        if let Some(entry) = self.entries.get_mut(entry.0) {
            entry.value = value;
        }
        self.write_word(self.directory + entry.0 * ENTRY_SIZE + VALUE_IN_ENTRY, value)
    }

    /// Writes garbage where readers look, or the correct contents. Within a change.
    pub(super) fn damage<'a>(
        &mut self,
        damage: Option<Damage>,
        all: impl Iterator<Item = &'a Values>,
    ) -> Result<(), StatsError> {
        self.write_header()?;
        self.write_word(DIRECTORY, address(self.directory))?;
        match damage {
            Some(Damage::Version) => self.write_word(0, !VERSION)?,
            Some(Damage::Directory) => self.write_word(DIRECTORY, NOWHERE)?,
            _ => {}
        }
        for values in all {
            let pointer = if damage == Some(Damage::Pointers) { NOWHERE } else { address(values.vector) };
            let length = if damage == Some(Damage::Lengths) { usize::MAX } else { values.length() };
            self.write_word(values.pointer, pointer)?;
            self.write_length(values.vector, length)?;
        }
        Ok(())
    }

    fn write_header(&mut self) -> Result<(), StatsError> {
        self.write_word(0, VERSION)?;
        self.write_word(BASE_FIELD, BASE)
    }

    /// Room for a vector, which tells its length.
    fn allocate(&mut self, bytes: usize, length: usize) -> Result<usize, StatsError> {
        if let Some(vector) = self.outgrown.get_mut(&bytes).and_then(Vec::pop) {
            self.write_length(vector, length)?;
            return Ok(vector);
        }
        let vector = (self.free + VECTOR_HEADER).next_multiple_of(ALIGNMENT);
        // One byte is left over: the official client treats a vector that ends with the segment as an
        // overrun.
        if vector + bytes >= SEGMENT_SIZE {
            return Err(StatsError::Full { wanted: bytes, left: SEGMENT_SIZE - self.free });
        }
        self.free = vector + bytes;
        self.target.write_at(vector - size_of::<u32>(), &VECTOR_FLAGS.to_ne_bytes())?;
        self.write_length(vector, length)?;
        Ok(vector)
    }

    /// Frees space from [`Writer::allocate`]. Offset 0 is no vector.
    fn give_back(&mut self, vector: usize, bytes: usize) {
        if vector != 0 {
            self.outgrown.entry(bytes).or_default().push(vector);
        }
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
