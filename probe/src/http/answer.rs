//! Judges a response piece by piece. Pure.

use std::io;
use std::mem;

use compact_str::{ToCompactString, format_compact};
use maglev_engine::config::{HttpCheck, HttpMethod, Pattern};
use maglev_engine::outcome::{Finding, ProbeCode, Share};

use super::body::{Body, Framing, keep};
use super::head::{self, Head};
use super::in_words;
use super::limits::{BODY_LIMIT, CHUNK_LINE_LIMIT, HEADER_LIMIT, INTERIM_LIMIT};
use super::malformed::{Malformed, Quote};
use super::statement::Statement;
use crate::connect;
use crate::inquiry::{Details, Inquiry};

/// Maximum number of bytes searched before the body is complete, over all searches. Otherwise a body in many
/// small pieces would cost its length squared; the rest is searched at the end.
const MOST_SEARCHED_EARLY: usize = 16 * BODY_LIMIT;

/// Judges one response against a check, from its bytes in pieces of any size.
///
/// The head must be complete and well-formed before its status counts, as in HAProxy. Without a
/// `response-regexp` that decides; with one, the first match that no further bytes can undo decides,
/// otherwise the complete body or its first 64 KiB.
#[derive(Debug)]
pub struct Answer<'a> {
    check: &'a HttpCheck,
    /// The start of a head that arrived in pieces.
    held: Vec<u8>,
    /// How much of `held` has been parsed without result.
    parsed: usize,
    interim_answers: u8,
    interim_bytes: usize,
    /// Set once the head is complete and the body is needed.
    searched: Option<Searched<'a>>,
    received: u64,
    inquiry: Option<&'a Inquiry>,
    headers: Vec<Option<String>>,
    closes: bool,
    /// The server's own word, once the head is complete, if the check has a header for it.
    statement: Option<Statement>,
}

/// A body of which something is wanted.
#[derive(Debug)]
struct Searched<'a> {
    pattern: Option<&'a Pattern>,
    /// Whether its first line is waited for.
    line: bool,
    /// Whether its end is waited for.
    whole: bool,
    status: u16,
    encoding: Option<Quote>,
    body: Body,
    /// Bytes searched before the body was complete.
    early: usize,
}

impl<'a> Answer<'a> {
    /// Maximum memory that a response takes between two pieces, in bytes.
    pub const MOST_HELD: usize = BODY_LIMIT + CHUNK_LINE_LIMIT;

    /// A response of which nothing has arrived.
    pub fn new(check: &'a HttpCheck) -> Self {
        Self {
            check,
            held: Vec::new(),
            parsed: 0,
            interim_answers: 0,
            interim_bytes: 0,
            searched: None,
            received: 0,
            inquiry: None,
            headers: Vec::new(),
            closes: true,
            statement: None,
        }
    }

    /// The same for a client that asks for more than the verdict, which then waits for as much of the body as it takes.
    pub(crate) fn to(check: &'a HttpCheck, inquiry: &'a Inquiry) -> Self {
        Self { inquiry: Some(inquiry), ..Self::new(check) }
    }

    /// What was asked for, as far as it came.
    pub(crate) fn details(&self) -> Details {
        let body =
            self.searched.as_ref().filter(|searched| searched.line).map(|searched| searched.body.data());
        let line = body.and_then(|body| body.split(|byte| *byte == b'\n').next()).map(text);
        Details { headers: self.headers.clone(), first_line: line.filter(|line| !line.is_empty()) }
    }

    /// Whether the connection may carry another request, after a verdict.
    pub(crate) fn leaves_connection(&self) -> bool {
        !self.closes && self.searched.as_ref().is_some_and(|searched| searched.body.is_used_up())
    }

    /// Whether nothing has arrived.
    pub(crate) fn is_missing(&self) -> bool {
        self.received == 0
    }

    pub(super) fn check(&self) -> &'a HttpCheck {
        self.check
    }

    pub(super) fn keeps(&self) -> bool {
        self.inquiry.is_some_and(|inquiry| inquiry.keep)
    }

    /// Takes the next bytes; returns the verdict if they decide it, after which no more are to come.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Finding> {
        self.received = self.received.saturating_add(bytes.len() as u64);
        self.advance(bytes).unwrap_or_else(|malformed| Some(bad(&malformed)))
    }

    /// Completes a verdict by the server's own word, with the share of its weight that the server asks for; `None` if the
    /// check does not ask, or got no clear answer.
    pub fn complete(&self, finding: Finding) -> (Finding, Option<Share>) {
        let listens = !self.check.drain_codes.0.is_empty();
        match (finding.0, self.check.agent_header.as_deref(), &self.statement) {
            (ProbeCode::L7Okc, _, _) => (finding, Some(Share::DRAIN)),
            (ProbeCode::L7Ok, Some(header), Some(statement)) => statement.complete(header, finding),
            (ProbeCode::L7Ok, _, _) if listens => (finding, Some(Share::WHOLE)),
            _ => (finding, None),
        }
    }

    /// The verdict if the peer closes the connection now.
    pub fn end(&mut self) -> Finding {
        let cut = match &self.searched {
            Some(searched) => match searched.body.end() {
                Ok(()) => return searched.verdict(),
                Err(cut) => return searched.early_verdict().unwrap_or_else(|| bad(&cut)),
            },
            None if self.received == 0 => Malformed::NoAnswer,
            None if self.held.is_empty() => Malformed::OnlyInterim,
            None => head::parse(&self.held).err().unwrap_or(Malformed::CutHead(self.received)),
        };
        bad(&cut)
    }

    /// The verdict if the connection breaks now.
    pub(super) fn broken(&self, error: &io::Error) -> Finding {
        if let Some(passed) = self.searched.as_ref().and_then(Searched::early_verdict) {
            return passed;
        }
        let after = match self.received {
            0 => "before an answer".to_owned(),
            bytes => format!("after {bytes} bytes of the answer"),
        };
        (connect::judge(error, ProbeCode::L7Rsp), format_compact!("{} {after}", in_words(error)))
    }

    /// The verdict if the probe times out now.
    pub(super) fn late(&self) -> Finding {
        if let Some(passed) = self.searched.as_ref().and_then(Searched::early_verdict) {
            return passed;
        }
        let detail = match self.received {
            0 => "connected, but no answer in time".to_owned(),
            bytes => format!("connected, but no complete answer in time: {bytes} bytes came"),
        };
        (ProbeCode::L7Tout, detail.into())
    }

    /// Memory in use, in bytes.
    pub fn held(&self) -> usize {
        self.held.capacity() + self.searched.as_ref().map_or(0, |searched| searched.body.capacity())
    }

    fn advance(&mut self, bytes: &[u8]) -> Result<Option<Finding>, Malformed> {
        if let Some(searched) = &mut self.searched {
            return searched.feed(bytes);
        }
        if self.held.is_empty() {
            let (used, head) = self.parse_heads(bytes)?;
            let rest = bytes.get(used..).unwrap_or_default();
            return match head {
                Some(head) => self.judge(head, rest, &[]),
                None => {
                    let room = self.head_room();
                    self.parsed = keep(&mut self.held, rest, room);
                    Ok(None)
                }
            };
        }
        let before = self.held.len();
        let room = self.head_room();
        let kept = keep(&mut self.held, bytes, room);
        if !self.is_worth_parsing(before) {
            return Ok(None);
        }
        let mut held = mem::take(&mut self.held);
        let (used, head) = self.parse_heads(&held)?;
        match head {
            Some(head) => {
                let rest = held.get(used..).unwrap_or_default();
                self.judge(head, rest, bytes.get(kept..).unwrap_or_default())
            }
            None => {
                held.drain(..used);
                self.parsed = held.len();
                self.held = held;
                Ok(None)
            }
        }
    }

    /// Maximum length of the next head.
    fn head_room(&self) -> usize {
        HEADER_LIMIT.saturating_sub(self.interim_bytes)
    }

    /// Parsing always starts at the beginning, so parsing a head at each of its bytes would cost its length
    /// squared. It is parsed when it may be complete, and when it has doubled, to find errors early.
    fn is_worth_parsing(&self, before: usize) -> bool {
        let length = self.held.len();
        let new = self.held.get(before.saturating_sub(2)..).unwrap_or_default();
        length >= self.parsed.saturating_mul(2)
            || length >= self.head_room()
            || new.windows(2).any(|end| end == b"\n\n")
            || new.windows(3).any(|end| end == b"\n\r\n")
    }

    /// Parses up to the final response, skipping interim ones. Returns the number of bytes consumed.
    fn parse_heads(&mut self, bytes: &[u8]) -> Result<(usize, Option<Head>), Malformed> {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            let rest = rest.get(..self.head_room()).unwrap_or(rest);
            let Some(head) = head::parse(rest)? else {
                let full = rest.len() >= self.head_room();
                return if full { Err(Malformed::HeadTooLarge) } else { Ok((used, None)) };
            };
            used += head.length;
            if !head.is_interim() {
                self.note_headers(rest.get(..head.length).unwrap_or(rest));
                return Ok((used, Some(head)));
            }
            if self.interim_answers >= INTERIM_LIMIT {
                return Err(Malformed::TooManyInterim);
            }
            self.interim_answers += 1;
            self.interim_bytes += head.length;
        }
    }

    fn note_headers(&mut self, head: &[u8]) {
        let header = self.check.agent_header.as_deref();
        self.statement = header.map(|name| Statement::of(head::header(head, name)));
        let Some(inquiry) = self.inquiry else { return };
        self.headers = inquiry.headers.iter().map(|name| head::header(head, name).map(text)).collect();
        let closes = |value: &[u8]| value.to_ascii_lowercase().windows(5).any(|part| part == b"close");
        self.closes = !head.starts_with(b"HTTP/1.1") || head::header(head, "connection").is_some_and(closes);
    }

    /// Judges the head. `rest` and `more`, in this order, are what came behind it.
    fn judge(&mut self, head: Head, rest: &[u8], more: &[u8]) -> Result<Option<Finding>, Malformed> {
        let status = head.status;
        let framing = match self.check.method {
            HttpMethod::Get | HttpMethod::Options | HttpMethod::Post => head.framing?,
            HttpMethod::Head => Framing::Empty,
        };
        if self.check.drain_codes.contains(status) {
            return Ok(Some((ProbeCode::L7Okc, format_compact!("HTTP {status}: the server drains"))));
        }
        if !self.check.response_codes.contains(status) {
            return Ok(Some((ProbeCode::L7Sts, format_compact!("HTTP {status}"))));
        }
        let pattern = self.check.response_regexp.as_ref();
        let (line, whole) = self.inquiry.map_or((false, false), |inquiry| (inquiry.first_line, inquiry.keep));
        if pattern.is_none() && !line && !whole {
            return Ok(Some(passed(status)));
        }
        let (encoding, body) = (head.encoding, Body::new(framing));
        // The verdict may come before they are looked at.
        self.closes |= !more.is_empty();
        let searched =
            self.searched.insert(Searched { pattern, line, whole, status, encoding, body, early: 0 });
        match searched.feed(rest)? {
            Some(finding) => Ok(Some(finding)),
            None => searched.feed(more),
        }
    }
}

impl Searched<'_> {
    fn feed(&mut self, bytes: &[u8]) -> Result<Option<Finding>, Malformed> {
        let fed = self.body.feed(bytes);
        if self.body.is_complete() {
            return Ok(Some(self.verdict()));
        }
        let length = self.body.data().len();
        if fed.is_ok() && self.early.saturating_add(length) > MOST_SEARCHED_EARLY {
            return Ok(None);
        }
        self.early = self.early.saturating_add(length);
        self.early_verdict().map_or_else(|| fed.map(|()| None), |passed| Ok(Some(passed)))
    }

    /// The verdict on the whole body.
    fn verdict(&self) -> Finding {
        let Self { pattern, status, body, .. } = self;
        let Some(pattern) = pattern.filter(|pattern| !pattern.is_match(body.data())) else {
            return passed(*status);
        };
        let data = body.data();
        let (length, beginning) = (data.len(), Quote::beginning(data, Quote::LONGEST));
        let first = if length >= BODY_LIMIT { "its first " } else { "" };
        let encoding =
            self.encoding.as_ref().map_or_else(String::new, |encoding| format!(" encoded as {encoding}"));
        let found = match length {
            0 => "it is empty".to_owned(),
            _ => format!("{first}{length} bytes{encoding}, {beginning}"),
        };
        (ProbeCode::L7Sts, format_compact!("HTTP {status}, body does not match {pattern}: {found}"))
    }

    /// The verdict, if the received part of the body decides it whatever follows.
    fn early_verdict(&self) -> Option<Finding> {
        let data = self.body.data();
        let is_matched = || self.pattern.is_none_or(|pattern| pattern.is_match_for_good(data));
        let has_line = || !self.line || data.contains(&b'\n') || data.len() >= Inquiry::LONGEST_LINE;
        (!self.whole && has_line() && is_matched()).then(|| passed(self.status))
    }
}

/// The beginning of a value, which may be anything.
fn text(value: &[u8]) -> String {
    let value = value.get(..Inquiry::LONGEST_LINE).unwrap_or(value).trim_ascii();
    String::from_utf8_lossy(value).into_owned()
}

fn passed(status: u16) -> Finding {
    (ProbeCode::L7Ok, format_compact!("HTTP {status}"))
}

fn bad(malformed: &Malformed) -> Finding {
    (ProbeCode::L7Rsp, malformed.to_compact_string())
}

#[cfg(test)]
mod tests;
