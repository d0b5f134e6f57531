mod bursts;
mod fake;

use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use tokio::io::{AsyncWriteExt, duplex};
use tokio::net::UnixListener;
use tokio::time::{Instant, sleep};

use super::*;
use crate::messages::*;
use crate::types::{Encap, Prefix, VipId};
use fake::{CLIENT_INDEX, FakeVpp, PID, UNKNOWN_ID, connected, connected_with, id, whole_table};

const LIMIT: Duration = Duration::from_secs(5);

fn vip(number: u8) -> VipId {
    VipId { prefix: Prefix::host([203, 0, 113, number].into()), protocol: 6, port: 80 }
}

fn flush(number: u8) -> LbFlushVip {
    LbFlushVip { vip: vip(number) }
}

fn details(number: u16) -> LbVipDetails {
    LbVipDetails {
        vip: vip(1),
        encap: Encap::Gre4,
        dscp: 0,
        srv_type: 0,
        target_port: 0,
        flow_table_length: number,
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_knows_table_and_pid() {
    let (client, _vpp) = connected(ConnectOptions::default()).await;
    assert_eq!((client.table().len(), client.pid()), (whole_table().len(), PID));
    assert_eq!(client.table().id(LbConf::NAME_CRC), Some(id(LbConf::NAME_CRC)));
    assert_eq!(client.path(), Path::new("fake"));
}

#[tokio::test(start_paused = true)]
async fn a_reply_comes_back_whole_and_a_refusal_as_an_error() {
    let (client, mut vpp) = connected(ConnectOptions::default()).await;
    let server = async {
        let (context, asked) = vpp.request::<CliInband>().await;
        assert_eq!(asked.cmd.as_str(), "show version");
        vpp.answer(context, &CliInbandReply { retval: 0, reply: "vpp v26.10".into() }).await;
        for _ in 0..2 {
            let (context, asked) = vpp.request::<LbFlushVip>().await;
            assert_eq!(asked, flush(7));
            vpp.answer(context, &LbFlushVipReply { retval: -6 }).await;
        }
    };
    let caller = async {
        let reply = client.call(CliInband { cmd: "show version".into() }).await.unwrap();
        assert_eq!(reply.reply.as_str(), "vpp v26.10");
        let error = client.call(flush(7)).await.unwrap_err();
        assert_eq!(error.retval(), Some(Retval::NO_SUCH_ENTRY));
        assert!(error.to_string().starts_with("VPP refused lb_flush_vip: no such entry"), "{error}");
        assert_eq!(client.call_raw(flush(7)).await.unwrap(), LbFlushVipReply { retval: -6 });
    };
    tokio::join!(server, caller);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_in_the_table_is_not_sent() {
    let mut table = whole_table();
    table.retain(|name| name != LbAsSetWeight::NAME_CRC && name != LbConf::NAME_CRC);
    table.push("lb_conf_00000000".to_owned());
    let (client, mut vpp) = connected_with(ConnectOptions::default(), table, 4096).await;
    let conf = LbConf {
        ip4_src_address: [192, 0, 2, 1].into(),
        ip6_src_address: [0; 16].into(),
        sticky_buckets_per_core: 1024,
        flow_timeout: 40,
    };
    let error = client.call(conf).await.unwrap_err();
    let expected = "this VPP does not have the message lb_conf_56cd3261; it has lb_conf_00000000, which has another layout";
    assert_eq!(error.to_string(), expected);
    let weight = LbAsSetWeight { vip: vip(1), as_address: [10, 0, 0, 1].into(), weight: 1, is_flush: false };
    let error = client.call(weight).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Unsupported { name_crc, found: None } if *name_crc == LbAsSetWeight::NAME_CRC),
        "{error}"
    );
    let (pong, ping) = tokio::join!(vpp.pong(), client.ping());
    assert_eq!(((), ping.unwrap().vpe_pid), (pong, PID));
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_is_dropped_and_the_connection_goes_on() {
    let (client, mut vpp) = connected(ConnectOptions::default()).await;
    let start = Instant::now();
    let error = client.call(flush(1)).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Timeout { message: "lb_flush_vip", after: LIMIT, sent: true }),
        "{error}"
    );
    assert_eq!(start.elapsed().as_secs(), 5);

    let (late, _) = vpp.request::<LbFlushVip>().await;
    vpp.answer(late, &LbFlushVipReply { retval: -6 }).await;
    let server = async {
        let (context, _) = vpp.request::<LbFlushVip>().await;
        assert_ne!(context, late);
        vpp.answer(context, &LbFlushVipReply { retval: 0 }).await;
    };
    let (_, reply) = tokio::join!(server, client.call(flush(2)));
    assert_eq!(reply.unwrap().retval, 0);
}

#[tokio::test(start_paused = true)]
async fn an_end_fails_all_in_flight_with_its_reason() {
    let (client, mut vpp) = connected(ConnectOptions::default()).await;
    let server = async {
        vpp.request::<LbFlushVip>().await;
        vpp.request::<LbVipDump>().await;
        drop(vpp);
    };
    let first = client.call(flush(1));
    let second = client.dump(LbVipDump::default());
    let (_, first, second, reason) = tokio::join!(server, first, second, client.closed());
    assert!(matches!(reason, DisconnectReason::Closed), "{reason}");
    for error in [first.unwrap_err(), second.unwrap_err(), client.ping().await.unwrap_err()] {
        assert_eq!(error.to_string(), "the connection to VPP at fake ended: closed by VPP");
    }
    assert!(matches!(client.closed().await, DisconnectReason::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_frame_beyond_the_limit_ends_the_connection() {
    let options = ConnectOptions { max_body: 60_000, ..ConnectOptions::default() };
    let (client, mut vpp) = connected(options).await;
    vpp.frames.get_mut().write_all(&[0xff; 16]).await.unwrap();
    let reason = client.closed().await;
    assert_eq!(reason.to_string(), "frame with a body of 4294967295 bytes, at most 60000 are taken");
    let error = client.ping().await.unwrap_err();
    assert!(matches!(error, ClientError::Disconnected { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_frame_cut_by_the_end_is_told() {
    let (client, mut vpp) = connected(ConnectOptions::default()).await;
    vpp.frames.get_mut().write_all(&[0; 7]).await.unwrap();
    drop(vpp);
    let reason = client.closed().await;
    assert_eq!(reason.to_string(), "the stream ended inside a frame, 7 of 16 bytes were received");
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_reply_fails_its_request_alone() {
    let (client, mut vpp) = connected(ConnectOptions::default()).await;
    let server = async {
        let (context, _) = vpp.request::<LbFlushVip>().await;
        let mut body =
            encode_reply(id(LbFlushVipReply::NAME_CRC), context, &LbFlushVipReply { retval: 0 }).to_vec();
        body.push(0);
        vpp.frames.send(body.into()).await.unwrap();
        vpp.pong().await;
    };
    let caller = async {
        let error = client.call(flush(1)).await.unwrap_err();
        assert!(error.to_string().contains("lb_flush_vip_reply: at byte 10: 1 bytes left over"), "{error}");
        client.ping().await.unwrap();
    };
    tokio::join!(server, caller);
}

#[tokio::test(start_paused = true)]
async fn messages_that_nobody_waits_for_are_skipped() {
    let (client, mut vpp) = connected(ConnectOptions::default()).await;
    let server = async {
        let (context, _) = vpp.request::<LbFlushVip>().await;
        vpp.frames.send(encode_reply(UNKNOWN_ID, context, &LbFlushVipReply { retval: -1 })).await.unwrap();
        vpp.answer(context, &LbConfReply { retval: -2 }).await;
        vpp.answer(context.wrapping_add(77), &LbFlushVipReply { retval: -3 }).await;
        vpp.frames.send(Bytes::new()).await.unwrap();
        vpp.frames.send(Bytes::from_static(&[0, 1, 2])).await.unwrap();
        vpp.answer(context, &LbFlushVipReply { retval: 0 }).await;
    };
    let (_, reply) = tokio::join!(server, client.call(flush(1)));
    assert_eq!(reply.unwrap().retval, 0);
}

#[tokio::test(start_paused = true)]
async fn a_dump_gives_every_details_up_to_its_ping() {
    let (client, mut vpp) = connected(ConnectOptions::default()).await;
    let server = async {
        let (context, asked) = vpp.request::<LbVipDump>().await;
        assert_eq!(asked, LbVipDump::default());
        let (ping, _) = vpp.request::<ControlPing>().await;
        for number in 0..40_000 {
            vpp.answer(context, &details(number)).await;
            if number % 1000 == 0 {
                vpp.frames.send(encode_reply(UNKNOWN_ID, context, &details(0))).await.unwrap();
                vpp.answer(context.wrapping_add(77), &details(0)).await;
            }
        }
        vpp.answer_ping(ping).await;
        let (_, _) = vpp.request::<LbVipDump>().await;
        vpp.pong().await;
    };
    let caller = async {
        let all = client.dump(LbVipDump::default()).await.unwrap();
        assert!(all.iter().map(|one| one.flow_table_length).eq(0..40_000));
        assert_eq!(client.dump(LbVipDump::default()).await.unwrap(), []);
    };
    tokio::join!(server, caller);
}

#[tokio::test(start_paused = true)]
async fn a_dump_without_an_end_is_cut_off() {
    let (client, mut vpp) = connected(ConnectOptions { max_details: 10, ..ConnectOptions::default() }).await;
    let server = async {
        let (context, _) = vpp.request::<LbVipDump>().await;
        let (ping, _) = vpp.request::<ControlPing>().await;
        for number in 0..20 {
            vpp.answer(context, &details(number)).await;
        }
        vpp.answer_ping(ping).await;
        vpp.pong().await;
    };
    let caller = async {
        let error = client.dump(LbVipDump::default()).await.unwrap_err();
        assert_eq!(error.to_string(), "lb_vip_dump was answered with more than 10 details");
        client.ping().await.unwrap();
    };
    tokio::join!(server, caller);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_leaves_the_connection_in_order() {
    let (client, mut vpp) = connected(ConnectOptions::default()).await;
    let given_up = tokio::time::timeout(Duration::from_secs(1), client.call(flush(1))).await;
    assert!(given_up.is_err());
    let (context, _) = vpp.request::<LbFlushVip>().await;
    vpp.answer(context, &LbFlushVipReply { retval: 0 }).await;
    let (_, ping) = tokio::join!(vpp.pong(), client.ping());
    assert_eq!(ping.unwrap().vpe_pid, PID);
}

#[tokio::test(start_paused = true)]
async fn a_request_beyond_the_limit_is_not_sent() {
    let options = ConnectOptions { max_body: 60_000, ..ConnectOptions::default() };
    let (client, mut vpp) = connected(options).await;
    let error = client.call(CliInband { cmd: "x".repeat(70_000).into() }).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot send cli_inband: frame with a body of 70014 bytes, at most 60000 are taken"
    );
    let (_, ping) = tokio::join!(vpp.pong(), client.ping());
    assert_eq!(ping.unwrap().client_index, CLIENT_INDEX);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_closes_the_socket() {
    let (client, mut vpp) = connected(ConnectOptions::default()).await;
    let other = client.clone();
    drop(client);
    let (_, ping) = tokio::join!(vpp.pong(), other.ping());
    ping.unwrap();
    drop(other);
    assert!(futures::StreamExt::next(&mut vpp.frames).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_end_that_does_not_greet_as_vpp_is_refused() {
    let failure = |answer: Option<Bytes>| async {
        let (ours, theirs) = duplex(4096);
        let mut vpp = FakeVpp::new(theirs);
        if let Some(answer) = answer {
            vpp.frames.send(answer).await.unwrap();
        } else {
            drop(vpp);
            return Client::over(ours, "fake", ConnectOptions::default()).await.unwrap_err().to_string();
        }
        Client::over(ours, "fake", ConnectOptions::default()).await.unwrap_err().to_string()
    };
    let other_id = encode_reply(17, 0, &LbConfReply { retval: 0 });
    let error = failure(Some(other_id)).await;
    assert_eq!(
        error,
        "no handshake with VPP at fake: message id 17 found, expected 16 (sockclnt_create_reply)"
    );
    let refused =
        SockclntCreateReply { client_index: 0, context: 0, response: -1, index: 0, table: Vec::new() };
    let error = failure(Some(encode_bare(SOCKCLNT_CREATE_REPLY_ID, &refused))).await;
    assert!(error.ends_with("response -1 found, expected 0"), "{error}");
    let empty = SockclntCreateReply { response: 0, ..refused };
    let error = failure(Some(encode_bare(SOCKCLNT_CREATE_REPLY_ID, &empty))).await;
    assert_eq!(error, "this VPP does not have the message control_ping_51077d14");
    let error = failure(Some(Bytes::from_static(&[0, 16, 0]))).await;
    assert!(error.contains("sockclnt_create_reply: field client_index at byte 2"), "{error}");
    assert!(failure(None).await.starts_with("no handshake with VPP at fake"));

    let long = ConnectOptions { name: "x".repeat(64), ..ConnectOptions::default() };
    let error = Client::over(duplex(64).0, "fake", long).await.unwrap_err();
    assert!(error.to_string().contains("string of 64 bytes found, at most 63 fit the field"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_end_is_given_up_in_time() {
    let (ours, _theirs) = duplex(4096);
    let start = Instant::now();
    let error = Client::over(ours, "fake", ConnectOptions::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "VPP at fake did not complete the handshake within 5s");
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn a_real_socket_works_and_a_missing_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let error = Client::connect(&path, ConnectOptions::default()).await.unwrap_err();
    let expected = format!("cannot connect to VPP's API socket {}: No such file", path.display());
    assert!(error.to_string().starts_with(&expected), "{error}");

    let listener = UnixListener::bind(&path).unwrap();
    let server = async {
        let mut vpp = FakeVpp::greet(listener.accept().await.unwrap().0, whole_table()).await;
        for _ in 0..5000 {
            vpp.pong().await;
        }
    };
    let caller = async {
        let client = Client::connect(&path, ConnectOptions::default()).await.unwrap();
        let replies = client.call_all(&[ControlPing {}; 5000]).await;
        assert_eq!(replies.len(), 5000);
        assert!(replies.into_iter().all(|reply| reply.unwrap().vpe_pid == PID));
        client.closed().await
    };
    let (_, reason) = tokio::join!(server, async { tokio::time::timeout(LIMIT, caller).await.unwrap() });
    assert!(matches!(reason, DisconnectReason::Closed | DisconnectReason::Read(_)), "{reason}");
}
