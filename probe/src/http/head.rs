//! Parses the head of a response: status line and headers. Pure.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use httparse::{Error, Header, ParserConfig, Response, Status};

use super::body::Framing;
use super::limits::MOST_HEADERS;
use super::malformed::{Malformed, Quote};

/// Maximum number of bytes shown of a body's encoding.
const LONGEST_ENCODING: usize = 20;

/// The parts of a head that a probe needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// How the body of a response to `GET` ends; a response to `HEAD` has none, whatever the headers say.
    pub(super) framing: Result<Framing, Malformed>,
    /// Encoding of the body, if any.
    pub(super) encoding: Option<Quote>,
    /// Number of bytes before the body.
    pub(super) length: usize,
}

impl Head {
    /// Whether the final response is still to come (RFC 9110, 15.2). 101 is a final response, to an upgrade
    /// that no probe requests.
    pub(super) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }
}

/// Parses a head; `None` if it is incomplete.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    // httparse skips empty lines before a response; the protocol allows none there (RFC 9112, 2.2).
    if matches!(bytes.first(), Some(b'\r' | b'\n')) {
        return Err(Malformed::NotHttp(Quote::new(bytes)));
    }
    // A higher minor version is treated as the highest known one (RFC 9110, 2.5).
    let known_version = match bytes {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9', rest @ ..] => {
            [b"HTTP/1.1", rest].concat().into()
        }
        _ => Cow::Borrowed(bytes),
    };
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; MOST_HEADERS];
    let mut response = Response::new(&mut []);
    let mut parser = ParserConfig::default();
    // Obsolete, but readers of responses must accept it (RFC 9112, 5.2).
    parser.allow_obsolete_multiline_headers_in_responses(true);
    // RFC 9112, 4, allows it.
    parser.allow_multiple_spaces_in_response_status_delimiters(true);
    let length = match parser.parse_response_with_uninit_headers(&mut response, &known_version, &mut headers)
    {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(Error::Version) => return Err(other_protocol(bytes)),
        Err(Error::TooManyHeaders) => return Err(Malformed::TooManyHeaders),
        Err(_) if response.reason.is_none() => return Err(Malformed::StatusLine(Quote::new(bytes))),
        Err(error) => return Err(Malformed::Header(error)),
    };
    let status = response.code.unwrap_or_default();
    if status < 100 {
        return Err(Malformed::StatusLine(Quote::new(bytes)));
    }
    let framing = match status {
        // They have no body, whatever the headers say (RFC 9112, 6.3).
        100..200 | 204 | 304 => Ok(Framing::Empty),
        _ => framing(response.headers),
    };
    Ok(Some(Head { status, framing, encoding: encoding(response.headers), length }))
}

/// Describes bytes that begin like neither supported version of HTTP.
fn other_protocol(bytes: &[u8]) -> Malformed {
    match bytes {
        [b'H', b'T', b'T', b'P', b'/', b'0' | b'2'..=b'9', ..] => Malformed::OtherVersion(Quote::new(bytes)),
        // The SETTINGS frame with which a pure HTTP/2 server begins (RFC 9113, 3.4).
        [_, _, _, 4, 0, 0, 0, 0, 0, ..] => Malformed::Http2,
        _ => Malformed::NotHttp(Quote::new(bytes)),
    }
}

/// The list formed by all headers of a name (RFC 9110, 5.3), without empty elements (RFC 9110, 5.6.1.2).
fn elements<'h>(headers: &'h [Header<'_>], name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let values = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    let elements = values.flat_map(|header| header.value.split(|byte| *byte == b','));
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Determines how the body ends (RFC 9112, 6.3).
fn framing(headers: &[Header<'_>]) -> Result<Framing, Malformed> {
    // The last coding applied determines the framing. Any coding, even an invalid one, overrides
    // Content-Length.
    if let Some(coding) = elements(headers, "transfer-encoding").last() {
        let mut parts = coding.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let is_chunked = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(b"chunked"));
        return match parts.next() {
            None if is_chunked => Ok(Framing::Chunked),
            Some(_) if is_chunked => Err(Malformed::TransferEncoding(Quote::new(coding))),
            _ => Ok(Framing::UntilClose),
        };
    }
    let mut length = None;
    for element in elements(headers, "content-length") {
        let here = decimal(element).ok_or_else(|| Malformed::ContentLength(Quote::new(element)))?;
        match length {
            Some(before) if before != here => return Err(Malformed::ContentLengths(before, here)),
            _ => length = Some(here),
        }
    }
    match length {
        Some(length) => Ok(Framing::Length(length)),
        None if headers.iter().any(|header| header.name.eq_ignore_ascii_case("content-length")) => {
            Err(Malformed::ContentLength(Quote::new(b"")))
        }
        None => Ok(Framing::UntilClose),
    }
}

/// The first value of a header in a complete head, by its name. A value that continues on the next line is cut there.
pub(super) fn header<'h>(head: &'h [u8], name: &str) -> Option<&'h [u8]> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    let pairs = lines.filter_map(|line| line.split_at_checked(line.iter().position(|byte| *byte == b':')?));
    let mut values = pairs.filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
    values.next().map(|(_, value)| value.get(1..).unwrap_or_default().trim_ascii())
}

/// What the bytes of a body are encoded as beside being cut into chunks.
fn encoding(headers: &[Header<'_>]) -> Option<Quote> {
    let content = elements(headers, "content-encoding");
    let transfer = elements(headers, "transfer-encoding");
    let plain = |coding: &&[u8]| {
        !["chunked", "identity"].iter().any(|name| coding.eq_ignore_ascii_case(name.as_bytes()))
    };
    let codings: Vec<&[u8]> = content.chain(transfer).filter(plain).collect();
    (!codings.is_empty()).then(|| Quote::beginning(&codings.join(&b", "[..]), LONGEST_ENCODING))
}

/// Digits only: the standard parser accepts a sign as well.
fn decimal(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value.trim_ascii()).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
