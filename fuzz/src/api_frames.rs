//! Target: the stream that VPP sends, split into frames, each of which is decoded as every known message.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use tokio_util::codec::Decoder;
use vppapi::frame::FrameCodec;
use vppapi::messages::*;
use vppapi::retval::Retval;
use vppapi::table::{Lookup, MessageTable};
use vppapi::wire::DecodeError;

/// Maximum memory that a reader may reserve beyond what it has received.
const MOST_RESERVED: usize = 1 << 20;

/// The first byte is the length of the pieces in which the rest, the stream, arrives.
pub fn check(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else { return };
    let whole = receive(stream, stream.len());
    assert_eq!(receive(stream, usize::from(*piece)), whole, "pieces of {piece} bytes make a difference");
    whole.0.iter().for_each(|body| check_body(body));
}

/// The bodies in a stream that arrives in pieces, and why it ended, if not in order.
fn receive(stream: &[u8], piece: usize) -> (Vec<Bytes>, Option<String>) {
    let mut codec = FrameCodec::default();
    let (mut received, mut bodies) = (BytesMut::new(), Vec::new());
    for piece in stream.chunks(piece.max(1)) {
        received.extend_from_slice(piece);
        loop {
            match codec.decode(&mut received) {
                Ok(Some(body)) => bodies.push(body),
                Ok(None) => break,
                Err(error) => return (bodies, Some(error.to_string())),
            }
        }
        assert!(received.capacity() <= stream.len() * 2 + MOST_RESERVED, "{} reserved", received.capacity());
    }
    match codec.decode_eof(&mut received) {
        Ok(None) => (bodies, None),
        Ok(Some(body)) => panic!("a frame of {} bytes was held back until the end", body.len()),
        Err(error) => (bodies, Some(error.to_string())),
    }
}

fn check_body(body: &[u8]) {
    macro_rules! each {
        ($($check:ident: $($message:ident)*;)*) => { $($($check::<$message>(body);)*)* };
    }
    each! {
        check_bare: SockclntCreate SockclntCreateReply;
        check_request: SockclntDelete ControlPing ShowVersion CliInband LbConf LbConfGet LbAddDelVipV2 LbAddDelAsV2
            LbAsSetWeight LbFlushVip LbVipDump LbAsV2Dump IpRouteLookupV2;
        check_reply: SockclntDeleteReply ControlPingReply ShowVersionReply CliInbandReply LbConfReply LbConfGetReply
            LbAddDelVipV2Reply LbAddDelAsV2Reply LbAsSetWeightReply LbFlushVipReply IpRouteLookupV2Reply;
        check_details: LbVipDetails LbAsV2Details;
    }
    if let Ok(reply) = decode_bare::<SockclntCreateReply>(body) {
        check_table(&reply);
    }
}

fn check_bare<M: Message + Debug + PartialEq>(body: &[u8]) {
    check_message(body, decode_bare::<M>, |id, message| encode_bare(id, message));
}

fn check_request<M: Message + Debug + PartialEq>(body: &[u8]) {
    check_message(body, decode_request::<M>, |id, (client_index, context, message)| {
        encode_request(id, *client_index, *context, message)
    });
}

fn check_details<M: Message + Debug + PartialEq>(body: &[u8]) {
    check_message(body, decode_reply::<M>, |id, (context, message)| encode_reply(id, *context, message));
}

fn check_reply<M: Reply + Debug + PartialEq>(body: &[u8]) {
    check_details::<M>(body);
    if let Ok((_, reply)) = decode_reply::<M>(body) {
        assert!(!Retval(reply.retval()).to_string().is_empty());
    }
}

/// A decoded message must encode to the same length, and decode to the same value again. The bytes may
/// differ: those after an IPv4 address are arbitrary, and many bytes mean true.
fn check_message<T: Debug + PartialEq>(
    body: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
    encode: impl Fn(u16, &T) -> Bytes,
) {
    match decode(body) {
        Ok(message) => {
            let id = message_id(body).expect("what was decoded has an id");
            let again = encode(id, &message);
            assert_eq!(again.len(), body.len(), "{message:?}");
            assert_eq!(decode(&again), Ok(message));
        }
        Err(error) => {
            assert!(error.offset() <= body.len(), "{error}");
            assert!(error.to_string().starts_with(error.message()), "{error}");
        }
    }
}

fn check_table(reply: &SockclntCreateReply) {
    let table = MessageTable::from(reply);
    assert!(table.len() <= reply.table.len());
    for entry in &reply.table {
        let name_crc = entry.name_crc.to_string();
        let id = table.id(&name_crc).expect("what is listed has an id");
        assert_eq!(table.find(&name_crc), Lookup::Found(id));
        assert!(reply.table.iter().any(|listed| listed.id == id && listed.name_crc.as_str() == name_crc));
        assert!(table.name_crc(entry.id).is_some());
    }
    let known: Vec<_> = name_crcs().collect();
    let there = known.iter().filter(|name_crc| table.id(name_crc).is_some()).count();
    assert_eq!(table.missing(&known).len(), known.len() - there);
}
