//! What a sync answers: what it changed, what it left, and what went wrong.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::state::LbConf;
use crate::vip::VipKey;

/// What [`sync_vip`](crate::Agent::sync_vip) shall do beyond reaching the wanted state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demands {
    /// Servers whose pinned flows shall move at once, whatever their weight is and was.
    pub flush: BTreeSet<IpAddr>,
    /// Whether a VIP that stands with another table length than wanted shall be made anew, which forgets its
    /// pinned flows. A VIP that has the length is not touched.
    pub recreate: bool,
}

/// Outcome of [`sync_vip`](crate::Agent::sync_vip) and [`sync_all`](crate::Agent::sync_all).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReport {
    /// The VIPs about which there is something to say, in the order of their keys. A VIP that was as wanted
    /// is not here.
    pub vips: Vec<VipReport>,
    /// What a full read found other than the agent remembered, in words; empty without a full read.
    pub drift: Vec<String>,
    /// How much a full read found; `None` if the sync read nothing.
    pub read: Option<FullRead>,
    /// VIPs that VPP has outside the agent's policy, which are left as they are; empty without a full read.
    pub foreign: Vec<VipKey>,
    /// The settings, if the same full sync of the brain changed them. They are another call, so the agent leaves this
    /// empty and the brain's client fills it in.
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

/// Size of what a full read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullRead {
    /// VIPs in VPP before the sync.
    pub vips: u32,
    /// Application servers in VPP before the sync, removed ones left out.
    pub servers: u32,
}

/// What happened to one VIP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipReport {
    /// Which VIP.
    pub key: VipKey,
    /// What VPP acknowledged, in order.
    pub changes: Vec<Change>,
    /// Set if the VIP stands with another table length than wanted, which only making it anew would change.
    pub table_length: Option<TableLengthKept>,
    /// What VPP refused. Steps that stay safe without the refused one were still taken.
    pub errors: Vec<StepError>,
}

/// A VIP that keeps the table it was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableLengthKept {
    /// Buckets that VPP has.
    pub has: u32,
    /// Buckets that were asked for.
    pub wanted: u32,
}

/// One write that VPP acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// The VIP was made.
    VipAdded,
    /// The VIP was removed.
    VipRemoved,
    /// The VIP was removed in order to be made anew, which forgets its pinned flows.
    VipRecreated {
        /// What could not be changed in place.
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
        /// Whether its flows were moved at once.
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
        /// Whether its flows were moved at once.
        flushed: bool,
    },
    /// All flows of the VIP were moved at once, and those forgotten that came while it had no server.
    VipFlushed,
    /// A server's flows were moved at once, as demanded or owed; its weight stayed.
    Flushed {
        /// The server.
        server: IpAddr,
        /// Its weight.
        weight: u8,
    },
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepError {
    /// The step in words.
    pub step: String,
    /// VPP's return value, if VPP answered.
    pub code: Option<i32>,
    /// What it means.
    pub meaning: String,
}

/// Names the party that refused: VPP, or the agent before VPP was asked.
impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let party = if self.code.is_some() { "VPP refused to" } else { "the agent did not" };
        write!(f, "{party} {}: {}", self.step, self.meaning)
    }
}

/// Most sticky buckets that the agent ever sets: 1 GiB a thread where a cache line has 64 bytes. From four times as many
/// on, VPP computes the size of the table in 32 bits and gets it wrong (by its source).
pub const MOST_STICKY_BUCKETS: u32 = 1 << 24;

/// Size of a sticky table's bucket, in bytes: a cache line, as VPP is built. On 64-bit Arm that is 128 unless its build says
/// otherwise, so the larger one is taken.
pub const STICKY_BUCKET: u64 = if cfg!(target_arch = "aarch64") { 128 } else { 64 };

/// The lb plugin's settings as wanted; `None` leaves what VPP has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LbConfSpec {
    /// Source of GRE4 tunnels.
    pub ip4_src_address: Option<Ipv4Addr>,
    /// Source of GRE6 tunnels.
    pub ip6_src_address: Option<Ipv6Addr>,
    /// Buckets of each thread's table of pinned flows: a power of two, at most [`MOST_STICKY_BUCKETS`]. Another number makes
    /// VPP forget every pinned flow.
    pub sticky_buckets_per_core: u32,
    /// Seconds after which an idle flow is forgotten, 1 to 120.
    pub flow_timeout: u32,
}

/// Outcome of [`lb_conf`](crate::Agent::lb_conf).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfReport {
    /// Whether VPP was written to.
    pub changed: bool,
    /// What VPP had before.
    pub before: LbConf,
    /// What VPP has now.
    pub now: LbConf,
    /// Whether the number of sticky buckets changed, which made VPP forget every pinned flow.
    pub pinned_flows_lost: bool,
    /// Whether VPP had other settings than the agent remembered: somebody else had changed them.
    pub drifted: bool,
}
