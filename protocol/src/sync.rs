//! Requests and results of a sync: what it changed, what it left alone, and what failed.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::state::LbConf;
use crate::vip::VipKey;

/// Explicit requests to [`sync_vip`](crate::Agent::sync_vip), beyond reaching the desired state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demands {
    /// Servers to flush, whatever their weight is and was.
    pub flush: BTreeSet<IpAddr>,
    /// Whether to re-create a VIP with another table length than desired, which forgets its pinned flows. A
    /// VIP with the desired length is not touched.
    pub recreate: bool,
}

/// Outcome of [`sync_vip`](crate::Agent::sync_vip) and [`sync_all`](crate::Agent::sync_all).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReport {
    /// VIPs with changes or errors, in the order of their keys. A VIP that already matched is not listed.
    pub vips: Vec<VipReport>,
    /// Differences between a full read and the agent's mirror, as text; empty without a full read.
    pub drift: Vec<String>,
    /// Size of the full read; `None` if the sync read nothing.
    pub read: Option<FullRead>,
    /// VIPs outside the agent's policy, which are left alone; empty without a full read.
    pub foreign: Vec<VipKey>,
    /// The settings, if the same full sync of the brain changed them. The brain's client fills this in, since
    /// the settings are a separate call.
    pub conf: Option<ConfReport>,
}

impl SyncReport {
    /// Number of writes to VPP.
    pub fn changes(&self) -> usize {
        self.vips.iter().map(|vip| vip.changes.len()).sum()
    }

    /// The first error of each VIP that had one.
    pub fn errors(&self) -> impl Iterator<Item = (&VipKey, &StepError)> {
        self.vips.iter().flat_map(|vip| vip.errors.iter().map(move |error| (&vip.key, error)))
    }
}

/// Size of a full read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullRead {
    /// VIPs in VPP before the sync.
    pub vips: u32,
    /// Application servers in VPP before the sync, without removed ones.
    pub servers: u32,
}

/// Changes and errors of one VIP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipReport {
    /// Prefix, protocol and port.
    pub key: VipKey,
    /// Changes that VPP acknowledged, in order.
    pub changes: Vec<Change>,
    /// Set if the VIP exists with another table length than desired, which only re-creating it would change.
    pub table_length: Option<TableLengthKept>,
    /// Failed steps. Steps that are safe without the failed one were still taken.
    pub errors: Vec<StepError>,
}

/// A VIP that keeps the table length it was added with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableLengthKept {
    /// Buckets in VPP.
    pub has: u32,
    /// Buckets desired.
    pub wanted: u32,
}

/// One write that VPP acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// The VIP was added.
    VipAdded,
    /// The VIP was removed.
    VipRemoved,
    /// The VIP was removed in order to re-create it, which forgets its pinned flows.
    VipRecreated {
        /// The property that could not be changed in place.
        reason: String,
    },
    /// A server was added.
    ServerAdded {
        /// The server.
        server: IpAddr,
        /// Its weight.
        weight: u8,
    },
    /// A server was removed.
    ServerRemoved {
        /// The server.
        server: IpAddr,
        /// Whether its flows were flushed.
        flushed: bool,
    },
    /// A server's weight was changed.
    Reweighted {
        /// The server.
        server: IpAddr,
        /// The weight before.
        from: u8,
        /// The weight now.
        to: u8,
        /// Whether its flows were flushed.
        flushed: bool,
    },
    /// All flows of the VIP were flushed, and those that arrived while it had no server were forgotten.
    VipFlushed,
    /// A server's flows were flushed, on request or because it had been due; its weight stayed.
    Flushed {
        /// The server.
        server: IpAddr,
        /// Its weight.
        weight: u8,
    },
}

/// A failed step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepError {
    /// Description of the step.
    pub step: String,
    /// VPP's return value, if VPP answered.
    pub code: Option<i32>,
    /// Its meaning.
    pub meaning: String,
}

/// Names the party that refused: VPP, or the agent before VPP was asked.
impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let party = if self.code.is_some() { "VPP refused to" } else { "the agent did not" };
        write!(f, "{party} {}: {}", self.step, self.meaning)
    }
}

/// Maximum number of sticky buckets that the agent ever sets: 1 GiB a thread with cache lines of 64 bytes.
/// From four times as many on, VPP overflows when it computes the table's size in 32 bits (by its source).
pub const MOST_STICKY_BUCKETS: u32 = 1 << 24;

/// Size of a sticky table's bucket, in bytes: a cache line as configured in VPP's build. On 64-bit Arm that
/// is 64 or 128, so the larger one is assumed.
pub const STICKY_BUCKET: u64 = if cfg!(target_arch = "aarch64") { 128 } else { 64 };

/// The desired settings of the lb plugin; `None` leaves VPP's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LbConfSpec {
    /// Source of GRE4 tunnels.
    pub ip4_src_address: Option<Ipv4Addr>,
    /// Source of GRE6 tunnels.
    pub ip6_src_address: Option<Ipv6Addr>,
    /// Buckets of each thread's table of pinned flows: a power of two, at most [`MOST_STICKY_BUCKETS`].
    /// Changing it makes VPP forget every pinned flow.
    pub sticky_buckets_per_core: u32,
    /// Seconds after which an idle flow is no longer pinned, 1 to 120.
    pub flow_timeout: u32,
}

/// Outcome of [`lb_conf`](crate::Agent::lb_conf).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfReport {
    /// Whether VPP was written to.
    pub changed: bool,
    /// Settings in VPP before the call.
    pub before: LbConf,
    /// Settings in VPP now.
    pub now: LbConf,
    /// Whether the number of sticky buckets changed, which made VPP forget every pinned flow.
    pub pinned_flows_lost: bool,
    /// Whether VPP's settings differed from those that the agent remembered: somebody else had changed them.
    pub drifted: bool,
}
