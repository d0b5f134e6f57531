//! One family's socket and the loop around it.

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
use super::socket::{IcmpSocket, Sending};

/// Requests sent before others get their turn: 16 take less than 0.1 ms.
const SENDS: usize = 16;
/// Packets received before others get their turn. More than are sent, so that answers never pile up.
const RECEIVES: usize = 64;
/// Longest packet that can matter: IPv4 header with options, and the longest reply. The rest of a longer one is dropped,
/// and its checksum then is wrong.
const LONGEST_PACKET: usize = 60 + LONGEST_REQUEST;
/// Shortest pause when the kernel has no memory for a packet. Up to as much again is added at random.
const NO_MEMORY_PAUSE: Duration = Duration::from_millis(1);

/// How long a deadline may be overrun while packets that have come wait to be read. It needs a bound: somebody may send
/// faster than this process reads.
const GRACE: Duration = Duration::from_millis(100);

/// Takes apart what the family's socket delivers.
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

/// The callers' end.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    shared: Shared,
    /// Bounded by what may be in flight. The places of those that were given up stay taken until the loop, which
    /// never waits while it can send, comes by; if none is left, the caller is told so.
    queue: mpsc::Sender<Ticket>,
}

/// The loop's end.
#[derive(Debug)]
pub(super) struct LaneLoop {
    socket: IcmpSocket,
    decode: Decode,
    shared: Shared,
    queue: mpsc::Receiver<Ticket>,
    /// Taken from the queue, but not yet sent.
    next: Option<Ticket>,
    /// Nothing is sent before.
    pause: Option<Instant>,
    packet: Vec<u8>,
    buffer: Vec<u8>,
}

pub(super) fn lane(socket: IcmpSocket, decode: Decode) -> (Lane, LaneLoop) {
    let table = Table { flight: Flight::new(MOST_IN_FLIGHT), random: Random::default() };
    let shared = Shared(Arc::new(Mutex::new(table)));
    let (sender, queue) = mpsc::channel(MOST_IN_FLIGHT);
    let lane = Lane { shared: shared.clone(), queue: sender };
    let (next, pause, packet) = (None, None, Vec::with_capacity(LONGEST_REQUEST));
    let buffer = vec![0; LONGEST_PACKET];
    (lane, LaneLoop { socket, decode, shared, queue, next, pause, packet, buffer })
}

/// Frees a request's place when nobody waits for it any more.
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

impl Drop for LaneLoop {
    /// Whoever still waits learns that nothing will come.
    fn drop(&mut self) {
        self.shared.lock().flight.clear();
    }
}

impl LaneLoop {
    /// Runs until the last [`Lane`] is gone.
    pub(super) async fn run(mut self) {
        while self.wait().await {
            // What has come is looked at before any time is up: if this process was kept from running, then answers
            // that were in time still count.
            let drained = self.receive();
            self.send();
            self.expire(if drained { Duration::ZERO } else { GRACE });
            yield_now().await;
        }
    }

    /// Waits until there is something to do. Tells whether there ever will be.
    async fn wait(&mut self) -> bool {
        let deadline = self.shared.lock().flight.next_deadline();
        let timer = |until: Option<Instant>| sleep_until(until.unwrap_or_else(Instant::now));
        tokio::select! {
            readable = self.socket.readable() => readable.is_ok(),
            ticket = self.queue.recv(), if self.next.is_none() => {
                self.next = ticket;
                ticket.is_some()
            }
            writable = self.socket.writable(), if self.next.is_some() && self.pause.is_none() => writable.is_ok(),
            () = timer(self.pause), if self.pause.is_some() => true,
            () = timer(deadline), if deadline.is_some() => true,
        }
    }

    /// Tells whether nothing is left to receive.
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
        if self.pause.is_some_and(|until| until > Instant::now()) {
            return;
        }
        self.pause = None;
        for _ in 0..SENDS {
            let Some(ticket) = self.next.take().or_else(|| self.queue.try_recv().ok()) else { return };
            // It may have been given up, or its time be up.
            let Some(request) = self.shared.lock().flight.get(&ticket).copied() else { continue };
            write_request(&request.target, ticket.id, &ticket.token, request.size, &mut self.packet);
            let at = Instant::now();
            match self.socket.send(&self.packet, request.target, request.source) {
                Sending::Sent => self.shared.lock().flight.sent(&ticket, at),
                Sending::BufferFull => {
                    self.next = Some(ticket);
                    return;
                }
                Sending::NoMemory => {
                    self.next = Some(ticket);
                    self.pause = Some(at + NO_MEMORY_PAUSE.mul_f64(1.0 + fastrand::f64()));
                    return;
                }
                Sending::Refused(reason) => {
                    let waiter = self.shared.lock().flight.remove(&ticket);
                    deliver(waiter.map(|waiter| (waiter, EchoOutcome::NotSent { reason })));
                }
            }
        }
    }

    /// Ends the requests whose deadline was so long ago.
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
        // Nobody waits any more if it was given up just now.
        drop(waiter.send(outcome));
    }
}
