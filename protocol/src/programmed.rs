//! The agent's mirror of VPP, as sent to the brain.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::dialect::Dialect;
use crate::vip::VipKey;

/// Answer of [`programmed`](crate::Agent::programmed).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programmed {
    /// What this VPP can be programmed with.
    pub dialect: Dialect,
    /// All VIPs in the order of their keys, including those outside the agent's policy.
    pub vips: Vec<ProgrammedVip>,
}

/// The part of a VIP that a sync depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgrammedVip {
    /// Prefix, protocol and port.
    pub key: VipKey,
    /// Buckets of the table for new flows.
    pub new_flows_table_length: u32,
    /// Weights of the servers, 0 to 255: others than the brain may have set them.
    pub servers: BTreeMap<IpAddr, u8>,
}
