//! The question of a check, and the judgement of what comes back. Pure.
//!
//! A header may announce 65,535 entries in each section; only one question and a bounded number of answers are
//! decoded, and nothing behind them.

use std::fmt::Write;
use std::sync::Arc;

use compact_str::{CompactString, format_compact};
use hickory_proto::ProtoError;
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};
use hickory_proto::serialize::binary::BinDecoder;
use maglev_engine::config::{DnsCheck, DnsTransport, rcode_name};
use maglev_engine::outcome::{Finding, ProbeCode};

use crate::http::Quote;

/// Length of a message's header, in bytes.
const HEADER: usize = 12;
/// Maximum number of records in an answer.
const MOST_RECORDS: u16 = 256;
/// Records that the detail of a failed check shows.
const MOST_SHOWN: usize = 3;
/// Bytes of each that it shows.
const SHOWN: usize = 25;

/// The question of one health check, prepared once.
#[derive(Debug, Clone)]
pub struct Question {
    check: DnsCheck,
    /// Or why it cannot be asked.
    ready: Result<Ready, Arc<str>>,
}

#[derive(Debug, Clone)]
struct Ready {
    query: Query,
    /// The message, with an identifier of 0.
    message: Vec<u8>,
}

/// What a message is to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// No answer to it.
    Stray,
    /// An answer whose rest may be had over TCP.
    Truncated,
    /// An answer, and the verdict on it.
    Judged(Finding),
}

impl Question {
    /// Prepares a check's question.
    pub fn new(check: DnsCheck) -> Self {
        let ready = prepare(&check).map_err(|error| Arc::from(error.to_string()));
        Self { check, ready }
    }

    pub(super) fn transport(&self) -> DnsTransport {
        self.check.transport
    }

    /// The query with this identifier.
    pub(super) fn message(&self, id: u16) -> Result<Vec<u8>, Finding> {
        let ready = self.ready.as_ref().map_err(|why| unusable(why))?;
        let mut message = ready.message.clone();
        if let Some(start) = message.first_chunk_mut() {
            *start = id.to_be_bytes();
        }
        Ok(message)
    }

    /// Judges a message that came after the query with this identifier.
    pub fn judge(&self, id: u16, message: &[u8]) -> Reply {
        let ready = match &self.ready {
            Ok(ready) => ready,
            Err(why) => return Reply::Judged(unusable(why)),
        };
        let Some(header) = Header::read(message).filter(|header| header.id == id && header.answers()) else {
            return Reply::Stray;
        };
        self.judge_sections(&ready.query, &header, message)
            .unwrap_or_else(|error| bad(format_compact!("malformed DNS message: {error}")))
    }

    fn judge_sections(&self, query: &Query, header: &Header, message: &[u8]) -> Result<Reply, ProtoError> {
        let mut decoder = BinDecoder::new(message);
        decoder.read_slice(HEADER)?;
        match header.questions {
            // A server that does not understand the query may not repeat it.
            0 if header.rcode() != 0 => {}
            1 => {
                let repeated = Message::read_queries(&mut decoder, 1)?;
                if repeated.first().is_none_or(|repeated| !is_same(repeated, query)) {
                    return Ok(Reply::Stray);
                }
            }
            other => return Ok(bad(format_compact!("the answer has {other} questions"))),
        }
        if header.is_truncated() {
            return Ok(Reply::Truncated);
        }
        let rcode = header.rcode();
        let found = rcode_name(rcode).map_or_else(|| format!("response code {rcode}"), str::to_owned);
        if rcode != self.check.rcode {
            return Ok(Reply::Judged((ProbeCode::L7Sts, format_compact!("DNS {found}"))));
        }
        let Some(pattern) = &self.check.answer_regexp else {
            return Ok(Reply::Judged((ProbeCode::L7Ok, format_compact!("DNS {found}"))));
        };
        if header.answers > MOST_RECORDS {
            return Ok(bad(format_compact!(
                "the answer has {} records, more than {MOST_RECORDS}",
                header.answers
            )));
        }
        let count = usize::from(header.answers);
        let (records, _, _) = Message::read_records(&mut decoder, count, false, OpCode::Query)?;
        let data: Vec<String> = records.iter().map(data).collect();
        Ok(Reply::Judged(match data.iter().any(|data| pattern.is_match(data.as_bytes())) {
            true => (ProbeCode::L7Ok, format_compact!("DNS {found}")),
            false => (
                ProbeCode::L7Sts,
                format_compact!("DNS {found}, no record matches {pattern}: {}", shown(&data)),
            ),
        }))
    }
}

fn prepare(check: &DnsCheck) -> Result<Ready, ProtoError> {
    // Names are compared with their last dot.
    let name = Name::from_ascii(format!("{}.", check.name.trim_end_matches('.')))?;
    let query = Query::query(name, RecordType::from(check.record_type));
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(query.clone());
    Ok(Ready { message: message.to_vec()?, query })
}

/// DNS names have no case.
fn is_same(repeated: &Query, query: &Query) -> bool {
    repeated.name == query.name
        && repeated.query_type == query.query_type
        && repeated.query_class == DNSClass::IN
}

/// A record's data as zone files have it; empty if it has no such form.
fn data(record: &Record) -> String {
    let mut data = String::new();
    // Writing to a string fails only where the data has no text.
    write!(data, "{}", record.data).ok();
    data
}

fn shown(data: &[String]) -> String {
    if data.is_empty() {
        return "there is none".to_owned();
    }
    let quotes = data.iter().take(MOST_SHOWN).map(|data| Quote::beginning(data.as_bytes(), SHOWN));
    let mut shown: Vec<String> = quotes.map(|quote| quote.to_string()).collect();
    if let Some(others) = data.len().checked_sub(MOST_SHOWN).filter(|others| *others > 0) {
        shown.push(format!("{others} others"));
    }
    shown.join(", ")
}

fn unusable(why: &str) -> Finding {
    (ProbeCode::SockErr, format_compact!("the query cannot be encoded: {why}"))
}

fn bad(why: CompactString) -> Reply {
    Reply::Judged((ProbeCode::L7Rsp, why))
}

/// The beginning of a message (RFC 1035, 4.1.1).
struct Header {
    id: u16,
    flags: u16,
    questions: u16,
    answers: u16,
}

impl Header {
    fn read(message: &[u8]) -> Option<Self> {
        let &[i, d, f, g, q, r, a, b, _, _, _, _] = message.first_chunk::<HEADER>()?;
        let [id, flags, questions, answers] = [[i, d], [f, g], [q, r], [a, b]].map(u16::from_be_bytes);
        Some(Self { id, flags, questions, answers })
    }

    /// Whether it is a response to a standard query.
    fn answers(&self) -> bool {
        self.flags & 0xf800 == 0x8000
    }

    fn is_truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    fn rcode(&self) -> u8 {
        self.flags.to_be_bytes()[1] & 0x0f
    }
}

#[cfg(test)]
mod tests;
