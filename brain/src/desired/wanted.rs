//! Everything that VPP shall have, as one value: what the controller hands to the agent's client.

use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, OrdSet};
use maglev_protocol::{LbConfSpec, VipKey, VipSpec};

/// The whole wanted state of VPP's lb plugin. A copy shares with its original all that is the same in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Global settings.
    pub conf: LbConfSpec,
    /// The VIPs to program.
    pub vips: OrdMap<VipKey, Arc<VipSpec>>,
    /// VIPs of frontends that are held back: VPP keeps what it has of them.
    pub keep: OrdSet<VipKey>,
    /// Time between two full comparisons with VPP.
    pub sync_interval: Duration,
}
