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
#[tarpc::service]
pub trait Agent {
    /// Versions and instance ids of both sides. The first call on a connection. It is the first of this service and
    /// never changes, nor does what it takes and answers; what else the agent tells of itself is in
    /// [`agent_info`](Self::agent_info).
    async fn hello(brain: BrainHello) -> Result<AgentHello, AgentError>;

    /// Brings one VIP to the state wanted. Reads nothing from VPP; without demands, a repetition writes
    /// nothing.
    async fn sync_vip(wanted: VipSpec, demands: Demands) -> Result<SyncReport, AgentError>;

    /// Reads what VPP has, brings every VIP of `wanted` to its state, and removes those that are neither in
    /// `wanted` nor in `keep`. VIPs in `keep`, and those outside the agent's policy, are left as they are.
    async fn sync_all(wanted: Vec<VipSpec>, keep: Vec<VipKey>) -> Result<SyncReport, AgentError>;

    /// Sets the lb plugin's global settings where they differ.
    async fn lb_conf(wanted: LbConfSpec) -> Result<ConfReport, AgentError>;

    /// Reads what VPP has. This holds up VPP's forwarding for a moment (2.8 us a server, measured on
    /// VPP 26.10), so it is for operators, not for polling.
    async fn lb_state() -> Result<LbState, AgentError>;

    /// The connection to VPP as the agent sees it now.
    async fn vpp_info() -> VppInfo;

    /// Returns as soon as the connection's generation is another than `seen`: VPP connected, restarted or
    /// gone. Without a change it returns the same shortly before the call's deadline.
    async fn wait_change(seen: u64) -> VppInfo;

    /// Counters of all VIPs, at most a second old, which cost VPP nothing. With `servers`, also the figures of
    /// the application servers, which do: they are read again only when the last ones have reached the age that
    /// the agent was told.
    async fn counters(servers: bool) -> Result<Counters, AgentError>;

    /// Sends one ICMP echo request and waits for what comes back. Thousands may be under way at once.
    async fn icmp_echo(request: EchoRequest) -> Result<EchoOutcome, AgentError>;

    /// What VPP has, as of the agent's last full read and every write that VPP has acknowledged since. This costs
    /// VPP nothing, unless the agent knows that what it remembers is wrong: then it reads VPP first.
    async fn programmed() -> Result<Programmed, AgentError>;

    /// What the agent tells of itself beyond [`hello`](Self::hello).
    async fn agent_info() -> Result<AgentInfo, AgentError>;

    /// Returns as soon as the generation of VPP's liveness is another than `seen`: VPP fell silent, or answers again.
    /// Without a change it returns the same shortly before the call's deadline.
    async fn wait_liveness(seen: u64) -> Liveness;
}
