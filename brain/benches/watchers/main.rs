//! Cost of watchers for everybody else: `cargo bench -p maglev-brain --bench watchers`.
//!
//! Backends change their state at every probe. Measures in the brain how long after the end of a probe its
//! result is in the snapshot, with no, one and 800 watchers of everything on connections of their own; and at
//! the watchers, how long a change takes to arrive. The watchers are this program, started again: separate
//! from the brain, but on a machine with few cores they compete with it for CPU time.

#![allow(clippy::cast_precision_loss, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod flapping;
mod watching;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use maglev_brain::controller::{self, Setup};
use maglev_brain::grpc::{Access, AccessSettings, Gate, ListenAddress, Listener, Loopback, Service, serve};
use maglev_brain::open_files;
use maglev_brain::reload::Reloader;
use maglev_engine::overrides::Overrides;
use maglev_engine::snapshot::Snapshot;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};

use watching::Watchers;

#[derive(Debug, Parser)]
struct Arguments {
    /// Changes of state in a second, each of a backend of its own
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    changes: u16,

    /// How long each row is measured
    #[arg(long, default_value_t = 10)]
    seconds: u64,

    /// How often all rows are measured, in turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// How many watch, over loopback TCP: it may have 832 connections
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1, 800])]
    watchers: Vec<usize>,

    /// Watches at this address
    #[arg(long, hide = true)]
    watch: Option<SocketAddr>,

    /// Comes from cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    open_files::raise_limit(arguments.watchers.iter().sum());
    if let Some(address) = arguments.watch {
        return watching::watch(address, arguments.watchers[0]);
    }
    let directory = tempfile::tempdir().unwrap();
    let brain = Brain::start(directory.path(), arguments.changes);
    let duration = Duration::from_secs(arguments.seconds);
    println!(
        "{} changes in a second, {} s a row, on {} cores",
        arguments.changes,
        arguments.seconds,
        std::thread::available_parallelism().unwrap()
    );
    println!(
        "{:>9}{:>9}{:>12}{:>12}{:>14}{:>12}{:>12}{:>9}",
        "watchers", "changes", "p50", "p99", "deliveries", "delay p50", "p99", "missed"
    );
    let mut rows: Vec<Vec<Times>> = arguments.watchers.iter().map(|_| Vec::new()).collect();
    for _ in 0..arguments.rounds {
        for (count, rows) in arguments.watchers.iter().zip(&mut rows) {
            rows.push(brain.measure(*count, duration));
        }
    }
    let median = |rows: &[Times], of: fn(&Times) -> f64| {
        let mut all: Vec<_> = rows.iter().map(of).collect();
        all.sort_unstable_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let base = &rows[0];
    for (count, rows) in arguments.watchers.iter().zip(&rows).skip(1) {
        let ratio = |of| median(rows, of) / median(base, of);
        println!(
            "with {count} watchers against {}: p50 x {:.2}, p99 x {:.2} (medians of {} rounds)",
            arguments.watchers[0],
            ratio(|times| times.p50),
            ratio(|times| times.p99),
            rows.len()
        );
    }
}

/// Microseconds.
#[derive(Debug, Clone, Copy)]
struct Times {
    p50: f64,
    p99: f64,
}

impl Times {
    fn of(mut micros: Vec<f64>) -> Self {
        micros.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let place = (micros.len() as f64 * share) as usize;
            micros.get(place.min(micros.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
        };
        Self { p50: at(0.5), p99: at(0.99) }
    }
}

/// A brain as in its process: the controller on a thread of its own, operators on two others.
struct Brain {
    address: SocketAddr,
    /// Requests the times of the changes since the last request.
    samples: mpsc::UnboundedSender<oneshot::Sender<Vec<f64>>>,
}

impl Brain {
    fn start(directory: &Path, changes: u16) -> Self {
        let port = flapping::start();
        let file = directory.join("maglev.yaml");
        std::fs::write(&file, configuration(port, changes)).unwrap();
        let setup = Setup {
            config: Arc::new(maglev_probe::files::load(&file).unwrap().config),
            overrides: Overrides::default(),
            history: None,
            state: None,
            agent_socket: directory.join("no-agent.sock"),
            instance: 1,
        };
        let services = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (samples, asked) = mpsc::unbounded_channel();
        let (ready, listening) = std::sync::mpsc::channel();
        let any = ListenAddress::Tcp(([127, 0, 0, 1], 0).into());
        std::thread::spawn(move || {
            controller::runtime().unwrap().block_on(async {
                let (controller, running) =
                    controller::start(setup, services.handle(), std::future::pending());
                // On this thread, between the controller's turns, so that it sees every snapshot.
                tokio::spawn(sample(controller.snapshots.clone(), asked));
                services.spawn(async move {
                    let listener = Listener::bind(any).await.unwrap();
                    let &ListenAddress::Tcp(address) = listener.address() else { unreachable!() };
                    let service = Service::new(&controller, Reloader::new(file, controller.operator.clone()));
                    ready.send(address).unwrap();
                    let settings = AccessSettings {
                        admin_group: None,
                        reader_group: None,
                        loopback: Loopback::ReadOnly,
                    };
                    let gate = Gate::new(Access::new(settings).unwrap());
                    serve(listener, service, gate, std::future::pending()).await.unwrap();
                });
                running.await;
            });
        });
        Self { address: listening.recv().unwrap(), samples }
    }

    fn measure(&self, count: usize, duration: Duration) -> Times {
        let watchers = (count > 0).then(|| Watchers::start(self.address, count));
        drop(self.samples_so_far());
        let clock = Builder::new_current_thread().enable_time().build().unwrap();
        clock.block_on(async { tokio::time::sleep(duration).await });
        let samples = self.samples_so_far();
        let (changes, times) = (samples.len(), Times::of(samples));
        let seen = watchers.map(Watchers::end);
        let seen = seen.as_deref().unwrap_or("             -           -           -        -");
        println!("{count:>9}{changes:>9}{:>9.0} us{:>9.0} us{seen}", times.p50, times.p99);
        times
    }

    fn samples_so_far(&self) -> Vec<f64> {
        let (asker, answer) = oneshot::channel();
        self.samples.send(asker).unwrap();
        answer.blocking_recv().unwrap()
    }
}

/// For every change of a backend: the time from the end of the causing probe to the snapshot with the change.
async fn sample(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    mut asked: mpsc::UnboundedReceiver<oneshot::Sender<Vec<f64>>>,
) {
    let mut samples = Vec::new();
    let mut before = Arc::clone(&snapshots.borrow());
    loop {
        tokio::select! {
            changed = snapshots.changed() => changed.unwrap(),
            Some(asker) = asked.recv() => {
                asker.send(std::mem::take(&mut samples)).unwrap();
                continue;
            }
        }
        let now = Arc::clone(&snapshots.borrow_and_update());
        for (name, view) in &now.backends {
            let same = before.backends.get(name).is_some_and(|before| before.changed == view.changed);
            if let Some(changed) = view.changed.filter(|_| !same) {
                samples.push(now.made.saturating_duration_since(changed).as_secs_f64() * 1e6);
            }
        }
        before = now;
    }
}

/// Ten backends per frontend. Every probe finds another state than the last one.
fn configuration(port: u16, backends: u16) -> String {
    let name = |number: u16| format!("b{number}");
    let address = |number: u16| format!("127.0.{}.{}", 1 + number / 250, 1 + number % 250);
    let all: String = (0..backends)
        .map(|number| {
            format!("    {}: {{ address: {}, healthcheck: flapping }}\n", name(number), address(number))
        })
        .collect();
    let frontends: String = (0..backends.div_ceil(10))
        .map(|number| {
            let members = number * 10..backends.min(number * 10 + 10);
            let members: Vec<_> = members.map(|number| format!("{}: {{}}", name(number))).collect();
            format!(
                "    f{number}: {{ address: 203.0.{}.{}, pools: [ {{ name: all, backends: {{ {} }} }} ] }}\n",
                number / 250,
                1 + number % 250,
                members.join(", ")
            )
        })
        .collect();
    format!(
        "maglev:
  vpp: {{ lb: {{ ipv4-src-address: 127.0.0.1, startup-min-delay: 0s, startup-max-delay: 0s }} }}
  healthchecks:
    flapping: {{ type: http, port: {port}, interval: 1s, rise: 1, fall: 1 }}
  backends:
{all}  frontends:
{frontends}"
    )
}
