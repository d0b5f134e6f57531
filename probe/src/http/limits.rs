//! Limits on answers.

/// Most headers of an answer.
pub(super) const MOST_HEADERS: usize = 128;
/// Most bytes of an answer's head, together with the interim answers before it.
pub(super) const HEADER_LIMIT: usize = 32 << 10;
/// Most interim answers (100, 103) before the answer proper.
pub(super) const INTERIM_LIMIT: u8 = 8;
/// How much of a body a `response-regexp` sees, in bytes.
pub(super) const BODY_LIMIT: usize = 64 << 10;
/// Most bytes of a line with a chunk's size and extensions.
pub(super) const CHUNK_LINE_LIMIT: usize = 256;
/// Most bytes of such lines in a body. As many chunks of a byte each as a body may have take 320 KiB.
pub(super) const FRAMING_LIMIT: usize = 512 << 10;
