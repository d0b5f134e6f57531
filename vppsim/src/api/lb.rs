//! The lb plugin's messages in API 1.2.0, and those that no version of it changes.

use std::net::IpAddr;

use tracing::warn;
use vppapi::messages::{
    LbAddDelAsV2, LbAddDelAsV2Reply, LbAddDelVipV2, LbAddDelVipV2Reply, LbAsSetWeight, LbAsSetWeightReply,
    LbAsV2Details, LbAsV2Dump, LbConf, LbConfGet, LbConfGetReply, LbConfReply, LbFlushVip, LbFlushVipReply,
    LbVipDetails, LbVipDump,
};
use vppapi::retval::Retval;
use vppapi::types::{Prefix, VipId};

use super::{Call, Outcome, Simulator};
use crate::address::Ip46Prefix;
use crate::lb::{Conf, Lb, NewVip, Refusal, Server, Vip, VipKey};

/// The length of a prefix in the API is not checked by VPP.
fn key(vip: &VipId) -> Result<VipKey, Refusal> {
    let prefix = Ip46Prefix::new(vip.prefix.address, vip.prefix.length).map_err(|_| Refusal::NoSuchEntry)?;
    Ok(VipKey::new(prefix, vip.protocol, vip.port))
}

fn vip_id(vip: &Vip) -> VipId {
    let VipKey { prefix, protocol, port } = vip.key;
    VipId { prefix: Prefix { address: prefix.address.into(), length: prefix.api_length() }, protocol, port }
}

/// The return value of a change, or none if VPP would be dead.
pub(super) fn retval<T>(result: Result<T, Refusal>, outcome: &mut Outcome) -> Option<i32> {
    let code = match &result {
        Ok(_) => Some(Retval::OK),
        Err(refusal) => refusal.retval(),
    };
    if let (Err(refusal), None) = (&result, code) {
        outcome.deadly = Some(refusal.to_string());
    }
    code.map(|code| code.0)
}

impl Simulator {
    pub(super) fn lb_conf(
        &mut self,
        _: &Call<'_>,
        message: &LbConf,
        outcome: &mut Outcome,
    ) -> Option<LbConfReply> {
        let wanted = Conf {
            ip4_source: message.ip4_src_address,
            ip6_source: message.ip6_src_address,
            sticky_buckets: message.sticky_buckets_per_core,
            flow_timeout: message.flow_timeout,
        };
        if wanted.sticky_buckets == 0 {
            warn!("sticky_buckets_per_core is 0: VPP accepts that and dies of the next packet to a VIP");
        }
        let retval = retval(self.lb.set_conf(wanted), outcome)?;
        Some(LbConfReply { retval })
    }

    pub(super) fn lb_conf_get(
        &mut self,
        _: &Call<'_>,
        _: &LbConfGet,
        _: &mut Outcome,
    ) -> Option<LbConfGetReply> {
        let conf = self.lb.conf();
        Some(LbConfGetReply {
            retval: 0,
            ip4_src_address: conf.ip4_source,
            ip6_src_address: conf.ip6_source,
            sticky_buckets_per_core: conf.sticky_buckets,
            flow_timeout: conf.flow_timeout,
        })
    }

    pub(super) fn lb_add_del_vip(
        &mut self,
        call: &Call<'_>,
        message: &LbAddDelVipV2,
        outcome: &mut Outcome,
    ) -> Option<LbAddDelVipV2Reply> {
        let result = match key(&message.vip) {
            Ok(key) if message.is_del => self.lb.remove_vip(&key, call.now),
            Ok(key) => self.lb.add_vip(&new_vip(key, message), call.now).map(drop),
            Err(refusal) if message.is_del => Err(refusal),
            Err(_) => {
                warn!(vip = %message.vip, "refused a prefix length that cannot be; VPP takes it, for no packet");
                return Some(LbAddDelVipV2Reply { retval: Retval::INVALID_ARGUMENT.0 });
            }
        };
        let retval = retval(result, outcome)?;
        Some(LbAddDelVipV2Reply { retval })
    }

    pub(super) fn lb_add_del_as(
        &mut self,
        call: &Call<'_>,
        message: &LbAddDelAsV2,
        outcome: &mut Outcome,
    ) -> Option<LbAddDelAsV2Reply> {
        let (address, flush) = (message.as_address.into(), message.is_flush);
        let result = key(&message.vip).and_then(|key| match message.is_del {
            true => self.lb.remove_server(&key, address, flush, call.now),
            false => self.lb.add_server(&key, address, message.weight, flush, call.now),
        });
        let retval = retval(result, outcome)?;
        Some(LbAddDelAsV2Reply { retval })
    }

    pub(super) fn lb_as_set_weight(
        &mut self,
        _: &Call<'_>,
        message: &LbAsSetWeight,
        outcome: &mut Outcome,
    ) -> Option<LbAsSetWeightReply> {
        let result = key(&message.vip).and_then(|key| {
            self.lb.set_weight(&key, message.as_address.into(), message.weight, message.is_flush)
        });
        let retval = retval(result, outcome)?;
        Some(LbAsSetWeightReply { retval })
    }

    /// VPP reports success whether the VIP is there or not (measured on VPP 26.10).
    pub(super) fn lb_flush_vip(
        &mut self,
        _: &Call<'_>,
        message: &LbFlushVip,
        _: &mut Outcome,
    ) -> Option<LbFlushVipReply> {
        if let Ok(key) = key(&message.vip) {
            self.lb.flush_vip(&key);
        }
        Some(LbFlushVipReply { retval: 0 })
    }

    pub(super) fn lb_vip_dump(&self, _: &LbVipDump) -> Vec<LbVipDetails> {
        self.lb.vips().filter(|(_, vip)| vip.used).map(|(_, vip)| vip_details(vip)).collect()
    }

    /// VPP compares the 16 bytes of the request's address with the place where an IPv4 address is not, so that an
    /// IPv4 prefix finds nothing; without any bit set, it lists all VIPs (measured on VPP 26.10).
    pub(super) fn lb_as_dump(&self, message: &LbAsV2Dump) -> Vec<LbAsV2Details> {
        let wanted = raw_address(message.vip.prefix.address);
        let matches = |vip: &Vip| {
            wanted == [0; 16]
                || (vip.key.prefix.address.octets() == wanted
                    && vip.key.protocol == message.vip.protocol
                    && vip.key.port == message.vip.port)
        };
        self.lb
            .vips()
            .filter(|(_, vip)| matches(vip))
            .flat_map(|(_, vip)| self.details_of_servers(vip))
            .collect()
    }

    fn details_of_servers(&self, vip: &Vip) -> Vec<LbAsV2Details> {
        let buckets = Lb::bucket_counts(vip);
        let details = self.lb.servers_of(vip).map(|(index, server): (u32, &Server)| LbAsV2Details {
            vip: vip_id(vip),
            as_address: server.address.into(),
            flags: server.used.into(),
            in_use_since: self.lb.last_used(index),
            weight: server.weight,
            num_buckets: buckets.get(&index).copied().unwrap_or(0),
        });
        details.collect()
    }
}

pub(super) fn new_vip(key: VipKey, message: &LbAddDelVipV2) -> NewVip {
    let [service_type, ..] = message.srv_type.to_be_bytes();
    NewVip {
        key,
        encap: message.encap,
        dscp: message.dscp,
        // VPP takes the first byte on the wire for the whole (read in its source).
        service_type,
        target_port: message.target_port,
        table_length: message.new_flows_table_length,
        src_ip_sticky: message.src_ip_sticky,
    }
}

/// The two arguments of an encap lie in one place, and neither is turned into network order (measured on VPP 26.10).
pub(super) fn vip_details(vip: &Vip) -> LbVipDetails {
    let argument = vip.encap_argument;
    let [.., high, low] = vip.table_length().to_be_bytes();
    LbVipDetails {
        vip: vip_id(vip),
        encap: vip.kind.encap(),
        dscp: argument,
        srv_type: u32::from_be_bytes([argument, 0, 0, 0]),
        target_port: vip.target_port.swap_bytes(),
        flow_table_length: u16::from_be_bytes([high, low]),
    }
}

/// The address in the 16 bytes of a request, where IPv4 stands in front.
pub(super) fn raw_address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(address) => address.octets(),
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
    }
}
