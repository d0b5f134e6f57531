//! Limits on responses.

/// Maximum number of headers.
pub(super) const MOST_HEADERS: usize = 128;
/// Maximum size of a response's head, together with interim responses, in bytes.
pub(super) const HEADER_LIMIT: usize = 32 << 10;
/// Maximum number of interim responses (100, 103).
pub(super) const INTERIM_LIMIT: u8 = 8;
/// Length of the part of a body that a `response-regexp` inspects, in bytes.
pub(super) const BODY_LIMIT: usize = 64 << 10;
/// Maximum length of a line with a chunk's size and extensions, in bytes.
pub(super) const CHUNK_LINE_LIMIT: usize = 256;
/// Maximum size of all such lines in a body, in bytes. A body of single-byte chunks needs 320 KiB.
pub(super) const FRAMING_LIMIT: usize = 512 << 10;
