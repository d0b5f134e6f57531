//! What a change would do, before it is made.
//!
//! The command is carried out on a copy of the state, by the functions that decide, and the two states are compared. So
//! no rule stands twice. The copy counts nothing, logs nothing, and reaches neither VPP nor the disk.

mod compare;
mod words;

use std::net::IpAddr;

use maglev_protocol::VipKey;

use crate::core::{Command, CommandError, Core, Now};
use crate::weights::FrontendState;

/// How much a change asks of whoever makes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// No traffic changes.
    #[default]
    None,
    /// Traffic goes elsewhere, and none is lost.
    Notice,
    /// Traffic is lost, or everything that is pinned is forgotten. Needs consent.
    Danger,
}

/// What becomes of a VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VipChange {
    /// It stays, with its pinned flows.
    Kept,
    /// VPP gets it.
    Added,
    /// VPP loses it.
    Removed,
    /// It is deleted and added again: its pinned flows are forgotten.
    Recreated,
}

/// What becomes of the flows that a server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They stay where they are.
    Stay,
    /// They stay until they end; the server gets no new ones.
    Finish,
    /// They go to other servers at once.
    Move,
    /// They end, as no server is left for them.
    Cut,
    /// They go to where the new table has them, which for some is another server.
    Rehash,
}

/// A frontend on one side of the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Its state.
    pub state: FrontendState,
    /// The pool that takes new flows.
    pub active_pool: Option<String>,
    /// The pool in a panic.
    pub panic: Option<String>,
    /// Buckets of the VIP's table.
    pub table_length: u32,
}

/// A backend in a pool on one side of the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Weight on the configuration's scale, 0 to 100.
    pub effective: u8,
    /// Weight in VPP. A server in several pools has the largest.
    pub programmed: u8,
    /// Buckets of the server.
    pub buckets: u32,
}

/// A backend in a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendPreview {
    /// The pool.
    pub pool: String,
    /// The backend.
    pub backend: String,
    /// Its address.
    pub server: IpAddr,
    /// Absent if it is not in the pool yet.
    pub before: Option<Share>,
    /// Absent if it is not in the pool any more.
    pub after: Option<Share>,
    /// What becomes of its flows.
    pub fate: Fate,
    /// How many it has, if that is known.
    pub flows: Option<u64>,
}

/// A frontend for which the change does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontendPreview {
    /// Its name after the change, or before if it is removed.
    pub frontend: String,
    /// Its VIP.
    pub vip: VipKey,
    /// What becomes of the VIP.
    pub change: VipChange,
    /// Whether VPP gets all this only when the warm-up releases the frontend.
    pub held_back: bool,
    /// Absent if it is added.
    pub before: Option<Side>,
    /// Absent if it is removed.
    pub after: Option<Side>,
    /// Backends in the order of pools and names.
    pub backends: Vec<BackendPreview>,
    /// Buckets that change hands although their server goes on serving.
    pub moved_buckets: u32,
    /// The largest of the sentences'.
    pub severity: Severity,
    /// For people, the gravest first.
    pub sentences: Vec<String>,
}

/// What a change would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The state that it was computed from: the number of its last event.
    pub events: u64,
    /// The largest of all.
    pub severity: Severity,
    /// About VPP as a whole.
    pub sentences: Vec<String>,
    /// By name; only those for which it does something.
    pub frontends: Vec<FrontendPreview>,
}

/// Live flows of a server of a VIP, if that is known.
pub type Flows<'f> = &'f dyn Fn(&VipKey, &IpAddr) -> Option<u64>;

/// Computes what a command would do to traffic in this state.
///
/// # Errors
/// Those of the command itself.
pub fn preview(core: &Core, command: Command, flows: Flows<'_>, now: Now) -> Result<Preview, CommandError> {
    let after = core.tried(command, now)?;
    Ok(compare::compare(core, &after, flows))
}

#[cfg(test)]
mod tests;
