//! The socket's side of the RPCs. No VPP is needed.

// Clippy knows tests by their attribute, and not what they call.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;

use common::{Agent, context, hello, soon, spec};
use maglev_dpagent::server::{MOST_CONNECTIONS, MOST_REQUESTS};
use maglev_protocol::{AgentError, BrainHello, Demands, LbConfSpec, PROTOCOL_VERSION};
use tarpc::client::RpcError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

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
    assert_eq!(soon(client.lb_conf(context(), conf)).await.unwrap(), Err(unasked));
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
async fn connections_beyond_the_limit_are_closed_and_the_dead_make_room() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::start(directory.path()).await;
    let mut clients = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        clients.push(agent.client().await);
    }
    let socket = directory.path().join("agent.sock");
    let mut refused = UnixStream::connect(&socket).await.unwrap();
    assert_eq!(soon(refused.read(&mut [0])).await.unwrap(), 0);

    // One of them dies while it waits, for longer than this test.
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
    // VPP is away: once its generation is known, waits last.
    let seen = common::until(&client, |state| {
        matches!(state, maglev_protocol::VppState::Disconnected { reason } if reason.contains("api.sock"))
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
    // The error's kind is not looked at: tarpc writes it signed and reads it unsigned, which not every encoding survives.
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
    // A length beyond the limit, and a frame that is no request.
    for rubbish in [&[0xff; 64][..], &[0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff][..]] {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        stream.write_all(rubbish).await.unwrap();
        // Closed, with or without what was sent read to its end.
        let end = soon(stream.read(&mut [0])).await;
        assert!(
            matches!(end, Ok(0))
                || end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
        );
    }
    assert!(soon(client.vpp_info(context())).await.is_ok());
}
