//! Time from the end of a probe that changes a backend's state to VPP's acknowledgement, through the real
//! processes: `cargo bench -p maglev-tests --bench failover`. VPP is the simulator, or the one whose sockets
//! are in `MAGLEV_VPP_RUN_DIR`.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::time::Duration;

use clap::Parser;
use maglev_tests::stack::{Stack, VPP_RUN_DIR, free_port};
use maglev_tests::switched::Server;
use maglev_tests::wait;
use tokio::time::sleep;

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
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..arguments.changes {
        let chosen = random.usize(..servers.len());
        let server = servers.get_mut(chosen).unwrap();
        let healthy = !server.is_healthy();
        server.set_healthy(healthy);
        // Nothing queries the processes meanwhile, which would evict their caches.
        sleep(BETWEEN.mul_f64(1.0 + random.f64())).await;
    }
    let expected = before + arguments.changes * vips;
    wait::until("VPP to follow", || async { Ok((took(&stack).len() >= expected).then_some(())) })
        .await
        .unwrap();
    let mut times = took(&stack).split_off(before);
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() - 1) * percent / 100).copied().unwrap_or_default();
    let vpp = if given.is_some() { "VPP" } else { "the simulator" };
    println!(
        "{} changes of {} backends in {} VIPs on {vpp}, from the probe's end to the acknowledgement:",
        arguments.changes, arguments.backends, arguments.vips
    );
    println!("p50 {} us, p90 {} us, p99 {} us, most {} us", at(50), at(90), at(99), at(100));
    println!("goals on an idle machine: p50 at most {} us, p99 at most {} us", GOALS.0, GOALS.1);
}
