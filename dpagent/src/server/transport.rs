//! Framing of a connection, and its timeouts.
//!
//! A peer that does not say hello, stalls within a request, or does not read its answers causes an error
//! here, which ends the connection; so does one that has hung up, since tarpc would otherwise wait for the
//! answers to all pending requests. After hello, a peer may be idle for as long as it likes: it waits for a
//! change of VPP, or for an operator's request.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Sink, Stream};
use maglev_protocol::codec::{ServerCodec, framing};
use maglev_protocol::{AgentRequest, MAX_FRAME};
use tarpc::tokio_serde::{Deserializer, Serializer};
use tarpc::tokio_util::bytes::{Bytes, BytesMut};
use tarpc::tokio_util::codec::{Decoder, Encoder, Framed, LengthDelimitedCodec};
use tarpc::{ClientMessage, Response};
use tokio::net::UnixStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::room::{Answer, Held};
use super::seats::Session;

/// Time limit for hello.
pub const HELLO_TIME: Duration = Duration::from_secs(5);
/// Time limit for a request, from its first byte to its last, and for an answer, from handing it to the
/// connection until the peer's socket has it. A few milliseconds are usual.
pub const FRAME_TIME: Duration = Duration::from_secs(10);
/// Maximum length of a frame before hello, in bytes.
const HELLO_FRAME: usize = 4096;
/// Buffers that grew beyond this size are freed when empty, in bytes.
const KEPT_BUFFER: usize = 64 << 10;
const FIRST_BUFFER: usize = 8 << 10;

type Codec = ServerCodec<AgentRequest, Answer>;

/// Splits the stream into frames, and knows whether it is within one.
#[derive(Debug)]
struct Frames {
    codec: LengthDelimitedCodec,
    within: bool,
}

impl Decoder for Frames {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let any = !bytes.is_empty();
        let frame = self.codec.decode(bytes)?;
        self.within = frame.is_none() && (self.within || any);
        Ok(frame)
    }
}

impl Encoder<Bytes> for Frames {
    type Error = io::Error;

    fn encode(&mut self, frame: Bytes, bytes: &mut BytesMut) -> io::Result<()> {
        self.codec.encode(frame, bytes)
    }
}

/// An answer that is not yet wholly in the socket.
#[derive(Debug)]
struct Unwritten {
    /// Its end, in bytes since the connection began.
    end: usize,
    since: Instant,
    _held: Option<Arc<Held>>,
}

#[derive(Debug)]
pub(super) struct Transport {
    framed: Framed<UnixStream, Frames>,
    session: Arc<Session>,
    hello_until: Instant,
    /// Start of the incomplete frame, if there is one.
    half_since: Option<Instant>,
    /// In the order of writing.
    unwritten: VecDeque<Unwritten>,
    /// Bytes accepted for writing since the connection began.
    taken: usize,
    alarm: Pin<Box<Sleep>>,
}

impl Transport {
    pub(super) fn new(stream: UnixStream, session: Arc<Session>) -> Self {
        let hello_until = Instant::now() + HELLO_TIME;
        let mut codec = framing();
        codec.set_max_frame_length(HELLO_FRAME);
        Self {
            framed: Framed::new(stream, Frames { codec, within: false }),
            session,
            hello_until,
            half_since: None,
            unwritten: VecDeque::new(),
            taken: 0,
            alarm: Box::pin(sleep_until(hello_until)),
        }
    }

    /// When the connection ends unless something happens, and why.
    fn limit(&self) -> Option<(Instant, &'static str)> {
        let hello =
            self.session.brain().is_none().then_some((self.hello_until, "it did not say hello within 5 s"));
        let half =
            self.half_since.map(|since| (since + FRAME_TIME, "it did not finish a request within 10 s"));
        let unread = self.unwritten.front();
        let unread =
            unread.map(|answer| (answer.since + FRAME_TIME, "it did not read an answer within 10 s"));
        [hello, half, unread].into_iter().flatten().min()
    }

    /// Ready when the peer has taken too long. Otherwise the task is woken at the limit.
    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let Some((until, reason)) = self.limit() else { return Poll::Pending };
            if until <= Instant::now() {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, reason));
            }
            if self.alarm.is_elapsed() || until < self.alarm.deadline() {
                self.alarm.as_mut().reset(until);
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Records what was written, and starts or stops the limit.
    fn poll_written(&mut self, flushed: Poll<io::Result<()>>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let buffer = self.framed.write_buffer_mut();
        let written = self.taken.saturating_sub(buffer.len());
        if buffer.is_empty() && buffer.capacity() > KEPT_BUFFER {
            *buffer = BytesMut::with_capacity(FIRST_BUFFER);
        }
        while self.unwritten.pop_front_if(|answer| answer.end <= written).is_some() {}
        match flushed {
            Poll::Pending => self.poll_limit(cx).map(Err),
            flushed => flushed,
        }
    }
}

impl Stream for Transport {
    type Item = io::Result<ClientMessage<AgentRequest>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.session.brain().is_some() {
            this.framed.codec_mut().codec.set_max_frame_length(MAX_FRAME);
        }
        let next = Pin::new(&mut this.framed).poll_next(cx);
        let within = this.framed.codec().within;
        this.half_since = within.then(|| this.half_since.unwrap_or_else(Instant::now));
        match next {
            Poll::Ready(Some(Ok(frame))) => {
                let buffer = this.framed.read_buffer_mut();
                if frame.len() > KEPT_BUFFER && buffer.is_empty() {
                    *buffer = BytesMut::with_capacity(FIRST_BUFFER);
                }
                Poll::Ready(Some(Pin::new(&mut Codec::default()).deserialize(&frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(None) => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            Poll::Pending => this.poll_limit(cx).map(|error| Some(Err(error))),
        }
    }
}

impl Sink<Response<Answer>> for Transport {
    type Error = io::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.framed).poll_ready(cx);
        this.poll_written(flushed, cx)
    }

    fn start_send(self: Pin<&mut Self>, answer: Response<Answer>) -> io::Result<()> {
        let this = self.get_mut();
        let frame = Pin::new(&mut Codec::default()).serialize(&answer)?;
        let before = this.framed.write_buffer().len();
        Pin::new(&mut this.framed).start_send(frame)?;
        this.taken += this.framed.write_buffer().len() - before;
        let held = answer.message.ok().map(|answer| answer.held);
        this.unwritten.push_back(Unwritten { end: this.taken, since: Instant::now(), _held: held });
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.framed).poll_flush(cx);
        this.poll_written(flushed, cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().framed).poll_close(cx)
    }
}
