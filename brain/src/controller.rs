//! The one owner of the brain's state.
//!
//! [`run`] is a single task, which ends when its shutdown signal comes. Everything that happens reaches it
//! through its inbox; it alone decides; it publishes an immutable [`Snapshot`], which everything that reads
//! reads, and the [`Wanted`] state, which the agent's client brings to VPP. It never waits for either.
//!
//! It shares its thread with the probers and with nothing else: a report reaches it without a change of
//! threads, and no operator's question, however large, makes a probe late.

mod core;
mod snapshot;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

pub use self::core::{Command, CommandError, Core, Effects, Event, Input};
pub use snapshot::{AgentStatus, BackendView, FrontendView, LastProbe, Snapshot, SyncStatus};

use crate::agent::{self, AgentEvent, AgentReader};
use crate::config::Config;
use crate::desired::Wanted;
use crate::probe::{Checked, Checker, EchoSender, Intervals, Prober, Report, echo_queue};

/// Probe reports that wait for the controller. When it is full, probers wait: a probe becomes later, none is
/// lost.
const REPORTS: usize = 1024;
/// Agent events that wait for the controller. When it is full, the agent's client waits before its next sync.
const AGENT_EVENTS: usize = 64;
/// Operators' commands that wait for the controller. When it is full, operators wait.
const COMMANDS: usize = 64;
/// Changes of state that are kept for a listener that falls behind; it is then told how many it missed.
const EVENTS: usize = 4096;
/// Inputs that are taken at once before anything is published: a burst ends in one sync per VIP.
const BATCH: usize = 256;
/// How old a snapshot may be with respect to the details of probes. Changes of state are published at once. At
/// 100 ms, copying what the last snapshot still holds took a tenth of the user-space time of 10,000 probes a second.
const SNAPSHOT_AGE: Duration = Duration::from_millis(250);

/// Tasks that run before the controller looks at its inbox again. Each takes some 15 us, mostly for a system call
/// that sends a packet: a change is decided within a quarter of a millisecond. Fewer would poll the kernel more.
const TASKS_BETWEEN: u32 = 16;

/// What the rest of the process holds of a running controller.
#[derive(Debug)]
pub struct Controller {
    /// The newest snapshot.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Reads VPP through the agent.
    pub reader: AgentReader,
    /// Takes operators' commands.
    pub operator: Operator,
}

/// Brings operators' commands to the controller, and changes of state to whoever listens.
#[derive(Debug, Clone)]
pub struct Operator {
    commands: mpsc::Sender<Order>,
    events: broadcast::Sender<Event>,
}

#[derive(Debug)]
struct Order {
    backend: String,
    command: Command,
    answer: oneshot::Sender<Result<(), CommandError>>,
}

impl Operator {
    /// Has a command carried out. What it changed is in the snapshot when this returns.
    pub async fn command(&self, backend: &str, command: Command) -> Result<(), CommandError> {
        let (answer, answered) = oneshot::channel();
        let order = Order { backend: backend.to_owned(), command, answer };
        self.commands.send(order).await.map_err(|_| CommandError::Ending)?;
        answered.await.unwrap_or(Err(CommandError::Ending))
    }

    /// Changes of state from now on. One who does not fetch them loses the oldest, and is told how many.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}

/// A runtime for the controller and its probers. The future that it is told to block on is polled after at most
/// [`TASKS_BETWEEN`] other tasks, so that is where the controller belongs.
pub fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().event_interval(TASKS_BETWEEN).build()
}

/// Starts probers, the agent's client and the controller. The returned future is the controller; it ends
/// after `shutdown` does, and changes nothing in VPP by ending. Probers run on the runtime in which this is called,
/// best that of [`runtime`]; the agent's client runs on `services`.
pub fn start<S: Future<Output = ()>>(
    config: Arc<Config>,
    agent_socket: PathBuf,
    instance: u64,
    services: &Handle,
    shutdown: S,
) -> (Controller, impl Future<Output = ()> + use<S>) {
    let core = Core::new(config, agent_socket.clone(), SystemTime::now());
    let (wanted, wanted_rx) = watch::channel(Arc::new(core.wanted()));
    let (snapshot, snapshots) = watch::channel(Arc::new(core.snapshot(Instant::now())));
    let (event_sender, agent_events) = mpsc::channel(AGENT_EVENTS);
    let (echoes, asks) = echo_queue();
    let in_services = services.enter();
    let (reader, agent_task) = agent::start(agent_socket, instance, wanted_rx, event_sender, asks);
    drop(in_services);
    let (report_sender, reports) = mpsc::channel(REPORTS);
    let (command_sender, commands) = mpsc::channel(COMMANDS);
    let (events, _) = broadcast::channel(EVENTS);
    let probers = start_probers(&core, &echoes, &report_sender);
    let inbox = Inbox { agent_events, commands, reports };
    let operator = Operator { commands: command_sender, events: events.clone() };
    let publish = Publishers { wanted, snapshot, events, probers };
    let task = async move {
        let running = run(core, inbox, publish);
        tokio::pin!(shutdown);
        tokio::select! {
            () = running => {}
            () = &mut shutdown => {}
        }
        agent_task.abort();
    };
    (Controller { snapshots, reader, operator }, task)
}

fn start_probers(
    core: &Core,
    echoes: &EchoSender,
    reports: &mpsc::Sender<Report>,
) -> BTreeMap<Arc<str>, Prober> {
    let min_delay = core.config().lb.startup_min_delay;
    let checks = core.config().healthchecks.iter();
    let checkers: BTreeMap<&str, (Arc<Checker>, Intervals)> = checks
        .map(|(name, check)| {
            let checker = Checker::new(check.clone(), echoes.clone());
            (name.as_str(), (Arc::new(checker), Intervals::of(check)))
        })
        .collect();
    let count = core.checked_backends().count();
    let probed = core.checked_backends().enumerate().filter_map(|(rank, (name, target, check, pace))| {
        let (checker, intervals) = checkers.get(check)?;
        let probe = Checked { checker: Arc::clone(checker), target };
        let delay = intervals.first_delay(min_delay, rank, count, fastrand::f64());
        let name = Arc::clone(name);
        let prober = Prober::start(Arc::clone(&name), probe, *intervals, pace, delay, reports.clone());
        Some((name, prober))
    });
    probed.collect()
}

struct Inbox {
    agent_events: mpsc::Receiver<AgentEvent>,
    commands: mpsc::Receiver<Order>,
    reports: mpsc::Receiver<Report>,
}

enum Arrival {
    Input(Input),
    Order(Order),
}

impl Inbox {
    /// The next arrival, or `None` if none can come any more.
    async fn next(&mut self) -> Option<Arrival> {
        tokio::select! {
            biased;
            Some(event) = self.agent_events.recv() => Some(Arrival::Input(Input::Agent(event))),
            Some(order) = self.commands.recv() => Some(Arrival::Order(order)),
            Some(report) = self.reports.recv() => Some(Arrival::Input(Input::Probe(report))),
            else => None,
        }
    }

    fn waiting(&mut self) -> Option<Arrival> {
        let event = self.agent_events.try_recv().map(|event| Arrival::Input(Input::Agent(event)));
        let order = |_| self.commands.try_recv().map(Arrival::Order);
        let report = |_| self.reports.try_recv().map(|report| Arrival::Input(Input::Probe(report)));
        event.or_else(order).or_else(report).ok()
    }
}

struct Publishers {
    wanted: watch::Sender<Arc<Wanted>>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    events: broadcast::Sender<Event>,
    probers: BTreeMap<Arc<str>, Prober>,
}

impl Publishers {
    fn publish(&self, core: &Core, effects: Effects) {
        if effects.wanted {
            self.wanted.send_replace(Arc::new(core.wanted()));
        }
        for (backend, pace) in &effects.paces {
            if let Some(prober) = self.probers.get(backend) {
                prober.set_pace(*pace);
            }
        }
        if effects.state {
            self.publish_snapshot(core);
        }
        for event in effects.events {
            // An error means that nobody listens.
            drop(self.events.send(event));
        }
    }

    fn publish_snapshot(&self, core: &Core) {
        self.snapshot.send_replace(Arc::new(core.snapshot(Instant::now())));
    }
}

async fn run(mut core: Core, mut inbox: Inbox, publish: Publishers) {
    let mut tick = interval_at(Instant::now() + SNAPSHOT_AGE, SNAPSHOT_AGE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stale = false;
    loop {
        tokio::select! {
            biased;
            _ = tick.tick(), if stale => {
                publish.publish_snapshot(&core);
                stale = false;
            }
            arrival = inbox.next() => {
                let Some(mut arrival) = arrival else { return };
                let now = SystemTime::now();
                let mut effects = Effects::default();
                let mut answers = Vec::new();
                for taken in 1.. {
                    match arrival {
                        Arrival::Input(input) => effects.merge(core.handle(input, now)),
                        Arrival::Order(order) => {
                            let done = core.command(&order.backend, order.command, now);
                            answers.push((order.answer, done.map(|done| effects.merge(done))));
                        }
                    }
                    if taken == BATCH { break }
                    let Some(next) = inbox.waiting() else { break };
                    arrival = next;
                }
                stale |= !effects.state;
                publish.publish(&core, effects);
                for (answer, done) in answers {
                    // An error means that the one who asked has gone.
                    drop(answer.send(done));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
