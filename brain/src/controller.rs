//! The controller, single owner of the brain's state.
//!
//! `run` is a single task, which ends at its shutdown signal. All inputs reach it through its inbox, and only
//! it decides. It publishes an immutable [`Snapshot`] for all readers, and the [`Wanted`] state, which the
//! agent's client brings to VPP. It never waits for either.
//!
//! It shares its thread with the probers and the agent's client: a probe's report reaches it, and its
//! decision the agent's socket, without a thread switch, each of which costs some 100 us. No operator's
//! request, however large, delays a probe; a full sync of tens of thousands of servers does, by some
//! milliseconds.

mod keeper;
mod operator;
mod probers;
mod recorder;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maglev_daemon::until;
use maglev_daemon::vital::vital;
use maglev_engine::agent::AgentEvent;
use maglev_engine::config::Config;
use maglev_engine::core::{
    CommandError, Core, Done, Effects, FleetNews, Input, Now, Numbered, Release, RouterEvent, WantedRoutes,
};
use maglev_engine::desired::Wanted;
use maglev_engine::history::{Kind, Record};
use maglev_engine::outcome::Report;
use maglev_engine::overrides::Overrides;
use maglev_engine::snapshot::Snapshot;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tracing::error;

pub use operator::{Operator, Terms};
pub use recorder::{History, Remembered};

use crate::activity::Activity;
use crate::agent::{self, echo_queue, tunnels};
use crate::figures::{Figures, States};
use crate::prober::OnDemand;
use crate::router::{self, Routers};
use crate::service::Unserved;
use crate::state::StateDirectory;
use keeper::Keeper;
use operator::{Accepted, Order, Waiting};
use probers::Probers;

/// Maximum number of probe reports in the inbox. When full, probers wait: probes are delayed, and none is
/// lost.
const REPORTS: usize = 1024;
/// Maximum number of agent events in the inbox. When full, the agent's client waits before its next sync.
const AGENT_EVENTS: usize = 64;
/// Maximum number of events of the router in the inbox. When full, its client waits before its next changes.
const ROUTER_EVENTS: usize = 4;
/// Maximum number of operators' commands in the inbox. When full, operators wait.
const COMMANDS: usize = 64;
/// Number of changes kept for a listener that falls behind; beyond that, it learns how many it missed.
const EVENTS: usize = 4096;
/// Maximum number of inputs processed before publishing: a burst ends in one sync per VIP.
const BATCH: usize = 256;
/// Maximum age of a snapshot with respect to details of probes. Changes of state are published at once. At
/// 100 ms, copying what the last snapshot still shares took a tenth of the user-space time of 10,000 probes a
/// second.
const SNAPSHOT_AGE: Duration = Duration::from_millis(250);

/// Number of tasks that run before the controller checks its inbox again. Each takes some 15 us, mostly for a
/// system call that sends a packet: a change is decided within a quarter of a millisecond. A lower number
/// would poll the kernel more often.
const TASKS_BETWEEN: u32 = 16;

/// Maximum time that a shutdown waits for the disk.
const LAST_WRITE: Duration = Duration::from_secs(3);

/// Handles to a running controller.
#[derive(Debug)]
pub struct Controller {
    /// The newest snapshot.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// VPP's counters, shared by all callers.
    pub figures: Figures,
    /// VPP's state, shared by all callers.
    pub states: States,
    /// Sends operators' commands.
    pub operator: Operator,
    /// Probes that operators ask for.
    pub on_demand: OnDemand,
    /// Live activity.
    pub activity: Activity,
    /// Addresses that should be listened on, and are not.
    pub unserved: Unserved,
    /// News of the fleet's other members for the controller, of which only the latest matters.
    pub fleet: watch::Sender<FleetNews>,
}

/// Initial values of a controller.
#[derive(Debug)]
pub struct Setup {
    /// The configuration.
    pub config: Arc<Config>,
    /// Overrides from before the start.
    pub overrides: Overrides,
    /// The history until now, and where it is continued.
    pub history: Option<Remembered>,
    /// Where overrides are persisted. Without one, every command that sets an override reports that it will
    /// not survive a restart.
    pub state: Option<StateDirectory>,
    /// The agent's socket.
    pub agent_socket: PathBuf,
    /// Random, changes at every start.
    pub instance: u64,
}

/// A runtime for the controller and its probers. The controller must be the future that it blocks on, which
/// is polled after at most `TASKS_BETWEEN` other tasks.
pub fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().event_interval(TASKS_BETWEEN).build()
}

/// Starts probers, the agent's client and the controller. The returned future is the controller; it ends
/// after `shutdown` does, without changing VPP. Probers and the agent's client run on the current runtime,
/// which should be that of [`runtime`]; echo requests and disk writes run on `services`.
pub fn start<S: Future<Output = ()>>(
    setup: Setup,
    services: &Handle,
    shutdown: S,
) -> (Controller, impl Future<Output = ()> + use<S>) {
    let Setup { config, overrides, history, state, agent_socket, instance } = setup;
    let core = begin(config, overrides.clone(), history.as_ref(), agent_socket.clone());
    let (wanted, wanted_rx) = watch::channel(Arc::new(core.wanted()));
    let (snapshot, snapshots) = watch::channel(Arc::new(core.snapshot(Instant::now().into_std())));
    let (event_sender, agent_events) = mpsc::channel(AGENT_EVENTS);
    let (routes, routes_rx) = watch::channel(Arc::new(core.wanted_routes()));
    let (router_sender, router_events) = mpsc::channel(ROUTER_EVENTS);
    let (echoes, asks) = echo_queue();
    let (ways, inbox) = tunnels();
    services.spawn(vital("tunnels", tunnels::run(agent_socket.clone(), instance, inbox)));
    let (reader, link, agent_task) =
        agent::start(agent_socket, instance, wanted_rx, event_sender, asks, services);
    services.spawn(vital("routes", router::run(Routers(link), routes_rx, router_sender)));
    let recorded = CancellationToken::new();
    let ((keeper, kept, keeper_task), (history, history_task)) = {
        let _there = services.enter();
        let history = History::start(history, Arc::clone(core.tally()), recorded.clone());
        (Keeper::start(state, Arc::clone(core.tally())), history)
    };
    history.webhooks().apply(&core.config().webhooks);
    record_start(&core, &history);
    if **core.overrides() != overrides {
        // Overrides that the configuration now equals were dropped; nobody waits for that.
        keeper.keep(core.overrides());
    }
    let (report_sender, reports) = mpsc::channel(REPORTS);
    let (order_sender, orders) = mpsc::channel(COMMANDS);
    let (events, _) = broadcast::channel(EVENTS);
    let activity = Activity::default();
    let on_demand = OnDemand::new(echoes.clone(), ways.clone());
    let mut probers = Probers::new(echoes, ways, report_sender, activity.clone());
    let mut checked: Vec<_> = core.checked_backends().map(|(name, _)| Arc::clone(name)).collect();
    checked.dedup();
    probers.renew(&core, checked.iter(), core.config().lb.startup_min_delay);
    let (fleet, fleet_news) = watch::channel(FleetNews::default());
    let inbox = Inbox { agent_events, router_events, orders, reports, fleet: fleet_news };
    let tally = Arc::clone(core.tally());
    let operator =
        Operator { orders: order_sender, events: events.clone(), kept, history: history.clone(), tally };
    let (figures, states) = (Figures::new(reader.clone()), States::new(reader));
    let vpp = (figures.clone(), states.clone());
    let publish = Publishers {
        wanted,
        routes,
        snapshot,
        events,
        probers,
        keeper,
        history: history.clone(),
        vpp,
        waiting: Waiting::default(),
        activity: activity.clone(),
    };
    let task = async move {
        let running = run(core, inbox, publish);
        tokio::pin!(shutdown);
        tokio::select! {
            () = running => {}
            () = &mut shutdown => {}
        }
        agent_task.abort();
        history.record(Record::new(SystemTime::now(), Kind::Brain, "stopped"));
        recorded.cancel();
        // The controller is gone, so the keeper ends after its last write.
        let last_writes = async { (keeper_task.await, history_task.await) };
        if timeout(LAST_WRITE, last_writes).await.is_err() {
            error!("the state directory does not respond: the latest overrides and records may be lost");
        }
    };
    let unserved = Unserved::default();
    (Controller { snapshots, figures, states, operator, on_demand, activity, unserved, fleet }, task)
}

/// The state at the start, with what is known from before.
fn begin(
    config: Arc<Config>,
    overrides: Overrides,
    history: Option<&Remembered>,
    agent_socket: PathBuf,
) -> Core {
    let mut core = Core::new(config, overrides, agent_socket, now());
    if let Some(history) = history {
        core.recall(history.ledger().states().map(|(name, since)| (name.as_str(), since)), now());
    }
    core
}

/// Records the start, and the states that backends have from the start.
fn record_start(core: &Core, history: &History) {
    let version = env!("CARGO_PKG_VERSION");
    history.record(Record::new(SystemTime::now(), Kind::Brain, format!("started, version {version}")));
    for (name, view) in core.snapshot(Instant::now().into_std()).backends {
        if let Some(transition) = view.health.history().next() {
            history.record(Record::of_backend(&name, transition));
        }
    }
}

fn now() -> Now {
    Now { wall: SystemTime::now(), mono: Instant::now().into_std() }
}

struct Inbox {
    agent_events: mpsc::Receiver<AgentEvent>,
    router_events: mpsc::Receiver<RouterEvent>,
    orders: mpsc::Receiver<Order>,
    reports: mpsc::Receiver<Report>,
    fleet: watch::Receiver<FleetNews>,
}

enum Arrival {
    Input(Input),
    Order(Order),
}

impl Arrival {
    /// Whether VPP connected or disconnected, as far as this process knows.
    fn is_another_vpp(&self) -> bool {
        matches!(self, Self::Input(Input::Agent(AgentEvent::Vpp { .. } | AgentEvent::Disconnected { .. })))
    }
}

impl Inbox {
    /// The next input, or `None` if there can be none any more.
    async fn next(&mut self) -> Option<Arrival> {
        tokio::select! {
            biased;
            Some(event) = self.agent_events.recv() => Some(Arrival::Input(Input::Agent(event))),
            Some(event) = self.router_events.recv() => Some(Arrival::Input(Input::Router(event))),
            Some(order) = self.orders.recv() => Some(Arrival::Order(order)),
            Ok(()) = self.fleet.changed() => {
                Some(Arrival::Input(Input::Fleet(self.fleet.borrow_and_update().clone())))
            }
            Some(report) = self.reports.recv() => Some(Arrival::Input(Input::Probe(report))),
            else => None,
        }
    }

    fn waiting(&mut self) -> Option<Arrival> {
        let event = self.agent_events.try_recv().map(|event| Arrival::Input(Input::Agent(event)));
        let router = |_| self.router_events.try_recv().map(|event| Arrival::Input(Input::Router(event)));
        let order = |_| self.orders.try_recv().map(Arrival::Order);
        let report = |_| self.reports.try_recv().map(|report| Arrival::Input(Input::Probe(report)));
        event.or_else(router).or_else(order).or_else(report).ok()
    }
}

/// An executed command, and whether it is of a kind that changes overrides.
type Carried = (oneshot::Sender<Result<Accepted, CommandError>>, Result<(Done, bool), CommandError>);

struct Publishers {
    wanted: watch::Sender<Arc<Wanted>>,
    routes: watch::Sender<Arc<WantedRoutes>>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    events: broadcast::Sender<Numbered>,
    probers: Probers,
    keeper: Keeper,
    history: History,
    /// Cached answers of VPP, to be invalidated when it connects or disconnects.
    vpp: (Figures, States),
    waiting: Waiting,
    activity: Activity,
}

/// The commands behind a batch's events.
type Makers = Vec<Maker>;

/// A command behind a range of events.
struct Maker {
    events: std::ops::Range<usize>,
    who: Option<Arc<str>>,
    records: Vec<Record>,
}

impl Publishers {
    async fn publish(&mut self, core: &Core, effects: Effects, carried: Vec<Carried>, makers: Makers) {
        if effects.wanted {
            self.wanted.send_replace(Arc::new(core.wanted()));
        }
        if effects.routes {
            self.routes.send_replace(Arc::new(core.wanted_routes()));
        }
        if !effects.probers.is_empty() {
            self.probers.renew(core, effects.probers.iter(), Duration::ZERO);
        }
        for (check, pace) in &effects.paces {
            self.probers.set_pace(check, *pace);
        }
        if effects.state {
            self.publish_snapshot(core);
        }
        if effects.wanted {
            // To VPP first, then to the log.
            agent::send_wanted().await;
        }
        let before = core.events() - effects.events.len() as u64;
        let mut makers = makers;
        let record_commands = |makers: &mut Makers, until: usize| {
            let begun = makers.iter_mut().filter(|maker| maker.events.start <= until);
            begun.flat_map(|maker| maker.records.drain(..)).for_each(|record| self.history.record(record));
        };
        for (place, (number, event)) in (before + 1..).zip(effects.events).enumerate() {
            event.log();
            // After the line, so that whoever reads both has the line first.
            let at = SystemTime::now();
            let who = makers.iter().find(|maker| maker.events.contains(&place));
            let who = who.and_then(|maker| maker.who.clone());
            record_commands(&mut makers, place);
            Record::of(at, &event, who.as_deref()).into_iter().for_each(|record| self.history.record(record));
            // Fails only if nobody listens.
            drop(self.events.send(Numbered { number, at, event, who }));
        }
        record_commands(&mut makers, usize::MAX);
        let syncs = effects.syncs.iter().map(|note| Record::of_sync(SystemTime::now(), note));
        syncs.for_each(|record| self.history.record(record));
        effects.releases.iter().for_each(Release::log);
        // Repeating a command whose override is not persisted yet reports the current result.
        let again =
            self.keeper.owes() && carried.iter().any(|(_, done)| done.as_ref().is_ok_and(|(_, sets)| *sets));
        let version = (effects.overrides || again).then(|| self.keeper.keep(core.overrides()));
        for (answer, done) in carried {
            let accepted = done.map(|(done, sets)| {
                let demands = done.asked.iter().enumerate();
                let demands = demands.filter_map(|(index, asked)| Some((index, asked.demand?)));
                let ended = demands.map(|(index, demand)| (index, self.waiting.add(demand))).collect();
                Accepted { ended, version: version.filter(|_| sets), done }
            });
            // Fails only if the caller has gone.
            drop(answer.send(accepted));
        }
        if !effects.ended.is_empty() {
            // Operators look at VPP right after a change, to see its effect.
            self.vpp.0.forget();
            self.vpp.1.forget();
        }
        // After registering new waiters: the request they wait for may have ended in the same batch.
        for ended in &effects.ended {
            self.waiting.tell(ended);
        }
    }

    fn publish_snapshot(&self, core: &Core) {
        self.snapshot.send_replace(Arc::new(core.snapshot(Instant::now().into_std())));
    }
}

async fn run(mut core: Core, mut inbox: Inbox, mut publish: Publishers) {
    let mut refresh = interval_at(Instant::now() + SNAPSHOT_AGE, SNAPSHOT_AGE);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stale = false;
    loop {
        let mut effects = Effects::default();
        let (mut carried, mut makers) = (Vec::new(), Makers::new());
        tokio::select! {
            biased;
            _ = refresh.tick(), if stale => {
                publish.publish_snapshot(&core);
                stale = false;
                continue;
            }
            () = until(core.next_tick()) => effects = core.handle(Input::Tick, now()),
            arrival = inbox.next() => {
                let Some(mut arrival) = arrival else { return };
                let now = now();
                for taken in 1.. {
                    if arrival.is_another_vpp() {
                        // Before the snapshot is published: its readers must not be shown VPP's earlier
                        // state.
                        publish.vpp.0.forget();
                        publish.vpp.1.forget();
                    }
                    match arrival {
                        Arrival::Input(input) => {
                            publish.activity.arrived(&input);
                            effects.merge(core.handle(input, now));
                        }
                        // Fails only if the caller has gone.
                        Arrival::Order(Order::Ping(answer)) => drop(answer.send(())),
                        Arrival::Order(Order::State(answer)) => {
                            // Fails only if the caller has gone.
                            drop(answer.send(Box::new(core.clone())));
                        }
                        Arrival::Order(Order::Command { command, terms, answer }) => {
                            let sets = command.sets_overrides();
                            let (given, remark) = (command.clone(), terms.remark.clone());
                            let done = core.command_on(terms.state, command, terms.remark, now).map(|(more, done)| {
                                let first = effects.events.len();
                                effects.merge(more);
                                let records = Record::of_command(SystemTime::now(), &given, &remark, &done);
                                let events = first..effects.events.len();
                                makers.push(Maker { events, who: remark.who, records });
                                (done, sets)
                            });
                            carried.push((answer, done));
                        }
                    }
                    if taken == BATCH { break }
                    let Some(next) = inbox.waiting() else { break };
                    arrival = next;
                }
            }
        }
        stale |= !effects.state;
        publish.publish(&core, effects, carried, makers).await;
    }
}

#[cfg(test)]
mod tests;
