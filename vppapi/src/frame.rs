//! Frames of VPP's API socket: a header of 16 bytes, then a body of the stated length.
//!
//! The header is, big-endian, `u64` (ignored, sent as 0), `u32` length of the body, `u32` (ignored, sent as
//! 0). It is the same in both directions.

#[cfg(test)]
mod tests;

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

/// Bytes of a frame's header.
pub const HEADER_LENGTH: usize = 16;

/// Default maximum length of a body: 64 MiB. The CLI text of 2,000 VIPs with 20 servers each was one reply of
/// 2.7 MB.
pub const DEFAULT_MAX_BODY: usize = 64 << 20;

/// Maximum memory reserved for a body before its bytes arrive, so that a header alone costs little.
const MAX_RESERVE: usize = 256 << 10;

/// Splits a byte stream into bodies, and puts bodies into frames.
#[derive(Clone, Copy, Debug)]
pub struct FrameCodec {
    /// Maximum length of a body, in bytes, in either direction.
    pub max_body: usize,
}

impl Default for FrameCodec {
    fn default() -> Self {
        Self { max_body: DEFAULT_MAX_BODY }
    }
}

/// Why a stream can no longer be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The body is longer than the codec accepts.
    #[error("frame with a body of {length} bytes, at most {max_body} are taken")]
    TooLong {
        /// The body's length.
        length: usize,
        /// The codec's limit.
        max_body: usize,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame, {received} of {expected} bytes were received")]
    Truncated {
        /// Bytes of the frame that arrived.
        received: usize,
        /// Bytes that the frame has, or those of a header if that is incomplete.
        expected: usize,
    },
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FrameCodec {
    /// Appends a frame; its body is given in parts.
    ///
    /// # Errors
    /// When the body is longer than `max_body`; nothing is appended then.
    pub fn put(&self, parts: &[&[u8]], stream: &mut BytesMut) -> Result<(), FrameError> {
        let length = parts.iter().map(|part| part.len()).sum();
        self.check(length)?;
        let too_long = |_| FrameError::TooLong { length, max_body: self.max_body };
        let stated = u32::try_from(length).map_err(too_long)?;
        stream.reserve(HEADER_LENGTH + length);
        stream.put_u64(0);
        stream.put_u32(stated);
        stream.put_u32(0);
        for part in parts {
            stream.put_slice(part);
        }
        Ok(())
    }

    /// Length of the frame at the start of `stream`, once its header has arrived.
    fn frame_length(&self, stream: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(header) = stream.first_chunk::<HEADER_LENGTH>() else {
            return Ok(None);
        };
        let [_, _, _, _, _, _, _, _, l0, l1, l2, l3, ..] = *header;
        let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        self.check(length)?;
        Ok(Some(HEADER_LENGTH.saturating_add(length)))
    }

    fn check(&self, length: usize) -> Result<(), FrameError> {
        if length > self.max_body {
            return Err(FrameError::TooLong { length, max_body: self.max_body });
        }
        Ok(())
    }
}

impl Decoder for FrameCodec {
    type Item = Bytes;
    type Error = FrameError;

    fn decode(&mut self, stream: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        let Some(frame_length) = self.frame_length(stream)? else {
            return Ok(None);
        };
        if stream.len() < frame_length {
            stream.reserve((frame_length - stream.len()).min(MAX_RESERVE));
            return Ok(None);
        }
        let mut frame = stream.split_to(frame_length);
        frame.advance(HEADER_LENGTH);
        Ok(Some(frame.freeze()))
    }

    fn decode_eof(&mut self, stream: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        match self.decode(stream)? {
            Some(body) => Ok(Some(body)),
            None if stream.is_empty() => Ok(None),
            None => {
                let expected = self.frame_length(stream)?.unwrap_or(HEADER_LENGTH);
                Err(FrameError::Truncated { received: stream.len(), expected })
            }
        }
    }
}

impl Encoder<Bytes> for FrameCodec {
    type Error = FrameError;

    fn encode(&mut self, body: Bytes, stream: &mut BytesMut) -> Result<(), FrameError> {
        self.put(&[&body], stream)
    }
}
