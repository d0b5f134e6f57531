//! Bytes that are sent on a connection, and others that are expected in return.

use std::io;

use compact_str::{CompactString, format_compact};
use maglev_engine::config::Expect;
use maglev_engine::outcome::{Finding, ProbeCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::connect::judge;
use super::http::{Quote, in_words};

/// Length of the part of a reply that is searched, in bytes.
const REPLY_LIMIT: usize = 16 << 10;
/// Maximum number of bytes searched before the reply is complete, over all searches. Otherwise a reply in many small
/// pieces would cost its length squared; the rest is searched at the end.
const MOST_SEARCHED_EARLY: usize = 16 * REPLY_LIMIT;
/// Bytes per read.
const PIECE: usize = 1024;

/// Sends these bytes, and reads until the reply can be judged. The connection stays open.
pub(super) async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    send: &[u8],
    expect: &Expect,
    deadline: Instant,
) -> Finding {
    let mut reply = Reply::new(expect);
    let conversation = async {
        let sent = match stream.write_all(send).await {
            Ok(()) => stream.flush().await,
            Err(error) => Err(error),
        };
        // A server that refuses may have said why before it hung up.
        let mut piece = [0; PIECE];
        loop {
            match stream.read(&mut piece).await {
                Ok(0) => return reply.end(),
                Ok(length) => {
                    if let Some(passed) = reply.feed(piece.get(..length).unwrap_or_default()) {
                        return passed;
                    }
                }
                // How TLS reports a peer that closed the connection without announcing it, as many servers do.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return reply.end(),
                Err(error) => return reply.broken(sent.as_ref().err().unwrap_or(&error)),
            }
        }
    };
    match timeout_at(deadline, conversation).await {
        Ok(finding) => finding,
        Err(_) => reply.late(),
    }
}

/// A reply that arrives in pieces. Holds at most [`REPLY_LIMIT`] bytes of it.
#[derive(Debug)]
struct Reply<'a> {
    expect: &'a Expect,
    bytes: Vec<u8>,
    /// Bytes searched so far.
    searched: usize,
}

impl<'a> Reply<'a> {
    fn new(expect: &'a Expect) -> Self {
        Self { expect, bytes: Vec::new(), searched: 0 }
    }

    /// Takes the next bytes; returns the verdict if they decide it.
    fn feed(&mut self, bytes: &[u8]) -> Option<Finding> {
        let room = REPLY_LIMIT.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if self.bytes.len() >= REPLY_LIMIT {
            return Some(self.end());
        }
        self.searched = self.searched.saturating_add(self.bytes.len());
        if self.searched > MOST_SEARCHED_EARLY {
            return None;
        }
        self.expect.pattern.is_match_for_good(&self.bytes).then(passed)
    }

    /// The verdict if the peer closes the connection now.
    fn end(&self) -> Finding {
        match self.bytes.len() {
            0 => (ProbeCode::L7Rsp, CompactString::const_new("closed without an answer")),
            _ => judge_whole(self.expect, &self.bytes),
        }
    }

    fn late(&self) -> Finding {
        match self.bytes.len() {
            0 => (ProbeCode::L7Tout, CompactString::const_new("connected, but no answer in time")),
            _ if self.is_match() => passed(),
            _ => (ProbeCode::L7Tout, mismatch(self.expect, &self.bytes, " in time")),
        }
    }

    fn broken(&self, error: &io::Error) -> Finding {
        let after = match self.bytes.len() {
            0 => "before an answer".to_owned(),
            _ if self.is_match() => return passed(),
            bytes => format!("after {bytes} bytes of the answer"),
        };
        (judge(error, ProbeCode::L7Rsp), format_compact!("{} {after}", in_words(error)))
    }

    fn is_match(&self) -> bool {
        self.expect.pattern.is_match(&self.bytes)
    }
}

/// The verdict on a complete reply.
pub(super) fn judge_whole(expect: &Expect, reply: &[u8]) -> Finding {
    match expect.pattern.is_match(reply) {
        true => passed(),
        false => (ProbeCode::L7Rsp, mismatch(expect, reply, "")),
    }
}

fn passed() -> Finding {
    (ProbeCode::L7Ok, CompactString::const_new("expected answer"))
}

/// Describes a reply that does not match.
fn mismatch(expect: &Expect, reply: &[u8], when: &str) -> CompactString {
    let (expected, length) = (&expect.text, reply.len());
    let first = if length >= REPLY_LIMIT { "its first " } else { "" };
    let found = match length {
        0 => "it is empty".to_owned(),
        _ => format!("{first}{length} bytes, {}", Quote::beginning(reply, Quote::LONGEST)),
    };
    format_compact!("answer does not match {expected}{when}: {found}")
}

#[cfg(test)]
mod tests;
