//! Cost of thousands of echo requests that time out at the same moment, from the agent's timer to its socket.
//! Needs root, for a network namespace in which nothing answers.
//!
//! `cargo bench -p maglev-dpagent --bench answers`
//!
//! The cost per answer should not depend on their number.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use maglev_dpagent::counters::SERVERS_AGE;
use maglev_dpagent::icmp::{MOST_IN_FLIGHT, Pinger, open};
use maglev_dpagent::policy::SharedPolicy;
use maglev_dpagent::server::{Gate, Listener, Process};
use maglev_dpagent::{policy, server, vpp};
use maglev_protocol::codec::{ClientCodec, framing};
use maglev_protocol::{AgentRequest, AgentResponse, BrainHello, EchoOutcome, EchoRequest, PROTOCOL_VERSION};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Pid, geteuid, gettid};
use tarpc::tokio_util::codec::Framed;
use tarpc::{ClientMessage, Request, Response};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

const POLICY: &str = "\
vips: []
servers: []
ping: [127.0.0.0/8]
limits: { requests-per-second: 1000000, echo-requests-per-second: 1000000 }
";
const ROUNDS: usize = 7;
/// Time from the first request until all time out.
const TIME: Duration = Duration::from_millis(500);
/// How long before that the agent's CPU time is read.
const BEFORE: Duration = Duration::from_millis(20);

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let (ready, started) = std::sync::mpsc::channel();
    let agent = {
        let directory = directory.path().to_owned();
        move || agent(&directory, &ready)
    };
    std::thread::spawn(agent);
    let thread = started.recv().expect("no agent: are you root?");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure(&socket, thread));
}

/// Runs an agent in a network namespace of this thread's own, and sends the thread's id.
fn agent(directory: &Path, ready: &std::sync::mpsc::Sender<Pid>) {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    for command in ["ip link set lo up", "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all"] {
        assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let policy = SharedPolicy::new(policy::parse(POLICY, "policy.yaml").unwrap());
        let listener = Listener::bind(&directory.join("agent.sock")).await.unwrap();
        let options = vpp::Options {
            api_socket: directory.join("api.sock"),
            stats_socket: directory.join("stats.sock"),
            policy: policy.clone(),
            servers_age: SERVERS_AGE,
        };
        let (vpp, _task) = vpp::start(options, CancellationToken::new());
        let (pinger, _task) = Pinger::start(open().unwrap()).unwrap();
        let gate = Gate {
            brain_user: geteuid().as_raw(),
            policy,
            pinger: Ok(pinger),
            routes: Err("there are none here".to_owned()),
            tunnel: Err("there is none here".to_owned()),
            process: Process::starts(),
        };
        ready.send(gettid()).unwrap();
        server::serve(listener, gate, vpp).await;
    });
}

async fn measure(socket: &Path, thread: Pid) {
    let stream = UnixStream::connect(socket).await.unwrap();
    let codec = ClientCodec::<AgentRequest, AgentResponse>::default();
    let mut brain = tarpc::serde_transport::new(Framed::new(stream, framing()), codec);
    let hello = BrainHello { protocol: PROTOCOL_VERSION, version: "bench".to_owned(), instance: 1 };
    brain.send(request(0, AgentRequest::Hello { brain: hello })).await.unwrap();
    brain.next().await.unwrap().unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "medians of {ROUNDS} rounds\n\n{:>8}{:>14}{:>14}", "answers", "agent's CPU", "of each")
        .unwrap();
    for count in [MOST_IN_FLIGHT / 16, MOST_IN_FLIGHT / 4, MOST_IN_FLIGHT / 2, MOST_IN_FLIGHT] {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let end = Instant::now() + TIME;
            for id in 1..=count as u64 {
                let timeout = end - Instant::now();
                let target = Ipv4Addr::LOCALHOST.into();
                let echo = EchoRequest { target, source: None, timeout, size: 56 };
                brain.feed(request(id, AgentRequest::IcmpEcho { request: echo })).await.unwrap();
            }
            brain.flush().await.unwrap();
            assert!(end - Instant::now() > 2 * BEFORE, "this machine is too slow");
            sleep_until(end - BEFORE).await;
            let before = cpu_time(thread);
            for _ in 0..count {
                let answer: Response<AgentResponse> = brain.next().await.unwrap().unwrap();
                let Ok(AgentResponse::IcmpEcho(outcome)) = answer.message else { panic!("{answer:?}") };
                assert_eq!(outcome, Ok(EchoOutcome::TimedOut));
            }
            times.push(cpu_time(thread) - before);
        }
        times.sort_unstable();
        let median = times[ROUNDS / 2].as_secs_f64();
        let each = median * 1e6 / count as f64;
        writeln!(out, "{count:>8}{:>11.2} ms{each:>11.2} us", median * 1e3).unwrap();
    }
}

fn request(id: u64, message: AgentRequest) -> ClientMessage<AgentRequest> {
    ClientMessage::Request(Request { context: tarpc::context::current(), id, message })
}

/// CPU time of a thread, from Linux's `schedstat`, in nanoseconds.
fn cpu_time(thread: Pid) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}
