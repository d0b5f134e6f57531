//! The state for readers: one immutable value, replaced as a whole.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use imbl::OrdMap;
use maglev_protocol::{AgentError, AgentPolicy, Dialect, VipKey, VipSpec, VppInfo, VppState};
use smallvec::SmallVec;

use crate::config::{Config, Frontend, Router};
use crate::health::{Asked, Damper, Health, State};
use crate::outcome::{LastProbe, Share};
use crate::overrides::Overrides;
use crate::routes::{Announcement, Route};
use crate::tally::{BrainTally, CheckTallies, CheckTally, ProbeTally, Transitions};
use crate::votes::{Overruled, Votes};
use crate::warmup::{Phase, Warmup};
use crate::weights::{EffectiveWeights, Inexact, Scale};

/// The brain's state at one moment. A change of state is in the next snapshot at once, a health counter within
/// 250 ms; latest probes and Prometheus counters are those of the moment when they are read. Snapshots share
/// everything that is equal, so the cost of making one does not grow with the number of backends.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Time of the snapshot.
    pub made: Instant,
    /// The configuration in use.
    pub config: Arc<Config>,
    /// Overrides, including those without a target in the configuration.
    pub overrides: Arc<Overrides>,
    /// Progress of the warm-up.
    pub warmup: Warmup,
    /// Frontends by name.
    pub frontends: OrdMap<Arc<str>, Arc<FrontendView>>,
    /// Backends by name.
    pub backends: OrdMap<Arc<str>, Arc<BackendView>>,
    /// Routes by the VIPs' addresses.
    pub routes: OrdMap<IpAddr, Arc<RouteView>>,
    /// The router that has them.
    pub router: Arc<RouterStatus>,
    /// Agent and VPP.
    pub agent: Arc<AgentStatus>,
    /// The number of the last event included. A reader with this snapshot and all events of higher numbers
    /// misses none and has none twice.
    pub events: u64,
    /// Counters of the brain as a whole. Unlike all else here, they go on counting.
    pub tally: Arc<BrainTally>,
    /// Counters of each health check.
    pub checks: Arc<CheckTallies>,
    /// The guard against failures of many backends at once.
    pub guard: GuardView,
    /// Consequences of the fleet's votes for this load balancer.
    pub fleet: FleetView,
}

/// Consequences of the fleet's votes for this load balancer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetView {
    /// The backends that its votes are on.
    pub subject: Arc<str>,
    /// True if VPP answers, so that probes say something about the backends.
    pub can_see: bool,
    /// The time since which it is cut off from the backends, if it is.
    pub cut_off: Option<SystemTime>,
    /// True if its routes are withdrawn for that.
    pub withdraws: bool,
}

impl Snapshot {
    /// The warm-up's phase for display: over once no frontend is held back. A frontend added by a reload may
    /// be held back again until the delays are over.
    pub fn warmup_phase(&self) -> Phase {
        let held_back = || self.frontends.values().any(|view| view.sync == SyncStatus::HeldBack);
        match self.warmup.phase() {
            Phase::Releasing if !held_back() => Phase::Over,
            phase => phase,
        }
    }
}

impl Snapshot {
    /// This load balancer's votes on the health of backends, and when they change by themselves; `None` while it has none:
    /// health is local, VPP is silent, or it has just started and does not know its backends. What it voted last then counts
    /// until it is too old.
    pub fn votes(&self, now: Instant) -> Option<(Votes, Option<Instant>)> {
        let rule = &self.config.fleet;
        if !rule.is_fleet || !self.fleet.can_see {
            return None;
        }
        let is_checked = |(_, view): &(&Arc<str>, &Arc<BackendView>)| !view.checks.is_empty();
        let checked = || self.backends.iter().filter(is_checked);
        let is_new = |view: &BackendView| view.health.is_new() && now < view.new_since + rule.vote_ttl;
        if checked().any(|(_, view)| is_new(view)) {
            return None;
        }
        let backends = checked().map(|(name, view)| (&**name, view.health.state(), view.changed));
        Some(Votes::cast(&self.fleet.subject, backends, now))
    }
}

/// Time after which a decision that VPP has not acknowledged counts as missing.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);
/// Maximum number of frontends named in a reason.
const NAMED: usize = 5;

impl Snapshot {
    /// Why VPP does not serve all frontends as desired; `None` if it does. A decision of the last seconds is not missed yet.
    pub fn not_ready(&self, now: Instant) -> Option<String> {
        if !self.agent.can_program() {
            return Some(self.agent.why_not_programmed());
        }
        let is_late = |view: &FrontendView| {
            view.since.is_some_and(|since| now.saturating_duration_since(since) > ACKNOWLEDGED_WITHIN)
        };
        let missing = self.frontends.iter().filter_map(|(name, view)| {
            let why = match &view.sync {
                SyncStatus::Synced => return None,
                SyncStatus::Pending if !is_late(view) => return None,
                SyncStatus::Pending => "not acknowledged",
                SyncStatus::HeldBack => "held back by the warm-up",
                SyncStatus::Failed(reason) => reason,
            };
            Some(format!("{name} ({why})"))
        });
        let missing: Vec<_> = missing.collect();
        let more = missing.len().checked_sub(NAMED).filter(|more| *more > 0);
        let more = more.map_or_else(String::new, |more| format!(" and {more} more"));
        let named = missing.get(..NAMED.min(missing.len())).unwrap_or_default().join(", ");
        (!missing.is_empty()).then(|| format!("not programmed in VPP: {named}{more}"))
    }
}

impl FrontendView {
    /// The table length of the VIP in VPP, if another one would be chosen now.
    pub fn kept_table_length(&self) -> Option<u32> {
        self.table_length.filter(|length| *length != self.spec.new_flows_table_length)
    }
}

/// One frontend.
#[derive(Debug, Clone)]
pub struct FrontendView {
    /// Its configuration, with overridden weights.
    pub frontend: Arc<Frontend>,
    /// How its weights fit VPP's table.
    pub table: Arc<Table>,
    /// Current weights.
    pub weights: EffectiveWeights,
    /// Names of the pools below their `min-up`; none while the warm-up holds the frontend back.
    pub below_min_up: Vec<String>,
    /// VPP's desired state.
    pub spec: Arc<VipSpec>,
    /// Progress of that in VPP.
    pub sync: SyncStatus,
    /// When the oldest decision that VPP has not acknowledged was made.
    pub since: Option<Instant>,
    /// Length of its table in VPP, if known.
    pub table_length: Option<u32>,
}

/// How a frontend's weights fit its VIP's table for new flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Conversion of configured weights to programmed ones.
    pub scale: Scale,
    /// The length for a newly added VIP.
    pub wish: u32,
    /// The length that the fleet has for the VIP, unless the configuration has one.
    pub fleet: Option<u32>,
    /// The error of the existing table, and a better length.
    pub doubts: Option<Inexact>,
    /// What it is made for.
    pub dialect: Dialect,
    /// What VPP cannot express of the frontend, and the effect.
    pub inexpressible: Option<String>,
}

/// Progress of a frontend's desired state in VPP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncStatus {
    /// Not sent, since a backend is still unknown.
    HeldBack,
    /// Not sent or not acknowledged yet.
    Pending,
    /// VPP has acknowledged all of it.
    Synced,
    /// The last sync failed, for this reason.
    Failed(String),
}

/// One backend.
#[derive(Debug, Clone)]
pub struct BackendView {
    /// Its health.
    pub health: Health,
    /// Names of the frontends that use it.
    pub frontends: Arc<[Arc<str>]>,
    /// When it was added or got another check: earlier results are invalid.
    pub new_since: Instant,
    /// Time of its last change of state.
    pub changed: Option<Instant>,
    /// When it came up, if it had been out of service before.
    pub up_since: Option<Instant>,
    /// Whether it was out of service at some time since the start, or was added later.
    pub cold: bool,
    /// How often it changed to each state.
    pub transitions: Transitions,
    /// Its health checks, in the order of the configuration.
    pub checks: SmallVec<[CheckView; 1]>,
    /// The share of its weight that its server asks for.
    pub asked: Asked,
    /// Its penalty for going down.
    pub damper: Damper,
    /// The fleet's verdict, if it is another than its state here.
    pub overruled: Option<Overruled>,
    /// `up_since` and `cold` before its last transition.
    pub earlier: (Option<Instant>, bool),
}

impl BackendView {
    /// The state that its weights follow: its own, unless the fleet's votes overrule that.
    pub fn state(&self) -> State {
        Self::state_as(self.health.state(), self.overruled.as_ref())
    }

    /// The state that weights follow if a backend is in this one. What an operator has set goes first.
    pub(crate) fn state_as(state: State, overruled: Option<&Overruled>) -> State {
        match (state, overruled.map(|overruled| overruled.counts_as)) {
            (State::Up | State::Unknown, Some(State::Down)) => State::Down,
            (State::Down, Some(State::Up)) => State::Up,
            _ => state,
        }
    }

    /// The check that is worst off, and so shown for all; `None` for a backend without checks.
    pub fn worst(&self) -> Option<&CheckView> {
        self.checks.get(self.health.checks().worst())
    }

    /// The latest probe of that check, if there was one.
    pub fn last_probe(&self) -> Option<LastProbe> {
        self.worst().and_then(|check| check.tally.last_probe())
    }
}

/// One check of a backend.
#[derive(Debug, Clone, Default)]
pub struct CheckView {
    /// Its name, if the backend has several.
    pub name: Option<Arc<str>>,
    /// Counters of its probes, and the latest one. Unlike all else here, they go on.
    pub tally: Arc<ProbeTally>,
    /// Its counters over all backends.
    pub durations: Option<Arc<CheckTally>>,
    /// The share of the backend's weight that the server asked for in its latest answer.
    pub asked: Share,
}

/// The guard against failures of many backends at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardView {
    /// The latest episode, if there was one.
    pub trip: Option<GuardTrip>,
    /// Backends whose failures wait for their turn.
    pub waiting: usize,
}

/// More backends than the guard allows went down within one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardTrip {
    /// When.
    pub at: SystemTime,
    /// How many, when it was told.
    pub down: usize,
    /// Number of backends in the configuration.
    pub backends: usize,
    /// End of the episode.
    pub until: Instant,
}

/// The route of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteView {
    /// The decision.
    pub route: Route,
    /// The frontends of the address.
    pub frontends: Arc<[Arc<str>]>,
    /// What the router has, as of its last answer.
    pub router: Option<Announcement>,
}

impl RouteView {
    /// Whether the router has what was decided.
    pub fn is_done(&self) -> bool {
        self.router.is_some() && (self.route.announcement.is_none() || self.route.announcement == self.router)
    }
}

/// The router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterStatus {
    /// Which one it is.
    pub router: Router,
    /// Its version, or why it is not connected.
    pub connection: Result<String, String>,
    /// Protocols that its configuration lacks.
    pub missing: Vec<String>,
    /// The first of the latest changes that it refused, and why.
    pub refused: Option<String>,
    /// Addresses whose routes somebody else had changed, and which have just been restored: only in events.
    pub restored: Vec<IpAddr>,
    /// Since when it is connected, or is not.
    pub since: SystemTime,
}

impl RouterStatus {
    /// Not connected yet.
    pub(crate) fn new(router: Router, since: SystemTime) -> Self {
        Self {
            router,
            connection: Err("not connected yet".to_owned()),
            missing: Vec::new(),
            refused: None,
            restored: Vec::new(),
            since,
        }
    }
}

/// Differences of one sync that are remembered.
const DRIFT_LINES: usize = 20;

/// Differences between VPP and what the agent remembered, since the brain's start. The syncs that found them corrected
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// How many.
    pub total: u64,
    /// When the newest were found, and the first 20 of them in words.
    pub newest: Option<(SystemTime, Vec<String>)>,
}

impl Drift {
    /// Adds what a sync found.
    pub(crate) fn add(&mut self, at: SystemTime, lines: &[String]) {
        self.total = self.total.saturating_add(lines.len() as u64);
        self.newest = Some((at, lines.iter().take(DRIFT_LINES).cloned().collect()));
    }
}

/// The agent, and VPP as the agent sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentStatus {
    /// The agent's socket.
    pub socket: PathBuf,
    /// The agent's version while connected, otherwise why it is not.
    pub connection: Result<String, String>,
    /// When the connection was lost; `None` while connected and before the first connection.
    pub lost: Option<SystemTime>,
    /// Its process, while connected.
    pub process: Option<AgentProcess>,
    /// Connections since the brain's start, including the current one.
    pub connections: u64,
    /// VIPs that VPP has outside the agent's policy, as of the last full sync.
    pub foreign: Vec<VipKey>,
    /// What full syncs found.
    pub drift: Drift,
    /// Why VPP keeps other lb settings than those of the configuration, if they were refused.
    pub settings_refused: Option<String>,
    /// VPP's state and when it began, while the agent is connected.
    pub vpp: Option<(VppInfo, SystemTime)>,
    /// What that VPP can be programmed with, as of the last look at it.
    pub dialect: Option<Dialect>,
}

/// The agent's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentProcess {
    /// Protocol version.
    pub protocol: u32,
    /// Process id, in the agent's pid namespace.
    pub pid: u32,
    /// Start time by the agent's clock, to the second.
    pub started: SystemTime,
    /// When the brain connected to it.
    pub connected: SystemTime,
    /// Why it cannot send echo requests; `None` if it can.
    pub no_echo: Option<String>,
    /// Its policy.
    pub policy: AgentPolicy,
}

impl AgentStatus {
    /// Not connected since the brain's start.
    pub fn new(socket: PathBuf) -> Self {
        let connection = Err("not connected yet".to_owned());
        Self {
            socket,
            connection,
            lost: None,
            process: None,
            connections: 0,
            foreign: Vec::new(),
            drift: Drift::default(),
            settings_refused: None,
            vpp: None,
            dialect: None,
        }
    }

    /// Whether the agent is connected to a VPP that has all required messages.
    pub fn can_program(&self) -> bool {
        self.vpp.as_ref().is_some_and(|(vpp, _)| matches!(vpp.state, VppState::Connected { .. }))
    }

    /// Why VPP cannot be programmed now, naming the missing party.
    pub fn why_not_programmed(&self) -> String {
        match self.vpp.as_ref().map(|(vpp, _)| vpp.state.clone()) {
            None => match &self.connection {
                Err(reason) => format!("the agent is not connected: {reason}"),
                Ok(_) => "the agent has not reported on VPP yet".to_owned(),
            },
            Some(VppState::Disconnected { reason, .. }) => AgentError::NoVpp { reason }.to_string(),
            Some(VppState::Incompatible { version, missing, needs }) => {
                AgentError::Incompatible { version, missing, needs }.to_string()
            }
            Some(VppState::Connected { .. }) => "VPP's state is still being read".to_owned(),
        }
    }
}
