//! VPP and the agent connect, restart and disconnect.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use common::{Agent, Bench, Vpp, boot_time, context, is_connected, soon, spec, until, within};
use futures::{SinkExt, StreamExt};
use maglev_protocol::{AgentError, Demands, VppState};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::codec::Framed;
use vppapi::frame::FrameCodec;
use vppapi::messages::{
    ControlPing, ControlPingReply, Message, SOCKCLNT_CREATE_ID, SOCKCLNT_CREATE_REPLY_ID, ShowVersion,
    ShowVersionReply, SockclntCreateReply, decode_bare, decode_request_head, encode_bare, encode_reply,
    message_id,
};
use vppapi::table::MessageTable;
use vppapi::wire::FixedString;

fn pid(state: &VppState) -> Option<u32> {
    match state {
        VppState::Connected { pid, .. } => Some(*pid),
        _ => None,
    }
}

#[tokio::test]
async fn a_restarted_vpp_is_noticed_and_can_be_filled_again() {
    let Bench { directory, vpp, agent: _agent, client } = Bench::start().await;
    let first = client.vpp_info(context()).await.unwrap();
    let VppState::Connected { version, pid: first_pid, boot_time: booted, build_directory, .. } =
        &first.state
    else {
        panic!("{first:?}")
    };
    assert_eq!((version.as_str(), build_directory.as_str()), ("26.10-test", "/build"));
    assert_eq!((*first_pid, *booted), (1000, Some(boot_time(1000))));
    soon(client.sync_vip(context(), spec(80, &[1]), Demands::default())).await.unwrap().unwrap();

    drop(vpp);
    let gone = soon(client.wait_change(context(), first.generation)).await.unwrap();
    assert!(matches!(gone.state, VppState::Disconnected { .. }), "{gone:?}");
    assert!(gone.generation > first.generation);
    let refused = soon(client.sync_vip(context(), spec(80, &[1]), Demands::default())).await.unwrap();
    assert!(matches!(refused, Err(AgentError::NoVpp { .. })), "{refused:?}");

    let vpp = Vpp::start(directory.path(), 1001);
    let back = until(&client, |state| pid(state) == Some(1001)).await;
    assert!(back.generation > gone.generation);
    assert!(
        matches!(back.state, VppState::Connected { boot_time: Some(booted), .. } if booted == boot_time(1001))
    );
    assert!(vpp.vips().is_empty());
    let report = soon(client.sync_all(context(), vec![spec(80, &[1])], Vec::new())).await.unwrap().unwrap();
    assert_eq!((report.changes(), report.drift.len()), (2, 0));
}

#[tokio::test]
async fn an_agent_waits_for_a_vpp_that_comes_later() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::start(directory.path()).await;
    let client = agent.client().await;
    let away = until(
        &client,
        |state| matches!(state, VppState::Disconnected { reason, .. } if reason.contains("api.sock")),
    )
    .await;
    // Without a change, the wait ends shortly before its deadline with the same state.
    let same = soon(client.wait_change(within(Duration::from_millis(100)), away.generation)).await.unwrap();
    assert_eq!(same, away);
    let _vpp = Vpp::start(directory.path(), 7);
    until(&client, is_connected).await;
    agent.end().await;
}

#[tokio::test]
async fn the_agents_own_end_and_start_change_nothing() {
    let Bench { directory, vpp, agent, client } = Bench::start().await;
    let wanted = vec![spec(80, &[100, 0, 50]), spec(443, &[1])];
    soon(client.sync_all(context(), wanted.clone(), Vec::new())).await.unwrap().unwrap();
    let (state, writes) = (vpp.vips(), vpp.writes().len());
    drop(client);
    agent.end().await;
    let agent = Agent::start(directory.path()).await;
    let client = agent.client().await;
    until(&client, is_connected).await;
    assert_eq!((vpp.vips(), vpp.writes().len()), (state.clone(), writes));
    // It has read VPP's state: nothing is left to do.
    for spec in wanted.clone() {
        let report = soon(client.sync_vip(context(), spec, Demands::default())).await.unwrap().unwrap();
        assert_eq!((report.changes(), report.read), (0, None));
    }
    let report = soon(client.sync_all(context(), wanted, Vec::new())).await.unwrap().unwrap();
    assert_eq!((report.changes(), report.drift.len()), (0, 0));
    assert_eq!((vpp.vips(), vpp.writes().len()), (state, writes));
}

#[tokio::test]
async fn without_stats_only_the_start_time_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let vpp = Vpp::start(directory.path(), 7);
    std::fs::remove_file(directory.path().join("stats.sock")).unwrap();
    let agent = Agent::start(directory.path()).await;
    let client = agent.client().await;
    let info = until(&client, is_connected).await;
    assert!(matches!(info.state, VppState::Connected { boot_time: None, .. }));
    soon(client.sync_vip(context(), spec(80, &[1]), Demands::default())).await.unwrap().unwrap();
    assert_eq!(vpp.vips().len(), 1);
}

/// A VPP with the recorded message table of 26.06, but without `lb_add_del_vip_v2`, which answers a limited number of requests.
struct OldVpp {
    greeting: Bytes,
    table: MessageTable,
    /// Number of requests answered after the handshake; then it hangs.
    answers: usize,
}

impl OldVpp {
    fn new(answers: usize) -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/api-26.06.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        let frame: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        let digits = frame["body"].as_str().unwrap();
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let greeting: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
        let mut created = decode_bare::<SockclntCreateReply>(&greeting).unwrap();
        created.table.retain(|entry| !entry.name_crc.as_str().starts_with("lb_add_del_vip_v2"));
        let greeting = encode_bare(SOCKCLNT_CREATE_REPLY_ID, &created);
        let table = MessageTable::from(&created);
        Self { greeting, table, answers }
    }

    async fn serve(mut self, socket: PathBuf) {
        let listener = UnixListener::bind(socket).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            self.converse(Framed::new(stream, FrameCodec { max_body: 1 << 20 })).await;
        }
    }

    async fn converse(&mut self, mut frames: Framed<UnixStream, FrameCodec>) {
        while let Some(Ok(request)) = frames.next().await {
            if let Some(answer) = self.answer(&request) {
                frames.send(answer).await.unwrap();
            }
        }
    }

    fn answer(&mut self, request: &[u8]) -> Option<Bytes> {
        if message_id(request) == Some(SOCKCLNT_CREATE_ID) {
            return Some(self.greeting.clone());
        }
        self.answers = self.answers.checked_sub(1)?;
        let head = decode_request_head(request).ok()?;
        let id = |name_crc| self.table.id(name_crc).unwrap();
        if head.id == id(ControlPing::NAME_CRC) {
            let reply = ControlPingReply { retval: 0, client_index: 0, vpe_pid: 26 };
            return Some(encode_reply(id(ControlPingReply::NAME_CRC), head.context, &reply));
        }
        assert_eq!(head.id, id(ShowVersion::NAME_CRC), "{:?}", self.table.name_crc(head.id));
        let reply = ShowVersionReply {
            retval: 0,
            program: FixedString::new("vpe").unwrap(),
            version: FixedString::new("23.02-release").unwrap(),
            build_date: FixedString::default(),
            build_directory: FixedString::default(),
        };
        Some(encode_reply(id(ShowVersionReply::NAME_CRC), head.context, &reply))
    }
}

fn api_socket(directory: &Path) -> PathBuf {
    directory.join("api.sock")
}

#[tokio::test]
async fn a_vpp_that_is_too_old_is_named_with_what_it_lacks_until_it_is_another() {
    let directory = tempfile::tempdir().unwrap();
    let old = tokio::spawn(OldVpp::new(usize::MAX).serve(api_socket(directory.path())));
    let agent = Agent::start(directory.path()).await;
    let client = agent.client().await;
    let info = until(&client, |state| matches!(state, VppState::Incompatible { .. })).await;
    let VppState::Incompatible { version, missing, needs } = info.state else { unreachable!() };
    assert_eq!(version, "23.02-release");
    assert_eq!(missing, ["lb_add_del_vip_v2_7c520e0f", "lb_add_del_vip_v2_reply_e8d4e804"]);
    assert_eq!(needs, "VPP 23.06 (lb API 1.1.0) or newer, with its lb plugin loaded");
    let refused = soon(client.sync_all(context(), vec![spec(80, &[1])], Vec::new())).await.unwrap();
    assert!(matches!(refused, Err(AgentError::Incompatible { .. })), "{refused:?}");
    let refused = soon(client.lb_state(context())).await.unwrap();
    assert!(matches!(refused, Err(AgentError::Incompatible { .. })), "{refused:?}");

    old.abort();
    assert!(old.await.unwrap_err().is_cancelled());
    let vpp = Vpp::start(directory.path(), 7);
    until(&client, is_connected).await;
    soon(client.sync_vip(context(), spec(80, &[1]), Demands::default())).await.unwrap().unwrap();
    assert_eq!(vpp.vips().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_vpp_that_hangs_does_not_hang_the_agent() {
    for (answers, reason) in [(0, "did not complete the handshake"), (2, "did not answer control_ping")] {
        let directory = tempfile::tempdir().unwrap();
        let hanging = tokio::spawn(OldVpp::new(answers).serve(api_socket(directory.path())));
        let agent = Agent::start(directory.path()).await;
        let client = agent.client().await;
        until(
            &client,
            |state| matches!(state, VppState::Disconnected { reason: found, .. } if found.contains(reason)),
        )
        .await;
        let refused = client.lb_state(context()).await.unwrap();
        assert!(matches!(refused, Err(AgentError::NoVpp { .. })), "{refused:?}");
        hanging.abort();
        agent.end().await;
    }
}
