//! Events between brain, agent and VPP.

use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::{AgentError, AgentInfo, Programmed, SyncReport, VipSpec, VppInfo};

use crate::desired::{Demand, ViewId};

/// A change between brain, agent and VPP.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentEvent {
    /// The agent is connected.
    Connected {
        /// Its product version.
        version: String,
        /// Protocol version, which is the brain's too.
        protocol: u32,
        /// Further facts about the agent.
        info: AgentInfo,
    },
    /// The agent is disconnected.
    Disconnected {
        /// The cause.
        reason: String,
    },
    /// VPP connected, disconnected or restarted, or is seen for the first time.
    Vpp {
        /// The connection to it.
        info: VppInfo,
        /// VPP's VIPs, if VPP can be programmed. Nothing is written to it before the controller has decided
        /// on this.
        programmed: Option<(ViewId, Programmed)>,
    },
    /// VPP fell silent on an open connection, or answers again.
    Silence {
        /// Time without an answer; `None` if it answers again.
        silent_for: Option<Duration>,
    },
    /// The configured lb settings were refused for a new reason, or are in VPP now.
    Settings {
        /// Why they were refused, naming the party.
        refused: Option<String>,
    },
    /// A sync of these VIPs ended.
    Synced {
        /// The VIPs that were to be synced.
        specs: Vec<Arc<VipSpec>>,
        /// The operator's request that this sync carried out.
        demanded: Option<Demand>,
        /// The result.
        result: Result<Arc<SyncReport>, CallError>,
    },
}

/// Why a call to the agent failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The agent is not connected.
    #[error("{0}")]
    Away(String),
    /// Too many reads are waiting already.
    #[error("too many reads of VPP at once: try again in a second")]
    Busy,
    /// The agent did not answer in time.
    #[error("the agent did not answer in time")]
    Timeout,
    /// The agent answered with an error.
    #[error(transparent)]
    Agent(#[from] AgentError),
}
