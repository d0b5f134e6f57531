mod recording;
mod releases;
mod replies;

use std::time::Duration;

use bytes::Bytes;
use vppapi::messages::{
    Message, Request, SOCKCLNT_CREATE_ID, SockclntCreate, SockclntCreateReply, decode_bare, decode_reply,
    encode_bare, encode_request,
};
use vppapi::wire::{FixedString, Wire};

use super::{ClientId, Identity, MessageIds, Outcome, Simulator};
use crate::lb::Uptime;

/// The uptime at which the recorded VPP removed a server.
pub(super) const NOW: Uptime = Duration::from_secs(2);

pub(super) fn identity() -> Identity {
    Identity {
        pid: 0x18dd,
        version: "26.10-rc0~374-gb575ec2c56d".to_owned(),
        build_date: "2026-11-21T02:10:28".to_owned(),
        build_directory: "/usr/src/vpp26".to_owned(),
    }
}

/// A simulator with one client past the handshake.
pub(super) fn connected(ids: MessageIds) -> (Simulator, ClientId) {
    let mut simulator = Simulator::new(identity(), ids);
    let client = simulator.connect();
    let create = SockclntCreate { context: 1, name: FixedString::new("test").unwrap() };
    let outcome = simulator.handle(client, &encode_bare(SOCKCLNT_CREATE_ID, &create), NOW);
    let reply: SockclntCreateReply = decode_bare(&outcome.answers[0]).unwrap();
    assert_eq!(reply.index, client.index());
    (simulator, client)
}

pub(super) fn encode<M: Message>(
    simulator: &Simulator,
    client: ClientId,
    context: u32,
    message: &M,
) -> Bytes {
    encode_request(simulator.ids.id(M::NAME_CRC).unwrap(), client.index(), context, message)
}

pub(super) fn send<M: Message>(simulator: &mut Simulator, client: ClientId, message: &M) -> Outcome {
    let body = encode(simulator, client, 7, message);
    simulator.handle(client, &body, NOW)
}

pub(super) fn call<R: Request>(simulator: &mut Simulator, client: ClientId, request: &R) -> R::Reply
where
    R::Reply: Wire,
{
    let outcome = send(simulator, client, request);
    assert_eq!(outcome.answers.len(), 1);
    let (context, reply) = decode_reply(&outcome.answers[0]).unwrap();
    assert_eq!(context, 7);
    reply
}
