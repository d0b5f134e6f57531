//! Counters, from the simulator's stats segment to the answer.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Agent, context, is_connected, requests, simulator, spec, until};
use maglev_protocol::{AgentClient, AgentError, Change, Counters, Demands, VipCounters, VipSpec, VppState};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use vppsim::control;
use vppsim::instance::Instance;

struct Bench {
    vpp: Instance,
    agent: Agent,
    client: AgentClient,
    directory: TempDir,
}

impl Bench {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let vpp = simulator(directory.path());
        let agent = Agent::start(directory.path()).await;
        let client = agent.client().await;
        until(&client, is_connected).await;
        Self { vpp, agent, client, directory }
    }

    async fn sync(&self, spec: VipSpec) {
        let report = self.client.sync_vip(context(), spec, Demands::default()).await.unwrap().unwrap();
        assert_eq!(report.errors().next(), None);
    }

    async fn try_counters(&self, servers: bool) -> Result<Counters, AgentError> {
        // Older than the counters that the agent reuses and that the simulator has published.
        sleep(Duration::from_millis(1_100)).await;
        self.client.counters(context(), servers).await.unwrap()
    }

    async fn vips(&self) -> Vec<VipCounters> {
        self.try_counters(false).await.unwrap().vips
    }

    /// Opens flows to a VIP; each sends one more packet than the one before.
    fn send(&self, port: u16, flows: u16) {
        let vip = self.vpp.host().with_lb(|lb| {
            lb.vips().find(|(_, vip)| vip.used && vip.key.port == port).map(|(index, _)| index).unwrap()
        });
        for source in 1..=flows {
            let client = SocketAddr::from(([198, 51, 100, 1], source));
            let destination = SocketAddr::from(([192, 0, 2, 1], port));
            let flow = self.vpp.host().open_flow(vip, client, destination, 100).unwrap();
            self.vpp.host().flow_packet(flow.id, 50);
        }
    }

    fn requests(&self) -> Vec<String> {
        requests(&self.directory.path().join("trace.jsonl"))
    }

    async fn tell(&self, line: &str) {
        let answer = control::answer(self.vpp.host(), line).await;
        assert!(answer.starts_with("ok"), "{line}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn packets_are_counted_by_vip_and_by_route() {
    let bench = Bench::start().await;
    assert_eq!(bench.vips().await, []);
    bench.sync(spec(80, &[1, 1])).await;
    bench.sync(spec(443, &[1])).await;
    bench.send(80, 5);
    bench.send(443, 2);
    let counted = bench.vips().await;
    let [http, https] = &counted[..] else { panic!("{counted:?}") };
    assert_eq!((http.key, https.key), (spec(80, &[]).key, spec(443, &[]).key));
    assert_eq!((http.first_session, http.existing_sessions, http.no_server), (5, 5, 0));
    assert_eq!((https.first_session, https.existing_sessions), (2, 2));
    // They share a prefix, and therefore its route.
    assert_eq!(http.route, https.route);
    let route = http.route.unwrap();
    assert_eq!((route.packets, route.bytes), (14, 7 * 150));
    assert_ne!(http.epoch, https.epoch);
}

#[tokio::test(start_paused = true)]
async fn counting_asks_vpp_for_nothing_once_it_knows_where_to_look() {
    let bench = Bench::start().await;
    bench.sync(spec(80, &[1, 1])).await;
    bench.vips().await;
    let asked = bench.requests();
    assert!(asked.ends_with(&["cli_inband".to_owned(), "ip_route_lookup_v2".to_owned()]), "{asked:?}");
    bench.send(80, 5);
    let young = bench.client.counters(context(), false).await.unwrap().unwrap();
    assert!(young.age < Duration::from_secs(1));
    for _ in 0..5 {
        assert_eq!(bench.vips().await[0].first_session, 5);
    }
    // Only the ping that keeps the connection alive, every 10 seconds.
    let since: Vec<_> = bench.requests().split_off(asked.len());
    assert!(since.iter().all(|name| name == "control_ping"), "{since:?}");
}

#[tokio::test(start_paused = true)]
async fn servers_figures_are_read_on_demand_and_kept_for_their_age() {
    let bench = Bench::start().await;
    bench.sync(spec(80, &[1, 3])).await;
    bench.send(80, 40);
    assert_eq!(bench.try_counters(false).await.unwrap().servers, None);
    let texts = || bench.requests().iter().filter(|name| *name == "cli_inband").count();
    let before = texts();
    let first = bench.try_counters(true).await.unwrap().servers.unwrap();
    assert_eq!(first.age, Duration::ZERO);
    let told: Vec<_> = first.servers.iter().map(|server| (server.weight, server.buckets)).collect();
    assert_eq!(told.iter().map(|(weight, _)| *weight).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(told.iter().map(|(_, buckets)| *buckets).sum::<u32>(), 1024);
    assert_eq!(first.servers.iter().map(|server| server.flows).sum::<u64>(), 40);
    let kept = bench.try_counters(true).await.unwrap().servers.unwrap();
    assert!(kept.age > Duration::from_secs(1), "{:?}", kept.age);
    assert_eq!((kept.servers, texts()), (first.servers, before + 1));
    sleep(Duration::from_secs(15)).await;
    assert_eq!(bench.try_counters(true).await.unwrap().servers.unwrap().age, Duration::ZERO);
    assert_eq!(texts(), before + 2);
}

#[tokio::test(start_paused = true)]
async fn flows_end_with_the_flow_timeout_after_the_last_packet() {
    let bench = Bench::start().await;
    bench.sync(spec(80, &[1, 1])).await;
    bench.sync(spec(443, &[1])).await;
    bench.send(80, 60);
    bench.send(443, 4);
    let counted = async || {
        let counters = bench.try_counters(true).await.unwrap();
        let flows = counters.servers.unwrap().servers.iter().map(|server| server.flows).sum::<u64>();
        (counters.sent, flows)
    };
    let (sent, flows) = counted().await;
    assert_eq!((sent.len(), flows), (2, 64), "VIPs share a server: {sent:?}");
    assert_eq!(sent.iter().map(|server| server.packets).sum::<u64>(), 2 * 64);
    assert_eq!(sent.iter().map(|server| server.bytes).sum::<u64>(), 64 * (100 + 50 + 2 * 24));
    assert!(sent.iter().all(|server| server.idle == Duration::ZERO), "nothing is known of before");

    sleep(Duration::from_secs(37)).await;
    let (sent, flows) = counted().await;
    assert_eq!((sent[0].idle.as_secs(), flows), (38, 64), "{sent:?}");
    sleep(Duration::from_secs(2)).await;
    let (sent, flows) = counted().await;
    assert_eq!((sent[1].idle.as_secs(), flows), (41, 0), "VPP itself still counts them: {sent:?}");

    bench.send(443, 1);
    let (sent, flows) = counted().await;
    assert_eq!(sent.iter().filter(|server| server.idle == Duration::ZERO).count(), 1, "{sent:?}");
    assert!((5..64).contains(&flows), "of one server's flows it is not known which have ended: {flows}");
}

#[tokio::test(start_paused = true)]
async fn servers_figures_from_before_a_change_are_read_again() {
    let bench = Bench::start().await;
    bench.sync(spec(80, &[1, 3])).await;
    let weights = async || {
        let servers = bench.try_counters(true).await.unwrap().servers.unwrap().servers;
        servers.iter().map(|server| server.weight).collect::<Vec<_>>()
    };
    assert_eq!(weights().await, [1, 3]);
    bench.sync(spec(80, &[2, 3])).await;
    assert_eq!(weights().await, [2, 3]);
    let texts = || bench.requests().iter().filter(|name| *name == "cli_inband").count();
    let before = texts();
    bench.sync(spec(80, &[2, 3])).await;
    assert_eq!((weights().await, texts()), (vec![2, 3], before), "nothing was changed");
}

#[tokio::test(start_paused = true)]
async fn a_drained_server_keeps_its_flows_until_a_flush_is_demanded() {
    let bench = Bench::start().await;
    bench.sync(spec(80, &[1, 1])).await;
    bench.send(80, 60);
    let mut drained = spec(80, &[0, 1]);
    drained.servers.values_mut().for_each(|server| server.flush = false);
    bench.sync(drained.clone()).await;
    let flows = async || {
        sleep(Duration::from_secs(15)).await;
        let servers = bench.try_counters(true).await.unwrap().servers.unwrap().servers;
        servers.iter().map(|server| server.flows).collect::<Vec<_>>()
    };
    let before = flows().await;
    assert!(before[0] > 0, "{before:?}");
    let demands = Demands { flush: drained.servers.keys().take(1).copied().collect(), recreate: false };
    let report = bench.client.sync_vip(context(), drained.clone(), demands).await.unwrap().unwrap();
    let server = *drained.servers.keys().next().unwrap();
    assert_eq!(report.vips[0].changes, [Change::Flushed { server, weight: 0 }]);
    assert_eq!(flows().await[0], 0);
    let again = bench.client.sync_vip(context(), drained, Demands::default()).await.unwrap().unwrap();
    assert_eq!(again.changes(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_epoch_survives_the_agent_and_ends_with_the_vip_or_vpp() {
    let bench = Bench::start().await;
    bench.sync(spec(80, &[1])).await;
    bench.send(80, 5);
    let first = bench.vips().await[0];

    let Bench { vpp, agent, client, directory } = bench;
    drop(client);
    agent.end().await;
    let agent = Agent::start(directory.path()).await;
    let client = agent.client().await;
    until(&client, is_connected).await;
    let bench = Bench { vpp, agent, client, directory };
    assert_eq!(bench.vips().await, [first]);

    bench.sync(VipSpec { src_ip_sticky: true, ..spec(80, &[1]) }).await;
    bench.send(80, 9);
    let anew = bench.vips().await[0];
    assert_ne!((anew.epoch, anew.first_session), (first.epoch, first.first_session));
    assert_ne!(anew.epoch, first.epoch);

    bench.tell("restart").await;
    until(&bench.client, |state| matches!(state, VppState::Connected { pid: 1001, .. })).await;
    bench.sync(spec(80, &[1])).await;
    let restarted = bench.vips().await[0];
    assert_eq!((restarted.first_session, restarted.no_server), (0, 0));
    assert!(restarted.epoch != first.epoch && restarted.epoch != anew.epoch);
    assert_ne!(restarted.route.unwrap().epoch, first.route.unwrap().epoch);
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_cannot_be_read_leaves_the_programming_alone_and_comes_back() {
    let bench = Bench::start().await;
    bench.sync(spec(80, &[1])).await;
    for fault in ["busy-stats on", "break-stats directory", "break-stats pointers", "break-stats lengths"] {
        bench.send(80, 1);
        assert!(bench.try_counters(false).await.is_ok(), "before {fault}");
        bench.tell(fault).await;
        let refused = bench.try_counters(false).await;
        assert!(matches!(refused, Err(AgentError::NoStats { .. })), "{fault}: {refused:?}");
        bench.sync(spec(80, &[2])).await;
        let generation = bench.client.vpp_info(context()).await.unwrap().generation;
        bench.tell("clear").await;
        // The next ping finds it, and the whole connection is made again.
        let start = Instant::now();
        while bench.client.vpp_info(context()).await.unwrap().generation == generation {
            assert!(start.elapsed() < Duration::from_secs(12), "{fault}: not found by a ping");
            sleep(Duration::from_secs(1)).await;
        }
        until(&bench.client, is_connected).await;
    }
    assert!(bench.try_counters(false).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_moves_and_grows_is_never_misread() {
    let bench = Bench::start().await;
    bench.sync(spec(80, &[1, 1])).await;
    bench.send(80, 7);
    bench.tell("churn-stats 20ms").await;
    for round in 0..20 {
        if round % 10 == 0 {
            bench.tell("grow-stats 500").await;
        }
        let [vip] = bench.vips().await[..] else { panic!() };
        let route = vip.route.unwrap();
        assert_eq!((vip.first_session, vip.existing_sessions, route.packets, route.bytes), (7, 7, 14, 1050));
    }
}
