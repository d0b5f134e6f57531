//! The brain: its probers, its client of the agent and its state directory, around the real controller.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use maglev_engine::agent::{AgentEvent, CallError};
use maglev_engine::config::{Config, Frontend, HealthCheck};
use maglev_engine::core::{Core, Effects, Ended, Input};
use maglev_engine::desired::{Demand, ViewId, Wanted, vip_key};
use maglev_engine::health::State;
use maglev_engine::overrides::Overrides;
use maglev_engine::syncs::{Answer, Call, Sent, Syncs};
use maglev_protocol::{
    AgentInfo, AgentPolicy, Demands, Dialect, Liveness, PROTOCOL_VERSION, VipKey, VppInfo,
};

use crate::agent::Queued;
use crate::judge::Scope;
use crate::probers::{Key, Prober};
use crate::router::Client;
use crate::world::{Event, World};

/// As in the product: the time for one call, and for one that reads all of VPP.
const CALL: Duration = Duration::from_secs(5);
const FULL: Duration = Duration::from_secs(30);
/// Reports, events and waits that may be on their way to the controller.
const MOST_EVENTS: usize = 64;

pub(crate) struct Brain {
    /// Changes at each restart.
    pub(crate) id: u64,
    pub(crate) core: Core,
    pub(crate) started: Duration,
    pub(crate) min_delay: Duration,
    pub(crate) max_delay: Duration,
    pub(crate) conn: Option<Conn>,
    pub(crate) published: Arc<Wanted>,
    pub(crate) routes: Client,
    /// Operators waiting for VPP, each with the last call sent when they began to wait.
    pub(crate) waiting: BTreeMap<Demand, u64>,
    /// The last call answered with VPP's whole state.
    last_full_read: u64,
    /// State that only the simulation's checks use.
    pub(crate) watched: Watched,
    last_view: ViewId,
    failures: u32,
    events: VecDeque<AgentEvent>,
    pub(crate) probers: BTreeMap<Key, Prober>,
    pub(crate) last_prober: u64,
    tick: Option<Duration>,
}

/// One connection to the agent.
pub(crate) struct Conn {
    pub(crate) id: u64,
    pub(crate) calls: BTreeMap<u64, Sent>,
    pub(crate) full_syncs: u64,
    agent: u64,
    syncs: Syncs,
    /// The desired state as known to the client.
    wanted: Arc<Wanted>,
    seen: u64,
    noticed: bool,
    due: Option<Duration>,
    /// Arrival of the last call, since calls keep their order.
    arrives: Duration,
}

/// How VPP balances by a VIP's table: its lb API, and the table's length.
type TableInVpp = (Dialect, Option<u32>);

/// What the simulation follows.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub(crate) released: BTreeSet<VipKey>,
    /// Backends and frontends that have been configured in the same way since the start.
    pub(crate) constant_backends: BTreeSet<String>,
    pub(crate) constant_vips: BTreeSet<VipKey>,
    /// Whether VPP had nothing when the view was made; `None` without a view.
    pub(crate) saw_empty_vpp: Option<bool>,
    /// The configured frontends whose scale was last found right.
    pub(crate) scales: BTreeMap<VipKey, (Arc<maglev_engine::config::Frontend>, TableInVpp)>,
}

impl World {
    /// Starts a brain with what the state directory has.
    pub(crate) fn brain_starts(&mut self) {
        if self.brain.is_some() {
            return;
        }
        self.last_brain += 1;
        let id = self.last_brain;
        let config = Arc::clone(&self.file);
        let now = self.instant(self.now);
        let core = Core::new(Arc::clone(&config), self.disk.clone(), PathBuf::from("/agent.sock"), now);
        self.operators = self.operators_on_disk.clone();
        self.operators.reloaded(&config);
        let watched = Watched {
            constant_backends: config.backends.keys().cloned().collect(),
            constant_vips: config.frontends.values().map(|frontend| vip_key(frontend)).collect(),
            ..Watched::default()
        };
        let published = Arc::new(core.wanted());
        self.brain = Some(Brain {
            id,
            started: self.now,
            min_delay: config.lb.startup_min_delay,
            max_delay: config.lb.startup_max_delay,
            conn: None,
            published,
            routes: Client::new(core.wanted_routes()),
            waiting: BTreeMap::new(),
            last_full_read: 0,
            watched,
            last_view: ViewId::default(),
            failures: 0,
            events: VecDeque::new(),
            probers: BTreeMap::new(),
            last_prober: 0,
            tick: None,
            core,
        });
        self.note(|world| format!("brain {id} starts, with {:?}", world.operators));
        let brain = self.brain.as_ref().expect("it has just been made");
        let mut checked: Vec<_> = brain.core.checked_backends().map(|(name, _)| Arc::clone(name)).collect();
        checked.dedup();
        self.renew(&checked, config.lb.startup_min_delay);
        self.schedule_tick();
        self.at(self.now, Event::BrainConnects { brain: id });
        let latency = self.latency();
        self.at(self.now + latency, Event::RouterSynced { brain: id });
    }

    /// The process dies without notice.
    pub(crate) fn brain_dies(&mut self) {
        let Some(mut brain) = self.brain.take() else { return };
        if let Some(conn) = brain.conn.take() {
            self.close(conn.id);
        }
    }

    fn close(&mut self, conn: u64) {
        self.open_conns.remove(&conn);
        let at = self.now + self.latency();
        self.at(at, Event::ConnNoticed { conn });
    }

    pub(crate) fn brain_connects(&mut self, id: u64) {
        if self.brain.as_ref().is_none_or(|brain| brain.id != id || brain.conn.is_some()) {
            return;
        }
        if !self.agent.alive {
            return self.session_ended("nobody listens");
        }
        self.last_conn += 1;
        let conn = self.last_conn;
        self.open_conns.insert(conn);
        let at = self.now + self.latency();
        self.at(
            at,
            Event::Greeted { brain: id, conn, agent: self.agent.id, info: Box::new(self.agent.info()) },
        );
    }

    pub(crate) fn greeted(&mut self, id: u64, conn: u64, agent: u64, info: VppInfo) {
        let now = self.instant(self.now).mono;
        let open = self.open_conns.contains(&conn);
        // The client asks for it between hello and all else.
        let heard = self.heard();
        let Some(brain) = self.brain.as_mut().filter(|brain| brain.id == id && brain.conn.is_none()) else {
            if open {
                self.close(conn);
            }
            return;
        };
        if !open {
            return self.session_ended("the connection broke");
        }
        brain.failures = 0;
        let seen = info.generation;
        let mut syncs = Syncs::new(Arc::clone(&brain.published), brain.last_view, now);
        let event = syncs.vpp_changed(info, now);
        let liveness = syncs.liveness(heard, now);
        brain.conn = Some(Conn {
            id: conn,
            calls: BTreeMap::new(),
            full_syncs: 0,
            agent,
            syncs,
            wanted: Arc::clone(&brain.published),
            seen,
            noticed: false,
            due: None,
            arrives: Duration::ZERO,
        });
        let info = AgentInfo { pid: 1, started: 0, no_echo: None, policy: AgentPolicy::default() };
        self.tell(AgentEvent::Connected { version: "1".to_owned(), protocol: PROTOCOL_VERSION, info });
        self.tell_maybe(event);
        for event in liveness {
            self.tell(event);
        }
        self.wait_change();
        self.pump();
    }

    /// The client finds that the agent is disconnected, and connects anew after a while.
    fn session_ended(&mut self, reason: &str) {
        let Some(brain) = &mut self.brain else { return };
        if let Some(conn) = brain.conn.take() {
            brain.last_view = conn.syncs.view();
            self.close(conn.id);
        }
        let Some(brain) = &mut self.brain else { return };
        let (id, failures) = (brain.id, brain.failures);
        brain.failures += 1;
        self.tell(AgentEvent::Disconnected { reason: reason.to_owned() });
        let pause = match failures {
            0 => Duration::ZERO,
            more => Duration::from_millis(100 << more.min(4)).mul_f64(0.5 + self.rng.f64() / 2.0),
        };
        self.at(self.now + pause, Event::BrainConnects { brain: id });
    }

    pub(crate) fn conn_broken(&mut self, conn: u64) {
        if self.conn(conn).is_some() {
            self.session_ended("the connection to the agent broke");
        }
    }

    fn conn(&mut self, id: u64) -> Option<&mut Conn> {
        self.brain.as_mut()?.conn.as_mut().filter(|conn| conn.id == id)
    }

    fn wait_change(&mut self) {
        let at = self.now + self.latency();
        if let Some(conn) = self.brain.as_ref().and_then(|brain| brain.conn.as_ref()) {
            let event = Event::WaitArrives { agent: conn.agent, conn: conn.id, seen: conn.seen };
            self.at(at, event);
        }
    }

    pub(crate) fn change_told(&mut self, conn: u64, info: VppInfo) {
        let now = self.instant(self.now).mono;
        let Some(found) = self.conn(conn) else { return };
        if info.generation != found.seen {
            found.seen = info.generation;
            let event = found.syncs.vpp_changed(info, now);
            self.tell_maybe(event);
        }
        self.wait_change();
        self.pump();
    }

    pub(crate) fn liveness_told(&mut self, conn: u64) {
        let (heard, now) = (self.heard(), self.instant(self.now).mono);
        let Some(found) = self.conn(conn) else { return };
        for event in found.syncs.liveness(heard, now) {
            self.tell(event);
        }
        self.pump();
    }

    fn heard(&self) -> Liveness {
        let silent_for = self.agent.silent_since.map(|since| self.now - since);
        Liveness { generation: self.agent.silences, silent_for }
    }

    /// Sends whatever the client may send now.
    fn pump(&mut self) {
        let now = self.instant(self.now).mono;
        loop {
            let Some(brain) = &mut self.brain else { return };
            let Some(conn) = &mut brain.conn else { return };
            let Some(sent) = conn.syncs.next(now) else { break };
            let decided = conn.wanted.view == Some(sent.view) && sent.view == conn.syncs.view();
            if !decided && sent.call != Call::Programmed {
                let view = conn.wanted.view;
                return self
                    .fail(format!("rule 1: after look {:?}, with what was decided on {view:?}", sent.view));
            }
            let mut scope = brain.scope(&sent.call);
            scope.well = self.well();
            let scope = Rc::new(scope);
            self.last_call += 1;
            let id = self.last_call;
            let latency = self.latency();
            let Some(brain) = &mut self.brain else { return };
            let Some(conn) = &mut brain.conn else { return };
            let limit = if matches!(sent.call, Call::All { .. }) { FULL } else { CALL };
            let queued = Queued { conn: conn.id, brain: brain.id, id, call: sent.call.clone(), scope };
            conn.calls.insert(id, sent);
            conn.arrives = (self.now + latency).max(conn.arrives + Duration::from_nanos(1));
            let (conn, agent, at) = (conn.id, conn.agent, conn.arrives);
            self.note(|_| format!("call {id}: {:?}", queued.call));
            self.at(at, Event::CallArrives { agent, queued: Box::new(queued) });
            self.at(self.now + limit, Event::CallTimesOut { conn, id });
        }
        let Some(conn) = self.brain.as_mut().and_then(|brain| brain.conn.as_mut()) else { return };
        let due = conn.syncs.due();
        let id = conn.id;
        if due.is_some_and(|due| due <= now) {
            return self.fail("the agent's client would ask for its next call again and again".to_owned());
        }
        let due = due.map(|due| self.since_start(due));
        let Some(conn) = self.conn(id) else { return };
        if due != conn.due {
            conn.due = due;
            if let Some(due) = due {
                self.at(due, Event::SyncsDue { conn: id });
            }
        }
    }

    pub(crate) fn syncs_due(&mut self, conn: u64) {
        let now = self.now;
        if self.conn(conn).is_some_and(|conn| conn.due.is_some_and(|due| due <= now)) {
            self.pump();
        }
    }

    pub(crate) fn call_answered(&mut self, conn: u64, id: u64, answer: Answer) {
        let (now, random) = (self.instant(self.now).mono, self.rng.f64());
        let Some(found) = self.conn(conn) else { return };
        let Some(sent) = found.calls.remove(&id) else { return };
        let full = matches!((&sent.call, &answer), (Call::All { .. }, Answer::Sync(Ok(_))));
        if full {
            found.full_syncs += 1;
        }
        let result = found.syncs.answered(sent, answer, now, random);
        if let Some(brain) = self.brain.as_mut().filter(|_| full) {
            brain.last_full_read = id;
        }
        match result {
            Ok(event) => {
                self.tell_maybe(event);
                self.pump();
            }
            Err(error) => self.session_ended(&error.to_string()),
        }
    }

    pub(crate) fn call_times_out(&mut self, conn: u64, id: u64) {
        let Some(sent) = self.conn(conn).and_then(|conn| conn.calls.get(&id)) else { return };
        let answer = match &sent.call {
            Call::Programmed => Answer::Programmed(Err(CallError::Timeout)),
            Call::Conf(_) => Answer::Conf(Err(CallError::Timeout)),
            Call::All { .. } | Call::Vip { .. } => Answer::Sync(Err(CallError::Timeout)),
        };
        self.timed_out.insert(id);
        self.call_answered(conn, id, answer);
    }

    fn tell_maybe(&mut self, event: Option<AgentEvent>) {
        if let Some(event) = event {
            self.tell(event);
        }
    }

    fn tell(&mut self, event: AgentEvent) {
        let at = self.now + self.latency();
        let Some(brain) = &mut self.brain else { return };
        brain.events.push_back(event);
        let (id, waiting) = (brain.id, brain.events.len());
        if waiting > MOST_EVENTS {
            self.fail("the agent's events grow without bound".to_owned());
        }
        self.at(at, Event::AgentTells { brain: id });
    }

    pub(crate) fn agent_tells(&mut self, id: u64) {
        let now = self.instant(self.now);
        let Some(brain) = self.brain.as_mut().filter(|brain| brain.id == id) else { return };
        let Some(event) = brain.events.pop_front() else { return };
        match &event {
            AgentEvent::Vpp { programmed, .. } => {
                brain.watched.saw_empty_vpp = programmed.as_ref().map(|(_, seen)| seen.vips.is_empty());
            }
            AgentEvent::Disconnected { .. } => brain.watched.saw_empty_vpp = None,
            AgentEvent::Connected { .. }
            | AgentEvent::Settings { .. }
            | AgentEvent::Synced { .. }
            | AgentEvent::Silence { .. } => {}
        }
        brain.routes.told(&event);
        let effects = brain.core.handle(Input::Agent(event), now);
        self.follow(effects);
    }

    /// What the controller decided becomes known.
    pub(crate) fn follow(&mut self, effects: Effects) {
        let latency = self.latency();
        let nothing = effects == Effects::default();
        let Some(brain) = &mut self.brain else { return };
        let wanted = brain.core.wanted();
        let id = brain.id;
        if effects.wanted {
            brain.published = Arc::new(wanted);
            if let Some(conn) = brain.conn.as_mut().filter(|conn| !conn.noticed) {
                conn.noticed = true;
                let conn = conn.id;
                self.at(self.now + latency, Event::WantedNoticed { conn });
            }
        } else if *brain.published != wanted {
            return self.fail("what is wanted changed, and nobody was told".to_owned());
        }
        self.follow_routes(effects.routes);
        for event in &effects.events {
            self.note(|_| format!("{event:?}"));
        }
        if !effects.probers.is_empty() {
            let names: Vec<_> = effects.probers.iter().cloned().collect();
            self.renew(&names, Duration::ZERO);
        }
        for (check, pace) in &effects.paces {
            self.set_pace(check, *pace);
        }
        for ended in &effects.ended {
            self.ended(ended);
        }
        if effects.overrides
            && let Some(brain) = &self.brain
        {
            let kept = Box::new((Overrides::clone(brain.core.overrides()), self.operators.clone()));
            let at = self.now + Duration::from_millis(self.rng.u64(1..30));
            let at = at.max(self.saved_until + Duration::from_nanos(1));
            self.saved_until = at;
            self.at(at, Event::Saved { brain: id, kept });
        }
        self.schedule_tick();
        self.dirty |= !nothing;
    }

    /// Operators learn what became of what they demanded.
    fn ended(&mut self, ended: &Ended) {
        let Some(brain) = &mut self.brain else { return };
        let is_over = |waiting: &Demand| match (ended.demand, *waiting) {
            (Demand::Vip(vip, number), Demand::Vip(other, earlier)) => vip == other && earlier <= number,
            (Demand::Full(number), Demand::Full(earlier)) => earlier <= number,
            _ => false,
        };
        let last_full_read = brain.last_full_read;
        let over: Vec<(Demand, u64)> = brain.waiting.extract_if(.., |waiting, _| is_over(waiting)).collect();
        for (demand, last_call) in over {
            self.note(|_| format!("{demand:?}: {:?}", ended.in_vpp));
            let Demand::Full(_) = demand else { continue };
            if ended.report.is_none() {
                self.count("demanded syncs that failed");
                continue;
            }
            self.count("demanded syncs done");
            if ended.report.as_ref().is_none_or(|report| report.read.is_none()) {
                return self.fail(format!("{demand:?} ends without a full read: {ended:?}"));
            }
            if last_full_read <= last_call {
                return self.fail(format!(
                    "{demand:?}, made after call {last_call}, ends with what call {last_full_read} read"
                ));
            }
        }
    }

    pub(crate) fn wanted_noticed(&mut self, conn: u64) {
        let now = self.instant(self.now).mono;
        let Some(brain) = &mut self.brain else { return };
        let wanted = Arc::clone(&brain.published);
        let Some(conn) = brain.conn.as_mut().filter(|found| found.id == conn) else { return };
        conn.noticed = false;
        conn.wanted = Arc::clone(&wanted);
        conn.syncs.want(wanted, now);
        self.pump();
    }

    fn schedule_tick(&mut self) {
        let Some(next) = self.brain.as_ref().map(|brain| brain.core.next_tick()) else { return };
        let next = next.map(|next| self.since_start(next).max(self.now));
        let Some(brain) = &mut self.brain else { return };
        let id = brain.id;
        if brain.tick != next {
            brain.tick = next;
            if let Some(next) = next {
                // The controller may be busy with something else.
                let late = if self.rng.u8(..8) == 0 { self.latency() } else { Duration::ZERO };
                self.at(next + late, Event::Tick { brain: id });
            }
        }
    }

    pub(crate) fn tick(&mut self, id: u64) {
        let now = self.instant(self.now);
        let Some(brain) = self.brain.as_mut().filter(|brain| brain.id == id) else { return };
        if brain.tick.is_none_or(|tick| tick > self.now) {
            return;
        }
        brain.tick = None;
        let effects = brain.core.handle(Input::Tick, now);
        if brain.core.next_tick().is_some_and(|next| next <= now.mono) {
            return self.fail("the controller would tick again and again".to_owned());
        }
        self.follow(effects);
    }
}

impl Brain {
    /// What a call may do, as of now.
    fn scope(&self, call: &Call) -> Scope {
        let mut scope = Scope::default();
        match call {
            Call::Programmed | Call::Conf(_) => {}
            Call::All { specs, keep, .. } => {
                scope.specs = specs.iter().map(|spec| (spec.key, (**spec).clone())).collect();
                scope.keep = Some(keep.iter().copied().collect());
            }
            Call::Vip { spec, demanded } => {
                scope.specs.insert(spec.key, (**spec).clone());
                scope.demands =
                    demanded.as_ref().map_or_else(Demands::default, |demanded| demanded.demands.clone());
            }
        }
        let snapshot = self.core.snapshot(tokio::time::Instant::now().into_std());
        let constant = |vip: &VipKey| self.watched.constant_vips.contains(vip);
        // A panic gives weights to backends of which nothing is known, and its end takes them back.
        let calm = |frontend: &Frontend| frontend.panic_threshold.is_none();
        for view in snapshot.frontends.values().filter(|view| calm(&view.frontend)) {
            for name in view.frontend.pools.iter().flat_map(|pool| pool.backends.keys()) {
                let is_down = snapshot
                    .backends
                    .get(name.as_str())
                    .is_some_and(|backend| backend.health.state() == State::Down);
                let backend = snapshot.config.backends.get(name).filter(|_| is_down);
                scope.down.extend(backend.map(|backend| (view.spec.key, backend.address)));
            }
        }
        let views = snapshot.frontends.values();
        for view in views.filter(|view| constant(&view.spec.key) && calm(&view.frontend)) {
            for pool in &view.frontend.pools {
                for (name, weight) in &pool.backends {
                    let never_known = self.watched.constant_backends.contains(name)
                        && snapshot.backends.get(name.as_str()).is_some_and(|backend| {
                            backend.health.state() == State::Unknown && backend.health.is_new()
                        });
                    let Some(backend) = snapshot.config.backends.get(name).filter(|_| never_known) else {
                        continue;
                    };
                    let whole = view.table.scale.programmed(*weight);
                    let most = scope.never_known.entry((view.spec.key, backend.address)).or_default();
                    *most = whole.max(*most);
                }
            }
        }
        scope
    }

    /// Nothing is on its way between the controller and its client.
    pub(crate) fn is_idle(&self) -> bool {
        self.events.is_empty()
            && self.conn.as_ref().is_some_and(|conn| conn.calls.is_empty() && !conn.noticed)
    }

    /// Another configuration is in force.
    pub(crate) fn reconfigured(&mut self, before: &Config) {
        let after = self.core.config();
        fn checks<'c>(config: &'c Config, name: &str) -> Vec<(&'c str, &'c HealthCheck)> {
            config.backends.get(name).into_iter().flat_map(|backend| config.checks_of(backend)).collect()
        }
        let same = |name: &String| {
            before.backends.get(name) == after.backends.get(name)
                && checks(before, name) == checks(after, name)
        };
        self.watched.constant_backends.retain(|name| same(name));
        // A frontend under another name is another one to what is remembered of it.
        let of = |config: &Config| -> BTreeMap<VipKey, (String, Arc<Frontend>)> {
            let frontends = config.frontends.iter();
            frontends.map(|(name, found)| (vip_key(found), (name.clone(), Arc::clone(found)))).collect()
        };
        let (old, vips) = (of(before), of(after));
        self.watched.constant_vips.retain(|vip| vips.contains_key(vip) && vips.get(vip) == old.get(vip));
        self.watched.released.retain(|vip| vips.contains_key(vip));
    }
}
