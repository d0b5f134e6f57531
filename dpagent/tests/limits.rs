//! Peers that stay silent, stop halfway, flood the agent or never read: limits on the memory and time that
//! they take.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::time::Duration;

use common::{
    Agent, POLICY, context, hello_as, is_connected, requests, simulator, soon, spec, until, within,
};
use maglev_dpagent::server::{FRAME_TIME, HELLO_TIME, MOST_UNREAD, MOST_UNREAD_TOGETHER};
use maglev_protocol::codec::{ClientCodec, encoded_size};
use maglev_protocol::{
    AgentClient, AgentError, AgentRequest, AgentResponse, BrainHello, Demands, MAX_FRAME, PROTOCOL_VERSION,
    Programmed, ServerSpec, VipSpec,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tarpc::tokio_serde::{Deserializer, Serializer};
use tarpc::tokio_util::bytes::BytesMut;
use tarpc::{ClientMessage, Request, Response};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};
use vppsim::instance::Instance;

type Codec = ClientCodec<AgentRequest, AgentResponse>;

/// A connection whose bytes the test reads and writes itself.
struct Peer {
    stream: UnixStream,
    requests: u64,
}

impl Peer {
    async fn connect(agent: &Agent) -> Self {
        Self { stream: UnixStream::connect(&agent.socket).await.unwrap(), requests: 0 }
    }

    /// A connection that has said hello.
    async fn greeted(agent: &Agent, instance: u64) -> Self {
        let mut peer = Self::connect(agent).await;
        peer.ask(hello(instance)).await;
        assert!(matches!(peer.answer().await, Some(Ok(AgentResponse::Hello(Ok(_))))));
        peer
    }

    async fn ask(&mut self, request: AgentRequest) {
        let frame = self.frame(request);
        self.stream.write_all(&frame).await.unwrap();
    }

    fn frame(&mut self, message: AgentRequest) -> Vec<u8> {
        self.requests += 1;
        let request = Request { context: within(Duration::from_secs(100)), id: self.requests, message };
        let frame = Pin::new(&mut Codec::default()).serialize(&ClientMessage::Request(request)).unwrap();
        [&u32::try_from(frame.len()).unwrap().to_be_bytes(), &frame[..]].concat()
    }

    /// The next answer; `None` if the agent has closed the connection.
    async fn answer(&mut self) -> Option<Result<AgentResponse, String>> {
        let mut length = [0; 4];
        soon(self.stream.read_exact(&mut length)).await.ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length).try_into().unwrap()];
        soon(self.stream.read_exact(&mut frame)).await.ok()?;
        let frame = BytesMut::from(&frame[..]);
        let answer: Response<_> = Pin::new(&mut Codec::default()).deserialize(&frame).unwrap();
        Some(answer.message.map_err(|error| error.detail))
    }

    /// Time until the agent closes the connection. Nothing is read meanwhile.
    async fn closed_after(&mut self) -> Duration {
        let start = Instant::now();
        while !self.is_closed() {
            sleep(Duration::from_millis(100)).await;
            assert!(start.elapsed() < Duration::from_secs(60), "it stays open");
        }
        start.elapsed()
    }

    /// Checks without reading or waiting.
    fn is_closed(&self) -> bool {
        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::empty())];
        poll(&mut fds, PollTimeout::ZERO).unwrap() > 0
    }
}

fn hello(instance: u64) -> AgentRequest {
    let brain = BrainHello { protocol: PROTOCOL_VERSION, version: "test".to_owned(), instance };
    AgentRequest::Hello { brain }
}

/// A VIP with a thousand servers.
fn large() -> VipSpec {
    let servers = (0..1000_u16).map(|number| {
        let [high, low] = number.to_be_bytes();
        (IpAddr::from([10, 1, high, low]), ServerSpec { weight: 1, flush: true })
    });
    VipSpec { servers: servers.collect(), ..spec(80, &[]) }
}

/// A VPP with a large VIP, an agent, and the client that added the VIP; all in this thread, with its paused
/// clock.
async fn bench() -> (TempDir, Instance, Agent, AgentClient) {
    let directory = tempfile::tempdir().unwrap();
    let vpp = simulator(directory.path());
    let agent = Agent::start(directory.path()).await;
    let client = agent.client().await;
    until(&client, is_connected).await;
    client.sync_vip(context(), large(), Demands::default()).await.unwrap().unwrap();
    (directory, vpp, agent, client)
}

/// Runs the agent, which shares the test's thread, until it has nothing left to do.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

/// Requests VPP's state many times without reading the answers.
async fn ask_without_reading(peer: &mut Peer, times: usize) {
    for round in 0..times {
        peer.ask(AgentRequest::Programmed {}).await;
        if round % 16 == 0 {
            settle().await;
        }
    }
    settle().await;
}

fn programmed(answer: Result<AgentResponse, String>) -> Result<Programmed, AgentError> {
    match answer {
        Ok(AgentResponse::Programmed(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn unread_answers_are_bounded_on_a_connection_and_in_all() {
    let (_directory, _vpp, agent, client) = bench().await;
    let answer = client.programmed(context()).await.unwrap().unwrap();
    let kib = usize::try_from(encoded_size(&answer).unwrap().div_ceil(1024)).unwrap();
    // What is in the socket's buffer counts as the peer's.
    let in_the_socket = 300 / kib;

    // There is no writer any more, so these connections share the readers' quota.
    drop(client);
    settle().await;
    let times = MOST_UNREAD / kib + 50;
    let mut peers = Vec::new();
    for instance in 2..5 {
        let mut peer = Peer::greeted(&agent, instance).await;
        ask_without_reading(&mut peer, times).await;
        peers.push(peer);
    }
    let other = agent.stranger().await;
    hello_as(&other, 9).await;
    let refused = soon(other.programmed(context())).await.unwrap().unwrap_err();
    let words = format!("too many KiB of unread answers on all connections: at most {MOST_UNREAD_TOGETHER}");
    assert_eq!(refused.to_string(), words);
    // The writing brain has its own share.
    soon(other.sync_vip(context(), large(), Demands::default())).await.unwrap().unwrap();
    assert_eq!(soon(other.programmed(context())).await.unwrap(), Ok(answer.clone()));

    let peer = &mut peers[0];
    let mut given = 0;
    for _ in 0..times {
        match programmed(peer.answer().await.expect("it is closed")) {
            Ok(programmed) => given += usize::from(programmed == answer),
            Err(error) => {
                let words = format!("too many KiB of unread answers on a connection: at most {MOST_UNREAD}");
                assert_eq!(error.to_string(), words);
            }
        }
    }
    assert!((1..=MOST_UNREAD / kib + in_the_socket + 1).contains(&given), "{given} answers of {kib} KiB");
    assert!(given < times);
    // Once the answers are read, there is room again.
    drop(other);
    settle().await;
    peer.ask(AgentRequest::Programmed {}).await;
    assert_eq!(programmed(peer.answer().await.unwrap()), Ok(answer));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_its_answers_is_closed() {
    let (_directory, _vpp, agent, _client) = bench().await;
    let mut peer = Peer::greeted(&agent, 2).await;
    ask_without_reading(&mut peer, 100).await;
    let after = peer.closed_after().await;
    assert!((FRAME_TIME - Duration::from_secs(1)..FRAME_TIME * 2).contains(&after), "{after:?}");

    // A peer that reads slowly is not cut off.
    let mut slow = Peer::greeted(&agent, 3).await;
    ask_without_reading(&mut slow, 60).await;
    for _ in 0..60 {
        sleep(FRAME_TIME / 20).await;
        assert!(programmed(slow.answer().await.expect("it is closed")).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_say_hello_is_closed_and_one_that_did_may_be_silent() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::start(directory.path()).await;
    let mut silent = Peer::connect(&agent).await;
    let greeted = agent.client().await;
    let after = silent.closed_after().await;
    assert!((HELLO_TIME..HELLO_TIME * 2).contains(&after), "{after:?}");

    // Calls that are allowed without hello do not replace it.
    let mut talking = Peer::connect(&agent).await;
    let start = Instant::now();
    while !talking.is_closed() {
        let frame = talking.frame(AgentRequest::VppInfo {});
        talking.stream.try_write(&frame).ok();
        sleep(Duration::from_millis(100)).await;
        assert!(start.elapsed() < HELLO_TIME * 2, "it stays open");
    }
    sleep(Duration::from_secs(3600)).await;
    assert!(greeted.vpp_info(within(Duration::from_secs(100))).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_sent_to_its_end_closes_the_connection() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::start(directory.path()).await;
    let request = || AgentRequest::SyncVip { wanted: large(), demands: Demands::default() };
    // Within its length, right after it, and within the rest.
    for sent in [1, 4, 1000] {
        let mut peer = Peer::greeted(&agent, 1).await;
        let frame = peer.frame(request());
        peer.stream.write_all(&frame[..sent]).await.unwrap();
        let after = peer.closed_after().await;
        assert!((FRAME_TIME..FRAME_TIME * 2).contains(&after), "{sent}: {after:?}");
    }
    // A byte now and then does not count as progress.
    let mut peer = Peer::greeted(&agent, 1).await;
    let frame = peer.frame(request());
    let start = Instant::now();
    for byte in frame.chunks(1) {
        if peer.stream.try_write(byte).is_err() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert!(start.elapsed() < FRAME_TIME * 2, "{:?}", start.elapsed());
    // Sent in pieces within the time limit, it is a normal request, however often.
    let mut peer = Peer::greeted(&agent, 1).await;
    for _ in 0..5 {
        let frame = peer.frame(AgentRequest::VppInfo {});
        for piece in frame.chunks(frame.len().div_ceil(3)) {
            peer.stream.write_all(piece).await.unwrap();
            sleep(FRAME_TIME / 4).await;
        }
        assert!(matches!(peer.answer().await, Some(Ok(AgentResponse::VppInfo(_)))));
    }
}

#[tokio::test]
async fn before_hello_a_frame_is_short_and_after_it_as_long_as_any() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::start(directory.path()).await;
    let mut peer = Peer::connect(&agent).await;
    let version = "x".repeat(15 << 20);
    let brain = BrainHello { protocol: PROTOCOL_VERSION, version, instance: 1 };
    let frame = peer.frame(AgentRequest::Hello { brain });
    // The agent may hang up before everything is written.
    peer.stream.write_all(&frame).await.ok();
    assert!(peer.answer().await.is_none());

    let mut peer = Peer::greeted(&agent, 1).await;
    let keep = vec![spec(80, &[]).key; MAX_FRAME / 13];
    peer.ask(AgentRequest::SyncAll { wanted: Vec::new(), keep }).await;
    // There is no VPP in this test.
    let answer = peer.answer().await;
    assert!(matches!(answer, Some(Ok(AgentResponse::SyncAll(Err(AgentError::NoVpp { .. }))))), "{answer:?}");
}

/// Two brains read VPP's whole state as fast as they can: the policy's rate still holds.
#[tokio::test(start_paused = true)]
async fn whole_state_is_read_no_faster_than_the_policy_says() {
    const CALLS: u32 = 10_000;
    let directory = tempfile::tempdir().unwrap();
    let _vpp = simulator(directory.path());
    let policy = POLICY.replace("reads-per-second: 100000", "reads-per-second: 2");
    let agent = Agent::with_policy(directory.path(), &policy).await;
    let writer = agent.client().await;
    until(&writer, is_connected).await;
    soon(writer.sync_vip(context(), spec(80, &[1]), Demands::default())).await.unwrap().unwrap();
    let captured = agent.stranger().await;
    hello_as(&captured, 2).await;
    let reads = || {
        let requests = requests(&directory.path().join("trace.jsonl"));
        requests.iter().filter(|name| *name == "lb_as_v2_dump").count()
    };
    let (before, start) = (reads(), Instant::now());
    let most = || 2 + usize::try_from(start.elapsed().as_millis() / 500).unwrap();

    for _ in 0..CALLS {
        let state = captured.lb_state(context()).await.unwrap().unwrap();
        assert!(state.vips.len() == 1 && state.age < Duration::from_millis(500), "{state:?}");
        sleep(Duration::from_secs(1) / CALLS).await;
    }
    assert!((2..=most()).contains(&(reads() - before)), "{} reads", reads() - before);

    // A sync's own read counts too: it waits for its turn, and does not reuse an older read.
    for weight in 1..=10 {
        let wanted = vec![spec(80, &[weight])];
        let report = soon(writer.sync_all(context(), wanted, Vec::new())).await.unwrap().unwrap();
        assert!(report.read.is_some());
        let state = captured.lb_state(context()).await.unwrap().unwrap();
        assert_eq!(state.vips[0].servers[0].weight, weight, "what was written since is read");
        captured.counters(context(), true).await.unwrap().unwrap();
    }
    assert!((20..=most()).contains(&(reads() - before)), "{} reads", reads() - before);
}
