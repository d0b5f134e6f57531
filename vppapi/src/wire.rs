//! Packed big-endian encoding, the form of every field of VPP's binary API.
//!
//! [`Writer`] appends, [`Reader`] consumes, and [`Wire`] is what a field type implements for both. Decoding never
//! panics and allocates no more than the input is long, whatever the input holds.

mod error;
mod strings;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, Bytes, BytesMut};

pub use error::{DecodeError, DecodeErrorKind};
pub use strings::{ByteString, FixedString, StringTooLong};

/// A type with a fixed form on VPP's wire.
pub trait Wire: Sized {
    /// Appends this value.
    fn encode(&self, writer: &mut Writer);

    /// Reads one value and leaves the reader behind it.
    ///
    /// # Errors
    /// When the bytes end too early, or hold a value that this type cannot represent.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// Collects the bytes of a message.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: BytesMut,
}

impl Writer {
    /// An empty writer, with room for the common small request.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: BytesMut::with_capacity(64) }
    }

    /// Appends bytes as they are.
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes.put_slice(bytes);
    }

    /// What was written.
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

    /// How many bytes have been read.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// How many bytes have not been read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.left.len()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// When fewer are left; the reader then stays where it is.
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
    /// When fewer are left; the reader then stays where it is.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((taken, left)) = self.left.split_first_chunk::<N>() else {
            return Err(self.error(DecodeErrorKind::TooShort { wanted: N, left: self.left.len() }));
        };
        self.left = left;
        self.offset += N;
        Ok(*taken)
    }

    /// Decodes a value as the field `name`, which an error then names.
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

    /// An error at the present offset.
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

/// One byte. Any other value than 0 reads as true, as VPP itself takes it; true is written as 1.
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

/// A fixed number of elements, one behind the other, without a count.
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
