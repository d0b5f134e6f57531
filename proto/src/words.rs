//! Words for the interface's enums, as operators read and write them.
//!
//! Words and serializers are generated from the interface's descriptors (see `build.rs`), so that no enum is
//! forgotten.

use serde::{Serialize, Serializer};

/// Word for an unknown value.
const UNSPECIFIED: &str = "unspecified";

/// An enum with a word for each value.
pub trait Word: TryFrom<i32> {
    /// Lower-case word, with dashes: the tail of the value's name in `maglev.proto`.
    fn word(&self) -> &'static str;
}

include!(concat!(env!("OUT_DIR"), "/words.rs"));

/// The word of a received value. An unknown value, from a newer peer, becomes "unspecified".
pub fn of<E: Word>(value: i32) -> &'static str {
    E::try_from(value).map_or(UNSPECIFIED, |known| known.word())
}

pub(crate) fn serialize<E: Word, S: Serializer>(value: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(of::<E>(*value))
}

/// Serializes an empty or zero value that means nothing as null.
pub(crate) fn or_null<T: Serialize + Default + PartialEq, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Some(value).filter(|value| **value != T::default()).serialize(serializer)
}

#[cfg(test)]
mod tests;
