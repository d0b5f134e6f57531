//! What readers see: one immutable value, replaced as a whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use imbl::OrdMap;
use maglev_protocol::{AgentError, AgentPolicy, VipKey, VipSpec, VppInfo, VppState};

use crate::config::{Config, Frontend};
use crate::health::Health;
use crate::outcome::ProbeOutcome;
use crate::overrides::Overrides;
use crate::tally::{BackendTally, BrainTally, CheckTallies, CheckTally};
use crate::warmup::{Phase, Warmup};
use crate::weights::{EffectiveWeights, Inexact, Scale};

/// The brain's state at one moment. A change of state is in the next snapshot at once; the details of probes
/// may be up to 250 ms old. One snapshot shares with the next all that is the same, so that making one costs the
/// same with ten backends and with fifty thousand.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When it was made.
    pub made: Instant,
    /// The configuration that the rest belongs to.
    pub config: Arc<Config>,
    /// What operators have set, whether the configuration has a use for it or not.
    pub overrides: Arc<Overrides>,
    /// How far the warm-up is.
    pub warmup: Warmup,
    /// Frontends by name.
    pub frontends: OrdMap<Arc<str>, Arc<FrontendView>>,
    /// Backends by name.
    pub backends: OrdMap<Arc<str>, Arc<BackendView>>,
    /// Agent and VPP.
    pub agent: Arc<AgentStatus>,
    /// The number of the last change of state that is in it. Who has this snapshot and all events with higher numbers
    /// has missed none, and has none twice.
    pub events: u64,
    /// What is counted of the brain as a whole. Unlike all else here, the counters go on counting.
    pub tally: Arc<BrainTally>,
    /// What is counted of each health check.
    pub checks: Arc<CheckTallies>,
}

impl Snapshot {
    /// How far the warm-up is for whoever looks: over, once no frontend is held back. One that a reload adds may still be,
    /// until the delays are over.
    pub fn warmup_phase(&self) -> Phase {
        let held_back = || self.frontends.values().any(|view| view.sync == SyncStatus::HeldBack);
        match self.warmup.phase() {
            Phase::Releasing if !held_back() => Phase::Over,
            phase => phase,
        }
    }
}

impl FrontendView {
    /// Buckets of the VIP that VPP has, if it is not the number that would be asked for now.
    pub fn kept_table_length(&self) -> Option<u32> {
        self.table_length.filter(|length| *length != self.spec.new_flows_table_length)
    }
}

/// One frontend.
#[derive(Debug, Clone)]
pub struct FrontendView {
    /// As configured, with the weights that operators have set.
    pub frontend: Arc<Frontend>,
    /// How its weights fit VPP's table.
    pub table: Arc<Table>,
    /// Its weights now.
    pub weights: EffectiveWeights,
    /// What VPP shall have.
    pub spec: Arc<VipSpec>,
    /// How far that has come.
    pub sync: SyncStatus,
    /// When that was decided which VPP has not acknowledged yet.
    pub since: Option<Instant>,
    /// Buckets of the table that VPP has for it, as far as that is known.
    pub table_length: Option<u32>,
}

/// How a frontend's weights fit its VIP's table for new flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// How configured weights become programmed ones.
    pub scale: Scale,
    /// The length that is asked for when the VIP is made.
    pub wish: u32,
    /// What the table cannot express, and which would do better.
    pub doubts: Option<Inexact>,
}

/// How far a frontend's wanted state has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncStatus {
    /// Not sent: some backend is still unknown.
    HeldBack,
    /// To be sent, or not acknowledged yet.
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
    /// Its newest probe.
    pub last_probe: Option<LastProbe>,
    /// Names of the frontends that use it.
    pub frontends: Arc<[Arc<str>]>,
    /// When it came, or got another check: what was probed before that says nothing.
    pub new_since: Instant,
    /// When its state changed last.
    pub changed: Option<Instant>,
    /// Since when it is up, if it had been out of service before that.
    pub up_since: Option<Instant>,
    /// Whether it has been out of service since the start, or came later.
    pub cold: bool,
    /// What is counted of it.
    pub tally: Arc<BackendTally>,
    /// What is counted of its health check, if it has one.
    pub check: Option<Arc<CheckTally>>,
}

/// A probe and when it ended.
#[derive(Debug, Clone)]
pub struct LastProbe {
    /// What it found.
    pub outcome: ProbeOutcome,
    /// When it ended.
    pub at: SystemTime,
    /// The same on the monotonic clock.
    pub ended: Instant,
    /// How long after its due time it started.
    pub late: Duration,
}

/// The agent, and VPP as the agent sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentStatus {
    /// The agent's socket.
    pub socket: PathBuf,
    /// The agent's version while connected, else why it is not.
    pub connection: Result<String, String>,
    /// When the connection was lost; `None` while connected, and before the first connection.
    pub lost: Option<SystemTime>,
    /// Its process, while connected.
    pub process: Option<AgentProcess>,
    /// Connections to it since the brain's start, this one included.
    pub connections: u64,
    /// VIPs that VPP has outside the agent's policy, as of the last full sync.
    pub foreign: Vec<VipKey>,
    /// Why VPP keeps other lb settings than those of the configuration, if they were refused.
    pub settings_refused: Option<String>,
    /// VPP, while the agent is connected, and since when it is so.
    pub vpp: Option<(VppInfo, SystemTime)>,
}

/// The agent's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentProcess {
    /// Version of the calls between brain and agent.
    pub protocol: u32,
    /// Process id, in the agent's pid namespace.
    pub pid: u32,
    /// When it started, by the agent's clock, to the second.
    pub started: SystemTime,
    /// When the brain connected to it.
    pub connected: SystemTime,
    /// Why it can send no echo requests; `None` if it can.
    pub no_echo: Option<String>,
    /// What its policy allows.
    pub policy: AgentPolicy,
}

impl AgentStatus {
    /// Not connected to since the brain's start.
    pub fn new(socket: PathBuf) -> Self {
        let connection = Err("not connected yet".to_owned());
        Self {
            socket,
            connection,
            lost: None,
            process: None,
            connections: 0,
            foreign: Vec::new(),
            settings_refused: None,
            vpp: None,
        }
    }

    /// Whether the agent is connected to a VPP that has all that is needed.
    pub fn can_program(&self) -> bool {
        self.vpp.as_ref().is_some_and(|(vpp, _)| matches!(vpp.state, VppState::Connected { .. }))
    }

    /// Why VPP cannot be programmed now, by the name of whoever is missing.
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
            Some(VppState::Connected { .. }) => "what VPP has is still being read".to_owned(),
        }
    }
}
