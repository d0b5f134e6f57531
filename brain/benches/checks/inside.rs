//! Measurements that only the brain itself can make: delay of probes, and of changes in the snapshot.
//!
//! The controller runs as in the brain's process, on a thread of its own pinned to the measured core, and
//! writes the same log. A change is timed twice: when the snapshot containing it was made, and when another
//! thread saw it, which has to be woken and shares a core with the servers.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use maglev_brain::controller::{self, Setup};
use maglev_engine::health::State;
use maglev_engine::overrides::Overrides;
use maglev_engine::snapshot::Snapshot;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing_subscriber::EnvFilter;

use crate::checkers::{address, brain_config};
use crate::cores::Cores;
use crate::measurement::{Bench, WARM_UP};
use crate::usage::load_average;

/// Number of backends that fail together, at intervals. Each is noticed at its own time, within some seconds.
const ILL: u32 = 100;
const EVERY: Duration = Duration::from_secs(4);
/// Shorter than the time between two probes of one backend, so that none is missed.
const LOOK: Duration = Duration::from_millis(400);

pub(crate) fn measure(bench: &mut Bench, backends: u32) {
    let log = File::create(bench.directory().join("inside.log")).unwrap();
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new("info")).with_writer(Mutex::new(log)).init();
    let elsewhere = bench.cores.other;
    let mut services = Builder::new_multi_thread();
    let services = services.worker_threads(2).on_thread_start(move || Cores::stay_on(elsewhere));
    let services = services.enable_all().build().unwrap();
    let (stop, stopped) = oneshot::channel();
    let (started, running) = std::sync::mpsc::channel();
    let path = bench.directory().join("inside.conf");
    std::fs::write(&path, brain_config(bench.servers.port, backends)).unwrap();
    let setup = Setup {
        config: Arc::new(maglev_probe::files::load(&path).unwrap().config),
        overrides: Overrides::default(),
        history: None,
        state: None,
        agent_socket: bench.directory().join("no-agent.sock"),
        instance: 1,
    };
    let (core, handle) = (bench.cores.measured, services.handle().clone());
    let checks = std::thread::spawn(move || {
        Cores::stay_on(core);
        let runtime = controller::runtime().unwrap();
        runtime.block_on(async {
            let shutdown = async { drop(stopped.await) };
            let (controller, until_shutdown) = controller::start(setup, &handle, shutdown);
            started.send(controller.snapshots).unwrap();
            until_shutdown.await;
        });
    });
    let snapshots = running.recv().unwrap();
    let reader = Reader::start(services.handle(), &snapshots);
    services.block_on(async {
        sleep(WARM_UP).await;
        let end = Instant::now() + bench.duration;
        let lateness = services.spawn(lateness(snapshots, end)).await.unwrap();
        make_ill(bench, backends, &reader).await;
        println!("\nwithin the brain, {backends} backends checked once a second; load {}", load_average());
        println!("{:<58}{:>9}{:>11}{:>11}{:>11}", "", "number", "p50", "p99", "max");
        print("a probe's start after its due time", lateness);
        let (made, seen) = reader.end().await.into_iter().map(|[made, seen]| (made, seen)).unzip();
        print("the new state in the snapshot after the last failing probe", made);
        print("... and seen by another thread", seen);
    });
    stop.send(()).unwrap();
    checks.join().unwrap();
    services.shutdown_background();
}

type Snapshots = watch::Receiver<Arc<Snapshot>>;

/// Makes groups of backends fail and recover, one after the other.
async fn make_ill(bench: &mut Bench, backends: u32, reader: &Reader) {
    let groups = u32::try_from(bench.duration.as_nanos().div_ceil(EVERY.as_nanos())).unwrap();
    for first in 0..groups {
        // Spread over the frontends, with other backends each time.
        let group: Vec<_> = (first..backends).step_by((backends / ILL).max(1) as usize).collect();
        for backend in &group {
            reader.falling.send(format!("s{backend}").into()).unwrap();
            bench.servers.set_sick(address(*backend), true);
        }
        sleep(EVERY).await;
        for backend in &group {
            bench.servers.set_sick(address(*backend), false);
        }
    }
}

/// A task that watches for backends going down.
struct Reader {
    /// Backends that are about to go down.
    falling: mpsc::UnboundedSender<Arc<str>>,
    task: JoinHandle<Vec<[Duration; 2]>>,
}

impl Reader {
    fn start(runtime: &Handle, snapshots: &Snapshots) -> Self {
        let (falling, announced) = mpsc::unbounded_channel();
        Self { falling, task: runtime.spawn(changes(snapshots.clone(), announced)) }
    }

    async fn end(self) -> Vec<[Duration; 2]> {
        drop(self.falling);
        self.task.await.unwrap()
    }
}

/// Delay of each probe that ended before `end`.
async fn lateness(snapshots: Snapshots, end: Instant) -> Vec<Duration> {
    let mut seen: HashMap<Arc<str>, std::time::Instant> = HashMap::new();
    let mut all = Vec::new();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        looks.tick().await;
        let snapshot = Arc::clone(&snapshots.borrow());
        for (name, view) in &snapshot.backends {
            let Some(probe) = view.last_probe() else { continue };
            // The first probe of a backend belongs to the warm-up.
            if seen.insert(Arc::clone(name), probe.ended).is_some_and(|before| before != probe.ended) {
                all.push(probe.late);
            }
        }
    }
    all
}

/// For each announced backend that went down: the time from the end of the deciding probe until it was in a
/// snapshot, and until it was seen here.
async fn changes(
    mut snapshots: Snapshots,
    mut announced: mpsc::UnboundedReceiver<Arc<str>>,
) -> Vec<[Duration; 2]> {
    let (mut falling, mut all): (Vec<Arc<str>>, _) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            biased;
            changed = snapshots.changed() => changed.unwrap(),
            name = announced.recv() => match name {
                Some(name) => {
                    falling.push(name);
                    continue;
                }
                None => return all,
            },
        }
        let now = Instant::now().into_std();
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        falling.retain(|name| {
            let view = &snapshot.backends[name];
            let down = view.health.state() == State::Down;
            if let Some(probe) = view.last_probe().filter(|_| down) {
                all.push([snapshot.made, now].map(|then| then.saturating_duration_since(probe.ended)));
            }
            !down
        });
    }
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    print!("{what:<58}{:>9}", times.len());
    for per_mille in [500, 990, 1000] {
        let place = (times.len() * per_mille / 1000).min(times.len().saturating_sub(1));
        match times.get(place) {
            Some(time) => print!("{:>8.2} ms", time.as_secs_f64() * 1e3),
            None => print!("{:>11}", "-"),
        }
    }
    println!();
}
