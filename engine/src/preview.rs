//! Effect of a change, before it is made.
//!
//! The command is executed on a copy of the state, by the functions that decide, and the two states are
//! compared: so no rule is implemented twice. The copy counts and logs nothing, and reaches neither VPP nor
//! the disk.

mod compare;
pub mod summary;
mod words;

use std::net::IpAddr;

use maglev_protocol::VipKey;
use serde::{Deserialize, Serialize};

use crate::core::{Command, CommandError, Core, Now};
use crate::weights::FrontendState;

/// How much attention a change needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// No traffic changes.
    #[default]
    None,
    /// Traffic moves, and none is lost.
    Notice,
    /// Traffic is lost, all pinned flows are forgotten, or a pool goes below its `min-up`. Needs consent.
    Danger,
}

/// What happens to a VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VipChange {
    /// Unchanged, with its pinned flows.
    Kept,
    /// Added to VPP.
    Added,
    /// Removed from VPP.
    Removed,
    /// Deleted and added again: its pinned flows are forgotten.
    Recreated,
}

/// What happens to a server's existing flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They stay where they are.
    Stay,
    /// They finish; the server gets no new ones.
    Finish,
    /// They move to other servers at once.
    Move,
    /// They end, as no server is left for them.
    Cut,
    /// They move to where the new table puts them, for some of them another server.
    Rehash,
}

/// A frontend before or after the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Its state.
    pub state: FrontendState,
    /// The active pool.
    pub active_pool: Option<String>,
    /// The pool in a panic.
    pub panic: Option<String>,
    /// Buckets of the VIP's table.
    pub table_length: u32,
}

/// A backend in a pool before or after the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Weight on the configuration's scale, 0 to 100.
    pub effective: u8,
    /// Weight in VPP. A server in several pools has the largest.
    pub programmed: u8,
    /// Buckets of the server.
    pub buckets: u32,
}

/// A backend in a pool, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendPreview {
    /// The pool.
    pub pool: String,
    /// The backend.
    pub backend: String,
    /// Its address.
    pub server: IpAddr,
    /// Absent if it is added to the pool.
    pub before: Option<Share>,
    /// Absent if it is removed from the pool.
    pub after: Option<Share>,
    /// What happens to its flows.
    pub fate: Fate,
    /// Number of its flows, if known.
    pub flows: Option<u64>,
}

/// A frontend that the change affects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontendPreview {
    /// Its name after the change, or before if it is removed.
    pub frontend: String,
    /// Its VIP.
    pub vip: VipKey,
    /// What happens to the VIP.
    pub change: VipChange,
    /// Whether VPP gets the change only when the warm-up releases the frontend.
    pub held_back: bool,
    /// Absent if it is added.
    pub before: Option<Side>,
    /// Absent if it is removed.
    pub after: Option<Side>,
    /// Backends in the order of pools and names.
    pub backends: Vec<BackendPreview>,
    /// Buckets that move to another server although their server stays in service.
    pub moved_buckets: u32,
    /// The highest severity of the sentences.
    pub severity: Severity,
    /// Description of the change, most severe first.
    pub sentences: Vec<String>,
}

/// The effect of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Number of the last event of the state it was computed from.
    pub events: u64,
    /// The highest severity.
    pub severity: Severity,
    /// Effects on VPP as a whole.
    pub sentences: Vec<String>,
    /// The affected frontends, by name.
    pub frontends: Vec<FrontendPreview>,
}

/// Live flows of a server of a VIP, if known.
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
