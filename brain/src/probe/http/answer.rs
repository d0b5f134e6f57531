//! What came back, judged piece by piece. Pure.

use std::io;
use std::mem;

use super::body::{BODY_LIMIT, Body, CHUNK_LINE_LIMIT, Framing, keep};
use super::head::{self, Head};
use super::in_words;
use super::malformed::Malformed;
use crate::config::{HttpCheck, HttpMethod};
use crate::probe::{ProbeCode, connect};

/// Most bytes of an answer's head, together with the interim answers before it.
pub(super) const HEADER_LIMIT: usize = 32 << 10;
/// Most interim answers (100, 103) before the answer proper.
pub(super) const INTERIM_LIMIT: u8 = 8;

/// What a probe found, and in words.
type Finding = (ProbeCode, String);

/// Judges one answer against a check, from its bytes in whatever pieces they come.
///
/// The head must be complete and well-formed before its status counts, as with HAProxy. Without a
/// `response-regexp` the verdict is then given; with one, it is searched for when the body is complete or its
/// first 64 KiB are there.
#[derive(Debug)]
pub struct Answer<'a> {
    check: &'a HttpCheck,
    /// The beginning of a head that did not come in one piece.
    held: Vec<u8>,
    /// How much of `held` has been parsed in vain.
    parsed: usize,
    interim_answers: u8,
    interim_bytes: usize,
    /// Status and body, once the head is complete and the body is wanted.
    body: Option<(u16, Body)>,
    received: u64,
}

impl<'a> Answer<'a> {
    /// Most bytes of memory that an answer ever takes between two pieces.
    pub const MOST_HELD: usize = BODY_LIMIT + CHUNK_LINE_LIMIT;

    /// An answer of which nothing has come yet.
    pub fn new(check: &'a HttpCheck) -> Self {
        Self {
            check,
            held: Vec::new(),
            parsed: 0,
            interim_answers: 0,
            interim_bytes: 0,
            body: None,
            received: 0,
        }
    }

    /// Takes the next bytes; returns the verdict if they decide it, after which no more are to come.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<(ProbeCode, String)> {
        self.received = self.received.saturating_add(bytes.len() as u64);
        self.advance(bytes).unwrap_or_else(|malformed| Some(bad(&malformed)))
    }

    /// The verdict if the peer closes the connection now.
    pub fn end(&mut self) -> (ProbeCode, String) {
        let cut = match &self.body {
            Some((status, body)) => match body.end() {
                Ok(()) => return search(self.check, *status, body.data()),
                Err(cut) => cut,
            },
            None if self.received == 0 => Malformed::NoAnswer,
            None if self.held.is_empty() => Malformed::OnlyInterim,
            None => head::parse(&self.held).err().unwrap_or(Malformed::CutHead(self.received)),
        };
        bad(&cut)
    }

    /// The verdict if the connection breaks now.
    pub(super) fn broken(&self, error: &io::Error) -> (ProbeCode, String) {
        let after = match self.received {
            0 => "before an answer".to_owned(),
            bytes => format!("after {bytes} bytes of the answer"),
        };
        (connect::judge(error, ProbeCode::L7Rsp), format!("{} {after}", in_words(error)))
    }

    /// The verdict if the time is over now.
    pub(super) fn late(&self) -> (ProbeCode, String) {
        let detail = match self.received {
            0 => "connected, but no answer in time".to_owned(),
            bytes => format!("connected, but no complete answer in time: {bytes} bytes came"),
        };
        (ProbeCode::L7Tout, detail)
    }

    /// Bytes of memory taken now.
    pub fn held(&self) -> usize {
        self.held.capacity() + self.body.as_ref().map_or(0, |(_, body)| body.capacity())
    }

    fn advance(&mut self, bytes: &[u8]) -> Result<Option<Finding>, Malformed> {
        if self.body.is_some() {
            return self.feed_body(bytes);
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

    /// How long the head may be that comes next.
    fn head_room(&self) -> usize {
        HEADER_LIMIT.saturating_sub(self.interim_bytes)
    }

    /// Parsing begins at the front each time. A head that comes byte by byte would cost its length squared if
    /// it were parsed at each; so it is when it may be complete, and when it has doubled, to see early what is
    /// wrong with it.
    fn is_worth_parsing(&self, before: usize) -> bool {
        let length = self.held.len();
        let new = self.held.get(before.saturating_sub(2)..).unwrap_or_default();
        length >= self.parsed.saturating_mul(2)
            || length >= self.head_room()
            || new.windows(2).any(|end| end == b"\n\n")
            || new.windows(3).any(|end| end == b"\n\r\n")
    }

    /// Parses up to the answer proper, past the interim ones. Returns how many bytes it is done with.
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
                return Ok((used, Some(head)));
            }
            if self.interim_answers >= INTERIM_LIMIT {
                return Err(Malformed::TooManyInterim);
            }
            self.interim_answers += 1;
            self.interim_bytes += head.length;
        }
    }

    /// Judges the head. `rest` and `more`, in this order, are what came behind it.
    fn judge(&mut self, head: Head, rest: &[u8], more: &[u8]) -> Result<Option<Finding>, Malformed> {
        let status = head.status;
        if !self.check.response_codes.contains(status) {
            return Ok(Some((ProbeCode::L7Sts, format!("HTTP {status}"))));
        }
        if self.check.response_regexp.is_none() {
            return Ok(Some((ProbeCode::L7Ok, format!("HTTP {status}"))));
        }
        let framing = match self.check.method {
            HttpMethod::Get => head.framing,
            HttpMethod::Head => Framing::Empty,
        };
        self.body = Some((status, Body::new(framing)));
        match self.feed_body(rest)? {
            Some(finding) => Ok(Some(finding)),
            None => self.feed_body(more),
        }
    }

    fn feed_body(&mut self, bytes: &[u8]) -> Result<Option<Finding>, Malformed> {
        let Some((status, body)) = &mut self.body else { return Ok(None) };
        body.feed(bytes)?;
        Ok(body.is_complete().then(|| search(self.check, *status, body.data())))
    }
}

fn search(check: &HttpCheck, status: u16, body: &[u8]) -> Finding {
    match &check.response_regexp {
        Some(regexp) if !regexp.is_match(body) => {
            (ProbeCode::L7Sts, format!("HTTP {status}, body does not match {regexp}"))
        }
        _ => (ProbeCode::L7Ok, format!("HTTP {status}")),
    }
}

fn bad(malformed: &Malformed) -> Finding {
    (ProbeCode::L7Rsp, malformed.to_string())
}

#[cfg(test)]
mod tests;
