//! The send and receive loop of one address family's socket.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use maglev_protocol::{EchoOutcome, EchoRequest};
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::MOST_IN_FLIGHT;
use super::check::EchoError;
use super::flight::{Flight, Full, Ignored, Ticket};
use super::packet::{LONGEST_REQUEST, Malformed, Message, write_request};
use super::random::Random;
use super::socket::{Sending, Wire};

/// Maximum number of requests sent before other tasks run: 16 take less than 0.1 ms.
const SENDS: usize = 16;
/// Maximum number of packets received before other tasks run. More than are sent, so that replies never pile
/// up.
const RECEIVES: usize = 64;
/// Longest packet of interest: IPv4 header with options, and the longest reply. A longer one is truncated,
/// and then fails its checksum.
const LONGEST_PACKET: usize = 60 + LONGEST_REQUEST;
/// Minimum pause before a packet is retried that the kernel had no room for. Up to as much again is added at
/// random.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(1);

/// How long a request may outlive its deadline while received packets wait to be read. Bounded, since a
/// sender may be faster than this process reads.
const GRACE: Duration = Duration::from_millis(100);

/// Decodes a packet of this family's socket.
pub(super) type Decode = for<'a> fn(&'a [u8]) -> Result<Message<'a>, Malformed>;

#[derive(Debug)]
struct Table {
    flight: Flight<oneshot::Sender<EchoOutcome>>,
    random: Random,
}

#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Table>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The callers' side.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    shared: Shared,
    /// Bounded by the requests in flight. A cancelled request keeps its slot until the loop, which never
    /// blocks while it can send, reaches it; if no slot is left, the caller gets an error.
    queue: mpsc::Sender<Ticket>,
}

/// The loop's side.
#[derive(Debug)]
pub(super) struct LaneLoop<S> {
    socket: S,
    decode: Decode,
    shared: Shared,
    queue: mpsc::Receiver<Ticket>,
    /// Taken from the queue but not sent, since the socket's buffer is full.
    next: Option<Ticket>,
    /// Requests for which the kernel had no room. Bounded by the requests in flight: see [`Self::postpone`].
    again: VecDeque<Ticket>,
    /// When the first of `again` may be retried.
    again_at: Instant,
    packet: Vec<u8>,
    buffer: Vec<u8>,
}

pub(super) fn lane<S: Wire>(socket: S, decode: Decode) -> (Lane, LaneLoop<S>) {
    let table = Table { flight: Flight::new(MOST_IN_FLIGHT), random: Random::default() };
    let shared = Shared(Arc::new(Mutex::new(table)));
    let (sender, queue) = mpsc::channel(MOST_IN_FLIGHT);
    let lane = Lane { shared: shared.clone(), queue: sender };
    let lane_loop = LaneLoop {
        socket,
        decode,
        shared,
        queue,
        next: None,
        again: VecDeque::new(),
        again_at: Instant::now(),
        packet: Vec::with_capacity(LONGEST_REQUEST),
        buffer: vec![0; LONGEST_PACKET],
    };
    (lane, lane_loop)
}

/// Frees a request's slot when its caller has gone.
struct Place<'a> {
    shared: &'a Shared,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        drop(self.shared.lock().flight.remove(&self.ticket));
    }
}

impl Lane {
    pub(super) async fn echo(&self, request: EchoRequest) -> Result<EchoOutcome, EchoError> {
        let (waiter, outcome) = oneshot::channel();
        let deadline = Instant::now() + request.timeout;
        let ticket = {
            let Table { flight, random } = &mut *self.shared.lock();
            flight.insert(request, deadline, waiter, || random.draw()).map_err(|full| match full {
                Full::TooMany { in_flight, most } => EchoError::TooMany { in_flight, most },
                Full::Random(error) => EchoError::Random { reason: error.to_string() },
            })?
        };
        let _place = Place { shared: &self.shared, ticket };
        self.queue.try_send(ticket).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                EchoError::TooMany { in_flight: MOST_IN_FLIGHT, most: MOST_IN_FLIGHT }
            }
            mpsc::error::TrySendError::Closed(_) => EchoError::Ended,
        })?;
        outcome.await.map_err(|_| EchoError::Ended)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.shared.lock().flight.len()
    }

    pub(super) fn ignored(&self) -> Ignored {
        self.shared.lock().flight.ignored()
    }
}

impl<S> Drop for LaneLoop<S> {
    /// Callers that still wait get an error.
    fn drop(&mut self) {
        self.shared.lock().flight.clear();
    }
}

impl<S: Wire> LaneLoop<S> {
    /// Runs until the last [`Lane`] is gone.
    pub(super) async fn run(mut self) {
        while self.wait().await {
            // Receive before expiring: if this process was stalled, replies that arrived in time still count.
            let drained = self.receive();
            self.send();
            self.expire(if drained { Duration::ZERO } else { GRACE });
            yield_now().await;
        }
    }

    /// Waits until there is something to do. False if there never will be.
    async fn wait(&mut self) -> bool {
        let deadline = self.shared.lock().flight.next_deadline();
        let again_at = self.again_at;
        tokio::select! {
            readable = self.socket.readable() => readable.is_ok(),
            ticket = self.queue.recv(), if self.next.is_none() => {
                self.next = ticket;
                ticket.is_some()
            }
            writable = self.socket.writable(), if self.next.is_some() => writable.is_ok(),
            () = sleep_until(again_at), if !self.again.is_empty() => true,
            () = sleep_until(deadline.unwrap_or(again_at)), if deadline.is_some() => true,
        }
    }

    /// Receives what has arrived. True if nothing is left.
    fn receive(&mut self) -> bool {
        for _ in 0..RECEIVES {
            let (length, from) = match self.socket.receive(&mut self.buffer) {
                Ok(received) => received,
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        debug!(%error, "a raw socket fails to receive");
                    }
                    return true;
                }
            };
            let now = Instant::now();
            let packet = self.buffer.get(..length).unwrap_or_default();
            let mut table = self.shared.lock();
            match (self.decode)(packet) {
                Ok(message) => deliver(table.flight.answer(from, &message, now)),
                Err(_) => table.flight.malformed(),
            }
        }
        false
    }

    fn send(&mut self) {
        for _ in 0..SENDS {
            let Some(ticket) = self.next_ticket() else { return };
            // It may have been cancelled or have timed out.
            let Some(request) = self.shared.lock().flight.get(&ticket).copied() else { continue };
            write_request(&request.target, ticket.id, &ticket.token, request.size, &mut self.packet);
            let at = Instant::now();
            match self.socket.send(&self.packet, request.target, request.source) {
                Sending::Sent => self.shared.lock().flight.sent(&ticket, at),
                Sending::BufferFull => {
                    self.next = Some(ticket);
                    return;
                }
                Sending::NoRoom => self.postpone(ticket, at),
                Sending::Refused(outcome) => {
                    let waiter = self.shared.lock().flight.remove(&ticket);
                    deliver(waiter.map(|waiter| (waiter, outcome)));
                }
            }
        }
    }

    fn next_ticket(&mut self) -> Option<Ticket> {
        let next = self.next.take();
        let again = || (self.again_at <= Instant::now()).then(|| self.again.pop_front()).flatten();
        next.or_else(again).or_else(|| self.queue.try_recv().ok())
    }

    /// Retries a request later without delaying those to other targets.
    fn postpone(&mut self, ticket: Ticket, now: Instant) {
        if self.again.len() >= MOST_IN_FLIGHT {
            // Ended requests are dropped here, so the queue never exceeds the requests in flight, this one
            // included.
            let table = self.shared.lock();
            self.again.retain(|ticket| table.flight.get(ticket).is_some());
        }
        self.again.push_back(ticket);
        self.again_at = now + NO_ROOM_PAUSE.mul_f64(1.0 + fastrand::f64());
    }

    /// Ends the requests whose deadline passed at least `grace` ago.
    fn expire(&self, grace: Duration) {
        let Some(until) = Instant::now().checked_sub(grace) else { return };
        let mut table = self.shared.lock();
        while let Some(ended) = table.flight.expire(until) {
            deliver(Some(ended));
        }
    }
}

fn deliver(ended: Option<(oneshot::Sender<EchoOutcome>, EchoOutcome)>) {
    if let Some((waiter, outcome)) = ended {
        // The caller may just have gone.
        drop(waiter.send(outcome));
    }
}

#[cfg(test)]
mod tests;
