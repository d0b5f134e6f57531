//! Encoding on the socket: length-delimited frames of bincode.
//!
//! Only this module names an encoding, so that it can be replaced. The server decodes a request's deadline
//! itself: tarpc adds whatever the client sent to the clock, which panics on overflow, and would keep a
//! request for as long as the client likes.

use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use bincode::Options;
use serde::{Deserialize, Serialize};
use tarpc::tokio_serde::{Deserializer, Serializer};
use tarpc::tokio_util::bytes::{Bytes, BytesMut};
use tarpc::tokio_util::codec::LengthDelimitedCodec;
use tarpc::{ClientMessage, Request, Response};

use crate::{MAX_DEADLINE, MAX_FRAME};

/// Splits the byte stream into frames of at most [`MAX_FRAME`] bytes.
pub fn framing() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME).new_codec()
}

pub(crate) fn options() -> impl Options {
    // tarpc writes an error's kind as i32 and reads it as u32, which only fixed-size integers survive.
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(MAX_FRAME as u64)
}

/// Encoded size of an item in bytes; `None` if it is too long for a frame.
pub fn encoded_size<T: Serialize>(item: &T) -> Option<u64> {
    options().serialized_size(item).ok()
}

fn encode<T: Serialize>(item: &T) -> io::Result<Bytes> {
    options()
        .serialize(item)
        .map(Bytes::from)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn decode<T: for<'a> Deserialize<'a>>(frame: &[u8]) -> io::Result<T> {
    options().deserialize(frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The brain's side.
#[derive(Debug)]
pub struct ClientCodec<Req, Resp>(PhantomData<fn(Req) -> Resp>);

/// The agent's side.
#[derive(Debug)]
pub struct ServerCodec<Req, Resp>(PhantomData<fn(Req) -> Resp>);

impl<Req, Resp> Default for ClientCodec<Req, Resp> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Req, Resp> Default for ServerCodec<Req, Resp> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Req: Serialize, Resp> Serializer<ClientMessage<Req>> for ClientCodec<Req, Resp> {
    type Error = io::Error;

    fn serialize(self: Pin<&mut Self>, item: &ClientMessage<Req>) -> io::Result<Bytes> {
        encode(item)
    }
}

impl<Req, Resp: for<'a> Deserialize<'a>> Deserializer<Response<Resp>> for ClientCodec<Req, Resp> {
    type Error = io::Error;

    fn deserialize(self: Pin<&mut Self>, frame: &BytesMut) -> io::Result<Response<Resp>> {
        decode(frame)
    }
}

impl<Req, Resp: Serialize> Serializer<Response<Resp>> for ServerCodec<Req, Resp> {
    type Error = io::Error;

    fn serialize(self: Pin<&mut Self>, item: &Response<Resp>) -> io::Result<Bytes> {
        encode(item)
    }
}

/// [`ClientMessage`] as encoded, before its deadline becomes an instant.
#[derive(Deserialize)]
enum ClientFrame<T> {
    Request { context: ContextFrame, id: u64, message: T },
    Cancel { trace_context: tarpc::trace::Context, request_id: u64 },
}

#[derive(Deserialize)]
struct ContextFrame {
    deadline: Duration,
    trace_context: tarpc::trace::Context,
}

impl<Req: for<'a> Deserialize<'a>, Resp> Deserializer<ClientMessage<Req>> for ServerCodec<Req, Resp> {
    type Error = io::Error;

    fn deserialize(self: Pin<&mut Self>, frame: &BytesMut) -> io::Result<ClientMessage<Req>> {
        Ok(match decode(frame)? {
            ClientFrame::Request { context, id, message } => {
                let mut clamped = tarpc::context::current();
                clamped.deadline = now() + context.deadline.min(MAX_DEADLINE);
                clamped.trace_context = context.trace_context;
                ClientMessage::Request(Request { context: clamped, id, message })
            }
            ClientFrame::Cancel { trace_context, request_id } => {
                ClientMessage::Cancel { trace_context, request_id }
            }
        })
    }
}

#[allow(clippy::disallowed_methods)]
fn now() -> std::time::Instant {
    // tarpc's deadlines use the real clock.
    std::time::Instant::now()
}
