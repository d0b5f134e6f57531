//! Faults from a VPP client's point of view.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use common::{Vppsim, add_as, add_vip, command, soon};
use futures::FutureExt;
use tempfile::TempDir;
use tokio::time::Instant;
use vppapi::client::{Client, ClientError, ConnectOptions};
use vppapi::messages::{ControlPing, LbAsSetWeight, LbAsV2Details, LbAsV2Dump, LbVipDump, ShowVersion};
use vppapi::retval::Retval;
use vppapi::types::{Prefix, VipId};

const VIP: VipId = VipId {
    prefix: Prefix { address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 10)), length: 32 },
    protocol: 6,
    port: 80,
};

/// How long a client waits for an answer that does not come.
const SHORT: Duration = Duration::from_millis(300);

async fn start(arguments: &[&str]) -> (TempDir, Vppsim) {
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), arguments).await;
    (folder, vppsim)
}

/// A client with short timeouts, and a VIP with servers 1 to 3 of weight 100.
async fn configured(vppsim: &Vppsim) -> Client {
    let options = ConnectOptions { request_timeout: SHORT, ..ConnectOptions::default() };
    let client = Client::connect(vppsim.api(), options).await.unwrap();
    client.call(add_vip(VIP)).await.unwrap();
    for last in 1..=3 {
        client.call(add_as(VIP, last)).await.unwrap();
    }
    client
}

fn weight(last: u8, weight: u8) -> LbAsSetWeight {
    LbAsSetWeight { vip: VIP, as_address: [127, 99, 0, last].into(), weight, is_flush: false }
}

/// The weights that VPP has, asked for by another client.
async fn weights(vppsim: &Vppsim) -> Vec<u8> {
    let mut servers: Vec<LbAsV2Details> = vppsim.client().await.dump(LbAsV2Dump::default()).await.unwrap();
    servers.sort_by_key(|server| server.as_address);
    servers.iter().map(|server| server.weight).collect()
}

fn is_timeout<T>(result: &Result<T, ClientError>) -> bool {
    matches!(result, Err(ClientError::Timeout { .. }))
}

fn is_disconnect<T>(result: &Result<T, ClientError>) -> bool {
    matches!(result, Err(ClientError::Disconnected { .. }))
}

#[tokio::test]
async fn a_lost_request_is_not_carried_out_and_a_muted_one_is() {
    let (_folder, vppsim) = start(&[]).await;
    let client = configured(&vppsim).await;
    vppsim.told("lose lb_as_set_weight nth 2").await;
    vppsim.told("mute lb_as_set_weight nth 3").await;
    client.call(weight(1, 11)).await.unwrap();
    assert!(is_timeout(&client.call(weight(2, 12)).await));
    assert!(is_timeout(&client.call(weight(3, 13)).await));
    assert_eq!(weights(&vppsim).await, [11, 100, 13]);
    client.call(weight(2, 12)).await.unwrap();
    assert_eq!(weights(&vppsim).await, [11, 12, 13]);
}

#[tokio::test]
async fn a_failing_request_gets_its_code_and_changes_nothing() {
    let (_folder, vppsim) = start(&[]).await;
    let client = configured(&vppsim).await;
    vppsim.told("fail retval -81 lb_as_set_weight vip 203.0.113.10 port 80 as 127.99.0.2 count 2").await;
    vppsim.told("fail retval -7 show_version").await;
    for expected in [Some(Retval(-81)), Some(Retval(-81)), None] {
        client.call(weight(1, 11)).await.unwrap();
        let result = client.call(weight(2, 12)).await;
        assert_eq!(result.err().and_then(|error| error.retval()), expected);
    }
    assert_eq!(weights(&vppsim).await, [11, 12, 100]);
    let error = client.call(ShowVersion {}).await.unwrap_err();
    assert_eq!(error.retval(), Some(Retval(-7)));
}

#[tokio::test]
async fn a_delayed_answer_comes_late_and_holds_up_those_behind_it() {
    let (_folder, vppsim) = start(&[]).await;
    let client = configured(&vppsim).await;
    vppsim.told("delay 150ms lb_as_set_weight nth 1").await;
    let begin = Instant::now();
    let (late, behind) = tokio::join!(client.call(weight(1, 11)), client.call(ControlPing {}));
    late.unwrap();
    behind.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(150));
    assert_eq!(weights(&vppsim).await, [11, 100, 100]);
}

#[tokio::test]
async fn the_socket_is_closed_at_the_nth_message() {
    let (_folder, vppsim) = start(&[]).await;
    let client = configured(&vppsim).await;
    let bystander = vppsim.client().await;
    vppsim.told("close client vppapi nth 3").await;
    let results = client.call_all(&[weight(1, 11), weight(2, 12), weight(3, 13)]).await;
    assert_eq!(results.iter().map(is_disconnect).collect::<Vec<_>>(), [false, false, true]);
    soon(client.closed()).await;
    bystander.ping().await.unwrap();
    assert_eq!(weights(&vppsim).await, [11, 12, 100]);
    // The opposite: a request that is cut off is carried out.
    let client = vppsim.client().await;
    vppsim.told("cut lb_as_set_weight nth 2").await;
    client.call(weight(2, 22)).await.unwrap();
    assert!(is_disconnect(&client.call(weight(3, 23)).await));
    assert_eq!(weights(&vppsim).await, [11, 22, 23]);
}

#[tokio::test]
async fn a_hang_leaves_the_sockets_open_and_everything_waits() {
    let (_folder, vppsim) = start(&[]).await;
    let client = configured(&vppsim).await;
    vppsim.told("hang").await;
    assert!(is_timeout(&client.call(weight(1, 11)).await));
    assert!(client.closed().now_or_never().is_none());
    let options = ConnectOptions { connect_timeout: SHORT, ..ConnectOptions::default() };
    let unanswered = Client::connect(vppsim.api(), options).await.unwrap_err();
    assert!(matches!(unanswered, ClientError::ConnectTimeout { .. }), "{unanswered}");
    let stats = vppapi::stats::StatsSegment::connect(vppsim.stats(), SHORT).await;
    assert!(stats.is_err(), "the stats segment was handed out");
    assert_eq!(vppsim.told("list").await, "hung");
    vppsim.told("resume").await;
    client.ping().await.unwrap();
    assert_eq!(weights(&vppsim).await, [11, 100, 100], "the request that waited was not carried out");
}

#[tokio::test]
async fn a_hang_begins_with_the_nth_message() {
    let (_folder, vppsim) = start(&[]).await;
    let client = configured(&vppsim).await;
    let number = vppsim.told("hang lb_as_set_weight nth 2").await;
    assert_eq!(number, "fault 1: hang lb_as_set_weight nth 2");
    let requests = [weight(1, 11), weight(2, 12), weight(3, 13)];
    let (results, hit) = tokio::join!(client.call_all(&requests), vppsim.told("wait 1"));
    assert_eq!(hit, "fault 1 has befallen a request");
    assert_eq!(results.iter().map(is_timeout).collect::<Vec<_>>(), [false, true, true]);
    vppsim.told("clear").await;
    client.ping().await.unwrap();
    assert_eq!(weights(&vppsim).await, [11, 12, 13]);
}

#[tokio::test]
async fn the_handshake_and_dumps_meet_faults_too() {
    let (_folder, vppsim) = start(&[]).await;
    let client = configured(&vppsim).await;
    vppsim.told("lose lb_vip_dump nth 1").await;
    assert_eq!(client.dump(LbVipDump::default()).await.unwrap().len(), 0, "a dump without details");
    vppsim.told("close sockclnt_create nth 1").await;
    Client::connect(vppsim.api(), ConnectOptions::default()).await.unwrap_err();
    vppsim.client().await;
}

#[tokio::test]
async fn faults_are_there_from_the_start_and_the_control_socket_tells_them() {
    let arguments = ["--fault", "fail retval -6 lb_conf_get", "--fault", "delay 1ms control_ping count 2"];
    let (folder, vppsim) = start(&arguments).await;
    let client = configured(&vppsim).await;
    client.call(vppapi::messages::LbConfGet {}).await.unwrap_err();
    let list = vppsim.told("list").await;
    assert!(
        list.starts_with("fault 1: fail retval -6 lb_conf_get always (1 of 1 requests); fault 2: "),
        "{list}"
    );
    assert_eq!(vppsim.told("clear 1").await, "fault 1 ended");
    client.call(vppapi::messages::LbConfGet {}).await.unwrap();
    for line in ["clear 1", "wait 1"] {
        assert_eq!(vppsim.control(line).await, "error no fault 1 is set; list tells those that are");
    }
    assert!(vppsim.control("hung").await.starts_with("error \"hung\" found, expected one of delay, "));
    assert!(vppsim.control(&"x".repeat(5000)).await.starts_with("error a line of more than 4096 bytes"));
    assert!(vppsim.told("help").await.contains("resume: ends a hang"));
    let mode = std::fs::metadata(folder.path().join("control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_wrong_fault_is_explained_at_the_start() {
    for (fault, expected) in [
        ("delay lb_conf", "\"lb_conf\" found, expected a time as 200ms or 5s"),
        ("wait 1", "\"wait 1\" sets no fault"),
    ] {
        let output =
            soon(command().args(["--run-dir", "/nonexistent", "--fault", fault]).output()).await.unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(expected), "{text}");
        assert_eq!(output.status.code(), Some(2));
    }
}

#[tokio::test]
async fn the_environment_sets_several_faults() {
    let folder = tempfile::tempdir().unwrap();
    let faults =
        [("MAGLEV_VPPSIM_FAULTS", "lose lb_conf nth 2;busy-stats on"), ("MAGLEV_VPPSIM_LB_API", "1.1.0")];
    let vppsim = Vppsim::start_with(folder.path(), &[], &faults).await;
    assert_eq!(vppsim.told("list").await, "fault 1: lose lb_conf nth 2 (0 of 0 requests); busy-stats on");
    assert_eq!(vppsim.client().await.table().len(), 880);
}
