//! Errors of calls.

use serde::{Deserialize, Serialize};

use crate::vip::{Encap, InvalidSpec, VipKey};

/// Why a call failed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AgentError {
    /// The peers speak different protocol versions. This variant stays the first, and the same in every
    /// version, since [`hello`](crate::Agent::hello) returns it.
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
        /// The cause.
        reason: String,
    },
    /// VPP lacks required messages.
    #[error("VPP {version} is connected, but cannot be programmed: this needs {needs}; missing: {}", missing.join(", "))]
    Incompatible {
        /// VPP's version.
        version: String,
        /// The messages it lacks.
        missing: Vec<String>,
        /// The oldest version that has them.
        needs: String,
    },
    /// The connection to VPP broke during the call, or VPP did not answer in time.
    #[error("VPP did not answer: {reason}")]
    VppLost {
        /// What the agent was waiting for.
        reason: String,
    },
    /// The VIP cannot be programmed.
    #[error("VIP {key}: {error}")]
    Invalid {
        /// Prefix, protocol and port.
        key: VipKey,
        /// The rule it breaks.
        error: InvalidSpec,
    },
    /// The request contradicts itself.
    #[error("{0}")]
    Contradiction(String),
    /// Another brain is the writer. Its instance is kept secret: knowing it is enough to take its place.
    #[error(
        "another brain is the writer: version {version}, {}, for {seconds} s; this one may only read, and \
        takes over when that one ends or is silent for {} s; stop that one if this one should write",
        process(*pid),
        crate::LEASE.as_secs()
    )]
    AnotherWriter {
        /// The writer's product version.
        version: String,
        /// The writer's process id, from the kernel; `None` if it is in another pid namespace.
        pid: Option<i32>,
        /// Time since it became the writer, in seconds.
        seconds: u64,
    },
    /// The agent's policy forbids it.
    #[error("the agent refused {what}: {rule}")]
    NotAllowed {
        /// The refused item.
        what: String,
        /// The policy's rule, and its file.
        rule: String,
    },
    /// A quota or rate limit of the agent. May be retried.
    #[error("too many {what}: at most {most}")]
    TooMany {
        /// The limited item, with its period.
        what: String,
        /// The limit.
        most: u64,
    },
    /// VPP's stats segment cannot be read.
    #[error("no counters: {reason}")]
    NoStats {
        /// The cause.
        reason: String,
    },
    /// An echo request cannot be sent.
    #[error("no echo request to {target}: {reason}")]
    Echo {
        /// The target.
        target: std::net::IpAddr,
        /// The cause.
        reason: String,
    },
    /// There are no probes through the tunnel.
    #[error("no probes through the tunnel: {reason}")]
    NoTunnel {
        /// The cause.
        reason: String,
    },
    /// VPP refused the call.
    #[error("VPP refused {step}: {meaning} ({code})")]
    Refused {
        /// The failed step.
        step: String,
        /// VPP's return value.
        code: i32,
        /// Its meaning.
        meaning: String,
    },
    /// Routes of the kernel cannot be read or changed.
    #[error("no routes in the kernel: {reason}")]
    NoRoutes {
        /// The cause.
        reason: String,
    },
}

/// What to do if agent and brain speak different protocols: the older one must be upgraded.
pub fn remedy(agent: u32, brain: u32) -> &'static str {
    if agent < brain {
        "upgrade maglev-dpagent (VPP keeps what it has while it restarts)"
    } else {
        "upgrade maglev-brain (VPP keeps what it has while it restarts)"
    }
}

/// Describes a process by its id, as given by the kernel.
pub fn process(pid: Option<i32>) -> String {
    pid.map_or_else(|| "a process of another pid namespace".to_owned(), |pid| format!("process {pid}"))
}

impl AgentError {
    /// A [`AgentError::Contradiction`]: two desired VIPs of one prefix that VPP cannot have side by side.
    pub fn encap_conflict(one: &VipKey, other: &VipKey, encaps: (Encap, Encap)) -> Self {
        Self::Contradiction(format!(
            "VIPs {one} ({}) and {other} ({}) share a prefix: VPP requires one encapsulation for all VIPs of a prefix",
            encaps.0, encaps.1
        ))
    }
}
