//! What the agent remembers of VPP.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::vip::VipKey;

/// Answer of [`programmed`](crate::Agent::programmed).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programmed {
    /// All VIPs in the order of their keys, those outside the agent's policy too.
    pub vips: Vec<ProgrammedVip>,
}

/// One VIP, as far as a sync goes by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgrammedVip {
    /// Which VIP.
    pub key: VipKey,
    /// Buckets of the table for new flows.
    pub new_flows_table_length: u32,
    /// Weights of the servers, 0 to 255: others than the brain may have set them.
    pub servers: BTreeMap<IpAddr, u8>,
}
