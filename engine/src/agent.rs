//! Events between brain, agent and VPP.

use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::{AgentError, AgentInfo, Programmed, SyncReport, VipSpec, VppInfo};

use crate::desired::{Demand, ViewId};

/// What happened between brain, agent and VPP.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentEvent {
    /// The agent answers.
    Connected {
        /// Its product version.
        version: String,
        /// The version of the calls, which is the brain's too.
        protocol: u32,
        /// What else it tells of itself.
        info: AgentInfo,
    },
    /// The agent does not answer.
    Disconnected {
        /// Why not.
        reason: String,
    },
    /// VPP came, went or restarted, or is seen for the first time.
    Vpp {
        /// The connection to it.
        info: VppInfo,
        /// What it has, if it can be driven. Nothing is written to it before the controller has decided on this.
        programmed: Option<(ViewId, Programmed)>,
    },
    /// VPP fell silent on a connection that stands, or answers again.
    Silence {
        /// For how long it has answered nothing; `None` if it answers again.
        silent_for: Option<Duration>,
    },
    /// The lb settings of the configuration were refused for another reason than before, or are in VPP now.
    Settings {
        /// Why VPP keeps its own, in the words of who refused.
        refused: Option<String>,
    },
    /// A sync of these VIPs ended.
    Synced {
        /// What was asked for.
        specs: Vec<Arc<VipSpec>>,
        /// The demand that was carried out with it.
        demanded: Option<Demand>,
        /// What came of it.
        result: Result<Arc<SyncReport>, CallError>,
    },
}

/// Why a call brought no answer to the question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The agent is not connected.
    #[error("{0}")]
    Away(String),
    /// Too many reads wait already.
    #[error("too many reads of VPP at once: try again in a second")]
    Busy,
    /// The agent did not answer in time.
    #[error("the agent did not answer in time")]
    Timeout,
    /// The agent answered with an error.
    #[error(transparent)]
    Agent(#[from] AgentError),
}
