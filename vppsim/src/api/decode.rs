//! Decodes requests as leniently as VPP.

use std::borrow::Cow;

use vppapi::messages::{Message, Reply, RequestHead};
use vppapi::wire::{DecodeError, DecodeErrorKind, Reader, Wire};

/// VPP treats every family but 0 as IPv6 (measured on VPP 26.10).
const FAMILY_IPV6: u8 = 1;

/// Bytes in which every reply has room that has no list or text in it.
const LONGEST_REPLY: usize = 1024;

/// No message has more addresses.
const MOST_ADDRESSES: usize = 4;

/// The head of a request and its message, whatever follows them.
pub(super) fn request<M: Message>(body: &[u8]) -> Result<(RequestHead, M), DecodeError> {
    let mut body = Cow::Borrowed(body);
    for _ in 0..MOST_ADDRESSES {
        match strictly(&body) {
            Err(error) if is_family(&error) => match body.to_mut().get_mut(error.offset()) {
                Some(family) => *family = FAMILY_IPV6,
                None => return Err(error),
            },
            other => return other,
        }
    }
    strictly(&body)
}

/// A reply with this return value, which all replies begin with, and zeros in its other fields: what VPP sends of a
/// request that failed.
pub(super) fn failed<R: Reply>(retval: i32) -> Result<R, DecodeError> {
    let mut bytes = [0; LONGEST_REPLY];
    let (head, _) = bytes.split_at_mut(size_of::<i32>());
    head.copy_from_slice(&retval.to_be_bytes());
    R::decode(&mut Reader::new(&bytes))
}

fn strictly<M: Message>(body: &[u8]) -> Result<(RequestHead, M), DecodeError> {
    let mut reader = Reader::new(body);
    let head = RequestHead::decode(&mut reader)?;
    let message = M::decode(&mut reader)?;
    Ok((head, message))
}

fn is_family(error: &DecodeError) -> bool {
    matches!(error.kind(), DecodeErrorKind::BadValue { .. })
        && error.field().rsplit('.').next().is_some_and(|field| field == "af")
}
