//! Time from the end of a probe that changes a backend's state to VPP's acknowledgement, through the real
//! processes: `cargo bench -p maglev-tests --bench failover`. VPP is the simulator, or the one whose sockets
//! are in `MAGLEV_VPP_RUN_DIR`.
//!
//! The floor is a message that takes the same way, brain, agent, VPP and back, through threads that do nothing else,
//! sent after each change, and as rarely: most of its time is the kernel's, to wake up a core that sleeps.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use clap::Parser;
use maglev_tests::stack::{Stack, VPP_RUN_DIR, free_port};
use maglev_tests::switched::Server;
use maglev_tests::wait;
use tokio::time::{Instant, sleep};

#[derive(Debug, Parser)]
struct Arguments {
    /// Changes of state to measure
    #[arg(long, default_value_t = 1000)]
    changes: usize,

    /// VIPs, each with all backends
    #[arg(long, default_value_t = 1)]
    vips: u8,

    /// Backends
    #[arg(long, default_value_t = 10)]
    backends: u8,

    /// What cargo tells every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Goals on an idle machine, in microseconds: median, and 99th percentile.
const GOALS: (u64, u64) = (300, 1000);
/// Failed probes count only once a VPP that was just met has been there for 5 s.
const SETTLED: Duration = Duration::from_secs(7);
/// Minimum time between two changes: the next probe, which finds the change, is due within it.
const BETWEEN: Duration = Duration::from_millis(80);

fn configuration(arguments: &Arguments, data: u16, health: u16) -> String {
    let names: Vec<String> = (1..=arguments.backends).map(|last| format!("s{last}")).collect();
    let backends: String = names
        .iter()
        .zip(1..)
        .map(|(name, last)| format!("    {name}: {{ address: {}, healthcheck: port }}\n", address(last)))
        .collect();
    let members = names.iter().map(|name| format!("{name}: {{}}")).collect::<Vec<_>>().join(", ");
    let frontends: String = (1..=arguments.vips)
        .map(|last| {
            format!(
                "    v{last}: {{ address: 127.90.0.{last}, protocol: tcp, port: {data}, \
                 pools: [ {{ name: only, backends: {{ {members} }} }} ] }}\n"
            )
        })
        .collect();
    format!(
        "maglev:
  vpp: {{ lb: {{ ipv4-src-address: 127.0.0.1, startup-min-delay: 0s, startup-max-delay: 0s }} }}
  healthchecks:
    port: {{ type: tcp, port: {health}, interval: 50ms, timeout: 40ms, rise: 1, fall: 1 }}
  backends:
{backends}  frontends:
{frontends}"
    )
}

/// Size of the floor's messages in bytes, some of a request's for one VIP.
const MESSAGE: usize = 256;

/// The brain's end of the floor.
struct Floor(UnixStream);

impl Floor {
    fn start() -> std::io::Result<Self> {
        let (brain, mut to_brain) = UnixStream::pair()?;
        let (mut to_vpp, mut vpp) = UnixStream::pair()?;
        thread::spawn(move || {
            while receive(&mut to_brain).is_ok() {
                send(&mut to_vpp).and_then(|()| receive(&mut to_vpp)).unwrap();
                send(&mut to_brain).unwrap();
            }
        });
        thread::spawn(move || while receive(&mut vpp).and_then(|()| send(&mut vpp)).is_ok() {});
        Ok(Self(brain))
    }

    /// Microseconds of one message there and back.
    fn measure(&mut self) -> std::io::Result<u64> {
        let start = Instant::now();
        send(&mut self.0)?;
        receive(&mut self.0)?;
        Ok(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

fn send(stream: &mut UnixStream) -> std::io::Result<()> {
    stream.write_all(&[0; MESSAGE])
}

fn receive(stream: &mut UnixStream) -> std::io::Result<()> {
    stream.read_exact(&mut [0; MESSAGE])
}

/// Of sorted microseconds: what is exceeded by all but so many per cent.
fn at(times: &[u64], percent: usize) -> u64 {
    times.get(times.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
}

fn address(last: u8) -> Ipv4Addr {
    [127, 91, 0, last].into()
}

/// The times in the brain's log, in microseconds.
fn took(stack: &Stack) -> Vec<u64> {
    let log = std::fs::read_to_string(stack.log("brain")).unwrap();
    let lines = log.lines().filter(|line| line.contains("VPP has acknowledged the decision"));
    let time = |line: &str| line.split("took_us=").nth(1)?.split_whitespace().next()?.parse().ok();
    lines.filter_map(time).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let (data, health) = (free_port().unwrap(), free_port().unwrap());
    let given = std::env::var_os(VPP_RUN_DIR).filter(|path| !path.is_empty());
    let mut stack = Stack::bare(given.clone().map(Into::into)).unwrap();
    stack.configure(&configuration(&arguments, data, health)).unwrap();
    stack.set_brain_log("info,maglev_engine::core::syncs=debug");
    let mut servers = Vec::new();
    for last in 1..=arguments.backends {
        servers.push(Server::start(address(last), data, health).await.unwrap());
    }
    if stack.simulated() {
        stack.start_vppsim().unwrap();
    }
    stack.start_agent().unwrap();
    stack.start_brain().unwrap();
    let vips = usize::from(arguments.vips);
    wait::until("the first sync", || async { Ok((took(&stack).len() >= vips).then_some(())) }).await.unwrap();
    sleep(SETTLED).await;

    let before = took(&stack).len();
    let (mut floor, mut floors) = (Floor::start().unwrap(), Vec::new());
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..arguments.changes {
        let chosen = random.usize(..servers.len());
        let server = servers.get_mut(chosen).unwrap();
        let healthy = !server.is_healthy();
        server.set_healthy(healthy);
        // Nothing queries the processes meanwhile, which would evict their caches.
        sleep(BETWEEN.mul_f64(1.0 + random.f64())).await;
        floors.push(floor.measure().unwrap());
    }
    let expected = before + arguments.changes * vips;
    wait::until("VPP to follow", || async { Ok((took(&stack).len() >= expected).then_some(())) })
        .await
        .unwrap();
    let mut times = took(&stack).split_off(before);
    times.sort_unstable();
    floors.sort_unstable();
    let vpp = if given.is_some() { "VPP" } else { "the simulator" };
    println!(
        "{} changes of {} backends in {} VIPs on {vpp}, from the probe's end to the acknowledgement:",
        arguments.changes, arguments.backends, arguments.vips
    );
    for (what, times) in [("failover", &times), ("floor", &floors)] {
        let [p50, p90, p99, most] = [50, 90, 99, 100].map(|percent| at(times, percent));
        println!("{what:<10} p50 {p50} us, p90 {p90} us, p99 {p99} us, most {most} us");
    }
    let ratio = |percent: usize| at(&times, percent) as f64 / at(&floors, percent) as f64;
    println!("ratio      p50 {:.2}, p99 {:.2}", ratio(50), ratio(99));
    println!("goals on an idle machine: p50 at most {} us, p99 at most {} us", GOALS.0, GOALS.1);
}
