//! The server's own word on a connection of its own, as HAProxy's agent-check: one line, in answer to a text or to none.
//!
//! It completes the result of a probe that passed. A server that gives none is not down for it: its last word stays in
//! force.

use std::net::SocketAddr;

use compact_str::{CompactString, format_compact};
use maglev_engine::config::AgentLine;
use maglev_engine::outcome::{ProbeCode, ProbeOutcome, Share, Word};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::connect::{First, Source, connect};
use super::http::{Quote, in_words};

/// Longest line that is read, in bytes; of a longer one, so much is looked at.
const LONGEST_LINE: usize = 256;
/// Bytes per read.
const PIECE: usize = 64;

/// A line as far as it has arrived.
#[derive(Debug, Default)]
pub struct AgentReply(Vec<u8>);

/// What a server's agent said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentWord {
    /// A word.
    Word(Word),
    /// A line that is none; its beginning, in quotes.
    Unclear(String),
    /// No line, for this reason.
    Missing(CompactString),
}

impl AgentReply {
    /// Takes the next bytes; returns what they say if the line has ended, or its description has begun.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<AgentWord> {
        let room = LONGEST_LINE.saturating_sub(self.0.len());
        self.0.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        let ends = |byte: &u8| matches!(byte, b'\n' | b'\r' | b'#');
        (self.0.len() >= LONGEST_LINE || self.0.iter().any(ends)).then(|| self.end())
    }

    /// What was said, if the server closes the connection now.
    pub fn end(&self) -> AgentWord {
        let mut lines = self.0.split(|byte| matches!(byte, b'\n' | b'\r' | b'#'));
        let line = lines.next().unwrap_or_default().trim_ascii();
        match Word::parse(line) {
            Some(word) => AgentWord::Word(word),
            None if self.0.is_empty() => {
                AgentWord::Missing(CompactString::const_new("closed without a line"))
            }
            None => AgentWord::Unclear(Quote::new(&self.0).to_string()),
        }
    }
}

/// Asks a server's agent, until the deadline.
pub(super) async fn ask(
    target: SocketAddr,
    source: Option<Source>,
    line: &AgentLine,
    deadline: Instant,
) -> AgentWord {
    let mut stream = match connect(target, source, First::Nobody, deadline).await {
        Ok(stream) => stream,
        Err((_, reason)) => return AgentWord::Missing(reason),
    };
    let mut reply = AgentReply::default();
    let talk = async {
        let sent = stream.write_all(line.send.as_bytes()).await;
        let mut piece = [0; PIECE];
        loop {
            match stream.read(&mut piece).await {
                Ok(0) => return reply.end(),
                Ok(length) => {
                    if let Some(word) = reply.feed(piece.get(..length).unwrap_or_default()) {
                        return word;
                    }
                }
                Err(error) => {
                    return AgentWord::Missing(in_words(sent.as_ref().err().unwrap_or(&error)).into());
                }
            }
        }
    };
    let late = || AgentWord::Missing(CompactString::const_new("no complete line in time"));
    timeout_at(deadline, talk).await.unwrap_or_else(|_| late())
}

/// Completes a probe's result. Of this word and the one in the probe's own answer, the lesser share counts.
pub(super) fn complete(word: AgentWord, port: u16, outcome: ProbeOutcome) -> ProbeOutcome {
    if !outcome.passed() {
        return outcome;
    }
    let ProbeOutcome { code, detail, asked, .. } = outcome;
    // What it said before stays in force, unless it drains by other means.
    let others = asked.filter(|share| *share == Share::DRAIN);
    let (code, detail, asked) = match word {
        AgentWord::Word(Word::Serves(share)) => {
            let asked = Some(asked.map_or(share, |own| own.min(share)));
            match share {
                Share::WHOLE => (code, detail, asked),
                _ => (code, format_compact!("{detail}, agent: {share}"), asked),
            }
        }
        AgentWord::Word(Word::Down) => (ProbeCode::L7Sts, format_compact!("{detail}, agent: down"), None),
        AgentWord::Unclear(quote) => {
            let ignored = "is not up, drain, maint, down or a percentage to 100%";
            (code, format_compact!("{detail}, agent ignored: {quote} {ignored}"), others)
        }
        AgentWord::Missing(reason) => {
            (code, format_compact!("{detail}, no word of its agent on port {port}: {reason}"), others)
        }
    };
    ProbeOutcome { code, detail, asked, ..outcome }
}

#[cfg(test)]
mod tests;
