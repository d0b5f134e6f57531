//! The echo requests in flight, and what ends each of them.
//!
//! A reply counts only if it proves that its sender has seen the request. An echo reply proves it by coming
//! from the target with the whole payload: 128 random bits in it, 32 more in its id. An error message may
//! come from any router, so it must quote the request, token included. Routers that quote only the 8 bytes
//! that RFC 792 requires prove no more than the 32 bits of the id; an off-path attacker who sends a million
//! packets a second guesses those within about 70 minutes, or within seconds if a thousand requests are in
//! flight to one target. Such an error is counted and otherwise ignored: its request times out, which is the
//! same verdict a little later. RFC 1812 (4.3.2.3) tells routers to quote as much as fits into 576 bytes, and
//! RFC 4443 into 1,280; both include the token.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use maglev_protocol::{EchoOutcome, EchoRequest};
use tokio::time::Instant;

use super::meaning::meaning;
use super::packet::{Echo, EchoId, Message, Token, is_payload};

/// Attempts to draw an unused id. One attempt collides with probability 2^-19 when 8,192 are in flight.
const DRAWS: usize = 8;

/// Requests in flight of one address family, each with its waiter.
#[derive(Debug)]
pub struct Flight<W> {
    most: usize,
    requests: HashMap<EchoId, InFlight<W>>,
    deadlines: BTreeSet<(Instant, EchoId)>,
    ignored: Ignored,
}

#[derive(Debug)]
struct InFlight<W> {
    request: EchoRequest,
    token: Token,
    deadline: Instant,
    /// Time of sending; `None` while queued.
    sent: Option<Instant>,
    waiter: W,
}

/// Identifies one request even after its end, when its id may have been reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Identifier that replies carry.
    pub id: EchoId,
    /// Random payload that proves a reply.
    pub token: Token,
}

/// Messages that matched no request, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Truncated or damaged.
    pub malformed: u64,
    /// About no request in flight: late, a duplicate, or another process's.
    pub unknown: u64,
    /// With the id of a request in flight, but from or about another address, or with another payload:
    /// forged, or changed in transit.
    pub mismatched: u64,
    /// Errors that match a request in flight but quote too little of it to prove it.
    pub unproven: u64,
}

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Full<E> {
    /// The limit is reached or, almost impossibly, no unused id was drawn.
    #[error("{in_flight} echo requests are in flight, at most {most} may be")]
    TooMany {
        /// Requests in flight.
        in_flight: usize,
        /// The limit.
        most: usize,
    },
    /// No random numbers available.
    #[error(transparent)]
    Random(E),
}

impl<W> Flight<W> {
    /// An empty table with room for `most` requests.
    pub fn new(most: usize) -> Self {
        Self { most, requests: HashMap::new(), deadlines: BTreeSet::new(), ignored: Ignored::default() }
    }

    /// Adds a request, under an id and a token drawn at random by `draw`. It ends with a reply, at its
    /// deadline, or with [`remove`](Self::remove).
    ///
    /// # Errors
    /// When the limit is reached, or `draw` fails.
    pub fn insert<E>(
        &mut self,
        request: EchoRequest,
        deadline: Instant,
        waiter: W,
        mut draw: impl FnMut() -> Result<(EchoId, Token), E>,
    ) -> Result<Ticket, Full<E>> {
        let (in_flight, most) = (self.requests.len(), self.most);
        if in_flight < most {
            for _ in 0..DRAWS {
                let (id, token) = draw().map_err(Full::Random)?;
                let Entry::Vacant(place) = self.requests.entry(id) else { continue };
                place.insert(InFlight { request, token, deadline, sent: None, waiter });
                self.deadlines.insert((deadline, id));
                return Ok(Ticket { id, token });
            }
        }
        Err(Full::TooMany { in_flight, most })
    }

    /// The request, unless it has ended.
    pub fn get(&self, ticket: &Ticket) -> Option<&EchoRequest> {
        let found = self.requests.get(&ticket.id)?;
        (found.token == ticket.token).then_some(&found.request)
    }

    /// Records that a request has been sent.
    pub fn sent(&mut self, ticket: &Ticket, at: Instant) {
        if let Some(found) = self.requests.get_mut(&ticket.id)
            && found.token == ticket.token
        {
            found.sent = Some(at);
        }
    }

    /// Ends a request, unless it has ended already.
    pub fn remove(&mut self, ticket: &Ticket) -> Option<W> {
        self.get(ticket)?;
        self.end(ticket.id).map(|ended| ended.waiter)
    }

    /// Ends all requests.
    pub fn clear(&mut self) {
        self.requests.clear();
        self.deadlines.clear();
    }

    /// Ends the request that a message answers, if any.
    pub fn answer(&mut self, from: IpAddr, message: &Message<'_>, now: Instant) -> Option<(W, EchoOutcome)> {
        let (echo, about) = match message {
            Message::Reply(echo) => (echo, from),
            Message::Error { target, quoted, .. } => (quoted, *target),
            Message::Other => return None,
        };
        let Some((found, sent)) = self.requests.get(&echo.id).and_then(|found| Some((found, found.sent?)))
        else {
            self.ignored.unknown += 1;
            return None;
        };
        let proof = if found.request.target == about { found.proof(message) } else { Proof::Wrong };
        let ignored = match proof {
            Proof::Complete => None,
            Proof::Partial => Some(&mut self.ignored.unproven),
            Proof::Wrong => Some(&mut self.ignored.mismatched),
        };
        if let Some(count) = ignored {
            *count += 1;
            return None;
        }
        let outcome = match *message {
            Message::Error { kind, code, .. } => {
                EchoOutcome::Unreachable { from, kind, code, meaning: meaning(&from, kind, code) }
            }
            _ => EchoOutcome::Reply { round_trip: now.saturating_duration_since(sent) },
        };
        self.end(echo.id).map(|ended| (ended.waiter, outcome))
    }

    /// Counts a message that could not be decoded.
    pub fn malformed(&mut self) {
        self.ignored.malformed += 1;
    }

    /// Ends one request whose deadline has passed, if any.
    pub fn expire(&mut self, now: Instant) -> Option<(W, EchoOutcome)> {
        let (_, id) = *self.deadlines.first().filter(|(deadline, _)| *deadline <= now)?;
        let ended = self.end(id)?;
        let outcome = match ended.sent {
            Some(_) => EchoOutcome::TimedOut,
            None => EchoOutcome::NotSent {
                reason: "the kernel took no more packets until the timeout: its buffers, or its table of neighbours, are full".to_owned(),
            },
        };
        Some((ended.waiter, outcome))
    }

    /// When [`expire`](Self::expire) must be called next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Requests in flight.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether no request is in flight.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Messages that matched no request.
    pub fn ignored(&self) -> Ignored {
        self.ignored
    }

    fn end(&mut self, id: EchoId) -> Option<InFlight<W>> {
        let Entry::Occupied(found) = self.requests.entry(id) else { return None };
        let ended = found.remove();
        self.deadlines.remove(&(ended.deadline, id));
        Some(ended)
    }
}

/// How much of the request a message proves.
enum Proof {
    Complete,
    /// Matches as far as it goes.
    Partial,
    Wrong,
}

impl<W> InFlight<W> {
    fn proof(&self, message: &Message<'_>) -> Proof {
        let complete = match message {
            Message::Reply(Echo { payload, .. }) => is_payload(payload, &self.token, self.request.size),
            Message::Error { quoted, .. } => match quoted.payload.first_chunk() {
                Some(token) => *token == self.token,
                None if self.token.starts_with(quoted.payload) => return Proof::Partial,
                None => false,
            },
            Message::Other => false,
        };
        if complete { Proof::Complete } else { Proof::Wrong }
    }
}

#[cfg(test)]
mod tests;
