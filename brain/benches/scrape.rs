//! Cost of a scrape: `cargo bench -p maglev-brain --bench scrape`.
//!
//! The brain's state is real: its core built it from a configuration, probes and syncs. VPP's counters have
//! realistic shape and number. Measures everything from the snapshot to the finished text. The goal is at
//! most 100 ms for 10,000 backends.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Parser;
use maglev_brain::metrics::{Process, Scene, Text, render};
use maglev_engine::agent::AgentEvent;
use maglev_engine::config::{self, Config};
use maglev_engine::core::{Core, Input, Now};
use maglev_engine::outcome::{ProbeCode, ProbeOutcome, Report};
use maglev_engine::overrides::Overrides;
use maglev_engine::snapshot::Snapshot;
use maglev_protocol::{
    AgentInfo, AgentPolicy, Counters, RouteCounters, ServerFigure, ServerFigures, ServerTraffic, VipCounters,
};
use tokio::time::Instant;

#[derive(Debug, Parser)]
struct Arguments {
    /// Frontends
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    frontends: u32,

    /// Backends of each
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    backends: u32,

    /// Scrapes
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Comes from cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let snapshot = snapshot(&arguments);
    let counters = counters(&snapshot);
    let mut times = Vec::new();
    let mut last = Text { text: String::new(), series: 0 };
    for _ in 0..arguments.rounds {
        let begin = Instant::now();
        let scene = Scene {
            snapshot: &snapshot,
            counters: Some(&counters),
            process: Process::read(),
            started: SystemTime::now(),
            unserved: 0,
        };
        last = render(&scene).unwrap();
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    let milliseconds =
        |place: usize| times.get(place).copied().unwrap_or_default().as_micros() as f64 / 1000.0;
    let (middle, end) = (times.len() / 2, times.len() - 1);
    println!(
        "{} frontends with {} backends each: {} series, {:.1} MB",
        arguments.frontends,
        arguments.backends,
        last.series,
        last.text.len() as f64 / 1e6
    );
    println!(
        "{} scrapes: fastest {:.1} ms, median {:.1} ms, slowest {:.1} ms",
        times.len(),
        milliseconds(0),
        milliseconds(middle),
        milliseconds(end)
    );
}

fn snapshot(arguments: &Arguments) -> Snapshot {
    let config = Arc::new(configuration(arguments));
    let now = || Now { wall: SystemTime::now(), mono: Instant::now().into_std() };
    let mut core =
        Core::new(Arc::clone(&config), Overrides::default(), "/run/maglev/dpagent.sock".into(), now());
    let info = AgentInfo { pid: 1, started: 1, no_echo: None, policy: AgentPolicy::default() };
    let connected = AgentEvent::Connected { version: "1.0.0".to_owned(), protocol: 5, info };
    core.handle(Input::Agent(connected), now());
    for name in config.backends.keys() {
        let outcome = ProbeOutcome {
            code: ProbeCode::L7Ok,
            detail: "HTTP 200".into(),
            duration: Duration::from_nanos(fastrand::u64(200_000..3_000_000)),
        };
        let report = Report {
            backend: name.as_str().into(),
            outcome,
            late: Duration::from_micros(fastrand::u64(..800)),
            // Later than the start.
            ended: Instant::now().into_std() + Duration::from_millis(3),
        };
        core.handle(Input::Probe(report), now());
    }
    core.snapshot(Instant::now().into_std())
}

fn configuration(arguments: &Arguments) -> Config {
    let mut text = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1, startup-min-delay: 0s } }
  healthchecks:
    web: { type: http, rise: 1, fall: 3 }
  backends:
"
    .to_owned();
    let address = |base: [u8; 4], place: u32| Ipv4Addr::from_bits(Ipv4Addr::from(base).to_bits() + place);
    let count = arguments.frontends * arguments.backends;
    for place in 0..count {
        let address = address([10, 0, 0, 1], place);
        writeln!(text, "    backend-{place:05}: {{ address: {address}, healthcheck: web }}").unwrap();
    }
    text.push_str("  frontends:\n");
    for place in 0..arguments.frontends {
        let members = place * arguments.backends..(place + 1) * arguments.backends;
        let members: Vec<_> = members.map(|member| format!("backend-{member:05}: {{}}")).collect();
        let (address, members) = (address([203, 0, 0, 1], place), members.join(", "));
        writeln!(
            text,
            "    frontend-{place:04}: {{ address: {address}, protocol: tcp, port: 443, \
             pools: [ {{ name: primary, backends: {{ {members} }} }} ] }}"
        )
        .unwrap();
    }
    config::parse("scrape.yaml", &text).unwrap_or_else(|errors| panic!("{errors}")).config
}

/// Counters as VPP would report them.
fn counters(snapshot: &Snapshot) -> Counters {
    let mut vips: Vec<_> = snapshot
        .frontends
        .values()
        .map(|view| VipCounters {
            key: view.spec.key,
            epoch: 1,
            existing_sessions: fastrand::u64(..1 << 40),
            first_session: fastrand::u64(..1 << 30),
            untracked: 0,
            no_server: 0,
            route: Some(RouteCounters {
                epoch: 1,
                packets: fastrand::u64(..1 << 40),
                bytes: fastrand::u64(..1 << 50),
            }),
        })
        .collect();
    vips.sort_by_key(|vip| vip.key);
    let figure = |vip, address: &IpAddr| ServerFigure {
        vip,
        address: *address,
        weight: 1,
        buckets: 51,
        flows: fastrand::u64(..10_000),
    };
    let mut servers: Vec<_> = snapshot
        .frontends
        .values()
        .flat_map(|view| view.spec.servers.keys().map(|address| figure(view.spec.key, address)))
        .collect();
    servers.sort_by_key(|server| (server.vip, server.address));
    let mut sent: Vec<_> = snapshot
        .config
        .backends
        .values()
        .map(|backend| ServerTraffic {
            address: backend.address,
            packets: fastrand::u64(..1 << 40),
            bytes: fastrand::u64(..1 << 50),
            idle: Duration::ZERO,
        })
        .collect();
    sent.sort_by_key(|server| server.address);
    Counters {
        age: Duration::ZERO,
        vips,
        sent,
        servers: Some(ServerFigures { age: Duration::ZERO, servers }),
    }
}
