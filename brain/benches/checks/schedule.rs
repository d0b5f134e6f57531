//! Cost of a check without the probe itself: schedule, health, weights and snapshots of up to 50,000
//! backends.
//!
//! Probes pass at once, without a packet, and the time between them is simulated, so the rows show only how
//! the brain's own work grows with the number of backends.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maglev_brain::activity::Activity;
use maglev_brain::prober::{Probe, Prober, Scheduler, Subject};
use maglev_engine::config;
use maglev_engine::core::{Core, Input, Now};
use maglev_engine::outcome::{ProbeCode, ProbeOutcome};
use maglev_engine::overrides::Overrides;
use maglev_engine::schedule::Intervals;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::checkers::brain_config;
use crate::usage::{CpuTime, load_average};

const SIZES: [u32; 5] = [100, 1_000, 10_000, 20_000, 50_000];
/// The controller's interval for publishing details of probes.
const SNAPSHOTS: Duration = Duration::from_millis(250);
/// Number of checks per row: for few backends, more simulated time, so that there is enough to measure.
const CHECKS: u32 = 500_000;

#[derive(Clone)]
struct Instantly;

impl Probe for Instantly {
    fn probe(&self) -> impl Future<Output = ProbeOutcome> + Send + 'static {
        let outcome = ProbeOutcome {
            code: ProbeCode::L7Ok,
            detail: "HTTP 200".into(),
            duration: Duration::ZERO,
            asked: None,
        };
        std::future::ready(outcome)
    }
}

pub(crate) fn measure() {
    println!("\nwithout the probes themselves, in simulated time");
    println!("backends    checks  CPU/check   load");
    for backends in SIZES {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(row(backends));
    }
}

async fn row(backends: u32) {
    let text = brain_config(80, backends);
    let config = config::parse("schedule.yaml", &text).unwrap().config;
    let intervals = Intervals::of(config.healthchecks.values().next().unwrap());
    let now = || Now { wall: SystemTime::UNIX_EPOCH, mono: Instant::now().into_std() };
    let mut core = Core::new(config.into(), Overrides::default(), "nobody.sock".into(), now());
    let (reports, mut inbox) = mpsc::channel(1024);
    let count = backends as usize;
    let scheduler = Scheduler::start(reports, Activity::default());
    let probers: Vec<Prober<Instantly>> = core
        .checked_backends()
        .enumerate()
        .map(|(rank, (name, checked))| {
            let first = intervals.first_delay(intervals.normal, rank, count, 0.5);
            let (backend, tally) = (Arc::clone(name), Arc::clone(checked.tally));
            let subject = Subject { backend, check: checked.index, probe: Instantly, tally };
            scheduler.add(subject, intervals, checked.pace, first)
        })
        .collect();
    let mut snapshot = core.snapshot(Instant::now().into_std());
    let mut tick = interval(SNAPSHOTS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let passed = |core: &Core| -> u32 {
        core.checked_backends().map(|(_, checked)| checked.tally.probes(ProbeCode::L7Ok)).sum()
    };
    let mut before = None;
    let checks = loop {
        tokio::select! {
            biased;
            _ = tick.tick() => {
                // A reader has had it until now, as in the brain.
                assert_eq!(snapshot.backends.len(), count);
                snapshot = core.snapshot(Instant::now().into_std());
                let made = passed(&core);
                match before {
                    // Until every backend is up.
                    None if made >= 4 * backends => before = Some((made, CpuTime::of(std::process::id()))),
                    Some((earlier, _)) if made - earlier >= CHECKS => break made - earlier,
                    _ => {}
                }
            }
            report = inbox.recv() => drop(core.handle(Input::Probe(report.unwrap()), now())),
        }
    };
    let (cpu, _) = CpuTime::of(std::process::id()).since(&before.unwrap().1);
    let micros = cpu.as_secs_f64() * 1e6 / f64::from(checks);
    println!("{backends:>8}  {checks:>8}  {micros:>6.2} us  {:>5}", load_average());
    drop(probers);
}
