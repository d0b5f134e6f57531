//! Decoding errors.

use std::fmt;

/// A message that could not be decoded: which one, where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    message: &'static str,
    field: String,
    offset: usize,
    kind: DecodeErrorKind,
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    /// The bytes end inside a field.
    #[error("{wanted} bytes expected, {left} left")]
    TooShort {
        /// Number of bytes that the field needs.
        wanted: usize,
        /// Number of bytes left.
        left: usize,
    },
    /// A meaningless value in a field that decides how the rest is decoded.
    #[error("value {value} found, expected {expected}")]
    BadValue {
        /// The value found.
        value: u64,
        /// The expected values.
        expected: &'static str,
    },
    /// The message continues after its last field.
    #[error("{count} bytes left over behind the last field")]
    LeftOver {
        /// Number of bytes after the last field.
        count: usize,
    },
}

impl DecodeError {
    pub(crate) fn new(offset: usize, kind: DecodeErrorKind) -> Self {
        Self { message: "", field: String::new(), offset, kind }
    }

    /// Prefixes the field's path with the name of the field that contains it.
    #[must_use]
    pub fn in_field(mut self, name: &'static str) -> Self {
        self.field = if self.field.is_empty() { name.to_owned() } else { format!("{name}.{}", self.field) };
        self
    }

    /// Names the message that was being decoded.
    #[must_use]
    pub fn in_message(mut self, name: &'static str) -> Self {
        self.message = name;
        self
    }

    /// The message's name; empty if a type was decoded outside of a message.
    #[must_use]
    pub fn message(&self) -> &'static str {
        self.message
    }

    /// The path of the field, such as `vip.prefix.address`; empty if the error concerns the whole message.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Offset of the error from the start of the body (its message id), in bytes.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> DecodeErrorKind {
        self.kind
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.message.is_empty() {
            write!(f, "{}: ", self.message)?;
        }
        if !self.field.is_empty() {
            write!(f, "field {} ", self.field)?;
        }
        write!(f, "at byte {}: {}", self.offset, self.kind)
    }
}

impl std::error::Error for DecodeError {}
