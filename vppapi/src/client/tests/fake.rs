//! A fake VPP over an in-memory stream; each test writes its answers by hand.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio_util::codec::Framed;

use crate::client::{Client, ConnectOptions};
use crate::frame::FrameCodec;
use crate::messages::*;
use crate::wire::FixedString;

pub(super) const CLIENT_INDEX: u32 = 0x8000_0001;
pub(super) const PID: u32 = 4711;

/// An id that is in no message table.
pub(super) const UNKNOWN_ID: u16 = 9999;

pub(super) struct FakeVpp<S> {
    pub(super) frames: Framed<S, FrameCodec>,
}

/// The fake's id of a message.
pub(super) fn id(name_crc: &str) -> u16 {
    let at = name_crcs().position(|known| known == name_crc).unwrap();
    u16::try_from(at).unwrap() + 100
}

pub(super) fn whole_table() -> Vec<String> {
    name_crcs().map(str::to_owned).collect()
}

/// A client and its fake VPP, past handshake and first ping.
pub(super) async fn connected(options: ConnectOptions) -> (Client, FakeVpp<DuplexStream>) {
    connected_with(options, whole_table(), 64 << 10).await
}

pub(super) async fn connected_with(
    options: ConnectOptions,
    table: Vec<String>,
    buffer: usize,
) -> (Client, FakeVpp<DuplexStream>) {
    let (ours, theirs) = duplex(buffer);
    let (client, vpp) = tokio::join!(Client::over(ours, "fake", options), FakeVpp::greet(theirs, table));
    (client.unwrap(), vpp)
}

impl<S: AsyncRead + AsyncWrite + Unpin> FakeVpp<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { frames: Framed::new(stream, FrameCodec::default()) }
    }

    /// Answers handshake and ping. Unknown names of the table get ids of their own.
    pub(super) async fn greet(stream: S, table: Vec<String>) -> Self {
        let mut vpp = Self::new(stream);
        let create: SockclntCreate = decode_bare(&vpp.frames.next().await.unwrap().unwrap()).unwrap();
        assert_eq!(create.name.as_str(), "vppapi");
        let entry = |(at, name): (usize, String)| {
            let known = name_crcs().any(|known| known == name);
            let id = if known { id(&name) } else { 500 + u16::try_from(at).unwrap() };
            TableEntry { id, name_crc: FixedString::new(&name).unwrap() }
        };
        let reply = SockclntCreateReply {
            client_index: 0,
            context: create.context,
            response: 0,
            index: CLIENT_INDEX,
            table: table.into_iter().enumerate().map(entry).collect(),
        };
        vpp.frames.send(encode_bare(SOCKCLNT_CREATE_REPLY_ID, &reply)).await.unwrap();
        vpp.pong().await;
        vpp
    }

    /// The next request of any kind, with its head checked.
    pub(super) async fn any(&mut self) -> (RequestHead, Bytes) {
        let body = self.frames.next().await.unwrap().unwrap();
        let head = decode_request_head(&body).unwrap();
        assert_eq!(head.client_index, CLIENT_INDEX);
        (head, body)
    }

    /// The next request, which must be an `M`: its context and message.
    pub(super) async fn request<M: Message>(&mut self) -> (u32, M) {
        let (head, body) = self.any().await;
        assert_eq!(head.id, id(M::NAME_CRC), "a {} is expected", M::NAME);
        let (_, context, message) = decode_request(&body).unwrap();
        (context, message)
    }

    pub(super) async fn answer<M: Message>(&mut self, context: u32, message: &M) {
        self.frames.send(encode_reply(id(M::NAME_CRC), context, message)).await.unwrap();
    }

    /// Receives a ping and answers it.
    pub(super) async fn pong(&mut self) {
        let (context, _) = self.request::<ControlPing>().await;
        self.answer_ping(context).await;
    }

    pub(super) async fn answer_ping(&mut self, context: u32) {
        let reply = ControlPingReply { retval: 0, client_index: CLIENT_INDEX, vpe_pid: PID };
        self.answer(context, &reply).await;
    }
}
