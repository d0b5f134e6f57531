//! What VPP has, as of the last read and every write acknowledged since.
//!
//! Reading holds up VPP's forwarding, so a single VIP is synced against this copy. It does not contain
//! removed VIPs and servers that VPP has not reclaimed yet.

mod drift;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use maglev_protocol::{Encap, Prefix, Programmed, ProgrammedVip, VipKey};

use crate::set_aside::SetAside;
use crate::step::{Step, Write};

/// All VIPs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirror {
    vips: BTreeMap<VipKey, MirrorVip>,
    /// What VPP has besides, and could not be understood.
    set_aside: SetAside,
}

/// One VIP and its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorVip {
    /// VPP's index. Unknown from adding the VIP to the next read, since VPP's answer does not contain it.
    pub index: Option<u32>,
    /// Encapsulation to the servers.
    pub encap: Encap,
    /// Whether VPP hashes flows by their source address alone. Unknown if VPP's CLI text is too long to be
    /// read.
    pub src_ip_sticky: Option<bool>,
    /// Buckets of the table for new flows.
    pub table_length: u32,
    /// Weights of the servers.
    pub servers: BTreeMap<IpAddr, u8>,
    /// Servers of weight 0 with no pinned flows. They get none until their weight is raised.
    pub drained: BTreeSet<IpAddr>,
}

impl MirrorVip {
    /// Whether any server takes new flows.
    pub fn serves(&self) -> bool {
        self.servers.values().any(|weight| *weight > 0)
    }

    /// Whether no server has pinned flows.
    pub fn is_drained(&self) -> bool {
        self.servers.keys().all(|server| self.drained.contains(server))
    }

    fn set_weight(&mut self, server: IpAddr, weight: u8, flushed: bool) {
        self.servers.insert(server, weight);
        if weight > 0 {
            self.drained.remove(&server);
        } else if flushed {
            self.drained.insert(server);
        }
    }
}

impl Mirror {
    /// A mirror with these VIPs.
    pub fn new(vips: BTreeMap<VipKey, MirrorVip>) -> Self {
        Self { vips, set_aside: SetAside::default() }
    }

    /// What VPP has besides, and could not be understood.
    pub fn set_aside(&self) -> &SetAside {
        &self.set_aside
    }

    pub(crate) fn set_aside_mut(&mut self) -> &mut SetAside {
        &mut self.set_aside
    }

    pub(crate) fn set_vips(&mut self, vips: BTreeMap<VipKey, MirrorVip>) {
        self.vips = vips;
    }

    /// The VIP with this key, if VPP has it.
    pub fn get(&self, vip: &VipKey) -> Option<&MirrorVip> {
        self.vips.get(vip)
    }

    /// Whether a server is in [`MirrorVip::drained`].
    pub fn is_drained(&self, vip: &VipKey, server: &IpAddr) -> bool {
        self.get(vip).is_some_and(|vip| vip.drained.contains(server))
    }

    /// All VIPs, in the order of their keys.
    pub fn vips(&self) -> &BTreeMap<VipKey, MirrorVip> {
        &self.vips
    }

    /// The form that the brain receives.
    pub fn programmed(&self) -> Programmed {
        let vip = |(key, vip): (&VipKey, &MirrorVip)| ProgrammedVip {
            key: *key,
            new_flows_table_length: vip.table_length,
            servers: vip.servers.clone(),
        };
        Programmed { vips: self.vips.iter().map(vip).collect(), ..Programmed::default() }
    }

    /// Number of servers of all VIPs.
    pub fn server_count(&self) -> usize {
        self.vips.values().map(|vip| vip.servers.len()).sum()
    }

    /// The other VIPs of this VIP's prefix.
    pub fn neighbours(&self, vip: &VipKey) -> impl Iterator<Item = (&VipKey, &MirrorVip)> {
        let own = *vip;
        self.vips.range(keys_of(own.prefix)).filter(move |(key, _)| **key != own)
    }

    /// Fills in unknown indexes of VIPs. False if VPP has other VIPs than these, or one was re-created.
    pub fn learn(&mut self, mut indexes: BTreeMap<VipKey, u32>) -> bool {
        indexes.retain(|vip, _| self.set_aside.blocks(vip).is_none());
        let mut same = indexes.len() == self.vips.len();
        for (key, vip) in &mut self.vips {
            let told = indexes.get(key).copied();
            same &= told.is_some() && vip.index.is_none_or(|index| Some(index) == told);
            vip.index = vip.index.or(told);
        }
        same
    }

    /// Applies a write that VPP has acknowledged.
    pub fn acknowledge(&mut self, write: &Write) {
        match write.step {
            Step::AddVip { encap, src_ip_sticky, table_length } => {
                let (servers, drained) = (BTreeMap::new(), BTreeSet::new());
                let src_ip_sticky = Some(src_ip_sticky);
                let vip = MirrorVip { index: None, encap, src_ip_sticky, table_length, servers, drained };
                self.vips.insert(write.vip, vip);
            }
            Step::RemoveVip { .. } => {
                self.vips.remove(&write.vip);
            }
            Step::AddServer { server, weight, flush } | Step::Reweight { server, to: weight, flush, .. } => {
                if let Some(vip) = self.vips.get_mut(&write.vip) {
                    vip.set_weight(server, weight, flush);
                }
            }
            Step::Flush { server, weight } => {
                if let Some(vip) = self.vips.get_mut(&write.vip) {
                    vip.set_weight(server, weight, true);
                }
            }
            Step::FlushVip => {
                if let Some(vip) = self.vips.get_mut(&write.vip) {
                    let out = vip.servers.iter().filter(|(_, weight)| **weight == 0);
                    vip.drained = out.map(|(server, _)| *server).collect();
                }
            }
            Step::RemoveServer { server, .. } => {
                if let Some(vip) = self.vips.get_mut(&write.vip) {
                    vip.drained.remove(&server);
                    vip.servers.remove(&server);
                }
            }
        }
    }

    /// Whether a VPP whose state equals the mirror would accept this write. If it refuses nevertheless, the
    /// mirror is wrong.
    pub fn would_take(&self, write: &Write) -> bool {
        let vip = self.vips.get(&write.vip);
        match write.step {
            Step::AddVip { encap, .. } => {
                vip.is_none()
                    && self.neighbours(&write.vip).all(|(key, neighbour)| {
                        key.is_all_ports() == write.vip.is_all_ports() && neighbour.encap == encap
                    })
            }
            Step::RemoveVip { .. } | Step::FlushVip => vip.is_some(),
            Step::AddServer { server, .. } => vip.is_some_and(|vip| !vip.servers.contains_key(&server)),
            Step::Reweight { server, .. }
            | Step::Flush { server, .. }
            | Step::RemoveServer { server, .. } => vip.is_some_and(|vip| vip.servers.contains_key(&server)),
        }
    }
}

fn keys_of(prefix: Prefix) -> RangeInclusive<VipKey> {
    VipKey { prefix, protocol: u8::MIN, port: u16::MIN }..=VipKey {
        prefix,
        protocol: u8::MAX,
        port: u16::MAX,
    }
}

#[cfg(test)]
mod tests;
