//! Webhooks: the queue of one of them, the body of a delivery, and what follows from an attempt.
//!
//! Events of one webhook are delivered one after the other, in order. An event whose delivery failed may have arrived
//! nevertheless, so receivers tell repetitions by the id.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::history::Record;
use crate::kind::Kind;

/// Maximum number of events that wait for one webhook. Beyond it the oldest is dropped: the newest says how things are.
pub const MOST_WAITING: usize = 1000;
/// Maximum number of attempts for one event, over some four minutes.
pub const MOST_ATTEMPTS: u32 = 10;
/// First pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Maximum pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// 9999-12-31T23:59:59.999Z, the last time that RFC 3339 can write.
const LAST_MS: u64 = 253_402_300_799_999;

/// An event to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Consecutive for each webhook.
    pub sequence: u64,
    /// Events before it that were not delivered, since the last one that was.
    pub lost: u64,
    /// The event.
    pub record: Arc<Record>,
}

/// The events of one webhook that are not delivered yet.
#[derive(Debug, Default)]
pub struct Queue {
    /// The newest event's number.
    newest: u64,
    /// The number of the event delivered last.
    delivered: u64,
    in_flight: Option<(u64, Arc<Record>)>,
    waiting: VecDeque<(u64, Arc<Record>)>,
    dropped: u64,
}

impl Queue {
    /// Adds an event. The one in flight is never dropped for it.
    pub fn push(&mut self, record: Arc<Record>) {
        self.newest += 1;
        if self.waiting.len() >= MOST_WAITING {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back((self.newest, record));
    }

    /// The event to deliver now: the same one until it has [ended](Self::end).
    pub fn begin(&mut self) -> Option<Delivery> {
        if self.in_flight.is_none() {
            self.in_flight = self.waiting.pop_front();
        }
        let (sequence, record) = self.in_flight.clone()?;
        Some(Delivery { sequence, lost: sequence - self.delivered - 1, record })
    }

    /// Ends the event in flight, delivered or given up.
    pub fn end(&mut self, delivered: bool) {
        if let Some((sequence, _)) = self.in_flight.take().filter(|_| delivered) {
            self.delivered = sequence;
        }
    }

    /// Number of events that wait, including the one in flight.
    pub fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.in_flight.is_some())
    }

    /// Whether all are delivered or given up.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of events dropped so far because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered with this status.
    Answered(u16),
    /// There was no answer in time.
    NoAnswer,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The event is delivered.
    Delivered,
    /// It is tried again at this time.
    Retry(Instant),
    /// The receiver does not want it: repeating it would not help. Redirects are never followed.
    Refused,
    /// It was tried often enough.
    GivenUp,
}

/// Decides what follows from an attempt, counted from 1, that ended at `now`. `random` is from 0 to 1.
pub fn next(attempt: u32, outcome: Outcome, now: Instant, random: f64) -> Next {
    match outcome {
        Outcome::Answered(200..=299) => return Next::Delivered,
        Outcome::NoAnswer | Outcome::Answered(429 | 500..) => {}
        Outcome::Answered(_) => return Next::Refused,
    }
    if attempt >= MOST_ATTEMPTS {
        return Next::GivenUp;
    }
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    Next::Retry(now + doubled.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0))
}

/// The sender of all deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Name of this machine.
    pub host: String,
    /// Random, changes at every start, so that ids are unique.
    pub run: u64,
}

#[derive(Serialize)]
struct Body<'a> {
    version: u8,
    id: String,
    sequence: u64,
    lost: u64,
    host: &'a str,
    time: String,
    kind: Kind,
    backend: Option<&'a str>,
    frontend: Option<&'a str>,
    from: Option<&'static str>,
    to: Option<&'static str>,
    what: &'a str,
    who: Option<&'a str>,
    reason: Option<&'a str>,
    failed: bool,
}

impl Sender {
    /// The body of a delivery, in JSON. `docs/operations.md` describes it.
    pub fn body(&self, Delivery { sequence, lost, record }: &Delivery) -> String {
        let given = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let time = std::time::UNIX_EPOCH + Duration::from_millis(record.at_ms.min(LAST_MS));
        let states = |backend: Option<crate::health::State>,
                      frontend: Option<crate::weights::FrontendState>| {
            backend.map(|state| state.word()).or(frontend.map(|state| state.word()))
        };
        let body = Body {
            version: 1,
            id: format!("{:016x}-{sequence}", self.run),
            sequence: *sequence,
            lost: *lost,
            host: &self.host,
            time: humantime::format_rfc3339_millis(time).to_string(),
            kind: record.kind,
            backend: given(&record.backend),
            frontend: given(&record.frontend),
            from: states(record.from, record.frontend_from),
            to: states(record.to, record.frontend_to),
            what: &record.what,
            who: given(&record.who),
            reason: given(&record.reason),
            failed: record.failed,
        };
        // Text and numbers, which JSON can always write.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// The signature of a body sent at this time, in Unix seconds.
pub fn signature(secret: &[u8], unix_seconds: u64, body: &str) -> String {
    let signed = format!("{unix_seconds}.{body}");
    format!("sha256={}", maglev_tls::hmac_sha256(secret, signed.as_bytes()))
}

#[cfg(test)]
mod tests;
