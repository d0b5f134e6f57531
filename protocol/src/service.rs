//! The service itself.

// The macro derives documentation for the trait only, not for the items that it generates beside it.
#![allow(missing_docs)]

use crate::counters::Counters;
use crate::echo::{EchoOutcome, EchoRequest};
use crate::error::AgentError;
use crate::programmed::Programmed;
use crate::state::{AgentHello, AgentInfo, BrainHello, LbState, Liveness, VppInfo};
use crate::sync::{ConfReport, Demands, LbConfSpec, SyncReport};
use crate::vip::{VipKey, VipSpec};

/// What the agent does for the brain.
///
/// Each call says when it is legal, and [`AgentRequest::legal`] decides it:
/// - *Always legal*: from the first moment of a connection.
/// - *After hello*: on a connection on which [`hello`](Agent::hello) has succeeded, which shows that both sides mean the
///   same by it.
/// - *Writer only*: the same, of the brain that writes to VPP. The first to ask becomes it, until its connection ends, or
///   until it has called nothing on it for as long as [`LEASE`](crate::LEASE) and another one asks. Any call renews the
///   lease. Another connection of the same brain takes over if it is newer. Others get [`AgentError::AnotherWriter`].
#[tarpc::service]
pub trait Agent {
    /// Versions and instance ids of both sides. The first call on a connection. It is the first of this service and
    /// never changes, nor does what it takes and answers; what else the agent tells of itself is in
    /// [`agent_info`](Self::agent_info).
    ///
    /// Always legal.
    async fn hello(brain: BrainHello) -> Result<AgentHello, AgentError>;

    /// Brings one VIP to the state wanted. Reads nothing from VPP; without demands, a repetition writes
    /// nothing.
    ///
    /// Writer only.
    async fn sync_vip(wanted: VipSpec, demands: Demands) -> Result<SyncReport, AgentError>;

    /// Reads what VPP has, brings every VIP of `wanted` to its state, and removes those that are neither in
    /// `wanted` nor in `keep`. VIPs in `keep`, and those outside the agent's policy, are left as they are.
    ///
    /// Writer only.
    async fn sync_all(wanted: Vec<VipSpec>, keep: Vec<VipKey>) -> Result<SyncReport, AgentError>;

    /// Sets the lb plugin's global settings where they differ.
    ///
    /// Writer only.
    async fn lb_conf(wanted: LbConfSpec) -> Result<ConfReport, AgentError>;

    /// Reads what VPP has. This holds up VPP's forwarding for a moment (2.8 us a server, measured on
    /// VPP 26.10), so it is for operators, not for polling.
    ///
    /// After hello.
    async fn lb_state() -> Result<LbState, AgentError>;

    /// The connection to VPP as the agent sees it now.
    ///
    /// Always legal.
    async fn vpp_info() -> VppInfo;

    /// Returns as soon as the connection's generation is another than `seen`: VPP connected, restarted or
    /// gone. Without a change it returns the same shortly before the call's deadline.
    ///
    /// Always legal.
    async fn wait_change(seen: u64) -> VppInfo;

    /// Counters of all VIPs, at most a second old, which cost VPP nothing. With `servers`, also the figures of
    /// the application servers, which do: they are read again only when the last ones have reached the age that
    /// the agent was told.
    ///
    /// After hello.
    async fn counters(servers: bool) -> Result<Counters, AgentError>;

    /// Sends one ICMP echo request and waits for what comes back. Thousands may be under way at once.
    ///
    /// After hello.
    async fn icmp_echo(request: EchoRequest) -> Result<EchoOutcome, AgentError>;

    /// What VPP has, as of the agent's last full read and every write that VPP has acknowledged since. This costs
    /// VPP nothing, unless the agent knows that what it remembers is wrong: then it reads VPP first.
    ///
    /// After hello.
    async fn programmed() -> Result<Programmed, AgentError>;

    /// What the agent tells of itself beyond [`hello`](Self::hello).
    ///
    /// After hello.
    async fn agent_info() -> Result<AgentInfo, AgentError>;

    /// Returns as soon as the generation of VPP's liveness is another than `seen`: VPP fell silent, or answers again.
    /// Without a change it returns the same shortly before the call's deadline.
    ///
    /// Always legal.
    async fn wait_liveness(seen: u64) -> Liveness;
}

/// An error as the answer to the call that it refuses.
pub type Refuse = fn(AgentError) -> AgentResponse;

/// When a call is legal; see [`Agent`].
#[derive(Debug, Clone, Copy)]
pub enum Legal {
    /// From the first moment of a connection.
    Always,
    /// Once both sides know that they speak the same protocol.
    AfterHello(Refuse),
    /// For the one connection that writes to VPP.
    WriterOnly(Refuse),
}

impl AgentRequest {
    /// When this call is legal. The agent asks this before it looks at what the call says.
    pub fn legal(&self) -> Legal {
        match self {
            Self::Hello { .. } | Self::VppInfo {} | Self::WaitChange { .. } | Self::WaitLiveness { .. } => {
                Legal::Always
            }
            Self::LbState {} => Legal::AfterHello(|error| AgentResponse::LbState(Err(error))),
            Self::Counters { .. } => Legal::AfterHello(|error| AgentResponse::Counters(Err(error))),
            Self::IcmpEcho { .. } => Legal::AfterHello(|error| AgentResponse::IcmpEcho(Err(error))),
            Self::Programmed {} => Legal::AfterHello(|error| AgentResponse::Programmed(Err(error))),
            Self::AgentInfo {} => Legal::AfterHello(|error| AgentResponse::AgentInfo(Err(error))),
            Self::SyncVip { .. } => Legal::WriterOnly(|error| AgentResponse::SyncVip(Err(error))),
            Self::SyncAll { .. } => Legal::WriterOnly(|error| AgentResponse::SyncAll(Err(error))),
            Self::LbConf { .. } => Legal::WriterOnly(|error| AgentResponse::LbConf(Err(error))),
        }
    }
}
