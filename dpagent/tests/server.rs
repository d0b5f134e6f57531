//! The RPC server, without a VPP.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::time::Duration;

use common::{Agent, Bench, POLICY, context, hello, hello_as, soon, spec, within};
use futures::StreamExt;
use maglev_dpagent::counters::SERVERS_AGE;
use maglev_dpagent::policy::SharedPolicy;
use maglev_dpagent::server::{
    Gate, Listener, MOST_OF_A_PROCESS, MOST_READERS_CALLS, MOST_REQUESTS, MOST_VPP_CALLS, Process,
};
use maglev_dpagent::{policy, server, vpp};
use maglev_protocol::{
    AgentClient, AgentError, BrainHello, Demands, EchoOutcome, EchoRequest, LEASE, LbConfSpec,
    PROTOCOL_VERSION, ServerSpec, VipKey, VipSpec,
};
use tarpc::client::RpcError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use vppapi::messages::LbAddDelVipV2;
use vppapi::types::{self, VipId};

#[tokio::test]
async fn a_brain_of_another_protocol_is_refused_and_may_not_write() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::start(directory.path()).await;
    let client = agent.stranger().await;
    let brain = BrainHello { protocol: PROTOCOL_VERSION + 1, version: "9.9".to_owned(), instance: 1 };
    let refused = soon(client.hello(context(), brain)).await.unwrap().unwrap_err();
    assert_eq!(
        refused,
        AgentError::Protocol {
            agent: PROTOCOL_VERSION,
            brain: PROTOCOL_VERSION + 1,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    );
    let unasked =
        AgentError::Contradiction("the first call on a connection must be hello, and succeed".to_owned());
    let conf = LbConfSpec {
        ip4_src_address: None,
        ip6_src_address: None,
        sticky_buckets_per_core: 1024,
        flow_timeout: 40,
    };
    assert_eq!(
        soon(client.sync_vip(context(), spec(80, &[1]), Demands::default())).await.unwrap(),
        Err(unasked.clone())
    );
    assert_eq!(soon(client.sync_all(context(), Vec::new(), Vec::new())).await.unwrap(), Err(unasked.clone()));
    assert_eq!(soon(client.lb_conf(context(), conf)).await.unwrap(), Err(unasked.clone()));
    assert_eq!(soon(client.programmed(context())).await.unwrap(), Err(unasked.clone()));
    assert_eq!(soon(client.agent_info(context())).await.unwrap(), Err(unasked));
}

#[tokio::test]
async fn the_agent_tells_who_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let before = Process::starts();
    let agent = Agent::start(directory.path()).await;
    let info = soon(agent.client().await.agent_info(context())).await.unwrap().unwrap();
    assert_eq!(info.pid, std::process::id());
    assert!((before.started..=Process::starts().started).contains(&info.started), "{info:?}");
    assert_eq!(info.no_echo, agent.no_echo, "{info:?}");
}

#[tokio::test]
async fn an_instance_is_told_from_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let mut instances = Vec::new();
    for _ in 0..2 {
        let agent = Agent::start(directory.path()).await;
        let (one, other) = (agent.stranger().await, agent.stranger().await);
        let told = [hello(&one).await.instance, hello(&other).await.instance];
        assert_eq!(told[0], told[1]);
        instances.push(told[0]);
        agent.end().await;
    }
    assert_ne!(instances[0], instances[1]);
}

#[tokio::test]
async fn connections_of_a_process_beyond_the_limit_are_closed_and_the_dead_make_room() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::start(directory.path()).await;
    let mut clients = Vec::new();
    for _ in 0..MOST_OF_A_PROCESS {
        clients.push(agent.client().await);
    }
    let socket = directory.path().join("agent.sock");
    let mut refused = UnixStream::connect(&socket).await.unwrap();
    assert_eq!(soon(refused.read(&mut [0])).await.unwrap(), 0);

    // One client disappears during a wait that would outlast this test.
    let dying = clients.pop().unwrap();
    let seen = soon(dying.vpp_info(context())).await.unwrap().generation;
    let waiting = tokio::spawn(async move { dying.wait_change(context(), seen + 1000).await });
    waiting.abort();
    drop(waiting);
    soon(async {
        loop {
            let stranger = agent.stranger().await;
            if stranger.vpp_info(context()).await.is_ok() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_for_now() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::start(directory.path()).await;
    let client = agent.client().await;
    // VPP is disconnected; once its generation is known, waits block.
    let seen = common::until(&client, |state| {
        matches!(state, maglev_protocol::VppState::Disconnected { reason, .. } if reason.contains("api.sock"))
    })
    .await
    .generation;
    let waits = (0..MOST_REQUESTS).map(|_| client.wait_change(context(), seen));
    let waits = futures::future::join_all(waits);
    let mut waits = std::pin::pin!(waits);
    let refused = soon(async {
        loop {
            tokio::select! {
                biased;
                _ = &mut waits => panic!("nothing has changed"),
                info = client.vpp_info(context()) => if let Err(error) = info {
                    break error;
                },
            }
        }
    })
    .await;
    // The error's kind is not checked: tarpc writes it signed and reads it unsigned, which not every encoding
    // survives.
    assert!(
        matches!(&refused, RpcError::Server(error) if error.detail == "server throttled the request."),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_peer_that_sends_rubbish_is_closed_and_harms_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::start(directory.path()).await;
    let client = agent.client().await;
    let socket = directory.path().join("agent.sock");
    // A length above the limit, and a frame that is not a request.
    for rubbish in [&[0xff; 64][..], &[0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff][..]] {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        stream.write_all(rubbish).await.unwrap();
        // Closed, whether or not the agent read everything sent to it.
        let end = soon(stream.read(&mut [0])).await;
        assert!(
            matches!(end, Ok(0))
                || end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
        );
    }
    assert!(soon(client.vpp_info(context())).await.is_ok());
}

#[tokio::test]
async fn another_user_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let listener = Listener::bind(&socket).await.unwrap();
    let stop = CancellationToken::new();
    let policy = SharedPolicy::new(policy::parse(POLICY, "policy.yaml").unwrap());
    let missing = directory.path().join("none");
    let options = vpp::Options {
        api_socket: missing.clone(),
        stats_socket: missing,
        policy: policy.clone(),
        servers_age: SERVERS_AGE,
    };
    let (vpp, task) = vpp::start(options, stop.clone());
    let somebody_else = nix::unistd::geteuid().as_raw() + 1;
    let pinger = Err("not tried".to_owned());
    let gate = Gate {
        brain_user: somebody_else,
        policy,
        pinger,
        routes: Err("there are none here".to_owned()),
        tunnel: Err("there is none here".to_owned()),
        process: Process::starts(),
    };
    let server = tokio::spawn(server::serve(listener, gate, vpp));
    for _ in 0..3 {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        let end = soon(stream.read(&mut [0])).await;
        assert!(matches!(end, Ok(0)), "{end:?}");
    }
    stop.cancel();
    server.abort();
    soon(task).await.unwrap();
}

#[tokio::test]
async fn brain_that_is_connected_and_says_nothing_gives_way_to_another() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::start(directory.path()).await;
    let (frozen, second) = (agent.stranger().await, agent.stranger().await);
    hello_as(&frozen, 1).await;
    hello_as(&second, 2).await;
    // Without VPP, a writer's call fails for that reason only.
    let is_writer = async |client: &AgentClient| {
        let refused = client.sync_all(context(), Vec::new(), Vec::new()).await.unwrap().unwrap_err();
        !matches!(refused, AgentError::AnotherWriter { .. })
    };
    assert!(is_writer(&frozen).await);
    tokio::time::pause();
    for _ in 0..3 {
        for _ in 1..LEASE.as_secs() {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!is_writer(&second).await);
        }
        // Any call renews the lease.
        frozen.vpp_info(context()).await.unwrap();
    }
    for _ in 0..LEASE.as_secs() {
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    assert!(is_writer(&second).await);
    // It resumes, and may not write.
    assert!(!is_writer(&frozen).await);
}

#[tokio::test]
async fn one_brain_writes_and_its_successor_takes_over() {
    let bench = Bench::start().await;
    let second = bench.agent.stranger().await;
    hello_as(&second, 2).await;
    let spec = spec(80, &[1]);
    let first_try = |client: &AgentClient| {
        let (client, spec) = (client.clone(), spec.clone());
        async move { soon(client.sync_vip(context(), spec, Demands::default())).await.unwrap() }
    };
    assert_eq!(first_try(&bench.client).await.unwrap().changes(), 2);
    let refused = first_try(&second).await.unwrap_err();
    let own = i32::try_from(std::process::id()).ok();
    assert!(
        matches!(&refused, AgentError::AnotherWriter { version, pid, .. } if version == "test" && *pid == own),
        "{refused:?}"
    );
    let refused = soon(second.sync_all(context(), Vec::new(), Vec::new())).await.unwrap();
    assert!(matches!(refused, Err(AgentError::AnotherWriter { .. })), "{refused:?}");
    // It may still read.
    assert_eq!(soon(second.lb_state(context())).await.unwrap().unwrap().vips.len(), 1);
    assert_eq!(soon(second.programmed(context())).await.unwrap().unwrap().vips.len(), 1);

    // The same brain may write on a new connection; others may not until that is closed.
    let again = bench.agent.stranger().await;
    hello_as(&again, 1).await;
    assert_eq!(first_try(&again).await.unwrap().changes(), 0);
    assert!(first_try(&bench.client).await.is_err());
    drop(bench.client);
    assert!(first_try(&second).await.is_err());
    drop(again);
    soon(async { while first_try(&second).await.is_err() {} }).await;
    assert_eq!(bench.vpp.vips().len(), 1);
}

#[tokio::test]
async fn what_the_policy_does_not_allow_is_refused_and_never_sent() {
    let bench = Bench::start().await;
    let strange = VipKey::port([203, 0, 113, 1].into(), 6, 80);
    let outside = VipSpec { key: strange, ..spec(80, &[1]) };
    let refused = soon(bench.client.sync_vip(context(), outside.clone(), Demands::default())).await.unwrap();
    assert_eq!(
        refused.unwrap_err().to_string(),
        "the agent refused VIP 203.0.113.1 tcp/80: no prefix of `vips` in policy.yaml covers it"
    );
    let mut mixed = spec(443, &[1]);
    mixed.servers.insert([172, 16, 0, 1].into(), ServerSpec { weight: 1, flush: false });
    let report =
        soon(bench.client.sync_all(context(), vec![outside, mixed], Vec::new())).await.unwrap().unwrap();
    let told: Vec<_> = report.errors().map(|(key, error)| (*key, error.step.as_str())).collect();
    let own = spec(443, &[]).key;
    assert_eq!(told, [(own, "give server 172.16.0.1 weight 1"), (strange, "program the VIP")]);
    assert_eq!(
        bench.vpp.vips(),
        [("192.0.2.1/32 protocol 6 port 443".to_owned(), [(common::server(1), 1)].into())].into()
    );
}

#[tokio::test]
async fn vips_of_somebody_else_are_left_alone_and_reported() {
    let bench = Bench::start().await;
    let by_hand = bench.vpp.client(bench.path()).await;
    let vip = VipId {
        prefix: types::Prefix { address: [203, 0, 113, 1].into(), length: 32 },
        protocol: 6,
        port: 80,
    };
    by_hand.call(LbAddDelVipV2::gre(vip, types::Encap::Gre4, 1024)).await.unwrap();
    let report = soon(bench.client.sync_all(context(), Vec::new(), Vec::new())).await.unwrap().unwrap();
    assert_eq!(report.foreign, [VipKey::port([203, 0, 113, 1].into(), 6, 80)]);
    assert_eq!((report.changes(), bench.vpp.vips().len()), (0, 1));
}

/// A peer that exceeds its rate is slowed down, and loses nothing.
#[tokio::test(start_paused = true)]
async fn requests_beyond_the_rate_wait() {
    let directory = tempfile::tempdir().unwrap();
    let policy = format!("{POLICY}  requests-per-second: 10\n");
    let agent = Agent::with_policy(directory.path(), &policy).await;
    let client = agent.client().await;
    let start = tokio::time::Instant::now();
    for _ in 0..30 {
        client.vpp_info(within(Duration::from_secs(100))).await.unwrap();
    }
    let spent = start.elapsed();
    assert!((Duration::from_millis(1900)..Duration::from_millis(2200)).contains(&spent), "{spent:?}");
}

/// Calls to VPP beyond the quota are refused at once.
#[tokio::test]
async fn calls_to_vpp_beyond_the_limit_are_refused() {
    let bench = Bench::start().await;
    let (reader, writer) = (&bench.client, bench.agent.client().await);
    bench.vpp.host.hang();
    let too_many =
        |most: usize| Err(AgentError::TooMany { what: "calls to VPP at once".to_owned(), most: most as u64 });
    let calls = (0..=MOST_READERS_CALLS).map(|_| reader.lb_state(context()));
    let mut calls: futures::stream::FuturesUnordered<_> = calls.collect();
    assert_eq!(soon(calls.next()).await.unwrap().unwrap(), too_many(MOST_READERS_CALLS));
    // The writer has its own share, for all connections of its process.
    let sync = writer.sync_vip(context(), spec(80, &[1]), Demands::default());
    let mut sync = std::pin::pin!(sync);
    tokio::select! {
        biased;
        _ = &mut sync => panic!("VPP hangs"),
        told = writer.vpp_info(context()) => assert!(told.is_ok()),
    }
    calls.extend((0..=MOST_VPP_CALLS).map(|_| reader.lb_state(context())));
    assert_eq!(soon(calls.next()).await.unwrap().unwrap(), too_many(MOST_VPP_CALLS));
}

fn echo(target: &str) -> EchoRequest {
    EchoRequest { target: target.parse().unwrap(), source: None, timeout: Duration::from_secs(5), size: 64 }
}

#[tokio::test]
async fn echo_requests_go_where_the_policy_lets_them_and_no_faster() {
    let directory = tempfile::tempdir().unwrap();
    let policy = format!("{POLICY}  echo-requests-per-second: 3\n");
    let agent = Agent::with_policy(directory.path(), &policy).await;
    let client = agent.client().await;
    let ask = |request| soon(client.icmp_echo(context(), request));
    let refused = ask(echo("192.0.2.1")).await.unwrap().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the agent refused an echo request to 192.0.2.1: no prefix of `ping` in policy.yaml covers it"
    );
    let first = ask(echo("127.0.0.1")).await.unwrap();
    if let Err(AgentError::Echo { reason, .. }) = &first {
        writeln!(std::io::stderr(), "skipped: no echo request can be sent here: {reason}").ok();
        return;
    }
    assert!(matches!(first, Ok(EchoOutcome::Reply { .. })), "{first:?}");
    let small = ask(EchoRequest { size: 3, ..echo("127.0.0.1") }).await.unwrap();
    assert!(
        matches!(&small, Err(AgentError::Echo { reason, .. }) if reason.contains("16 to 1472")),
        "{small:?}"
    );
    let asked = futures::future::join_all((0..10).map(|_| ask(echo("127.0.0.1")))).await;
    let refused = asked.into_iter().filter(|asked| {
        matches!(asked.as_ref().unwrap(), Err(AgentError::TooMany { what, most: 3 }) if what == "echo requests in a second")
    });
    assert!(refused.count() >= 8);
}
