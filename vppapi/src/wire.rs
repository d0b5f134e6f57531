//! Packed big-endian encoding of the fields of VPP's binary API.
//!
//! [`Writer`] appends, [`Reader`] consumes, and a field type implements [`Wire`] for both. Whatever the
//! input, decoding never panics and allocates no more than the input's length.

mod error;
mod strings;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, Bytes, BytesMut};

pub use error::{DecodeError, DecodeErrorKind};
pub use strings::{ByteString, FixedString, StringTooLong};

/// A type with a fixed encoding.
pub trait Wire: Sized {
    /// Appends this value.
    fn encode(&self, writer: &mut Writer);

    /// Decodes one value and advances the reader past it.
    ///
    /// # Errors
    /// When the bytes end too early, or have a value that this type cannot represent.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// Builds the bytes of a message.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: BytesMut,
}

impl Writer {
    /// An empty writer with room for a typical small request.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: BytesMut::with_capacity(64) }
    }

    /// Appends raw bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes.put_slice(bytes);
    }

    /// The bytes written.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.bytes.freeze()
    }
}

/// Reads fields from the bytes of one message.
#[derive(Debug)]
pub struct Reader<'a> {
    left: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes, offset: 0 }
    }

    /// Number of bytes already read.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Number of bytes left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.left.len()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// When fewer are left; the reader then does not advance.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, left)) = self.left.split_at_checked(count) else {
            return Err(self.error(DecodeErrorKind::TooShort { wanted: count, left: self.left.len() }));
        };
        self.left = left;
        self.offset += count;
        Ok(taken)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// When fewer are left; the reader then does not advance.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((taken, left)) = self.left.split_first_chunk::<N>() else {
            return Err(self.error(DecodeErrorKind::TooShort { wanted: N, left: self.left.len() }));
        };
        self.left = left;
        self.offset += N;
        Ok(*taken)
    }

    /// Decodes a value as the field `name`, which an error will mention.
    ///
    /// # Errors
    /// Those of the type's [`Wire::decode`].
    pub fn field<T: Wire>(&mut self, name: &'static str) -> Result<T, DecodeError> {
        T::decode(self).map_err(|error| error.in_field(name))
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// When bytes are left over.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.left.len() {
            0 => Ok(()),
            count => Err(self.error(DecodeErrorKind::LeftOver { count })),
        }
    }

    /// An error at the current offset.
    #[must_use]
    pub fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(self.offset, kind)
    }
}

macro_rules! integers {
    ($($ty:ty),*) => {$(
        impl Wire for $ty {
            fn encode(&self, writer: &mut Writer) {
                writer.put(&self.to_be_bytes());
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.array().map(Self::from_be_bytes)
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, i32);

/// One byte. Any value but 0 reads as true, as in VPP itself; true is written as 1.
impl Wire for bool {
    fn encode(&self, writer: &mut Writer) {
        u8::from(*self).encode(writer);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(u8::decode(reader)? != 0)
    }
}

impl Wire for Ipv4Addr {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.octets());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array::<4>().map(Self::from)
    }
}

impl Wire for Ipv6Addr {
    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.octets());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array::<16>().map(Self::from)
    }
}

/// A fixed number of elements without a count.
impl<T: Wire + Copy + Default, const N: usize> Wire for [T; N] {
    fn encode(&self, writer: &mut Writer) {
        for element in self {
            element.encode(writer);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut elements = [T::default(); N];
        for element in &mut elements {
            *element = T::decode(reader)?;
        }
        Ok(elements)
    }
}
