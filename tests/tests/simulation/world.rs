//! The scheduler: simulated time and all events, in an order determined by the seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;
use maglev_engine::config::Config;
use maglev_engine::core::Now;
use maglev_engine::outcome::Report;
use maglev_engine::overrides::Overrides;
use maglev_engine::syncs::Answer;
use maglev_protocol::{Dialect, VppInfo};

use crate::agent::{Agent, Queued};
use crate::brain::Brain;
use crate::chaos::Weather;
use crate::generate::Draft;
use crate::operators::Operators;
use crate::probers::Key;
use crate::router::Router;
use crate::vpp::Vpp;

/// All events. Those about a process or connection that is gone do nothing.
#[derive(Debug)]
pub(crate) enum Event {
    Chaos,
    Tick { brain: u64 },
    ProbeStarts { brain: u64, backend: Key, prober: u64, token: u64 },
    ProbeEnds { brain: u64, backend: Key, prober: u64, token: u64, started: Duration, passes: bool },
    Reported { brain: u64, report: Box<Report> },
    Saved { brain: u64, kept: Box<(Overrides, Operators)> },
    BrainStarts,
    BrainConnects { brain: u64 },
    Greeted { brain: u64, conn: u64, agent: u64, info: Box<VppInfo> },
    WantedNoticed { conn: u64 },
    SyncsDue { conn: u64 },
    AgentTells { brain: u64 },
    WaitArrives { agent: u64, conn: u64, seen: u64 },
    ChangeTold { conn: u64, info: Box<VppInfo> },
    CallArrives { agent: u64, queued: Box<Queued> },
    CallAnswered { conn: u64, id: u64, answer: Box<Answer> },
    CallTimesOut { conn: u64, id: u64 },
    ConnBroken { conn: u64 },
    ConnNoticed { conn: u64 },
    AgentStarts,
    AgentConnects { agent: u64 },
    LinkClosed { link: u64 },
    LinkGivenUp { link: u64, heard: Duration },
    VppWorks { link: u64 },
    VppAnswers { link: u64, op: u64 },
    VppStarts,
    VppResumes,
    SilenceShows { link: u64, heard: Duration },
    LivenessTold { conn: u64 },
    VppCollects,
    RouterSynced { brain: u64 },
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now: Duration,
    pub(crate) base: Now,
    pub(crate) steps: u64,
    pub(crate) weather: Weather,
    /// Whether there are no periodic syncs to repair missed changes.
    pub(crate) rare_syncs: bool,
    /// Whether faults happen, operators work and backends flap.
    pub(crate) stormy: bool,
    pub(crate) vpp: Vpp,
    pub(crate) agent: Agent,
    pub(crate) brain: Option<Brain>,
    pub(crate) router: Router,
    /// Connections between brain and agent.
    pub(crate) open_conns: BTreeSet<u64>,
    /// Calls whose caller no longer waits.
    pub(crate) timed_out: BTreeSet<u64>,
    /// The configuration file, and what it was made from.
    pub(crate) file: Arc<Config>,
    pub(crate) draft: Draft,
    /// The state directory, and the simulation's own record of it.
    pub(crate) disk: Overrides,
    pub(crate) operators_on_disk: Operators,
    pub(crate) operators: Operators,
    pub(crate) saved_until: Duration,
    /// Backends that fail their checks.
    pub(crate) sick: BTreeSet<IpAddr>,
    /// When each recovered backend recovered.
    pub(crate) recovered: BTreeMap<IpAddr, Duration>,
    /// Whether the brain may have changed since the last check.
    pub(crate) dirty: bool,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) trace: bool,
    pub(crate) lines: Vec<String>,
    pub(crate) violation: Option<String>,
    pub(crate) last_brain: u64,
    pub(crate) last_conn: u64,
    pub(crate) last_call: u64,
    pub(crate) last_link: u64,
    heap: BinaryHeap<Reverse<(Duration, u32, u64)>>,
    events: BTreeMap<u64, Event>,
    last_event: u64,
}

impl World {
    pub(crate) fn new(seed: u64, trace: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut draft = Draft::new(&mut rng);
        let rare_syncs = rng.u8(..8) == 0;
        let dialect = if rng.u8(..3) == 0 { Dialect::InOut } else { Dialect::Weighted };
        if rare_syncs {
            draft.sync_rarely();
        }
        let file = parsed(&draft).expect("the first configuration is valid");
        let mut weather = Weather::new(&mut rng);
        if rare_syncs {
            weather.leave_no_drift();
        }
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut world = Self {
            rng,
            now: Duration::ZERO,
            // VPP's silence is measured backwards, so there must be a time before the start.
            base: Now { wall, mono: tokio::time::Instant::now().into_std() + Duration::from_secs(3600) },
            steps: 0,
            weather,
            rare_syncs,
            stormy: true,
            vpp: Vpp::new(dialect),
            agent: Agent::new(1),
            brain: None,
            router: Router::default(),
            open_conns: BTreeSet::new(),
            timed_out: BTreeSet::new(),
            file,
            draft,
            disk: Overrides::default(),
            operators_on_disk: Operators::default(),
            operators: Operators::default(),
            saved_until: Duration::ZERO,
            sick: BTreeSet::new(),
            recovered: BTreeMap::new(),
            dirty: false,
            counts: BTreeMap::new(),
            trace,
            lines: Vec::new(),
            violation: None,
            last_brain: 0,
            last_conn: 0,
            last_call: 0,
            last_link: 0,
            heap: BinaryHeap::new(),
            events: BTreeMap::new(),
            last_event: 0,
        };
        world.at(Duration::ZERO, Event::AgentConnects { agent: 1 });
        world.at(Duration::from_millis(1), Event::BrainStarts);
        world.at(Duration::from_secs(60), Event::VppCollects);
        world
    }

    /// Schedules an event. Simultaneous events happen in random order.
    pub(crate) fn at(&mut self, when: Duration, event: Event) {
        self.last_event += 1;
        self.heap.push(Reverse((when.max(self.now), self.rng.u32(..), self.last_event)));
        self.events.insert(self.last_event, event);
    }

    /// Latency of a message between processes.
    pub(crate) fn latency(&mut self) -> Duration {
        let slow = self.rng.f64() < self.weather.slow;
        let most = if slow { 2_000_000 } else { 400 };
        Duration::from_nanos(1000 * self.rng.u64(20..most) + self.rng.u64(..1000))
    }

    pub(crate) fn instant(&self, at: Duration) -> Now {
        Now { wall: self.base.wall + at, mono: self.base.mono + at }
    }

    pub(crate) fn unix_seconds(&self, at: Duration) -> u64 {
        let since = (self.base.wall + at).duration_since(SystemTime::UNIX_EPOCH);
        since.expect("the simulation begins after 1970").as_secs()
    }

    pub(crate) fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.base.mono)
    }

    pub(crate) fn fail(&mut self, violation: String) {
        self.violation.get_or_insert(violation);
    }

    pub(crate) fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace {
            let line = format!("{:>12?} {}", self.now, line(self));
            self.lines.push(line);
        }
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Processes one event, then checks the rules.
    pub(crate) fn step(&mut self) -> Result<(), String> {
        let Some(Reverse((when, _, id))) = self.heap.pop() else {
            return Err("nothing happens any more".to_owned());
        };
        let Some(event) = self.events.remove(&id) else { return Ok(()) };
        self.now = when;
        self.steps += 1;
        self.happen(event);
        if std::mem::take(&mut self.dirty) {
            self.check_brain();
        }
        match self.violation.take().or(self.vpp.violation.take()) {
            Some(violation) => Err(format!("at {:?}: {violation}", self.now)),
            None => Ok(()),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Chaos => self.chaos(),
            Event::Tick { brain } => self.tick(brain),
            Event::ProbeStarts { brain, backend, prober, token } => {
                self.probe_starts(brain, backend, prober, token)
            }
            Event::ProbeEnds { brain, backend, prober, token, started, passes } => {
                self.probe_ends(brain, backend, prober, token, started, passes);
            }
            Event::Reported { brain, report } => self.reported(brain, *report),
            Event::Saved { brain, kept } => {
                if self.brain.as_ref().is_some_and(|found| found.id == brain) {
                    (self.disk, self.operators_on_disk) = *kept;
                }
            }
            Event::BrainStarts => self.brain_starts(),
            Event::BrainConnects { brain } => self.brain_connects(brain),
            Event::Greeted { brain, conn, agent, info } => self.greeted(brain, conn, agent, *info),
            Event::WantedNoticed { conn } => self.wanted_noticed(conn),
            Event::SyncsDue { conn } => self.syncs_due(conn),
            Event::AgentTells { brain } => self.agent_tells(brain),
            Event::WaitArrives { agent, conn, seen } => self.wait_arrives(agent, conn, seen),
            Event::ChangeTold { conn, info } => self.change_told(conn, *info),
            Event::CallArrives { agent, queued } => self.call_arrives(agent, *queued),
            Event::CallAnswered { conn, id, answer } => self.call_answered(conn, id, *answer),
            Event::CallTimesOut { conn, id } => self.call_times_out(conn, id),
            Event::ConnBroken { conn } => self.conn_broken(conn),
            Event::ConnNoticed { conn } => self.conn_noticed(conn),
            Event::AgentStarts => self.agent_starts(),
            Event::AgentConnects { agent } => self.agent_connects(agent),
            Event::LinkClosed { link } => self.link_breaks(link, "the connection was closed"),
            Event::LinkGivenUp { link, heard } => self.link_given_up(link, heard),
            Event::VppWorks { link } => self.vpp_works(link),
            Event::VppAnswers { link, op } => self.vpp_answers(link, op),
            Event::VppStarts => self.vpp_starts(),
            Event::VppResumes => self.vpp_resumes(),
            Event::SilenceShows { link, heard } => self.silence_shows(link, heard),
            Event::LivenessTold { conn } => self.liveness_told(conn),
            Event::RouterSynced { brain } => self.router_synced(brain),
            Event::VppCollects => {
                self.vpp.lb.collect_garbage(self.now.saturating_sub(self.vpp.started));
                self.at(self.now + Duration::from_secs(60), Event::VppCollects);
            }
        }
    }
}

/// The configuration of a draft, if it is valid.
pub(crate) fn parsed(draft: &Draft) -> Result<Arc<Config>, String> {
    let loaded = maglev_engine::config::parse("simulated.yaml", &draft.text());
    loaded.map(|loaded| Arc::new(loaded.config)).map_err(|errors| errors.to_string())
}
