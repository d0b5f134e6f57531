//! VPP's whole desired state as one value, passed from the controller to the agent's client.

use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, OrdSet};
use maglev_protocol::{Demands, LbConfSpec, VipKey, VipSpec};

/// Identifies a look at VPP's state: there is a new one after every connection to the agent or to VPP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewId(pub u64);

/// The whole desired state of VPP's lb plugin. Copies share everything that is equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The look at VPP that all of this was decided on; `None` if nothing may be written yet. Never written
    /// to another VPP, since weights depend on the tables that VPP has.
    pub view: Option<ViewId>,
    /// Global settings.
    pub conf: LbConfSpec,
    /// The VIPs to program.
    pub vips: OrdMap<VipKey, Arc<VipSpec>>,
    /// The number of the decision behind each VIP. A decision that changes nothing is still synced, so that
    /// whoever waits for it gets an answer.
    pub decided: OrdMap<VipKey, u64>,
    /// Number of decisions so far.
    pub decisions: u64,
    /// VIPs of frontends that are held back: VPP keeps them as they are.
    pub keep: OrdSet<VipKey>,
    /// Operators' pending requests for VIPs, beyond the desired state.
    pub demands: OrdMap<VipKey, Demanded>,
    /// The number of the full sync that an operator requested, while pending.
    pub full: Option<u64>,
    /// Time between two full comparisons with VPP.
    pub sync_interval: Duration,
}

impl Wanted {
    /// Sets a VIP's desired state.
    pub fn put(&mut self, spec: Arc<VipSpec>) {
        self.decisions += 1;
        self.decided.insert(spec.key, self.decisions);
        self.vips.insert(spec.key, spec);
    }

    /// Drops a VIP.
    pub fn forget(&mut self, key: &VipKey) {
        self.decided.remove(key);
        self.vips.remove(key);
    }
}

/// An operator's request with somebody waiting for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// A request for a VIP, by its number: see [`Demanded`].
    Vip(VipKey, u64),
    /// A full sync sent after this request, by its number.
    Full(u64),
}

impl Demand {
    /// Whether the end of this request implies the end of the other: same target, not later.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Vip(vip, number), Self::Vip(other, earlier)) => vip == other && earlier <= number,
            (Self::Full(number), Self::Full(earlier)) => earlier <= number,
            (Self::Vip(..), Self::Full(_)) | (Self::Full(_), Self::Vip(..)) => false,
        }
    }
}

/// Requests for one VIP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demanded {
    /// Higher than that of any earlier request.
    pub number: u64,
    /// The requests. May be carried out twice if an answer is lost.
    pub demands: Demands,
}
