//! Translation between the agent's terms and the messages of VPP's lb plugin, one module for each version of its API.
//!
//! Pure: the connection is in [`lb`](crate::lb). Only here is it known which message a step becomes, which messages VPP
//! must have, and what its answers, dumps and texts mean. The dialect is chosen once for each connection.

pub mod in_out;
pub mod weighted;

use std::borrow::Cow;

use maglev_protocol::{Dialect, Encap, VipKey, VipSpec};
use vppapi::client::PreparedRequest;
use vppapi::messages::{
    CliInband, CliInbandReply, ControlPing, ControlPingReply, IpRouteLookupV2, IpRouteLookupV2Reply,
    LbAddDelVipV2, LbAddDelVipV2Reply, LbConf, LbConfReply, LbFlushVip, LbFlushVipReply, Message,
    ShowVersion, ShowVersionReply,
};
use vppapi::retval::Retval;
use vppapi::table::MessageTable;
use vppapi::types;

use crate::apply::Answer;
use crate::mirror::Mirror;
use crate::reconcile::{VipPlan, Wanted};
use crate::step::{Step, Write};

/// The oldest version that can be programmed, for error messages.
pub const NEEDS: &str = "VPP 23.06 (lb API 1.1.0) or newer, with its lb plugin loaded";

/// Messages that every dialect needs.
const NEEDED: &[&str] = &[
    ControlPing::NAME_CRC,
    ControlPingReply::NAME_CRC,
    ShowVersion::NAME_CRC,
    ShowVersionReply::NAME_CRC,
    CliInband::NAME_CRC,
    CliInbandReply::NAME_CRC,
    LbConf::NAME_CRC,
    LbConfReply::NAME_CRC,
    LbAddDelVipV2::NAME_CRC,
    LbAddDelVipV2Reply::NAME_CRC,
    LbFlushVip::NAME_CRC,
    LbFlushVipReply::NAME_CRC,
    IpRouteLookupV2::NAME_CRC,
    IpRouteLookupV2Reply::NAME_CRC,
];

/// The dialect of a VPP with these messages.
///
/// # Errors
/// The messages that it lacks for even the oldest one.
pub fn choose(table: &MessageTable) -> Result<Dialect, Vec<String>> {
    let mut missing = table.missing(NEEDED);
    if missing.is_empty() && table.missing(weighted::NEEDED).is_empty() {
        return Ok(Dialect::Weighted);
    }
    missing.extend(table.missing(in_out::NEEDED));
    if missing.is_empty() { Ok(Dialect::InOut) } else { Err(missing) }
}

/// The desired state as far as the dialect can express it.
pub fn desired(dialect: Dialect, spec: &VipSpec) -> Cow<'_, VipSpec> {
    match dialect {
        Dialect::Weighted => Cow::Borrowed(spec),
        Dialect::InOut => in_out::desired(spec),
    }
}

/// The same of all VIPs.
pub fn desired_of_all(dialect: Dialect, wanted: &Wanted) -> Cow<'_, Wanted> {
    match dialect {
        Dialect::Weighted => Cow::Borrowed(wanted),
        Dialect::InOut => {
            let vips = wanted.vips.iter().map(|(key, spec)| (*key, in_out::desired(spec).into_owned()));
            Cow::Owned(Wanted { vips: vips.collect(), keep: wanted.keep.clone() })
        }
    }
}

/// Removes the steps that the dialect cannot express or VPP does not need; some of those are recorded in the mirror.
pub fn refine(dialect: Dialect, plan: &mut VipPlan, mirror: &mut Mirror) {
    if dialect == Dialect::InOut {
        in_out::refine(plan, mirror);
    }
}

/// The request that carries out a write; `None` if VPP needs none.
pub fn request(dialect: Dialect, write: &Write) -> Option<PreparedRequest> {
    match dialect {
        Dialect::Weighted => Some(weighted::request(write)),
        Dialect::InOut => in_out::request(write).as_ref().map(PreparedRequest::from),
    }
}

/// The meaning of VPP's return value for a write.
pub fn answer(dialect: Dialect, write: &Write, retval: Retval) -> Answer {
    if retval.is_ok() || dialect == Dialect::InOut && in_out::is_done(write.step, retval) {
        return Answer::Accepted;
    }
    Answer::Refused {
        code: retval.0,
        meaning: retval.to_string(),
        about_state: matches!(retval, Retval::NO_SUCH_ENTRY | Retval::VALUE_EXIST | Retval::INVALID_ARGUMENT),
    }
}

/// The message that adds a VIP. Also the base of the one that removes it: VPP then uses only the VIP's key, but a table
/// length of 0 is never sent.
fn vip_message(vip: types::VipId, step: Step) -> LbAddDelVipV2 {
    match step {
        Step::AddVip { encap, src_ip_sticky, table_length } => {
            LbAddDelVipV2 { src_ip_sticky, ..LbAddDelVipV2::gre(vip, vpp_encap(encap), table_length) }
        }
        _ => LbAddDelVipV2 { is_del: true, ..LbAddDelVipV2::gre(vip, types::Encap::Gre4, 1024) },
    }
}

fn vpp_encap(encap: Encap) -> types::Encap {
    match encap {
        Encap::Gre4 => types::Encap::Gre4,
        Encap::Gre6 => types::Encap::Gre6,
        Encap::L3dsr => types::Encap::L3dsr,
        Encap::Nat4 => types::Encap::Nat4,
        Encap::Nat6 => types::Encap::Nat6,
    }
}

fn vip_id(key: &VipKey) -> types::VipId {
    let prefix = types::Prefix { address: key.prefix.address, length: key.prefix.length };
    types::VipId { prefix, protocol: key.protocol, port: key.port }
}

#[cfg(test)]
mod tests;
