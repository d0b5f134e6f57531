//! VPP's two kinds of strings: in a fixed, zero-padded field, and prefixed with a length.

use std::borrow::Cow;
use std::fmt;

use super::{DecodeError, DecodeErrorKind, Reader, Wire, Writer};

/// A zero-terminated string in a field of `N` bytes.
///
/// All `N` bytes are kept as received, including those after the zero, so that a decoded message encodes to
/// the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FixedString<const N: usize>([u8; N]);

/// A string that does not fit its field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("string of {length} bytes found, at most {most} fit the field: {text:?}")]
pub struct StringTooLong {
    text: String,
    length: usize,
    most: usize,
}

impl<const N: usize> FixedString<N> {
    /// Stores a string, padded with zeros.
    ///
    /// # Errors
    /// When it is longer than `N - 1` bytes: VPP requires the terminating zero.
    pub fn new(text: &str) -> Result<Self, StringTooLong> {
        let mut bytes = [0; N];
        match bytes.split_last_mut().and_then(|(_, room)| room.get_mut(..text.len())) {
            Some(room) => {
                room.copy_from_slice(text.as_bytes());
                Ok(Self(bytes))
            }
            None => {
                let most = N.saturating_sub(1);
                Err(StringTooLong { text: text.chars().take(64).collect(), length: text.len(), most })
            }
        }
    }

    /// The string up to its first zero byte, with invalid UTF-8 replaced.
    #[must_use]
    pub fn as_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.0.split(|byte| *byte == 0).next().unwrap_or_default())
    }
}

impl<const N: usize> Default for FixedString<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> fmt::Debug for FixedString<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_str(), f)
    }
}

impl<const N: usize> fmt::Display for FixedString<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str())
    }
}

impl<const N: usize> Wire for FixedString<N> {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.0);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self)
    }
}

/// Any number of bytes, preceded by their count as u32. VPP uses it for CLI text.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ByteString(pub Vec<u8>);

impl ByteString {
    /// The bytes as text, with invalid UTF-8 replaced.
    #[must_use]
    pub fn as_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl From<&str> for ByteString {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for ByteString {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl fmt::Debug for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_str(), f)
    }
}

/// Bytes beyond `u32::MAX` are dropped when encoding; no frame could carry them.
impl Wire for ByteString {
    fn encode(&self, writer: &mut Writer) {
        let count = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        count.encode(writer);
        let sent = usize::try_from(count).ok().and_then(|count| self.0.get(..count));
        writer.put(sent.unwrap_or(&self.0));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.field::<u32>("length")?;
        let Ok(count) = usize::try_from(count) else {
            let kind = DecodeErrorKind::BadValue { value: count.into(), expected: "a length below 4 GiB" };
            return Err(reader.error(kind));
        };
        Ok(Self(reader.take(count)?.to_vec()))
    }
}
