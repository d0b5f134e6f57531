//! Encoded requests, so that a burst can mix different kinds.

use bytes::Bytes;

use crate::messages::{Message, Reply, Request, RequestHead, decode_reply};
use crate::wire::{DecodeError, Writer};

/// Decodes the return value of a reply's body.
pub(super) type RetvalOf = fn(&[u8]) -> Result<i32, DecodeError>;

/// A request of any kind, encoded, for [`Client::pipeline`](super::Client::pipeline). Not bound to a
/// connection.
#[derive(Clone, Debug)]
pub struct PreparedRequest {
    pub(super) name: &'static str,
    pub(super) name_crc: &'static str,
    pub(super) reply_name_crc: &'static str,
    pub(super) retval: RetvalOf,
    pub(super) fields: Bytes,
}

impl PreparedRequest {
    /// Encodes a request.
    #[must_use]
    pub fn new<R: Request>(request: &R) -> Self {
        let mut writer = Writer::new();
        request.encode(&mut writer);
        Self {
            name: R::NAME,
            name_crc: R::NAME_CRC,
            reply_name_crc: R::Reply::NAME_CRC,
            retval: |body| Ok(decode_reply::<R::Reply>(body)?.1.retval()),
            fields: writer.finish(),
        }
    }

    /// Name of the request's message, such as `lb_conf`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The request's message as in VPP's message table.
    #[must_use]
    pub fn name_crc(&self) -> &'static str {
        self.name_crc
    }

    /// The frame's body, for a caller with its own transport.
    #[must_use]
    pub fn body(&self, head: RequestHead) -> Bytes {
        [&head.to_bytes(), &self.fields[..]].concat().into()
    }

    /// The return value in the body of a reply to it.
    ///
    /// # Errors
    /// When the body is not exactly one such reply.
    pub fn retval(&self, reply: &[u8]) -> Result<i32, DecodeError> {
        (self.retval)(reply)
    }
}
