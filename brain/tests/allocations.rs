//! The number of allocations per check, which must not grow unnoticed: unlike a time, it is the same on every machine.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::cast_precision_loss, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maglev_brain::activity::Activity;
use maglev_brain::agent::echo_queue;
use maglev_brain::controller;
use maglev_brain::prober::{Checked, Prober, Scheduler, Subject};
use maglev_engine::config::{self, Config};
use maglev_engine::core::{Core, Input, Now};
use maglev_engine::outcome::{ProbeCode, Report};
use maglev_engine::overrides::Overrides;
use maglev_engine::schedule::Intervals;
use maglev_probe::Checker;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// Allocations of one http check that passes, from its due time to the controller's state. A change may add a tenth.
const PER_CHECK: f64 = 3.0;

/// With more, how many are in progress at once, and with that what they share, would depend on the machine.
const BACKENDS: u32 = 1;
const WARM_UP: u32 = 50;
const CHECKS: u32 = 300;

/// Answers every request with 200.
fn serve(listener: &TcpListener) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 2048];
        // A client that has gone is none of the test's business.
        if stream.read(&mut request).is_ok_and(|read| read > 0) {
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
        }
    }
}

fn configuration(port: u16) -> Config {
    let mut text = format!(
        "maglev:
  vpp: {{ lb: {{ ipv4-src-address: 192.0.2.254 }} }}
  healthchecks:
    http: {{ type: http, port: {port}, interval: 10ms, timeout: 1s, params: {{ path: /, response-code: 200 }} }}
  backends:
"
    );
    for backend in 1..=BACKENDS {
        writeln!(text, "    s{backend}: {{ address: 127.0.0.{backend}, healthcheck: http }}").unwrap();
    }
    text.push_str(
        "  frontends:\n    f: { address: 192.0.2.1, pools: [ { name: p, backends: { s1: {} } } ] }\n",
    );
    config::parse("allocations.yaml", &text).unwrap_or_else(|errors| panic!("{errors}")).config
}

/// A core with the probers of its backends.
struct Brain {
    core: Core,
    reports: mpsc::Receiver<Report>,
    _probers: Vec<Prober<Checked>>,
    _scheduler: Scheduler<Checked>,
}

impl Brain {
    fn start(port: u16) -> Self {
        let core = Core::new(configuration(port).into(), Overrides::default(), "no.sock".into(), now());
        let (echoes, _) = echo_queue();
        let (sender, reports) = mpsc::channel(1024);
        let check = core.config().healthchecks.values().next().unwrap();
        let (checker, intervals) = (Arc::new(Checker::new(check.clone(), echoes)), Intervals::of(check));
        let scheduler = Scheduler::start(sender, Activity::default());
        let add = |(name, checked): (&Arc<str>, maglev_engine::core::Checked<'_>)| {
            let probe = Checked::new(Arc::clone(&checker), checked.target);
            let (backend, tally) = (Arc::clone(name), Arc::clone(checked.tally));
            let subject = Subject { backend, check: checked.index, probe, tally };
            scheduler.add(subject, intervals, checked.pace, Duration::ZERO)
        };
        let probers = core.checked_backends().map(add).collect();
        Self { core, reports, _probers: probers, _scheduler: scheduler }
    }

    /// Runs until about so many more checks have been made; returns how many.
    async fn run(&mut self, checks: u32) -> u32 {
        let before = self.passed();
        while self.passed() - before < checks {
            tokio::select! {
                report = self.reports.recv() => {
                    let report = report.unwrap();
                    assert!(report.outcome.passed(), "{}", report.outcome);
                    self.core.handle(Input::Probe(report), now());
                }
                () = sleep(Duration::from_millis(2)) => {}
            }
        }
        self.passed() - before
    }

    fn passed(&self) -> u32 {
        self.core.checked_backends().map(|(_, checked)| checked.tally.probes(ProbeCode::L7Ok)).sum()
    }
}

fn now() -> Now {
    Now { wall: SystemTime::now(), mono: Instant::now().into_std() }
}

#[test]
fn a_check_allocates_no_more_than_it_did() {
    let listener = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || serve(&listener));
    let runtime = controller::runtime().unwrap();
    let mut brain = {
        let _here = runtime.enter();
        Brain::start(port)
    };
    runtime.block_on(brain.run(WARM_UP));
    let mut checks = 0;
    let counted = allocation_counter::measure(|| checks = runtime.block_on(brain.run(CHECKS)));
    let per_check = counted.count_total as f64 / f64::from(checks);
    println!(
        "{per_check:.2} allocations, {:.0} bytes a check",
        counted.bytes_total as f64 / f64::from(checks)
    );
    assert!(per_check <= PER_CHECK * 1.1, "{per_check:.2} allocations a check, {PER_CHECK} before");
    // If it fell, the figure must follow, or the next growth goes unnoticed.
    assert!(per_check >= PER_CHECK * 0.9, "{per_check:.2} allocations a check: lower PER_CHECK");
}
