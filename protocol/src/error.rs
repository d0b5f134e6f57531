//! Why a call failed as a whole.

use serde::{Deserialize, Serialize};

use crate::vip::{Encap, InvalidSpec, VipKey};

/// Why a call failed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AgentError {
    /// The peers speak different versions. As the answer of [`hello`](crate::Agent::hello), this variant is the first
    /// one, and the same in every version of the protocol.
    #[error("agent {agent_version} speaks protocol {agent}, this brain {brain}: {}", remedy(*agent, *brain))]
    Protocol {
        /// The agent's protocol version.
        agent: u32,
        /// The brain's protocol version.
        brain: u32,
        /// The agent's product version.
        agent_version: String,
    },
    /// VPP is not connected.
    #[error("VPP is not connected: {reason}")]
    NoVpp {
        /// Why not.
        reason: String,
    },
    /// VPP lacks what is needed.
    #[error("VPP {version} is connected, but cannot be programmed: this needs {needs}; missing: {}", missing.join(", "))]
    Incompatible {
        /// VPP's version.
        version: String,
        /// Messages that it lacks.
        missing: Vec<String>,
        /// The version that has them.
        needs: String,
    },
    /// The connection to VPP broke during the call, or VPP did not answer in time.
    #[error("VPP did not answer: {reason}")]
    VppLost {
        /// What was waited for.
        reason: String,
    },
    /// The request cannot be programmed.
    #[error("VIP {key}: {error}")]
    Invalid {
        /// Which VIP.
        key: VipKey,
        /// What is wrong with it.
        error: InvalidSpec,
    },
    /// The request contradicts itself.
    #[error("{0}")]
    Contradiction(String),
    /// Another brain holds the writing connection. The writer's instance is not told: who knows it can take the place.
    #[error(
        "another brain writes to VPP: version {version}, {}, for {seconds} s; this one may read, and takes over \
         when that one ends or says nothing for {} s: end it if this one is to write",
        process(*pid),
        crate::LEASE.as_secs()
    )]
    AnotherWriter {
        /// The writer's product version.
        version: String,
        /// The writer's process id, as the kernel tells it; `None` if it is in another pid namespace.
        pid: Option<i32>,
        /// For how long it has been the writer, in seconds.
        seconds: u64,
    },
    /// The agent's policy does not allow it.
    #[error("the agent refused {what}: {rule}")]
    NotAllowed {
        /// What was asked for.
        what: String,
        /// The rule of the policy, and where it stands.
        rule: String,
    },
    /// More than the agent takes at once, or in a second. To be tried again.
    #[error("too many {what}: at most {most}")]
    TooMany {
        /// What there are too many of, with the time that they are counted in.
        what: String,
        /// The limit.
        most: u64,
    },
    /// VPP's stats segment cannot be read.
    #[error("there are no counters: {reason}")]
    NoStats {
        /// Why not.
        reason: String,
    },
    /// An echo request cannot be sent.
    #[error("no echo request to {target}: {reason}")]
    Echo {
        /// The target.
        target: std::net::IpAddr,
        /// Why not.
        reason: String,
    },
    /// VPP refused the call.
    #[error("VPP refused {step}: {meaning} ({code})")]
    Refused {
        /// The step in words.
        step: String,
        /// VPP's return value.
        code: i32,
        /// What it means.
        meaning: String,
    },
}

/// What to do about an agent and a brain of different protocols: the older one is to follow.
pub fn remedy(agent: u32, brain: u32) -> &'static str {
    if agent < brain {
        "upgrade maglev-dpagent (VPP keeps what it has while it restarts)"
    } else {
        "upgrade maglev-brain (VPP keeps what it has while it restarts)"
    }
}

/// A process in words, by the id that the kernel tells of it.
pub fn process(pid: Option<i32>) -> String {
    pid.map_or_else(|| "a process of another pid namespace".to_owned(), |pid| format!("process {pid}"))
}

impl AgentError {
    /// A [`AgentError::Contradiction`]: two wanted VIPs of one prefix that VPP cannot have side by side.
    pub fn encap_conflict(one: &VipKey, other: &VipKey, encaps: (Encap, Encap)) -> Self {
        Self::Contradiction(format!(
            "VIPs {one} ({}) and {other} ({}) share a prefix: VPP wants one encapsulation for all VIPs of a prefix",
            encaps.0, encaps.1
        ))
    }
}
