//! Bodies of frames: a message with its id and head.

use bytes::Bytes;

use super::Message;
use crate::wire::{DecodeError, Reader, Wire, Writer};

/// The fixed id of `sockclnt_create`, the only one that a client knows before the handshake.
pub const SOCKCLNT_CREATE_ID: u16 = 15;
/// The fixed id of `sockclnt_create_reply`.
pub const SOCKCLNT_CREATE_REPLY_ID: u16 = 16;

wire_struct! {
    /// The fields before a request's own.
    #[derive(Copy)]
    pub struct RequestHead {
        /// Message id in the server's table.
        pub id: u16,
        /// The `index` of the handshake's reply; VPP drops requests with another one.
        pub client_index: u32,
        /// Chosen by the client; the answers repeat it.
        pub context: u32,
    }
}

impl RequestHead {
    /// Bytes of the head.
    pub const LENGTH: usize = 10;

    /// The encoded head.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let [i0, i1] = self.id.to_be_bytes();
        let [x0, x1, x2, x3] = self.client_index.to_be_bytes();
        let [c0, c1, c2, c3] = self.context.to_be_bytes();
        [i0, i1, x0, x1, x2, x3, c0, c1, c2, c3]
    }
}

wire_struct! {
    /// The fields before those of a reply or details.
    #[derive(Copy)]
    pub struct ReplyHead {
        /// Message id in the server's table.
        pub id: u16,
        /// The request's context.
        pub context: u32,
    }
}

/// Encodes the body of a request or dump.
#[must_use]
pub fn encode_request<M: Message>(id: u16, client_index: u32, context: u32, message: &M) -> Bytes {
    encode_with_head(&RequestHead { id, client_index, context }, message)
}

/// Encodes the body of a reply or details.
#[must_use]
pub fn encode_reply<M: Message>(id: u16, context: u32, message: &M) -> Bytes {
    encode_with_head(&ReplyHead { id, context }, message)
}

/// Encodes the body of a message whose fields directly follow the id: `sockclnt_create` and its reply.
#[must_use]
pub fn encode_bare<M: Message>(id: u16, message: &M) -> Bytes {
    encode_with_head(&id, message)
}

/// Decodes a request or dump: client index, context, and the message.
///
/// # Errors
/// When the body is not exactly one such message. The id is not checked: the caller chose `M` by it.
pub fn decode_request<M: Message>(body: &[u8]) -> Result<(u32, u32, M), DecodeError> {
    let (head, message) = decode_with_head::<RequestHead, M>(body)?;
    Ok((head.client_index, head.context, message))
}

/// Decodes a reply or details: context and the message.
///
/// # Errors
/// When the body is not exactly one such message. The id is not checked: the caller chose `M` by it.
pub fn decode_reply<M: Message>(body: &[u8]) -> Result<(u32, M), DecodeError> {
    let (head, message) = decode_with_head::<ReplyHead, M>(body)?;
    Ok((head.context, message))
}

/// Decodes a message whose fields directly follow the id.
///
/// # Errors
/// When the body is not exactly one such message. The id is not checked: the caller chose `M` by it.
pub fn decode_bare<M: Message>(body: &[u8]) -> Result<M, DecodeError> {
    decode_with_head::<u16, M>(body).map(|(_, message)| message)
}

/// The message id at the start of a body; `None` if it is too short.
#[must_use]
pub fn message_id(body: &[u8]) -> Option<u16> {
    body.first_chunk().map(|id| u16::from_be_bytes(*id))
}

/// Decodes the head of a request and ignores the rest.
///
/// # Errors
/// When the body is shorter than the head.
pub fn decode_request_head(body: &[u8]) -> Result<RequestHead, DecodeError> {
    RequestHead::decode(&mut Reader::new(body)).map_err(|error| error.in_message("request"))
}

/// Decodes the head of a reply or details and ignores the rest.
///
/// # Errors
/// When the body is shorter than the head.
pub fn decode_reply_head(body: &[u8]) -> Result<ReplyHead, DecodeError> {
    ReplyHead::decode(&mut Reader::new(body)).map_err(|error| error.in_message("reply"))
}

fn encode_with_head<H: Wire, M: Message>(head: &H, message: &M) -> Bytes {
    let mut writer = Writer::new();
    head.encode(&mut writer);
    message.encode(&mut writer);
    writer.finish()
}

fn decode_with_head<H: Wire, M: Message>(body: &[u8]) -> Result<(H, M), DecodeError> {
    let decode = || {
        let mut reader = Reader::new(body);
        let head = H::decode(&mut reader)?;
        let message = M::decode(&mut reader)?;
        reader.finish()?;
        Ok((head, message))
    };
    decode().map_err(|error: DecodeError| error.in_message(M::NAME))
}
