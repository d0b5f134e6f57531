//! Everything that VPP shall have, as one value: what the controller hands to the agent's client.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::{LbConfSpec, VipKey, VipSpec};

/// The whole wanted state of VPP's lb plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Global settings.
    pub conf: LbConfSpec,
    /// The VIPs to program.
    pub vips: BTreeMap<VipKey, Arc<VipSpec>>,
    /// VIPs of frontends that are held back: VPP keeps what it has of them.
    pub keep: BTreeSet<VipKey>,
    /// Time between two full comparisons with VPP.
    pub sync_interval: Duration,
}
