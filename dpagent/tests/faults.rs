//! A VPP that loses messages, refuses, hangs, dies and comes back.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Agent, context, is_connected, requests, server, simulator, spec, until};
use maglev_protocol::{
    AgentClient, AgentError, Demands, Dialect, Programmed, ProgrammedVip, VipKey, VipSpec, VppState,
};
use vppapi::client::{Client, ConnectOptions};
use vppapi::messages::{LbAddDelAsV2, LbAddDelVipV2};
use vppapi::types::{self, VipId};
use vppsim::control;
use vppsim::instance::Instance;

struct Bench {
    vpp: Instance,
    _agent: Agent,
    client: AgentClient,
    directory: tempfile::TempDir,
}

impl Bench {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let vpp = simulator(directory.path());
        let agent = Agent::start(directory.path()).await;
        let client = agent.client().await;
        until(&client, is_connected).await;
        Self { vpp, _agent: agent, client, directory }
    }

    /// Sends a command to the simulator.
    async fn tell(&self, line: &str) {
        let answer = control::answer(self.vpp.host(), line).await;
        assert!(answer.starts_with("ok"), "{line}: {answer}");
    }

    async fn sync_all(&self, specs: &[VipSpec]) -> Result<maglev_protocol::SyncReport, AgentError> {
        self.client.sync_all(context(), specs.to_vec(), Vec::new()).await.unwrap()
    }

    async fn programmed(&self) -> Result<Programmed, AgentError> {
        self.client.programmed(context()).await.unwrap()
    }

    /// Number of pings so far.
    fn pings(&self) -> usize {
        let mut requests = requests(&self.directory.path().join("trace.jsonl"));
        requests.retain(|name| name == "control_ping");
        requests.len()
    }

    /// Repeats the sync until VPP has answered everything.
    async fn sync_at_last(&self, specs: &[VipSpec]) -> maglev_protocol::SyncReport {
        loop {
            until(&self.client, is_connected).await;
            if let Ok(report) = self.sync_all(specs).await {
                return report;
            }
        }
    }

    /// Weights of one VIP, by the last byte of the servers' addresses.
    fn weights(&self, key: &VipKey) -> Vec<(u8, u8)> {
        self.vpp.host().with_lb(|lb| {
            let mut vips = lb.vips().filter(|(_, vip)| vip.used && vip.key.port == key.port);
            let Some((_, vip)) = vips.next() else { return Vec::new() };
            let servers = lb.servers_of(vip).filter(|(_, server)| server.used);
            let mut weights: Vec<_> = servers
                .map(|(_, server)| match std::net::IpAddr::from(server.address) {
                    std::net::IpAddr::V4(address) => (address.octets()[3], server.weight),
                    other => panic!("{other}"),
                })
                .collect();
            weights.sort_unstable();
            weights
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_at_any_message_is_made_anew_and_the_sync_completed() {
    for action in ["close", "cut"] {
        for at in 1..=9 {
            let bench = Bench::start().await;
            let before = [spec(80, &[100, 0]), spec(443, &[1])];
            bench.sync_all(&before).await.unwrap();
            bench.tell(&format!("{action} client maglev-dpagent nth {at}")).await;
            let wanted = [spec(80, &[0, 100, 7]), spec(8080, &[5])];
            let first = bench.sync_all(&wanted).await;
            // Two dumps, each followed by a ping, and the writes.
            assert!(first.is_err(), "{action} at {at}: {first:?}");
            assert!(
                bench.weights(&wanted[0].key).iter().any(|(_, weight)| *weight > 0),
                "{action} at {at}: the VIP was left without a serving server"
            );
            bench.sync_at_last(&wanted).await;
            assert_eq!(bench.weights(&wanted[0].key), [(1, 0), (2, 100), (3, 7)], "{action} at {at}");
            assert_eq!(bench.weights(&wanted[1].key), [(1, 5)], "{action} at {at}");
            assert_eq!(bench.weights(&before[1].key), [], "{action} at {at}");
            assert_eq!(bench.sync_all(&wanted).await.unwrap().changes(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_a_connection_lost() {
    for action in ["lose", "mute"] {
        let bench = Bench::start().await;
        bench.sync_all(&[spec(80, &[100, 0])]).await.unwrap();
        let before = bench.client.vpp_info(context()).await.unwrap().generation;
        bench.tell(&format!("{action} lb_as_set_weight nth 1")).await;
        let wanted = spec(80, &[0, 100]);
        let refused = bench.client.sync_vip(context(), wanted.clone(), Demands::default()).await.unwrap();
        let Err(AgentError::VppLost { reason }) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("did not answer lb_as_set_weight within 5s"), "{reason}");
        // The raise was not acknowledged, so nothing was lowered.
        assert!(bench.weights(&wanted.key).contains(&(1, 100)));
        until(&bench.client, |state| matches!(state, VppState::Connected { .. })).await;
        assert!(bench.client.vpp_info(context()).await.unwrap().generation > before);
        bench.sync_at_last(std::slice::from_ref(&wanted)).await;
        assert_eq!(bench.weights(&wanted.key), [(1, 0), (2, 100)]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_refusal_is_named_and_holds_up_nothing_else() {
    let bench = Bench::start().await;
    bench.tell("fail retval -1 lb_add_del_as_v2 as 10.0.0.2").await;
    let wanted = [spec(80, &[1, 2, 3]), spec(443, &[4])];
    let report = bench.sync_all(&wanted).await.unwrap();
    let errors: Vec<_> = report.errors().collect();
    let [(key, error)] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(
        (**key, error.step.as_str(), error.code),
        (wanted[0].key, "add server 10.0.0.2 with weight 2", Some(-1))
    );
    assert!(!error.meaning.is_empty());
    assert_eq!(bench.weights(&wanted[0].key), [(1, 1), (3, 3)]);
    assert_eq!(bench.weights(&wanted[1].key), [(1, 4)]);
    bench.tell("clear").await;
    assert_eq!(bench.sync_all(&wanted).await.unwrap().changes(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_vpp_that_hangs_is_found_by_a_ping_and_again_when_it_goes_on() {
    let bench = Bench::start().await;
    let wanted = [spec(80, &[1, 0])];
    bench.sync_all(&wanted).await.unwrap();
    let start = tokio::time::Instant::now();
    bench.vpp.host().hang();
    let away = until(&bench.client, |state| matches!(state, VppState::Disconnected { .. })).await;
    let VppState::Disconnected { reason, silent_ms } = away.state else { unreachable!() };
    assert!(reason.contains("did not answer control_ping within 2s"), "{reason}");
    let found = start.elapsed().as_secs_f64();
    assert!(found <= 2.3, "a ping every 0.1 s that waits for 2 s, and yet it took {found} s");
    let silent = silent_ms as f64 / 1000.0;
    assert!((found - 0.1..=found + 0.1).contains(&silent), "hung for {found} s, silent for {silent} s");
    bench.vpp.host().resume();
    until(&bench.client, is_connected).await;
    let report = bench.sync_all(&wanted).await.unwrap();
    assert_eq!((report.changes(), report.drift.len()), (0, 0));
    assert_eq!(bench.weights(&wanted[0].key), [(1, 1), (2, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_vpp_that_hangs_within_a_call_was_silent_since_its_last_answer() {
    let bench = Bench::start().await;
    bench.sync_all(&[spec(80, &[1, 0])]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    bench.vpp.host().hang();
    let refused = bench.client.sync_vip(context(), spec(80, &[0, 1]), Demands::default()).await.unwrap();
    assert!(matches!(refused, Err(AgentError::VppLost { .. })), "{refused:?}");
    let away = until(&bench.client, |state| matches!(state, VppState::Disconnected { .. })).await;
    let VppState::Disconnected { silent_ms, .. } = away.state else { unreachable!() };
    assert!((2000..2300).contains(&silent_ms), "a ping within 0.1 s and 2 s of waiting, but {silent_ms} ms");
    // Later attempts to connect fail for another reason, which must not change how the loss was recorded.
    let still = bench.client.wait_change(context(), away.generation).await.unwrap();
    let VppState::Disconnected { reason, silent_ms: still } = still.state else { panic!("{still:?}") };
    assert!(reason.contains("did not complete the handshake"), "{reason}");
    assert_eq!(still, silent_ms);
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_while_vpp_was_silent_is_not_written_when_it_goes_on() {
    let bench = Bench::start().await;
    let key = spec(80, &[1, 1]).key;
    bench.sync_all(&[spec(80, &[1, 1])]).await.unwrap();
    bench.vpp.host().hang();
    let start = tokio::time::Instant::now();
    let (client, lower) = (bench.client.clone(), spec(80, &[0, 1]));
    let lowering =
        tokio::spawn(async move { client.sync_vip(context(), lower, Demands::default()).await.unwrap() });
    let silence = bench.client.wait_liveness(context(), 0).await.unwrap();
    assert!(silence.silent_for.is_some_and(|silent| silent >= Duration::from_millis(200)), "{silence:?}");
    assert!(start.elapsed() <= Duration::from_millis(350), "found after {:?}", start.elapsed());
    tokio::time::sleep(Duration::from_millis(500)).await;
    bench.vpp.host().resume();
    let refused = lowering.await.unwrap();
    let Err(AgentError::VppLost { reason }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("nothing was written"), "{reason}");
    assert_eq!(bench.weights(&key), [(1, 1), (2, 1)]);
    let answers = bench.client.wait_liveness(context(), silence.generation).await.unwrap();
    assert_eq!(answers.silent_for, None);
    assert!(is_connected(&bench.client.vpp_info(context()).await.unwrap().state));
    let report = bench.client.sync_vip(context(), spec(80, &[0, 1]), Demands::default()).await.unwrap();
    assert_eq!(report.unwrap().changes(), 1);
    assert_eq!(bench.weights(&key), [(1, 0), (2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_vpp_that_closes_the_connection_was_not_silent() {
    let bench = Bench::start().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let generation = bench.client.vpp_info(context()).await.unwrap().generation;
    bench.tell("restart empty-for 700ms").await;
    let gone = bench.client.wait_change(context(), generation).await.unwrap();
    assert!(matches!(gone.state, VppState::Disconnected { silent_ms: 0, .. }), "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_vpp_that_answers_calls_is_not_pinged_and_an_idle_one_ten_times_a_second() {
    let bench = Bench::start().await;
    let wanted = [spec(80, &[1, 0])];
    bench.sync_all(&wanted).await.unwrap();
    let before = bench.pings();
    for weight in 1..=40 {
        tokio::time::sleep(Duration::from_millis(90)).await;
        let wanted = spec(80, &[1, weight]);
        bench.client.sync_vip(context(), wanted, Demands::default()).await.unwrap().unwrap();
    }
    assert_eq!(bench.pings() - before, 0);
    tokio::time::sleep(Duration::from_secs(40)).await;
    let pings = bench.pings() - before;
    assert!((390..=400).contains(&pings), "{pings} pings in 40 s");
}

#[tokio::test(start_paused = true)]
async fn a_vpp_that_becomes_an_older_one_is_incompatible_until_it_is_a_newer_one() {
    let bench = Bench::start().await;
    bench.tell("restart lb-api 1.0.0").await;
    let info = until(&bench.client, |state| matches!(state, VppState::Incompatible { .. })).await;
    let VppState::Incompatible { missing, needs, .. } = info.state else { unreachable!() };
    assert!(missing.contains(&"lb_add_del_vip_v2_7c520e0f".to_owned()), "{missing:?}");
    assert!(needs.contains("23.06"), "{needs}");
    let refused = bench.sync_all(&[spec(80, &[1])]).await;
    assert!(matches!(refused, Err(AgentError::Incompatible { .. })), "{refused:?}");
    bench.tell("restart empty-for 3s lb-api 1.2.0").await;
    until(&bench.client, is_connected).await;
    assert_eq!(bench.sync_all(&[spec(80, &[1])]).await.unwrap().changes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_vpp_without_weights_has_equal_shares_and_an_upgraded_one_the_weights() {
    let bench = Bench::start().await;
    let wanted = [spec(80, &[100, 50, 0])];
    for (lb_api, dialect, weights) in [
        ("1.1.0", Dialect::InOut, &[(1, 1), (2, 1)][..]),
        ("1.2.0", Dialect::Weighted, &[(1, 100), (2, 50), (3, 0)]),
        ("1.1.0", Dialect::InOut, &[(1, 1), (2, 1)]),
    ] {
        let before = bench.client.vpp_info(context()).await.unwrap();
        bench.tell(&format!("restart empty-for 700ms lb-api {lb_api}")).await;
        bench.client.wait_change(context(), before.generation).await.unwrap();
        until(&bench.client, is_connected).await;
        bench.sync_at_last(&wanted).await;
        assert_eq!(bench.weights(&wanted[0].key), weights);
        let programmed = bench.client.programmed(context()).await.unwrap().unwrap();
        assert_eq!((programmed.dialect, programmed.vips[0].servers.len()), (dialect, 3));
        assert_eq!(bench.sync_all(&wanted).await.unwrap().changes(), 0);
    }
    // Out without a flush, in, out with a flush, and forgotten; a server in service cannot be flushed.
    let sync = async |weights: &[u8], flush: &[u8]| {
        let flush = flush.iter().map(|last| server(*last)).collect();
        let demands = Demands { flush, recreate: false };
        let report = bench.client.sync_vip(context(), spec(80, weights), demands).await.unwrap().unwrap();
        (bench.weights(&wanted[0].key), report.changes(), report.errors().count())
    };
    assert_eq!(sync(&[0, 50, 0], &[]).await, (vec![(2, 1)], 1, 0));
    assert_eq!(sync(&[9, 50, 0], &[]).await, (vec![(1, 1), (2, 1)], 1, 0));
    assert_eq!(sync(&[0, 50, 0], &[1]).await, (vec![(2, 1)], 1, 0));
    assert_eq!(sync(&[0, 50, 0], &[2]).await, (vec![(2, 1)], 0, 1));
    assert_eq!(sync(&[0, 50], &[]).await, (vec![(2, 1)], 0, 0));
    let state = bench.client.lb_state(context()).await.unwrap().unwrap();
    assert_eq!(state.vips[0].servers.iter().map(|server| server.weight).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(bench.sync_all(&[]).await.unwrap().changes(), 1);
    assert_eq!(bench.sync_all(&[]).await.unwrap().changes(), 0, "the remains are no VIP");
}

#[tokio::test(start_paused = true)]
async fn ten_restarts_are_ten_reconnects() {
    let bench = Bench::start().await;
    let wanted = [spec(80, &[1, 2, 3])];
    let mut pids = Vec::new();
    for _ in 0..10 {
        let before = bench.client.vpp_info(context()).await.unwrap();
        bench.tell("restart empty-for 700ms").await;
        let generation = before.generation;
        let gone = bench.client.wait_change(context(), generation).await.unwrap();
        assert_ne!(gone.generation, generation);
        let back = until(&bench.client, is_connected).await;
        let VppState::Connected { pid, .. } = back.state else { unreachable!() };
        pids.push(pid);
        assert_eq!(bench.weights(&wanted[0].key), []);
        bench.sync_at_last(&wanted).await;
        assert_eq!(bench.weights(&wanted[0].key), [(1, 1), (2, 2), (3, 3)]);
    }
    pids.dedup();
    assert_eq!(pids.len(), 10);
}

/// Port, table length and weights of each VIP.
fn shape(programmed: &Programmed) -> Vec<(u16, u32, Vec<u8>)> {
    let vip = |vip: &ProgrammedVip| {
        (vip.key.port, vip.new_flows_table_length, vip.servers.values().copied().collect())
    };
    programmed.vips.iter().map(vip).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_programmed_is_told_without_asking_vpp() {
    let bench = Bench::start().await;
    assert_eq!(bench.programmed().await.unwrap(), Programmed::default());
    bench.sync_all(&[spec(80, &[100, 0]), spec(443, &[1])]).await.unwrap();
    let wanted = spec(80, &[7, 100, 3]);
    bench.client.sync_vip(context(), wanted.clone(), Demands::default()).await.unwrap().unwrap();
    bench.vpp.host().hang();
    let programmed = bench.programmed().await.unwrap();
    assert_eq!(shape(&programmed), [(80, 1024, vec![7, 100, 3]), (443, 1024, vec![1])]);
    assert_eq!(programmed.vips[0].key, wanted.key);
    until(&bench.client, |state| matches!(state, VppState::Disconnected { .. })).await;
    let away = bench.programmed().await;
    assert!(
        matches!(&away, Err(AgentError::NoVpp { reason }) if reason.contains("control_ping")),
        "{away:?}"
    );
    bench.vpp.host().resume();
    until(&bench.client, is_connected).await;
    assert_eq!(bench.programmed().await.unwrap(), programmed);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_has_programmed_is_told_once_it_is_known() {
    let bench = Bench::start().await;
    bench.sync_all(&[spec(80, &[100, 0])]).await.unwrap();
    let other = Client::connect(bench.directory.path().join("api.sock"), ConnectOptions::default());
    let other = other.await.unwrap();
    let prefix = types::Prefix { address: [198, 51, 100, 1].into(), length: 32 };
    let outside = VipId { prefix, protocol: 6, port: 25 };
    other.call(LbAddDelVipV2::gre(outside, types::Encap::Gre4, 4096)).await.unwrap();
    let prefix = types::Prefix { address: [192, 0, 2, 1].into(), length: 32 };
    let vip = VipId { prefix, protocol: 6, port: 80 };
    let gone =
        LbAddDelAsV2 { vip, as_address: [10, 0, 0, 2].into(), weight: 0, is_del: true, is_flush: true };
    other.call(gone).await.unwrap();
    let programmed = bench.programmed().await.unwrap();
    assert_eq!(shape(&programmed), [(80, 1024, vec![100, 0])], "nobody has told the agent");

    // VPP does not have the server, so it refuses: the agent finds the drift.
    let report = bench.client.sync_vip(context(), spec(80, &[100, 7]), Demands::default()).await.unwrap();
    assert!(report.unwrap().read.is_some());
    let programmed = bench.programmed().await.unwrap();
    assert_eq!(shape(&programmed), [(80, 1024, vec![100, 7]), (25, 4096, vec![])]);
}
