//! Decodes the first bytes of a body. Pure.

use super::limits::{BODY_LIMIT, CHUNK_LINE_LIMIT, FRAMING_LIMIT};
use super::malformed::{Malformed, Quote};

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    Empty,
    /// It has this many bytes.
    Length(u64),
    /// It is sent in chunks with their sizes.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// The body received so far.
#[derive(Debug)]
pub(super) struct Body {
    framing: Framing,
    data: Vec<u8>,
    chunks: Chunks,
    /// Whether something came behind its end.
    has_surplus: bool,
}

/// Position in a chunked body.
#[derive(Debug, Default)]
struct Chunks {
    part: Part,
    /// The incomplete line.
    line: Vec<u8>,
    /// Bytes that were not data.
    framing_bytes: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Size,
    Data {
        left: u64,
    },
    DataEnd,
    /// After the last chunk. Trailers are ignored: they could not change the verdict.
    Over,
}

impl Body {
    pub(super) fn new(framing: Framing) -> Self {
        Self { framing, data: Vec::new(), chunks: Chunks::default(), has_surplus: false }
    }

    /// Adds bytes. Ignored when the body [is complete](Self::is_complete).
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        match self.framing {
            Framing::Empty => self.has_surplus |= !bytes.is_empty(),
            Framing::Length(length) => {
                let kept = keep(
                    &mut self.data,
                    bytes,
                    usize::try_from(length).map_or(BODY_LIMIT, |most| most.min(BODY_LIMIT)),
                );
                self.has_surplus |= kept < bytes.len();
            }
            Framing::UntilClose => {
                keep(&mut self.data, bytes, BODY_LIMIT);
            }
            Framing::Chunked => self.feed_chunks(bytes)?,
        }
        Ok(())
    }

    fn feed_chunks(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        while !bytes.is_empty() && !self.is_complete() {
            match self.chunks.part {
                Part::Data { left } => {
                    let here = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    let (data, after) = bytes.split_at_checked(here).unwrap_or((bytes, &[]));
                    keep(&mut self.data, data, BODY_LIMIT);
                    bytes = after;
                    let left = left.saturating_sub(here as u64);
                    self.chunks.part = if left == 0 { Part::DataEnd } else { Part::Data { left } };
                }
                Part::Size | Part::DataEnd | Part::Over => bytes = self.chunks.feed_line(bytes)?,
            }
        }
        // Trailers, or an end that comes apart from the last chunk: not waited for.
        self.has_surplus |= self.is_complete() && bytes != b"\r\n";
        Ok(())
    }

    /// Whether no further byte would be looked at.
    pub(super) fn is_complete(&self) -> bool {
        self.data.len() >= BODY_LIMIT
            || match self.framing {
                Framing::Empty => true,
                Framing::Length(length) => self.data.len() as u64 >= length,
                Framing::Chunked => self.chunks.part == Part::Over,
                Framing::UntilClose => false,
            }
    }

    /// Whether the connection is at the end of the body, and may carry another answer.
    pub(super) fn is_used_up(&self) -> bool {
        match self.framing {
            _ if self.has_surplus => false,
            Framing::Empty => true,
            Framing::Length(length) => self.data.len() as u64 == length,
            Framing::Chunked => self.chunks.part == Part::Over,
            Framing::UntilClose => false,
        }
    }

    /// Whether the connection's end is also the body's.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        match self.framing {
            _ if self.is_complete() => Ok(()),
            Framing::Empty | Framing::UntilClose => Ok(()),
            Framing::Length(length) => Err(Malformed::CutBody(self.data.len(), length)),
            Framing::Chunked => Err(Malformed::CutChunks(self.data.len())),
        }
    }

    /// At most [`BODY_LIMIT`] bytes.
    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    /// Memory in use, in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.data.capacity() + self.chunks.line.capacity()
    }
}

impl Chunks {
    /// Adds bytes up to the end of a line, and processes the line when complete. Returns the bytes after it.
    fn feed_line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let end = bytes.iter().position(|byte| *byte == b'\n').map(|newline| newline + 1);
        let (line, after) = bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or((bytes, &[]));
        self.framing_bytes = self.framing_bytes.saturating_add(line.len());
        if keep(&mut self.line, line, CHUNK_LINE_LIMIT) < line.len() {
            return Err(Malformed::ChunkLineTooLong);
        }
        if self.framing_bytes > FRAMING_LIMIT {
            return Err(Malformed::TooMuchFraming);
        }
        if end.is_some() {
            self.part = self.next_part()?;
            self.line.clear();
        }
        Ok(after)
    }

    fn next_part(&self) -> Result<Part, Malformed> {
        if self.part == Part::DataEnd {
            return if self.line == b"\r\n" {
                Ok(Part::Size)
            } else {
                Err(Malformed::ChunkEnd(Quote::new(&self.line)))
            };
        }
        match chunk_size(&self.line) {
            Some(0) => Ok(Part::Over),
            Some(left) => Ok(Part::Data { left }),
            None => Err(Malformed::ChunkSize(Quote::new(&self.line))),
        }
    }
}

/// The size in a chunk's first line (RFC 9112, 7.1), with any number of leading zeros. Its extensions are
/// ignored.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = str::from_utf8(line.strip_suffix(b"\r\n")?.split(|byte| *byte == b';').next()?).ok()?;
    let size = line.trim_end_matches([' ', '\t']);
    // The standard parser accepts a sign as well.
    size.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u64::from_str_radix(size, 16).ok()).flatten()
}

/// Appends to a buffer as much as stays within `limit`, and returns how much that was. The buffer grows by
/// doubling, but never beyond the limit.
pub(super) fn keep(buffer: &mut Vec<u8>, bytes: &[u8], limit: usize) -> usize {
    let room = limit.saturating_sub(buffer.len());
    let kept = bytes.get(..room).unwrap_or(bytes);
    let needed = buffer.len() + kept.len();
    if needed > buffer.capacity() {
        let wanted = needed.max(buffer.capacity().saturating_mul(2)).min(limit);
        buffer.reserve_exact(wanted.saturating_sub(buffer.len()));
    }
    buffer.extend_from_slice(kept);
    kept.len()
}

#[cfg(test)]
mod tests;
