//! What readers see: one immutable value, replaced as a whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use imbl::OrdMap;
use maglev_protocol::{VipSpec, VppInfo};
use tokio::time::Instant;

use crate::config::Config;
use crate::health::Health;
use crate::probe::ProbeOutcome;
use crate::weights::EffectiveWeights;

/// The brain's state at one moment. A change of state is in the next snapshot at once; the details of probes
/// may be up to 250 ms old. One snapshot shares with the next all that is the same, so that making one costs the
/// same with ten backends and with fifty thousand.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When it was made.
    pub made: Instant,
    /// The configuration that the rest belongs to.
    pub config: Arc<Config>,
    /// Frontends by name.
    pub frontends: OrdMap<Arc<str>, Arc<FrontendView>>,
    /// Backends by name.
    pub backends: OrdMap<Arc<str>, Arc<BackendView>>,
    /// Agent and VPP.
    pub agent: Arc<AgentStatus>,
}

/// One frontend.
#[derive(Debug, Clone)]
pub struct FrontendView {
    /// Its weights now.
    pub weights: EffectiveWeights,
    /// What VPP shall have.
    pub spec: Arc<VipSpec>,
    /// How far that has come.
    pub sync: SyncStatus,
    /// Buckets of the standing VIP, if other than wanted.
    pub kept_table_length: Option<u32>,
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
#[derive(Debug, Clone)]
pub struct AgentStatus {
    /// The agent's socket.
    pub socket: PathBuf,
    /// The agent's version while connected, else why it is not.
    pub connection: Result<String, String>,
    /// VPP, while the agent is connected, and since when it is so.
    pub vpp: Option<(VppInfo, SystemTime)>,
}
