//! The task that owns the socket.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::codec::FramedRead;
use tracing::{debug, trace};

use super::in_flight::{Expected, Finished, InFlight, Outgoing, Received};
use super::{ClientError, ConnectOptions, DisconnectReason};
use crate::frame::{FrameCodec, FrameError};
use crate::messages::{RequestHead, decode_reply_head};

/// Maximum number of bytes written ahead of the socket. Beyond it, requests wait in the queue, where they can
/// still be cancelled.
const MAX_UNWRITTEN: usize = 256 << 10;

/// Maximum capacity of the read buffer that is kept for the next answer, in bytes.
const KEPT_BUFFER: usize = 128 << 10;

/// Frames handled before other events get their turn.
const FRAMES_PER_TURN: usize = 64;

/// State of one connection: the socket, and the requests queued, in flight and answered.
pub(super) struct Connection<R, W> {
    reader: FramedRead<R, FrameCodec>,
    writer: W,
    codec: FrameCodec,
    unwritten: BytesMut,
    /// The rest of one batch; the next is taken when it is empty, so its size is that of a caller's batch.
    waiting: VecDeque<Outgoing>,
    in_flight: InFlight,
    max_in_flight: usize,
    timeout: Duration,
    /// Start of VPP's silence while something waits for it.
    silent_since: Instant,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    pub(super) fn new(reader: FramedRead<R, FrameCodec>, writer: W, options: &ConnectOptions) -> Self {
        Self {
            reader,
            writer,
            codec: FrameCodec { max_body: options.max_body },
            unwritten: BytesMut::new(),
            waiting: VecDeque::new(),
            in_flight: InFlight::new(options.request_timeout, options.max_details),
            max_in_flight: options.max_in_flight.max(1),
            timeout: options.request_timeout,
            silent_since: Instant::now(),
        }
    }

    /// Runs until the connection ends or every handle is dropped. Stores the reason in `closing` before
    /// waiting callers get their errors.
    pub(super) async fn run(
        mut self,
        mut batches: mpsc::Receiver<Vec<Outgoing>>,
        closing: watch::Sender<Option<DisconnectReason>>,
    ) {
        let reason = self.serve(&mut batches).await;
        debug!(%reason, in_flight = self.in_flight.len(), "connection to VPP ended");
        closing.send_replace(Some(reason));
    }

    async fn serve(&mut self, batches: &mut mpsc::Receiver<Vec<Outgoing>>) -> DisconnectReason {
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        let mut armed_for: Option<Instant> = None;
        loop {
            self.admit(Instant::now());
            // A timer that fires too early is cheaper than resetting it with every answer.
            let deadline = self.next_deadline();
            if let Some(deadline) = deadline
                && armed_for.is_none_or(|armed| deadline < armed)
            {
                timer.as_mut().reset(deadline);
                armed_for = Some(deadline);
            }
            tokio::select! {
                frame = self.reader.next() => {
                    if let Some(reason) = self.read(frame) {
                        return reason;
                    }
                }
                written = self.writer.write_buf(&mut self.unwritten), if !self.unwritten.is_empty() => {
                    if let Err(error) = written {
                        return DisconnectReason::Write(Arc::new(error));
                    }
                }
                batch = batches.recv(), if self.waiting.is_empty() => {
                    let Some(batch) = batch else { return DisconnectReason::Abandoned };
                    self.waiting.extend(batch);
                    self.silent_since = self.silent_since.max(Instant::now());
                }
                () = timer.as_mut(), if armed_for.is_some() && deadline.is_some() => {
                    armed_for = None;
                    self.expire(batches, Instant::now());
                }
            }
        }
    }

    /// Moves waiting requests into flight as far as the limits allow. Drops those whose caller has gone.
    fn admit(&mut self, now: Instant) {
        while self.in_flight.len() < self.max_in_flight && self.unwritten.len() < MAX_UNWRITTEN {
            let Some(outgoing) = self.waiting.pop_front() else {
                return;
            };
            if outgoing.answer.is_closed() {
                continue;
            }
            let Outgoing { message, head, ref fields, expected, .. } = outgoing;
            trace!(message, context = head.context, "request");
            let mut written = self.codec.put(&[&head.to_bytes(), fields], &mut self.unwritten);
            if let Expected::Details { ping_id, .. } = expected {
                // Same context as the dump: its end is recognized by the ping's id.
                let ping = RequestHead { id: ping_id, ..head };
                written = written.and_then(|()| self.codec.put(&[&ping.to_bytes()], &mut self.unwritten));
            }
            match written {
                Ok(()) => self.in_flight.send(outgoing, now),
                Err(error) => {
                    give(outgoing.answer, Err(ClientError::NotSent { message, source: Arc::new(error) }))
                }
            }
        }
    }

    /// Handles a frame and those received together with it.
    fn read(&mut self, first: Option<Result<Bytes, FrameError>>) -> Option<DisconnectReason> {
        let now = Instant::now();
        let mut frame = first;
        let mut left_this_turn = FRAMES_PER_TURN;
        loop {
            match frame {
                Some(Ok(body)) => self.receive(body, now),
                Some(Err(error)) => return Some(DisconnectReason::Read(Arc::new(error))),
                None => return Some(DisconnectReason::Closed),
            }
            left_this_turn -= 1;
            if left_this_turn == 0 {
                return None;
            }
            let Some(next) = self.reader.next().now_or_never() else {
                self.give_memory_back();
                return None;
            };
            frame = next;
        }
    }

    /// Replaces a read buffer that a long answer made large.
    fn give_memory_back(&mut self) {
        let buffer = self.reader.read_buffer_mut();
        if buffer.is_empty() && buffer.capacity() > KEPT_BUFFER {
            *buffer = BytesMut::new();
        }
    }

    fn receive(&mut self, body: Bytes, now: Instant) {
        self.silent_since = now;
        let head = match decode_reply_head(&body) {
            Ok(head) => head,
            Err(error) => {
                debug!(%error, "message from VPP skipped");
                return;
            }
        };
        match self.in_flight.receive(head.id, head.context, body, now) {
            Received::Finishes(finished) => deliver(finished),
            Received::Belongs => {}
            Received::Unexpected => trace!(id = head.id, context = head.context, "message from VPP skipped"),
        }
    }

    /// When a request in flight, or the silence while others wait, will time out.
    fn next_deadline(&self) -> Option<Instant> {
        let waiting = (!self.waiting.is_empty()).then(|| self.silent_since + self.timeout);
        self.in_flight.next_deadline().into_iter().chain(waiting).min()
    }

    /// Fails requests that timed out. Those queued behind a silent VPP fail together with them; otherwise
    /// each batch would wait for its own timeout.
    fn expire(&mut self, batches: &mut mpsc::Receiver<Vec<Outgoing>>, now: Instant) {
        while let Some(finished) = self.in_flight.expire(now) {
            deliver(finished);
        }
        if self.waiting.is_empty() || self.silent_since + self.timeout > now {
            return;
        }
        while let Ok(batch) = batches.try_recv() {
            self.waiting.extend(batch);
        }
        for outgoing in self.waiting.drain(..) {
            let Outgoing { message, head, answer, .. } = outgoing;
            debug!(message, context = head.context, "not sent, VPP is silent");
            give(answer, Err(ClientError::Timeout { message, after: self.timeout, sent: false }));
        }
    }
}

fn deliver(finished: Finished) {
    let Finished { message, context, took, retval, result, answer } = finished;
    match &result {
        Ok(reply) => {
            let retval = || retval.and_then(|retval| retval(&reply.reply).ok());
            trace!(message, context, retval = retval(), details = reply.details, ?took, "answered");
        }
        Err(error) => debug!(message, context, ?took, %error, "no answer"),
    }
    give(answer, result);
}

/// Delivers an answer. The caller may have gone.
fn give<T>(answer: tokio::sync::oneshot::Sender<T>, value: T) {
    if answer.send(value).is_err() {
        trace!("the caller has gone");
    }
}
