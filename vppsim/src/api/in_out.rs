//! The lb plugin's messages as VPP 26.06 treats them (API 1.1.0), read in its source and compared with its answers.
//!
//! A prefix is 16 bytes and a length of up to 128 bits, whatever the address family says; the encap is not turned from
//! network order; details lack the protocol and the table length, and removed VIPs are listed.

use std::net::{IpAddr, Ipv6Addr};

use tracing::warn;
use vppapi::messages::{
    LbAddDelAs, LbAddDelAsReply, LbAddDelVipV2, LbAddDelVipV2Reply, LbAsDetails, LbAsDump, LbFlushVip,
    LbFlushVipReply, LbVipDetails, LbVipDump,
};
use vppapi::types::{Encap, Prefix, VipId};

use super::lb::{new_vip, raw_address, retval, vip_details};
use super::{Call, Outcome, Simulator};
use crate::address::Ip46Prefix;
use crate::lb::{NewVip, Refusal, Vip, VipKey, VipKind};

/// No packet has a longer prefix, and VPP does not check it.
fn key(vip: &VipId) -> Result<VipKey, Refusal> {
    let prefix = Ip46Prefix::of_bits(vip.prefix.address, vip.prefix.length).ok_or(Refusal::NoSuchEntry)?;
    Ok(VipKey::new(prefix, vip.protocol, vip.port))
}

fn vip_id(vip: &Vip) -> VipId {
    let VipKey { prefix, port, .. } = vip.key;
    VipId { prefix: Prefix { address: prefix.address.into(), length: prefix.length }, protocol: 0, port }
}

impl Simulator {
    pub(super) fn lb_add_del_vip_1_1(
        &mut self,
        call: &Call<'_>,
        message: &LbAddDelVipV2,
        outcome: &mut Outcome,
    ) -> Option<LbAddDelVipV2Reply> {
        let encap = Encap::from(u32::from(message.encap).swap_bytes());
        let result = key(&message.vip).and_then(|key| match message.is_del {
            true => self.lb.remove_vip(&key, call.now),
            false => self.lb.add_vip(&NewVip { encap, ..new_vip(key, message) }, call.now).map(drop),
        });
        let retval = retval(result, outcome)?;
        Some(LbAddDelVipV2Reply { retval })
    }

    pub(super) fn lb_add_del_as_1_1(
        &mut self,
        call: &Call<'_>,
        message: &LbAddDelAs,
        outcome: &mut Outcome,
    ) -> Option<LbAddDelAsReply> {
        let address = message.as_address.into();
        let result = key(&message.vip).and_then(|key| match message.is_del {
            true => self.lb.remove_server(&key, address, message.is_flush, call.now),
            false => self.lb.add_server(&key, address, 1, false, call.now),
        });
        let retval = retval(result, outcome)?;
        Some(LbAddDelAsReply { retval })
    }

    /// VPP takes the 16 bytes as they are, so that an IPv4 address, which stands in front, is not found. It then flushes
    /// something undefined; here, nothing.
    pub(super) fn lb_flush_vip_1_1(
        &mut self,
        _: &Call<'_>,
        message: &LbFlushVip,
        _: &mut Outcome,
    ) -> Option<LbFlushVipReply> {
        let address = IpAddr::V6(Ipv6Addr::from(raw_address(message.vip.prefix.address)));
        let prefix = Prefix { address, ..message.vip.prefix };
        match key(&VipId { prefix, ..message.vip }) {
            Ok(key) if self.lb.find(&key).is_some() => self.lb.flush_vip(&key),
            _ => {
                warn!(vip = %message.vip, "a VIP that is not there is flushed: VPP flushes an arbitrary one")
            }
        }
        Some(LbFlushVipReply { retval: 0 })
    }

    pub(super) fn lb_vip_dump_1_1(&self, _: &LbVipDump) -> Vec<LbVipDetails> {
        let details = |vip: &Vip| LbVipDetails {
            vip: vip_id(vip),
            encap: Encap::from(number(vip.kind)),
            flow_table_length: u16::try_from(vip.table_length() >> 16).unwrap_or(u16::MAX),
            ..vip_details(vip)
        };
        self.lb.vips().map(|(_, vip)| details(vip)).collect()
    }

    pub(super) fn lb_as_dump_1_1(&self, message: &LbAsDump) -> Vec<LbAsDetails> {
        let wanted = raw_address(message.vip.prefix.address);
        let matches = |vip: &Vip| {
            wanted == [0; 16]
                || (vip.key.prefix.address.octets() == wanted
                    && vip.key.protocol == message.vip.protocol
                    && vip.key.port == message.vip.port.swap_bytes())
        };
        let vips = self.lb.vips().map(|(_, vip)| vip).filter(|vip| matches(vip));
        let details = |vip| {
            self.lb.servers_of(vip).map(move |(index, server)| LbAsDetails {
                vip: vip_id(vip),
                as_address: server.address.into(),
                flags: server.used.into(),
                in_use_since: self.lb.last_used(index),
            })
        };
        vips.flat_map(details).collect()
    }
}

/// VPP's number of a kind of VIP.
fn number(kind: VipKind) -> u32 {
    match kind {
        VipKind::Ip6Gre6 => 0,
        VipKind::Ip6Gre4 => 1,
        VipKind::Ip4Gre6 => 2,
        VipKind::Ip4Gre4 => 3,
        VipKind::Ip4L3dsr => 4,
        VipKind::Ip4Nat4 => 5,
        VipKind::Ip6Nat6 => 6,
    }
}
