//! The RPCs between `maglev-brain`, which decides, and `maglev-dpagent`, which programs VPP.
//!
//! Contains only types, the tarpc service and the encoding: no I/O, no runtime. Every call is idempotent and
//! may be repeated after a lost answer. A call states the desired state of VPP, never the steps to it.
//!
//! On the wire a method is its position in [`Agent`], and a variant its position in an enum, so reordering
//! either requires raising [`PROTOCOL_VERSION`]. Only [`Agent::hello`], with all of its types, never changes:
//! it lets peers of different versions recognize each other.

pub mod codec;
mod counters;
mod dialect;
mod echo;
mod error;
mod fault;
mod programmed;
mod routes;
mod service;
mod state;
mod sync;
mod text;
mod tunnel;
mod vip;

pub use counters::{Counters, RouteCounters, ServerFigure, ServerFigures, ServerTraffic, VipCounters};
pub use dialect::Dialect;
pub use echo::{EchoOutcome, EchoRequest, MAX_ECHO_SIZE, MAX_ECHO_TIMEOUT, MIN_ECHO_SIZE};
pub use error::{AgentError, process, remedy};
pub use fault::is_local;
pub use programmed::{Programmed, ProgrammedVip};
pub use routes::{HostRoute, HostRoutes, RoutesSpec};
pub use service::{Agent, AgentClient, AgentRequest, AgentResponse, Legal, Refuse, ServeAgent};
pub use state::{
    AgentHello, AgentInfo, AgentPolicy, BrainHello, LbConf, LbState, Liveness, ServerState, VipState,
    VppInfo, VppState,
};
pub use sync::{
    Change, ConfReport, Demands, FullRead, LbConfSpec, MOST_STICKY_BUCKETS, STICKY_BUCKET, StepError,
    SyncReport, TableLengthKept, VipReport,
};
pub use text::{VERSION_LENGTH, printable, printable_again, size};
pub use tunnel::{
    MAX_TUNNEL_PACKET, MOST_TUNNEL_TARGETS, TUNNEL_OVERHEAD, TunnelRefusal, TunnelReport, TunnelTarget,
};
pub use vip::{ALL_PORTS_PROTOCOL, Encap, InvalidSpec, Prefix, ServerSpec, VipKey, VipSpec};

/// Version of this protocol. Both sides refuse a peer with another one.
pub const PROTOCOL_VERSION: u32 = 10;

/// Maximum size of a frame on either side, in bytes. The largest legitimate one is [`LbState`]: 2,000 VIPs
/// with 20 servers each take 1.5 MiB.
pub const MAX_FRAME: usize = 16 << 20;

/// Lease of the writer: without a call for this long, another brain may take over.
pub const LEASE: std::time::Duration = std::time::Duration::from_secs(10);

/// Maximum deadline that the agent grants a call. Only [`Agent::wait_change`] and [`Agent::wait_liveness`]
/// wait that long; callers repeat them.
pub const MAX_DEADLINE: std::time::Duration = std::time::Duration::from_secs(120);

#[cfg(test)]
mod tests;
