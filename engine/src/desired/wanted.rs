//! Everything that VPP shall have, as one value: what the controller hands to the agent's client.

use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, OrdSet};
use maglev_protocol::{Demands, LbConfSpec, VipKey, VipSpec};

/// Tells one look at what VPP has from the next: there is a new one after every connection to the agent or to VPP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewId(pub u64);

/// The whole wanted state of VPP's lb plugin. A copy shares with its original all that is the same in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The look at VPP on which all of this was decided; `None` if nothing may be written yet. It is written to no
    /// VPP that may be another one: weights depend on the tables that VPP has.
    pub view: Option<ViewId>,
    /// Global settings.
    pub conf: LbConfSpec,
    /// The VIPs to program.
    pub vips: OrdMap<VipKey, Arc<VipSpec>>,
    /// The number of the decision that made each of them what it is. One that is decided to be as before is synced
    /// nevertheless, so that its end is told.
    pub decided: OrdMap<VipKey, u64>,
    /// The number of the last decision.
    pub decisions: u64,
    /// VIPs of frontends that are held back: VPP keeps what it has of them.
    pub keep: OrdSet<VipKey>,
    /// What operators demand of VIPs beyond that, until it is done.
    pub demands: OrdMap<VipKey, Demanded>,
    /// The number of the full sync that an operator demands, until it is done.
    pub full: Option<u64>,
    /// Time between two full comparisons with VPP.
    pub sync_interval: Duration,
}

impl Wanted {
    /// Another state of a VIP is wanted.
    pub fn put(&mut self, spec: Arc<VipSpec>) {
        self.decisions += 1;
        self.decided.insert(spec.key, self.decisions);
        self.vips.insert(spec.key, spec);
    }

    /// A VIP is not to be programmed any more.
    pub fn forget(&mut self, key: &VipKey) {
        self.decided.remove(key);
        self.vips.remove(key);
    }
}

/// What an operator demands and waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// Something of a VIP, by its number: see [`Demanded`].
    Vip(VipKey, u64),
    /// A full sync that is sent after this was known, by its number.
    Full(u64),
}

impl Demand {
    /// Whether the end of this one is the end of the other, too: of the same, and not later.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Vip(vip, number), Self::Vip(other, earlier)) => vip == other && earlier <= number,
            (Self::Full(number), Self::Full(earlier)) => earlier <= number,
            (Self::Vip(..), Self::Full(_)) | (Self::Full(_), Self::Vip(..)) => false,
        }
    }
}

/// Demands on one VIP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demanded {
    /// Higher than that of any demand before it.
    pub number: u64,
    /// What is demanded. It may be done twice, if an answer is lost.
    pub demands: Demands,
}
