//! The controller's state and decisions.

mod absence;
mod backends;
mod command;
mod comparison;
mod event;
mod expiry;
mod fleet;
mod frontends;
mod known;
mod orders;
mod release;
mod reload;
mod routes;
mod selection;
mod steady;
mod syncs;
mod wish;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use maglev_protocol::SyncReport;
use tracing::subscriber::{NoSubscriber, with_default};

pub use command::{Command, CommandError, Done, InVpp, VppRequest};
pub use comparison::Reload;
pub use event::{Event, FrontendChange, FrontendNow, Notice, Numbered};
pub use wish::{BackendWish, Selector};

use crate::agent::AgentEvent;
use crate::config::{Config, HealthCheck};
use crate::desired::{Demand, Wanted};
use crate::health::Since;
use crate::outcome::Report;
use crate::overrides::{Overrides, Remark};
use crate::schedule::Pace;
use crate::snapshot::{AgentStatus, FrontendView, Snapshot};
use crate::tally::{BrainTally, CheckTallies, ProbeTally, VppLives};
use crate::tunnel::vips;
use crate::warmup::Warmup;
use absence::Absence;
use backends::Backends;
use expiry::Expiry;
use fleet::Fleet;
pub use fleet::FleetNews;
use frontends::Frontends;
use known::Known;
use orders::Orders;
pub use release::Release;
use routes::Routes;
pub use routes::{RouterEvent, WantedRoutes};
use steady::Steady;

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Time of day, for display.
    pub wall: SystemTime,
    /// Monotonic clock, for measuring and waiting.
    pub mono: Instant,
}

/// Inputs of the controller, except for operators' commands.
#[derive(Debug)]
pub enum Input {
    /// A probe ended.
    Probe(Report),
    /// An event of the agent or VPP.
    Agent(AgentEvent),
    /// An event of the router's client.
    Router(RouterEvent),
    /// News of the other members of the fleet.
    Fleet(FleetNews),
    /// The time that [`Core::next_tick`] returned has come.
    Tick,
}

/// Effects of an input, besides the new state.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// VPP's desired state changed.
    pub wanted: bool,
    /// The router's desired state changed.
    pub routes: bool,
    /// A state changed that readers should see at once.
    pub state: bool,
    /// The overrides changed and must be persisted.
    pub overrides: bool,
    /// Checks of backends, by their index, whose probing interval may have changed.
    pub paces: BTreeMap<(Arc<str>, usize), Pace>,
    /// Backends whose prober must be restarted or stopped: another check or address, or removed.
    pub probers: BTreeSet<Arc<str>>,
    /// Changes of state, in order.
    pub events: Vec<Event>,
    /// Frontends that the warm-up released because of these changes; logged after them.
    pub releases: Vec<Release>,
    /// Operators' requests that nobody needs to wait for any longer.
    pub ended: Vec<Ended>,
    /// Frontends whose sync failed, for another reason than before, or no longer fails.
    pub syncs: Vec<SyncNote>,
}

impl Effects {
    /// Adds the effects of a later input.
    pub fn merge(&mut self, later: Self) {
        self.wanted |= later.wanted;
        self.routes |= later.routes;
        self.state |= later.state;
        self.overrides |= later.overrides;
        self.paces.extend(later.paces);
        self.probers.extend(later.probers);
        self.events.extend(later.events);
        self.releases.extend(later.releases);
        self.ended.extend(later.ended);
        self.syncs.extend(later.syncs);
    }
}

/// A frontend's sync that ended otherwise than the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncNote {
    /// The frontend.
    pub frontend: Arc<str>,
    /// Why it failed; `None` if it no longer does.
    pub error: Option<String>,
}

/// The result of an operator's request, for everyone who waits for it or for one that it includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The request.
    pub demand: Demand,
    /// Its progress in VPP. Unless acknowledged, it continues in the background.
    pub in_vpp: InVpp,
    /// The report of the sync, if there was one.
    pub report: Option<Arc<SyncReport>>,
}

/// The brain's whole state.
#[derive(Debug, Clone)]
pub struct Core {
    config: Arc<Config>,
    overrides: Arc<Overrides>,
    backends: Backends,
    frontends: Frontends,
    agent: Arc<AgentStatus>,
    known: Known,
    orders: Orders,
    warmup: Warmup,
    routes: Routes,
    /// When VPP was disconnected or silent, so that probes say nothing.
    absence: Absence,
    /// Number of changes of state so far.
    events: u64,
    tally: Arc<BrainTally>,
    checks: Arc<CheckTallies>,
    vpp_lives: VppLives,
    expiry: Expiry,
    steady: Steady,
    fleet: Fleet,
}

/// A check of a backend.
#[derive(Debug, Clone, Copy)]
pub struct Checked<'a> {
    /// Its index among the backend's checks.
    pub index: usize,
    /// The backend's address.
    pub target: IpAddr,
    /// Name of the check.
    pub check: &'a str,
    /// Initial probing interval.
    pub pace: Pace,
    /// Its counters on this backend, which take most results without [`Core::handle`].
    pub tally: &'a Arc<ProbeTally>,
}

impl Core {
    /// The state at the start: static backends are up, those disabled by the configuration or an operator are
    /// out of service, all others are unknown.
    pub fn new(config: Arc<Config>, overrides: Overrides, agent_socket: PathBuf, now: Now) -> Self {
        let agent = Arc::new(AgentStatus::new(agent_socket));
        let orders = Orders::new(&config.lb);
        let warmup = Warmup::new(now.mono, config.lb.startup_min_delay, config.lb.startup_max_delay);
        let mut core = Self {
            config,
            overrides: Arc::new(overrides),
            backends: Backends::default(),
            frontends: Frontends::default(),
            agent,
            known: Known::default(),
            orders,
            warmup,
            routes: Routes::new(now.wall),
            absence: Absence::Unwatched { since: now.mono, known: None },
            events: 0,
            tally: Arc::default(),
            checks: Arc::default(),
            vpp_lives: VppLives::default(),
            expiry: Expiry::default(),
            steady: Steady::default(),
            fleet: Fleet::default(),
        };
        core.start(now);
        core.plan_expiry(now);
        core.tally.take_config(now.wall);
        core
    }

    /// Takes over the states from before the start, and since when backends were in them.
    pub fn recall<'n>(&mut self, states: impl IntoIterator<Item = (&'n str, Since)>, now: Now) {
        for (name, before) in states {
            // The clock may have been set back.
            self.backends.recall(name, Since { at: before.at.min(now.wall), ..before });
        }
    }

    /// The configuration in use.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The operators' overrides.
    pub fn overrides(&self) -> &Arc<Overrides> {
        &self.overrides
    }

    /// All checks of all backends.
    pub fn checked_backends(&self) -> impl Iterator<Item = (&Arc<str>, Checked<'_>)> {
        self.backends.views().keys().flat_map(|name| self.checks(name).map(move |check| (name, check)))
    }

    /// A backend's checks; none if it does not exist.
    pub fn checks(&self, name: &str) -> impl Iterator<Item = Checked<'_>> {
        let found = self.config.backends.get(name).zip(self.backends.get(name));
        found.into_iter().flat_map(|(backend, view)| {
            let checks = backend.healthchecks.iter().zip(&view.checks).enumerate();
            checks.map(move |(index, (check, own))| Checked {
                index,
                target: backend.address,
                check,
                pace: view.health.pace(index),
                tally: &own.tally,
            })
        })
    }

    /// The VIPs that a backend is probed with by a check through the tunnel.
    pub fn tunnel_vips(&self, backend: &str, check: &HealthCheck) -> BTreeSet<SocketAddr> {
        let frontends = self.backends.frontends_of(backend);
        let configured = frontends.iter().filter_map(|frontend| self.config.frontends.get(&**frontend));
        vips(check, configured.map(Arc::as_ref))
    }

    /// The frontends, by name.
    pub fn frontends(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<FrontendView>)> {
        self.frontends.views().iter()
    }

    /// The state after a command, without changing this one. Counts and logs nothing.
    ///
    /// # Errors
    /// Those of the command.
    pub fn tried(&self, command: Command, now: Now) -> Result<Self, CommandError> {
        Ok(self.tried_on(None, command, Remark::default(), now)?.0)
    }

    /// The same of an operator's command, with its result, if the state still has this number.
    ///
    /// # Errors
    /// Those of the command.
    pub fn tried_on(
        &self,
        state: Option<u64>,
        command: Command,
        remark: Remark,
        now: Now,
    ) -> Result<(Self, Done), CommandError> {
        let mut tried = Self { tally: Arc::default(), ..self.clone() };
        let (_, done) = with_default(NoSubscriber::new(), || tried.command_on(state, command, remark, now))?;
        Ok((tried, done))
    }

    /// The current state, for readers.
    pub fn snapshot(&self, made: Instant) -> Snapshot {
        Snapshot {
            made,
            config: Arc::clone(&self.config),
            overrides: Arc::clone(&self.overrides),
            warmup: self.warmup,
            routes: self.routes.views().clone(),
            router: Arc::clone(self.routes.router()),
            frontends: self.frontends.views().clone(),
            backends: self.backends.views().clone(),
            agent: Arc::clone(&self.agent),
            events: self.events,
            tally: Arc::clone(&self.tally),
            checks: Arc::clone(&self.checks),
            guard: self.steady.view(),
            fleet: self.fleet_view(),
        }
    }

    /// Counters of the brain as a whole.
    pub fn tally(&self) -> &Arc<BrainTally> {
        &self.tally
    }

    /// VPP's current desired state.
    pub fn wanted(&self) -> Wanted {
        self.orders.wanted().clone()
    }

    /// When the next [`Input::Tick`] is due.
    pub fn next_tick(&self) -> Option<Instant> {
        let others =
            self.frontends.next_step().into_iter().chain(self.expiry.next()).chain(self.routes.next());
        let others = others.chain(self.steady.next(self.config.healthchecker.guard));
        let others = others.chain(self.fleet.next());
        self.warmup.next_phase_at().into_iter().chain(others).min()
    }

    /// Number of changes of state since the start.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Processes one input.
    pub fn handle(&mut self, input: Input, now: Now) -> Effects {
        let effects = match input {
            Input::Probe(report) => self.probed(report, now),
            Input::Agent(event) => self.agent_event(event, now),
            Input::Router(event) => self.router_event(event, now),
            Input::Fleet(news) => self.fleet_news(news, now),
            Input::Tick => self.tick(now),
        };
        self.counted(effects, now)
    }

    fn counted(&mut self, mut effects: Effects, now: Now) -> Effects {
        self.decide_routes(now, &mut effects);
        self.note_last_release(&mut effects);
        self.events += effects.events.len() as u64;
        effects.state |= !effects.events.is_empty();
        effects
    }

    fn tick(&mut self, now: Now) -> Effects {
        let mut effects = Effects::default();
        if self.warmup.advance(now.mono).is_some() {
            self.phase_began(now, &mut effects);
        }
        for frontend in self.frontends.due(now.mono) {
            self.reweigh(&frontend, now, &mut effects);
            effects.state = true;
        }
        self.steady_tick(now, &mut effects);
        self.fleet_tick(now, &mut effects);
        self.expire(now, &mut effects);
        effects
    }
}

#[cfg(test)]
mod tests;
