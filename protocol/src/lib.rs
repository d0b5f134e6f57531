//! The RPCs between `maglev-brain`, which decides, and `maglev-dpagent`, which programs VPP.
//!
//! Only types, the tarpc service and the encoding live here: no I/O, no runtime. Every call is idempotent
//! and may be repeated after a lost answer. A call states what VPP shall have, never what to do.
//!
//! On the wire a method is its position in [`Agent`], and a variant its position in an enum. Whoever
//! reorders one raises [`PROTOCOL_VERSION`]. Only [`Agent::hello`] stays as it is for ever, with all that it takes and
//! answers: by it, peers of different versions find out that they are.

pub mod codec;
mod counters;
mod echo;
mod error;
mod fault;
mod programmed;
mod service;
mod state;
mod sync;
mod text;
mod vip;

pub use counters::{Counters, RouteCounters, ServerFigure, ServerFigures, VipCounters};
pub use echo::{EchoOutcome, EchoRequest, MAX_ECHO_SIZE, MAX_ECHO_TIMEOUT, MIN_ECHO_SIZE};
pub use error::{AgentError, process, remedy};
pub use fault::is_local;
pub use programmed::{Programmed, ProgrammedVip};
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
pub use vip::{ALL_PORTS_PROTOCOL, Encap, InvalidSpec, Prefix, ServerSpec, VipKey, VipSpec};

/// Version of this protocol. Both sides refuse a peer with another one.
pub const PROTOCOL_VERSION: u32 = 7;

/// Largest frame that either side accepts, in bytes. The largest honest one is [`LbState`]: 2,000 VIPs with
/// 20 servers each take 1.5 MiB.
pub const MAX_FRAME: usize = 16 << 20;

/// For how long the right to write to VPP holds without a call of its holder. After that, another brain may take it.
pub const LEASE: std::time::Duration = std::time::Duration::from_secs(10);

/// Longest deadline that the agent grants a call. [`Agent::wait_change`] is the only call that waits for
/// long; callers ask again.
pub const MAX_DEADLINE: std::time::Duration = std::time::Duration::from_secs(120);

#[cfg(test)]
mod tests;
