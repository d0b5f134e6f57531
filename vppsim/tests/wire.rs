//! The API socket with misbehaving clients.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Vppsim, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use vppapi::messages::{
    ControlPing, ControlPingReply, Message, SOCKCLNT_CREATE_ID, SockclntCreate, SockclntCreateReply,
    decode_bare, decode_reply, encode_bare, encode_request,
};
use vppapi::wire::FixedString;

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 8];
    frame.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(body);
    frame
}

async fn read_body(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut header = [0; 16];
    soon(stream.read_exact(&mut header)).await.unwrap();
    let length = u32::from_be_bytes(header[8..12].try_into().unwrap());
    let mut body = vec![0; length as usize];
    soon(stream.read_exact(&mut body)).await.unwrap();
    body
}

/// A connection past the handshake; its index, and the id of a ping.
async fn connect(vppsim: &Vppsim) -> (UnixStream, u32, u16) {
    let mut stream = UnixStream::connect(vppsim.api()).await.unwrap();
    let create = SockclntCreate { context: 3, name: FixedString::new("raw").unwrap() };
    stream.write_all(&frame(&encode_bare(SOCKCLNT_CREATE_ID, &create))).await.unwrap();
    let reply: SockclntCreateReply = decode_bare(&read_body(&mut stream).await).unwrap();
    assert_eq!(reply.context, 3);
    let ping = reply.table.iter().find(|entry| entry.name_crc.as_str() == ControlPing::NAME_CRC).unwrap();
    (stream, reply.index, ping.id)
}

fn ping(id: u16, index: u32, context: u32) -> Vec<u8> {
    frame(&encode_request(id, index, context, &ControlPing {}))
}

async fn expect_ping(stream: &mut (impl AsyncReadExt + Unpin), context: u32) {
    let (found, reply) = decode_reply::<ControlPingReply>(&read_body(stream).await).unwrap();
    assert_eq!((found, reply.retval), (context, 0));
}

#[tokio::test]
async fn frames_may_come_in_pieces_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), &[]).await;
    let (mut stream, index, id) = connect(&vppsim).await;
    let bytes: Vec<u8> = (0..20).flat_map(|context| ping(id, index, context)).collect();
    for size in [1, 3, 16, 25, 27, 100] {
        for piece in bytes.chunks(size) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        for context in 0..20 {
            expect_ping(&mut stream, context).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_from_and_loses_nothing() {
    const PINGS: u32 = 200_000;
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), &[]).await;
    let (stream, index, id) = connect(&vppsim).await;
    let (mut reads, mut writes) = stream.into_split();
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let sender = tokio::spawn(async move {
        for context in 0..PINGS {
            writes.write_all(&ping(id, index, context)).await.unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
        }
        writes
    });
    // The sender stands still once every buffer on the way is full: nothing more is taken from it while the simulator
    // serves somebody else many times over.
    let (mut other, other_index, _) = connect(&vppsim).await;
    let mut last = usize::MAX;
    while sent.load(Ordering::Relaxed) != last {
        last = sent.load(Ordering::Relaxed);
        for context in 0..2_000 {
            other.write_all(&ping(id, other_index, context)).await.unwrap();
            expect_ping(&mut other, context).await;
        }
    }
    assert!(last < PINGS as usize / 4, "{last} requests were taken from a client that reads nothing");
    let mut buffered = tokio::io::BufReader::new(&mut reads);
    for context in 0..PINGS {
        expect_ping(&mut buffered, context).await;
    }
    sender.await.unwrap();
}

#[tokio::test]
async fn garbage_ends_at_most_its_own_connection() {
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), &[]).await;
    let (mut good, index, id) = connect(&vppsim).await;
    let (mut odd, odd_index, _) = connect(&vppsim).await;
    odd.write_all(&frame(&[])).await.unwrap();
    odd.write_all(&frame(&[0xff; 300])).await.unwrap();
    odd.write_all(&frame(&[0, 15])).await.unwrap();
    odd.write_all(&ping(id, odd_index, 8)).await.unwrap();
    expect_ping(&mut odd, 8).await;
    let (mut huge, _, _) = connect(&vppsim).await;
    huge.write_all(&[0xff; 64]).await.unwrap();
    assert_eq!(soon(huge.read_to_end(&mut Vec::new())).await.unwrap_or(0), 0);
    good.write_all(&ping(id, index, 9)).await.unwrap();
    expect_ping(&mut good, 9).await;
}
