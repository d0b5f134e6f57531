//! Errors of malformed responses, worded for operators.

use super::limits::{CHUNK_LINE_LIMIT, FRAMING_LIMIT, HEADER_LIMIT, INTERIM_LIMIT, MOST_HEADERS};

/// The violated rule: of the protocol, or a limit of this prober.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("not HTTP: {0}")]
    NotHttp(Quote),
    #[error("not HTTP/1.1, but another version: {0}")]
    OtherVersion(Quote),
    #[error("not HTTP/1.1, but HTTP/2: the server speaks nothing else on this port")]
    Http2,
    #[error("bad status line: {0}")]
    StatusLine(Quote),
    #[error("bad header: {0}")]
    Header(httparse::Error),
    #[error("more than {MOST_HEADERS} headers")]
    TooManyHeaders,
    #[error("more than {} KiB of headers", HEADER_LIMIT >> 10)]
    HeadTooLarge,
    #[error("more than {INTERIM_LIMIT} interim answers")]
    TooManyInterim,
    #[error("bad transfer-encoding: {0}: chunked has no parameters")]
    TransferEncoding(Quote),
    #[error("bad content-length: {0}")]
    ContentLength(Quote),
    #[error("contradictory content-lengths: {0} and {1}")]
    ContentLengths(u64, u64),
    #[error("bad size of a chunk: {0}")]
    ChunkSize(Quote),
    #[error("a chunk of the body is longer than its size: {0} follows")]
    ChunkEnd(Quote),
    #[error("a line of more than {CHUNK_LINE_LIMIT} bytes with a chunk's size")]
    ChunkLineTooLong,
    #[error("more than {} KiB of chunk sizes and extensions", FRAMING_LIMIT >> 10)]
    TooMuchFraming,
    #[error("closed without an answer")]
    NoAnswer,
    #[error("closed in the middle of the head, after {0} bytes")]
    CutHead(u64),
    #[error("closed after an interim answer")]
    OnlyInterim,
    #[error("closed after {0} of {1} bytes of the body")]
    CutBody(usize, u64),
    #[error("closed after {0} bytes of the body, before its last chunk")]
    CutChunks(usize),
}

/// The start of what a peer sent, shortened and safe to display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quote(String);

impl Quote {
    /// Maximum number of bytes quoted. An escaped byte takes up to four characters.
    pub(crate) const LONGEST: usize = 60;

    /// Quotes the first line.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
        Self::beginning(line, Self::LONGEST)
    }

    /// Quotes the first bytes, across lines.
    pub(crate) fn beginning(bytes: &[u8], longest: usize) -> Self {
        let shown = bytes.get(..longest).unwrap_or(bytes);
        let cut = if shown.len() < bytes.len() { "..." } else { "" };
        Self(format!("\"{}{cut}\"", shown.escape_ascii()))
    }
}

impl std::fmt::Display for Quote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
