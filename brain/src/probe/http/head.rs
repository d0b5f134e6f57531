//! The head of an answer: status line and headers. Pure.

use std::mem::MaybeUninit;

use httparse::{Error, Header, ParserConfig, Response, Status};

use super::body::Framing;
use super::malformed::{Malformed, Quote};

/// Most headers of an answer.
pub(super) const MOST_HEADERS: usize = 128;

/// What a probe needs of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// How the body ends. Of no meaning in an interim answer.
    pub(super) framing: Framing,
    /// Bytes up to the body.
    pub(super) length: usize,
}

impl Head {
    /// Whether the answer proper is still to come (RFC 9110, 15.2). 101 is an answer proper: to an upgrade,
    /// which no probe asks for.
    pub(super) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }
}

/// Parses a head; `None` if there must be more of it.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    // httparse skips empty lines before an answer; the protocol has none there (RFC 9112, 2.2).
    if matches!(bytes.first(), Some(b'\r' | b'\n')) {
        return Err(Malformed::NotHttp(Quote::new(bytes)));
    }
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; MOST_HEADERS];
    let mut response = Response::new(&mut []);
    let mut parser = ParserConfig::default();
    // Obsolete, but whoever reads answers must understand it (RFC 9112, 5.2).
    parser.allow_obsolete_multiline_headers_in_responses(true);
    let length = match parser.parse_response_with_uninit_headers(&mut response, bytes, &mut headers) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(Error::Version) => return Err(Malformed::NotHttp(Quote::new(bytes))),
        Err(Error::TooManyHeaders) => return Err(Malformed::TooManyHeaders),
        Err(_) if response.reason.is_none() => return Err(Malformed::StatusLine(Quote::new(bytes))),
        Err(error) => return Err(Malformed::Header(error)),
    };
    let status = response.code.unwrap_or_default();
    if status < 100 {
        return Err(Malformed::StatusLine(Quote::new(bytes)));
    }
    let framing = match status {
        204 | 304 => Framing::Empty,
        _ => framing(response.headers)?,
    };
    Ok(Some(Head { status, framing, length }))
}

/// How the end of a body is found (RFC 9112, 6.3). A transfer coding overrides any content length.
fn framing(headers: &[Header<'_>]) -> Result<Framing, Malformed> {
    let mut length = None;
    let mut coding: Option<&[u8]> = None;
    for header in headers {
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            // The last one applied is the one that frames.
            coding = header.value.rsplit(|byte| *byte == b',').next();
        } else if header.name.eq_ignore_ascii_case("content-length") {
            for value in header.value.split(|byte| *byte == b',') {
                let value =
                    decimal(value).ok_or_else(|| Malformed::ContentLength(Quote::new(header.value)))?;
                match length {
                    Some(before) if before != value => return Err(Malformed::ContentLengths(before, value)),
                    _ => length = Some(value),
                }
            }
        }
    }
    Ok(match (coding, length) {
        (Some(coding), _) if coding.trim_ascii().eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        (None, Some(length)) => Framing::Length(length),
        (Some(_), _) | (None, None) => Framing::UntilClose,
    })
}

/// Digits alone: the standard parser takes a sign as well.
fn decimal(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value.trim_ascii()).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
