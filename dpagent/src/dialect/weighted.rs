//! lb API 1.2.0, from VPP 26.10 on: weights, and dumps that list everything but indexes, sticky flags and flows.

use maglev_protocol::{Encap, Prefix, VipKey};
use vppapi::client::PreparedRequest;
use vppapi::messages::{
    LbAddDelAsV2, LbAddDelAsV2Reply, LbAsSetWeight, LbAsSetWeightReply, LbAsV2Details, LbAsV2Dump, LbConfGet,
    LbConfGetReply, LbFlushVip, LbVipDetails, LbVipDump, Message,
};
use vppapi::types::{self, VipId};

use super::{vip_id, vip_message};
use crate::read::{ServerRow, VipRow};
use crate::step::{Step, Write};

/// Messages that it needs besides those of every dialect.
pub(super) const NEEDED: &[&str] = &[
    LbConfGet::NAME_CRC,
    LbConfGetReply::NAME_CRC,
    LbAddDelAsV2::NAME_CRC,
    LbAddDelAsV2Reply::NAME_CRC,
    LbAsSetWeight::NAME_CRC,
    LbAsSetWeightReply::NAME_CRC,
    LbVipDump::NAME_CRC,
    LbVipDetails::NAME_CRC,
    LbAsV2Dump::NAME_CRC,
    LbAsV2Details::NAME_CRC,
];

/// The request that carries out a write.
pub(super) fn request(write: &Write) -> PreparedRequest {
    let vip = vip_id(&write.vip);
    match write.step {
        step @ (Step::AddVip { .. } | Step::RemoveVip { .. }) => {
            PreparedRequest::new(&vip_message(vip, step))
        }
        Step::AddServer { server, weight, flush } => PreparedRequest::new(&LbAddDelAsV2 {
            vip,
            as_address: server,
            weight,
            is_del: false,
            is_flush: flush,
        }),
        Step::RemoveServer { server, .. } => PreparedRequest::new(&LbAddDelAsV2 {
            vip,
            as_address: server,
            weight: 0,
            is_del: true,
            is_flush: true,
        }),
        Step::Reweight { server, to, flush, .. } => {
            PreparedRequest::new(&LbAsSetWeight { vip, as_address: server, weight: to, is_flush: flush })
        }
        // There is no message that only flushes one server, so its weight is sent again.
        Step::Flush { server, weight } => {
            PreparedRequest::new(&LbAsSetWeight { vip, as_address: server, weight, is_flush: true })
        }
        Step::FlushVip => PreparedRequest::new(&LbFlushVip { vip }),
    }
}

fn vip_key(vip: &VipId) -> VipKey {
    let prefix = Prefix { address: vip.prefix.address, length: vip.prefix.length };
    VipKey { prefix, protocol: vip.protocol, port: vip.port }
}

/// Converts the details of a VIP.
///
/// # Errors
/// When its encapsulation is unknown: the VIP's key, and a description.
pub fn vip_row(details: &LbVipDetails) -> Result<VipRow, (VipKey, String)> {
    let encap = match details.encap {
        types::Encap::Gre4 => Encap::Gre4,
        types::Encap::Gre6 => Encap::Gre6,
        types::Encap::L3dsr => Encap::L3dsr,
        types::Encap::Nat4 => Encap::Nat4,
        types::Encap::Nat6 => Encap::Nat6,
        types::Encap::Other(value) => {
            return Err((vip_key(&details.vip), format!("it has encapsulation {value}: expected 0 to 4")));
        }
    };
    // VPP truncates the length to 16 bits, so 65536 is reported as 0.
    let table_length = match details.flow_table_length {
        0 => 1 << 16,
        length => length.into(),
    };
    Ok(VipRow { key: vip_key(&details.vip), encap, table_length })
}

/// Converts the details of a server.
pub fn server_row(details: &LbAsV2Details) -> ServerRow {
    ServerRow {
        vip: vip_key(&details.vip),
        address: details.as_address,
        used: details.is_used(),
        weight: details.weight,
        buckets: details.num_buckets,
    }
}
