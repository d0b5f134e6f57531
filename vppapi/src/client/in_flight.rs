//! Requests in flight. Pure: callers pass the time.
//!
//! VPP answers in order, so an answer shows that VPP is working on the requests behind it: their timers
//! restart. A request that an answer has overtaken was dropped by VPP; its timer runs on.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ClientError;
use super::prepared::RetvalOf;
use crate::messages::RequestHead;
use crate::wire::DecodeError;

/// Consumes the details of a dump as they arrive, so that they need not all be kept.
pub(super) struct Sink(pub(super) Box<TakeDetails>);

type TakeDetails = dyn FnMut(&[u8]) -> Result<(), DecodeError> + Send;

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

/// A request or dump on its way from a handle to the socket.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) message: &'static str,
    pub(super) head: RequestHead,
    pub(super) fields: Bytes,
    pub(super) expected: Expected,
    pub(super) retval: Option<RetvalOf>,
    pub(super) sink: Option<Sink>,
    pub(super) answer: oneshot::Sender<Result<Answer, ClientError>>,
}

/// The answer to a request. All of its messages carry the request's context.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// One reply.
    Reply { id: u16 },
    /// Any number of details, then the reply to a ping with this id, which is sent right after the dump.
    Details { details_id: u16, ping_id: u16, end_id: u16 },
}

/// The answer received.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The reply's body. Empty for a dump; no decoder accepts empty bytes.
    pub(super) reply: Bytes,
    /// Number of details received.
    pub(super) details: usize,
}

/// A finished request, successful or not.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) message: &'static str,
    pub(super) context: u32,
    pub(super) took: Duration,
    pub(super) retval: Option<RetvalOf>,
    pub(super) result: Result<Answer, ClientError>,
    pub(super) answer: oneshot::Sender<Result<Answer, ClientError>>,
}

/// Meaning of a received message.
#[derive(Debug)]
pub(super) enum Received {
    /// It completes a request.
    Finishes(Finished),
    /// It is a part of an answer.
    Belongs,
    /// Nobody waits for it: unsolicited or too late.
    Unexpected,
}

#[derive(Debug)]
struct Entry {
    message: &'static str,
    context: u32,
    expected: Expected,
    retval: Option<RetvalOf>,
    sink: Option<Sink>,
    answer: oneshot::Sender<Result<Answer, ClientError>>,
    collected: Answer,
    sent_at: Instant,
    /// Start of a timer that no longer restarts, because a later request has been answered.
    overtaken: Option<Instant>,
}

/// The requests in flight, in the order of sending.
#[derive(Debug)]
pub(super) struct InFlight {
    entries: VecDeque<Entry>,
    timeout: Duration,
    max_details: usize,
    progress_at: Option<Instant>,
}

impl InFlight {
    pub(super) fn new(timeout: Duration, max_details: usize) -> Self {
        Self { entries: VecDeque::new(), timeout, max_details, progress_at: None }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Records a request as sent.
    pub(super) fn send(&mut self, outgoing: Outgoing, now: Instant) {
        let Outgoing { message, head, expected, retval, sink, answer, .. } = outgoing;
        let collected = Answer::default();
        self.entries.push_back(Entry {
            message,
            context: head.context,
            expected,
            retval,
            sink,
            answer,
            collected,
            sent_at: now,
            overtaken: None,
        });
    }

    /// Matches a message with a request, by context and id.
    pub(super) fn receive(&mut self, id: u16, context: u32, body: Bytes, now: Instant) -> Received {
        let waits = |entry: &Entry| entry.context == context && entry.expected.includes(id);
        let Some(position) = self.entries.iter().position(waits) else {
            return Received::Unexpected;
        };
        self.note_progress(position, now);
        let Some(entry) = self.entries.get_mut(position) else {
            return Received::Unexpected;
        };
        match entry.expected {
            Expected::Reply { .. } => entry.collected.reply = body,
            Expected::Details { end_id, .. } if id == end_id => {}
            Expected::Details { .. } if entry.collected.details < self.max_details => {
                entry.collected.details += 1;
                return match entry.sink.as_mut().map_or(Ok(()), |sink| (sink.0)(&body)) {
                    Ok(()) => Received::Belongs,
                    Err(error) => self.finish(position, now, Some(error.into())),
                };
            }
            Expected::Details { .. } => {
                let error = ClientError::TooManyDetails { message: entry.message, limit: self.max_details };
                return self.finish(position, now, Some(error));
            }
        }
        self.finish(position, now, None)
    }

    /// When [`InFlight::expire`] next has something to do, if nothing is received until then.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.entries.front().map(|entry| self.deadline(entry))
    }

    /// Removes a request that timed out. Call until it returns `None`.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Finished> {
        if self.next_deadline()? > now {
            return None;
        }
        let message = self.entries.front()?.message;
        let error = ClientError::Timeout { message, after: self.timeout, sent: true };
        match self.finish(0, now, Some(error)) {
            Received::Finishes(finished) => Some(finished),
            Received::Belongs | Received::Unexpected => None,
        }
    }

    /// Overtaken requests come first, and deadlines never decrease along the queue.
    fn deadline(&self, entry: &Entry) -> Instant {
        self.start(entry) + self.timeout
    }

    fn start(&self, entry: &Entry) -> Instant {
        let latest = self.progress_at.map_or(entry.sent_at, |progress| progress.max(entry.sent_at));
        entry.overtaken.unwrap_or(latest)
    }

    fn note_progress(&mut self, position: usize, now: Instant) {
        let unmarked = self.entries.iter().take(position).rposition(|entry| entry.overtaken.is_some());
        let first = unmarked.map_or(0, |marked| marked + 1);
        for index in first..position {
            let start = self.entries.get(index).map(|entry| self.start(entry));
            if let Some(entry) = self.entries.get_mut(index) {
                entry.overtaken = start;
            }
        }
        self.progress_at = Some(now);
    }

    fn finish(&mut self, position: usize, now: Instant, error: Option<ClientError>) -> Received {
        let Some(entry) = self.entries.remove(position) else {
            return Received::Unexpected;
        };
        Received::Finishes(Finished {
            message: entry.message,
            context: entry.context,
            took: now.saturating_duration_since(entry.sent_at),
            retval: entry.retval,
            result: error.map_or(Ok(entry.collected), Err),
            answer: entry.answer,
        })
    }
}

impl Expected {
    fn includes(self, id: u16) -> bool {
        match self {
            Expected::Reply { id: reply_id } => id == reply_id,
            Expected::Details { details_id, end_id, .. } => id == details_id || id == end_id,
        }
    }
}
