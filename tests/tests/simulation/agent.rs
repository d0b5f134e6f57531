//! The agent: its queue of calls and its connection to VPP, around the real reconciler.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::noop_waker;
use maglev_dpagent::apply::Lost;
use maglev_dpagent::execute::{self, Executed, Executor};
use maglev_dpagent::policy::{Limits, Policy, Settings};
use maglev_dpagent::reconcile::{self, Wanted};
use maglev_dpagent::server::Peer;
use maglev_dpagent::sync::{SyncError, Syncer};
use maglev_dpagent::writer::{Candidate, WriterSeat};
use maglev_engine::agent::CallError;
use maglev_engine::syncs::{Answer, Call};
use maglev_protocol::{
    AgentError, BrainHello, Demands, MOST_STICKY_BUCKETS, PROTOCOL_VERSION, Prefix, VipKey, VipSpec, VppInfo,
    VppState,
};

use crate::judge::Scope;
use crate::vpp::Life;
use crate::wire::{Reply, Request, Wire};
use crate::world::{Event, World};

/// Upper bound on the agent's queue and the senders that wait for it.
const MOST_CALLS: usize = 64;

#[derive(Debug)]
pub(crate) struct Agent {
    /// Changes at each restart.
    pub(crate) id: u64,
    pub(crate) alive: bool,
    generation: u64,
    state: VppState,
    pub(crate) session: Option<Session>,
    queue: VecDeque<Queued>,
    writer: WriterSeat,
    /// Connections that wait for another generation.
    waiting: Vec<u64>,
    /// Since when VPP has answered nothing, if it is silent.
    pub(crate) silent_since: Option<Duration>,
    /// How often VPP has fallen silent or answered again.
    pub(crate) silences: u64,
}

/// A call in the agent.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) conn: u64,
    pub(crate) brain: u64,
    pub(crate) id: u64,
    pub(crate) call: Call,
    pub(crate) scope: Rc<Scope>,
}

enum Outcome {
    Started(Result<(), SyncError>),
    Answered(Box<Answer>, Option<Lost>),
}

type Work = Pin<Box<dyn Future<Output = (Option<Executor<Wire>>, Outcome)>>>;

/// One connection to VPP.
pub(crate) struct Session {
    pub(crate) link: u64,
    wire: Wire,
    executor: Option<Executor<Wire>>,
    work: Option<(Option<Queued>, Work)>,
    pub(crate) heard: Duration,
    scheduled: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let call = self.work.as_ref().map(|(call, _)| call.as_ref().map(|call| call.id));
        f.debug_struct("Session").field("link", &self.link).field("call", &call).finish_non_exhaustive()
    }
}

fn away(reason: &str, silent_ms: u64) -> VppState {
    VppState::Disconnected { reason: reason.to_owned(), silent_ms }
}

static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let prefix = |text: &str, length| Prefix { address: text.parse().expect("an address"), length };
    Arc::new(Policy {
        source: "the simulation".to_owned(),
        vips: vec![prefix("198.51.100.0", 24), prefix("2001:db8:1::", 64)],
        servers: vec![prefix("10.0.0.0", 8), prefix("2001:db8:2::", 64)],
        ping: Vec::new(),
        limits: Limits::default(),
        settings: Settings {
            sticky_buckets: MOST_STICKY_BUCKETS,
            tunnel_sources: vec![prefix("0.0.0.0", 0), prefix("::", 0)],
            flow_timeout: (1, 120),
            // Strangers make VIPs at any time.
            beside_foreign_vips: true,
        },
        routes: None,
        tunnel_probes: Vec::new(),
    })
});

/// Whether the policy allows the VIP.
pub(crate) fn is_ours(vip: &VipKey) -> bool {
    POLICY.allows_vip(&vip.prefix)
}

impl Agent {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            alive: true,
            generation: 0,
            state: away("the agent has only just started", 0),
            session: None,
            queue: VecDeque::new(),
            writer: WriterSeat::default(),
            waiting: Vec::new(),
            silent_since: None,
            silences: 0,
        }
    }

    pub(crate) fn info(&self) -> VppInfo {
        VppInfo { generation: self.generation, state: self.state.clone() }
    }

    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.state, VppState::Connected { .. })
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.session.as_ref().is_some_and(|session| session.work.is_none())
    }

    pub(crate) fn link(&self) -> Option<u64> {
        self.session.as_ref().map(|session| session.link)
    }

    fn refusal(&self) -> AgentError {
        match &self.state {
            VppState::Disconnected { reason, .. } => AgentError::NoVpp { reason: reason.clone() },
            _ => AgentError::NoVpp { reason: "reconnecting".to_owned() },
        }
    }
}

impl World {
    pub(crate) fn agent_connects(&mut self, agent: u64) {
        if agent != self.agent.id || !self.agent.alive || self.agent.session.is_some() {
            return;
        }
        if self.vpp.life != Life::Running || self.rng.u8(..20) == 0 {
            return self.agent_retries();
        }
        self.last_link += 1;
        let wire = Wire::to(self.vpp.dialect);
        let starting = Syncer::start(wire.clone(), Arc::clone(&POLICY));
        let work: Work = Box::pin(async move {
            match starting.await {
                Ok(syncer) => (Some(Executor::new(syncer)), Outcome::Started(Ok(()))),
                Err(error) => (None, Outcome::Started(Err(error))),
            }
        });
        self.agent.session = Some(Session {
            link: self.last_link,
            wire,
            executor: None,
            work: Some((None, work)),
            heard: self.now,
            scheduled: false,
        });
        self.agent_progress();
    }

    fn agent_retries(&mut self) {
        let pause = Duration::from_millis(self.rng.u64(20..1500));
        let agent = self.agent.id;
        self.at(self.now + pause, Event::AgentConnects { agent });
    }

    /// A call has come over a connection.
    pub(crate) fn call_arrives(&mut self, agent: u64, queued: Queued) {
        if agent != self.agent.id || !self.agent.alive || !self.open_conns.contains(&queued.conn) {
            return;
        }
        if let Err(error) = self.admit(&queued) {
            let answer = failed(&queued.call, error);
            return self.reply(&queued, answer);
        }
        if !self.agent.is_connected() {
            let answer = failed(&queued.call, self.agent.refusal());
            return self.reply(&queued, answer);
        }
        self.agent.queue.push_back(queued);
        if self.agent.queue.len() > MOST_CALLS {
            self.fail("the agent's queue grows without bound".to_owned());
        }
        self.agent_progress();
    }

    fn admit(&mut self, queued: &Queued) -> Result<(), AgentError> {
        let now = self.instant(self.now).mono;
        self.agent.writer.renew(queued.conn, now);
        if queued.call != Call::Programmed {
            let brain =
                BrainHello { protocol: PROTOCOL_VERSION, version: String::new(), instance: queued.brain };
            let peer = Peer { pid: i32::try_from(queued.brain).ok() };
            let candidate = Candidate { connection: queued.conn, brain, peer };
            self.agent.writer.take(&candidate, now)?;
        }
        let result = match &queued.call {
            Call::Programmed => Ok(()),
            Call::Conf(wanted) => execute::check_conf(wanted, &POLICY),
            Call::All { specs, keep, .. } => whole(specs, keep).map(drop),
            Call::Vip { spec, .. } => execute::check_vip(spec, &POLICY),
        };
        if let Err(error) = result {
            self.fail(format!("the brain asked for what the agent must refuse: {error}"));
        }
        Ok(())
    }

    fn reply(&mut self, queued: &Queued, answer: Answer) {
        if self.open_conns.contains(&queued.conn) {
            let at = self.now + self.latency();
            if self.rng.f64() < self.weather.lost_answers {
                self.note(|_| format!("the answer to call {} is lost", queued.id));
                return;
            }
            self.at(at, Event::CallAnswered { conn: queued.conn, id: queued.id, answer: Box::new(answer) });
        }
    }

    /// Goes on until something must be waited for.
    pub(crate) fn agent_progress(&mut self) {
        loop {
            let now = self.now;
            let Some(session) = &mut self.agent.session else { return };
            session.wire.pipe().now = now;
            let Some((_, work)) = &mut session.work else {
                if !self.take_next_call() {
                    return;
                }
                continue;
            };
            let waker = noop_waker();
            match work.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => break,
                Poll::Ready((executor, outcome)) => {
                    session.executor = executor;
                    let queued = session.work.take().and_then(|(queued, _)| queued);
                    self.work_ended(queued, outcome);
                }
            }
        }
        let latency = self.latency();
        let Some(session) = &mut self.agent.session else { return };
        let waits = session.wire.pipe().ops.values().any(|op| !op.is_carried_out());
        if waits && !session.scheduled && self.vpp.life == Life::Running {
            session.scheduled = true;
            let link = session.link;
            self.at(self.now + latency, Event::VppWorks { link });
        }
    }

    fn take_next_call(&mut self) -> bool {
        let Some(queued) = self.agent.queue.pop_front() else { return false };
        // Whoever asked has gone.
        if !self.open_conns.contains(&queued.conn) || self.timed_out.contains(&queued.id) {
            return true;
        }
        let Some(session) = &mut self.agent.session else { return false };
        let Some(mut executor) = session.executor.take() else { return false };
        let call = queued.call.clone();
        let work: Work = Box::pin(async move {
            let answered = match call {
                Call::Programmed => answered(executor.programmed().await, Answer::Programmed),
                Call::Conf(wanted) => answered(executor.lb_conf(&wanted).await, Answer::Conf),
                Call::All { specs, keep, .. } => {
                    let wanted = whole(&specs, &keep).expect("it was checked");
                    answered(executor.sync_all(&wanted).await, Answer::Sync)
                }
                Call::Vip { spec, demanded } => {
                    let demands = demanded.map_or_else(Demands::default, |demanded| demanded.demands);
                    answered(executor.sync_vip(&spec, &demands).await, Answer::Sync)
                }
            };
            (Some(executor), answered)
        });
        session.work = Some((Some(queued), work));
        true
    }

    fn work_ended(&mut self, queued: Option<Queued>, outcome: Outcome) {
        match outcome {
            Outcome::Started(Ok(())) => {
                let state = VppState::Connected {
                    version: if self.vpp.dialect.has_weights() { "26.10" } else { "26.06" }.to_owned(),
                    build_date: String::new(),
                    build_directory: String::new(),
                    pid: self.vpp.pid,
                    boot_time: Some(self.unix_seconds(self.vpp.started)),
                    connected_for: 0,
                };
                self.link_changes(state);
                self.silence_changes(None);
            }
            Outcome::Started(Err(error)) => {
                self.agent.session = None;
                self.link_changes(away(&error.to_string(), 0));
                self.agent_retries();
            }
            Outcome::Answered(answer, lost) => {
                if let Some(queued) = queued {
                    self.reply(&queued, *answer);
                }
                if let Some(lost) = lost {
                    let silent = self
                        .agent
                        .session
                        .as_ref()
                        .map_or(Duration::ZERO, |session| self.now - session.heard);
                    self.session_ends(&lost.reason, silent);
                }
            }
        }
    }

    fn session_ends(&mut self, reason: &str, silent: Duration) {
        self.agent.session = None;
        let silent_ms = u64::try_from(silent.as_millis()).unwrap_or(u64::MAX);
        self.link_changes(away(reason, silent_ms));
        for queued in std::mem::take(&mut self.agent.queue) {
            let answer = failed(&queued.call, self.agent.refusal());
            self.reply(&queued, answer);
        }
        self.agent_retries();
    }

    fn link_changes(&mut self, mut state: VppState) {
        if let (VppState::Disconnected { silent_ms: found, .. }, VppState::Disconnected { silent_ms, .. }) =
            (&self.agent.state, &mut state)
        {
            *silent_ms = *found;
        }
        if self.agent.state == state {
            return;
        }
        self.agent.generation += 1;
        self.agent.state = state;
        self.note(|world| format!("the agent on VPP: {:?}", world.agent.state));
        for conn in std::mem::take(&mut self.agent.waiting) {
            self.tell_change(conn);
        }
    }

    fn tell_change(&mut self, conn: u64) {
        let at = self.now + self.latency();
        self.at(at, Event::ChangeTold { conn, info: Box::new(self.agent.info()) });
    }

    /// A brain waits for another generation than it has seen.
    pub(crate) fn wait_arrives(&mut self, agent: u64, conn: u64, seen: u64) {
        if agent != self.agent.id || !self.agent.alive || !self.open_conns.contains(&conn) {
            return;
        }
        if self.agent.generation == seen { self.agent.waiting.push(conn) } else { self.tell_change(conn) }
    }

    /// The agent notices that a brain is gone.
    pub(crate) fn conn_noticed(&mut self, conn: u64) {
        self.agent.waiting.retain(|waiting| *waiting != conn);
        self.agent.writer.leave(conn);
    }

    /// VPP carries out some of what the agent has sent.
    pub(crate) fn vpp_works(&mut self, link: u64) {
        let Some(session) = self.agent.session.as_mut().filter(|session| session.link == link) else {
            return;
        };
        session.scheduled = false;
        if self.vpp.life != Life::Running {
            return;
        }
        let scope =
            session.work.as_ref().and_then(|(call, _)| call.as_ref()).map(|call| Rc::clone(&call.scope));
        let wire = session.wire.clone();
        let mut left = self.rng.usize(1..12);
        let mut done = Vec::new();
        let mut pipe = wire.pipe();
        for (id, op) in pipe.ops.iter_mut().filter(|(_, op)| !op.is_carried_out()) {
            if left == 0 {
                break;
            }
            left -= 1;
            let reply = match &mut op.request {
                Request::Write(writes) => {
                    let from = op.answers.len();
                    for write in writes.iter().skip(from).take(left + 1) {
                        let answer = match self.rng.f64() < self.weather.refusals {
                            true => self.vpp.balk(write, self.rng.bool()),
                            false => self.vpp.write(scope.as_deref(), write, self.now),
                        };
                        if self.trace {
                            self.lines.push(format!(
                                "{:>12?} VPP {}: {} -> {answer:?}",
                                self.now, write.vip, write.step
                            ));
                        }
                        op.answers.push(answer);
                    }
                    left = left.saturating_sub(writes.len() - from);
                    if op.answers.len() < writes.len() {
                        break;
                    }
                    Reply::Written(std::mem::take(&mut op.answers))
                }
                Request::Dumps(vips) => match vips.take() {
                    None => {
                        *vips = Some(self.vpp.dump_vips());
                        break;
                    }
                    Some(vips) => Reply::Dumps(self.vpp.dumps(vips)),
                },
                Request::Size => Reply::Size(self.vpp.size()),
                Request::Text => Reply::Text(self.vpp.text()),
                Request::Ping => Reply::Pong,
                Request::Conf => Reply::Conf(self.vpp.conf()),
                Request::SetConf(conf) => {
                    self.vpp.set_conf(conf);
                    Reply::ConfSet
                }
            };
            op.reply = Some(reply);
            done.push(*id);
        }
        let more = pipe.ops.values().any(|op| !op.is_carried_out());
        drop(pipe);
        for op in done {
            let at = self.now + self.latency();
            self.at(at, Event::VppAnswers { link, op });
        }
        if more {
            if let Some(session) = &mut self.agent.session {
                session.scheduled = true;
            }
            let at = self.now + self.latency();
            self.at(at, Event::VppWorks { link });
        }
    }

    pub(crate) fn vpp_answers(&mut self, link: u64, op: u64) {
        let Some(session) = self.agent.session.as_mut().filter(|session| session.link == link) else {
            return;
        };
        session.heard = self.now;
        session.wire.pipe().deliver(op);
        // It was on its way when VPP hung: the silence begins with it.
        if self.vpp.life == Life::Hung {
            self.silence_begins();
        }
        self.agent_progress();
    }

    /// The connection to VPP breaks, or the agent gives it up. VPP may still read what was sent.
    pub(crate) fn link_breaks(&mut self, link: u64, reason: &str) {
        let Some(session) = self.agent.session.as_mut().filter(|session| session.link == link) else {
            return;
        };
        let (wire, heard, idle) = (session.wire.clone(), session.heard, session.work.is_none());
        self.leave_backlog();
        let rng = &mut self.rng;
        wire.pipe().close(&Lost { reason: reason.to_owned() }, |answers| rng.usize(..=answers));
        if idle {
            // A VPP that died shows at once; one that hangs is found by asking it.
            let silent = if self.vpp.life == Life::Hung { self.now - heard } else { Duration::ZERO };
            self.session_ends(reason, silent);
        } else {
            self.agent_progress();
        }
    }

    /// Some of what was sent and not read stays in the socket of a connection that ends.
    fn leave_backlog(&mut self) {
        let Some(session) = &self.agent.session else { return };
        let scope =
            session.work.as_ref().and_then(|(call, _)| call.as_ref()).map(|call| Rc::clone(&call.scope));
        let pipe = session.wire.pipe();
        let mut unread = Vec::new();
        for op in pipe.ops.values().filter(|op| !op.is_carried_out()) {
            if let Request::Write(writes) = &op.request {
                unread.extend(writes.iter().skip(op.answers.len()).map(|write| (scope.clone(), *write)));
            }
        }
        drop(pipe);
        unread.truncate(self.rng.usize(..=unread.len()));
        self.vpp.backlog.extend(unread);
        match self.vpp.life {
            Life::Running => self.vpp.work_off(self.now),
            Life::Hung => {}
            Life::Dead => self.vpp.backlog.clear(),
        }
    }

    pub(crate) fn agent_dies(&mut self) {
        self.leave_backlog();
        self.agent.alive = false;
        self.agent.session = None;
        self.agent.queue.clear();
        let conns = std::mem::take(&mut self.open_conns);
        for conn in conns {
            let at = self.now + self.latency();
            self.at(at, Event::ConnBroken { conn });
        }
    }

    pub(crate) fn agent_starts(&mut self) {
        if self.agent.alive {
            return;
        }
        let id = self.agent.id + 1;
        self.agent = Agent::new(id);
        self.at(self.now + Duration::from_millis(1), Event::AgentConnects { agent: id });
    }
}

/// What a full sync asks for, checked.
fn whole(specs: &[Arc<VipSpec>], keep: &[VipKey]) -> Result<Wanted, AgentError> {
    reconcile::check(specs.iter().map(|spec| (**spec).clone()).collect(), keep.to_vec())
}

fn answered<T>(done: Executed<T>, answer: impl FnOnce(Result<T, CallError>) -> Answer) -> Outcome {
    Outcome::Answered(Box::new(answer(done.answer.map_err(CallError::Agent))), done.lost)
}

fn failed(call: &Call, error: AgentError) -> Answer {
    let error = CallError::Agent(error);
    match call {
        Call::Programmed => Answer::Programmed(Err(error)),
        Call::Conf(_) => Answer::Conf(Err(error)),
        Call::All { .. } | Call::Vip { .. } => Answer::Sync(Err(error)),
    }
}
