use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use tokio_util::codec::{Decoder, Encoder};

use super::{FrameCodec, FrameError, HEADER_LENGTH};

fn header(length: u32) -> BytesMut {
    let mut stream = BytesMut::new();
    stream.put_u64(0xdead_beef);
    stream.put_u32(length);
    stream.put_u32(7);
    stream
}

#[test]
fn a_body_is_taken_whatever_else_its_header_says() {
    let mut stream = header(3);
    stream.put_slice(b"abc");
    let mut codec = FrameCodec::default();
    assert_eq!(codec.decode(&mut stream).unwrap().unwrap(), b"abc"[..]);
    assert_eq!(codec.decode(&mut stream).unwrap(), None);
    assert_eq!(codec.decode_eof(&mut stream).unwrap(), None);
}

#[test]
fn a_hostile_length_is_refused_by_its_header_alone() {
    let mut stream = header(u32::MAX);
    let error = FrameCodec::default().decode(&mut stream).unwrap_err();
    assert!(matches!(error, FrameError::TooLong { length: 0xffff_ffff, max_body: 0x400_0000 }), "{error}");
}

#[test]
fn a_long_body_is_reserved_only_as_it_arrives() {
    let mut stream = header(60 << 20);
    assert_eq!(FrameCodec::default().decode(&mut stream).unwrap(), None);
    assert!(stream.capacity() < 1 << 20, "{} reserved", stream.capacity());
}

#[test]
fn too_long_a_body_is_not_sent() {
    let mut stream = BytesMut::new();
    let error = FrameCodec { max_body: 4 }.encode(Bytes::from_static(b"abcde"), &mut stream).unwrap_err();
    assert!(matches!(error, FrameError::TooLong { length: 5, max_body: 4 }), "{error}");
    assert!(stream.is_empty());
}

#[test]
fn an_end_inside_a_frame_is_told() {
    let mut stream = header(8);
    stream.put_slice(b"abc");
    let error = FrameCodec::default().decode_eof(&mut stream).unwrap_err();
    assert_eq!(error.to_string(), "the stream ended inside a frame, 19 of 24 bytes were received");
    let mut stream = BytesMut::from(&[0; 5][..]);
    let error = FrameCodec::default().decode_eof(&mut stream).unwrap_err();
    assert!(matches!(error, FrameError::Truncated { received: 5, expected: HEADER_LENGTH }), "{error}");
}

proptest! {
    #[test]
    fn bodies_survive_a_stream_cut_anywhere(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut codec = FrameCodec::default();
        let mut sent = BytesMut::new();
        for body in &bodies {
            codec.encode(Bytes::from(body.clone()), &mut sent).unwrap();
        }
        let mut ends: Vec<usize> = cuts.drain(..).map(|cut| cut.index(sent.len() + 1)).collect();
        ends.push(sent.len());
        ends.sort_unstable();
        let (mut stream, mut received, mut start) = (BytesMut::new(), Vec::new(), 0);
        for end in ends {
            stream.put_slice(&sent[start..end]);
            start = end;
            while let Some(body) = codec.decode(&mut stream).unwrap() {
                received.push(body.to_vec());
            }
        }
        prop_assert_eq!(codec.decode_eof(&mut stream).unwrap(), None);
        prop_assert_eq!(received, bodies);
    }

    #[test]
    fn random_streams_give_frames_or_errors(bytes: Vec<u8>) {
        let mut stream = BytesMut::from(&bytes[..]);
        let mut codec = FrameCodec { max_body: 1000 };
        while let Ok(Some(body)) = codec.decode_eof(&mut stream) {
            prop_assert!(body.len() <= 1000);
        }
    }
}
