//! The RPC service.

// The macro copies documentation to the trait only, not to the items that it generates.
#![allow(missing_docs)]

use std::net::IpAddr;

use crate::counters::Counters;
use crate::echo::{EchoOutcome, EchoRequest};
use crate::error::AgentError;
use crate::programmed::Programmed;
use crate::routes::{HostRoutes, RoutesSpec};
use crate::state::{AgentHello, AgentInfo, BrainHello, LbState, Liveness, VppInfo};
use crate::sync::{ConfReport, Demands, LbConfSpec, SyncReport};
use crate::tunnel::{TunnelReport, TunnelTarget};
use crate::vip::{VipKey, VipSpec};

/// The calls of the agent.
///
/// Each call says when it is allowed, and [`AgentRequest::legal`] decides it:
/// - *Always legal*: from the first moment of a connection.
/// - *After hello*: on a connection on which [`hello`](Agent::hello) has succeeded, so that both sides are
///   known to speak the same protocol.
/// - *Writer only*: after hello, and only by the brain that writes to VPP. The first brain to ask becomes the
///   writer. It stays the writer until its connection ends, or until it has made no call for
///   [`LEASE`](crate::LEASE) and another brain asks. Any call renews the lease. A newer connection of the
///   same brain takes over. Others get [`AgentError::AnotherWriter`].
#[tarpc::service]
pub trait Agent {
    /// Exchanges versions and instance ids; the first call on a connection. It stays the first method and
    /// never changes, nor do its argument and answer types. Further facts about the agent are in
    /// [`agent_info`](Self::agent_info).
    ///
    /// Always legal.
    async fn hello(brain: BrainHello) -> Result<AgentHello, AgentError>;

    /// Brings one VIP to the desired state. Reads nothing from VPP; repeated without demands, it writes
    /// nothing.
    ///
    /// Writer only.
    async fn sync_vip(wanted: VipSpec, demands: Demands) -> Result<SyncReport, AgentError>;

    /// Reads VPP, brings every VIP of `wanted` to its desired state, and removes those that are neither in
    /// `wanted` nor in `keep`. VIPs in `keep`, and those outside the agent's policy, are left alone.
    ///
    /// Writer only.
    async fn sync_all(wanted: Vec<VipSpec>, keep: Vec<VipKey>) -> Result<SyncReport, AgentError>;

    /// Sets the lb plugin's global settings where they differ.
    ///
    /// Writer only.
    async fn lb_conf(wanted: LbConfSpec) -> Result<ConfReport, AgentError>;

    /// Reads VPP's state. This holds up VPP's forwarding briefly (2.8 us a server, measured on VPP 26.10), so
    /// it is for operators, not for polling.
    ///
    /// After hello.
    async fn lb_state() -> Result<LbState, AgentError>;

    /// The current state of the connection to VPP.
    ///
    /// Always legal.
    async fn vpp_info() -> VppInfo;

    /// Returns as soon as the connection's generation is not `seen`: VPP connected, restarted or
    /// disconnected. Without a change it returns the same state shortly before the call's deadline.
    ///
    /// Always legal.
    async fn wait_change(seen: u64) -> VppInfo;

    /// Counters of all VIPs, at most a second old, which cost VPP nothing. With `servers`, also those of the
    /// application servers, which do cost VPP time: they are read again only after the agent's
    /// `--servers-age`.
    ///
    /// After hello.
    async fn counters(servers: bool) -> Result<Counters, AgentError>;

    /// Sends one ICMP echo request and waits for its outcome. Thousands may be in flight at once.
    ///
    /// After hello.
    async fn icmp_echo(request: EchoRequest) -> Result<EchoOutcome, AgentError>;

    /// VPP's state as of the agent's last full read and every write acknowledged since. Costs VPP nothing,
    /// unless the agent knows that its mirror is wrong: then it reads VPP first.
    ///
    /// After hello.
    async fn programmed() -> Result<Programmed, AgentError>;

    /// Facts about the agent beyond [`hello`](Self::hello).
    ///
    /// After hello.
    async fn agent_info() -> Result<AgentInfo, AgentError>;

    /// Returns as soon as the generation of VPP's liveness is not `seen`: VPP fell silent, or answers again.
    /// Without a change it returns the same state shortly before the call's deadline.
    ///
    /// Always legal.
    async fn wait_liveness(seen: u64) -> Liveness;

    /// Brings the host routes in the kernel's tables that the agent's policy names to the desired ones, and returns
    /// those that are there now. Routes of another protocol number, and addresses of interfaces, are never touched.
    ///
    /// Writer only.
    async fn host_routes(wanted: RoutesSpec) -> Result<HostRoutes, AgentError>;

    /// Returns a probe address for each target: what this machine sends from it to the target's VIP is delivered
    /// to the target's server through the tunnel. Replaces this connection's targets, which end with it. A target
    /// keeps its address as long as it is one.
    ///
    /// After hello.
    async fn tunnel(targets: Vec<TunnelTarget>) -> Result<Vec<Result<IpAddr, AgentError>>, AgentError>;

    /// What became of the packets from one of the connection's probe addresses so far, echo requests excepted.
    ///
    /// After hello.
    async fn tunnel_report(source: IpAddr) -> Result<TunnelReport, AgentError>;
}

/// Turns an error into the answer to the refused call.
pub type Refuse = fn(AgentError) -> AgentResponse;

/// When a call is allowed; see [`Agent`].
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
    /// When this call is allowed. The agent checks this before it looks at the arguments.
    pub fn legal(&self) -> Legal {
        match self {
            Self::Hello { .. } | Self::VppInfo {} | Self::WaitChange { .. } | Self::WaitLiveness { .. } => {
                Legal::Always
            }
            Self::LbState {} => Legal::AfterHello(|error| AgentResponse::LbState(Err(error))),
            Self::Counters { .. } => Legal::AfterHello(|error| AgentResponse::Counters(Err(error))),
            Self::IcmpEcho { .. } => Legal::AfterHello(|error| AgentResponse::IcmpEcho(Err(error))),
            Self::Programmed {} => Legal::AfterHello(|error| AgentResponse::Programmed(Err(error))),
            Self::Tunnel { .. } => Legal::AfterHello(|error| AgentResponse::Tunnel(Err(error))),
            Self::TunnelReport { .. } => Legal::AfterHello(|error| AgentResponse::TunnelReport(Err(error))),
            Self::AgentInfo {} => Legal::AfterHello(|error| AgentResponse::AgentInfo(Err(error))),
            Self::SyncVip { .. } => Legal::WriterOnly(|error| AgentResponse::SyncVip(Err(error))),
            Self::SyncAll { .. } => Legal::WriterOnly(|error| AgentResponse::SyncAll(Err(error))),
            Self::LbConf { .. } => Legal::WriterOnly(|error| AgentResponse::LbConf(Err(error))),
            Self::HostRoutes { .. } => Legal::WriterOnly(|error| AgentResponse::HostRoutes(Err(error))),
        }
    }
}
