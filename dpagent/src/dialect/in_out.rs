//! lb API 1.1.0, VPP 23.06 to 26.06: a server is in or out. Everything is read from the CLI text, since the dumps lack
//! the protocol and the table length, and list removed VIPs like others (measured on VPP 26.06).
//!
//! The agent's weights are 1 (in) and 0 (out) here. A server goes out by removal, with or without a flush, and comes in
//! by being added. A removed server stays in VPP for a while; such a ghost counts only while flows are pinned to it. So a
//! server of weight 0 is a ghost or nothing at all in VPP, and is remembered by the mirror alone.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use maglev_protocol::{LbConf, StepError, VipKey, VipSpec};
use vppapi::client::PreparedRequest;
use vppapi::messages::{LbAddDelAs, LbAddDelAsReply, LbAddDelVipV2, LbFlushVip, Message};
use vppapi::retval::Retval;
use vppapi::types::{self, VipId};

use super::{vip_id, vip_message};
use crate::cli_text::{Text, TextServer};
use crate::mirror::Mirror;
use crate::read::{Dumps, ServerRow, VipRow};
use crate::reconcile::VipPlan;
use crate::step::{Step, Write};

/// Messages that it needs besides those of every dialect.
pub(super) const NEEDED: &[&str] = &[LbAddDelAs::NAME_CRC, LbAddDelAsReply::NAME_CRC];

/// The command that prints the plugin's settings and its number of VIPs and servers.
pub const SUMMARY: &str = "show lb";

/// Bits that precede an IPv4 address in VPP's form of 128.
const IPV4_OFFSET: u8 = 96;

/// A request that changes VPP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Adds or removes a VIP.
    Vip(LbAddDelVipV2),
    /// Adds or removes a server.
    Server(LbAddDelAs),
    /// Flushes a VIP.
    FlushVip(LbFlushVip),
}

impl From<&Request> for PreparedRequest {
    fn from(request: &Request) -> Self {
        match request {
            Request::Vip(request) => Self::new(request),
            Request::Server(request) => Self::new(request),
            Request::FlushVip(request) => Self::new(request),
        }
    }
}

/// The desired state with weights 0 and 1.
pub(super) fn desired(spec: &VipSpec) -> Cow<'_, VipSpec> {
    let mut spec = Cow::Borrowed(spec);
    if spec.servers.values().any(|server| server.weight > 1) {
        spec.to_mut().servers.values_mut().for_each(|server| server.weight = server.weight.min(1));
    }
    spec
}

/// Keeps of a plan what VPP needs and can do. A VIP's pinned flows need no flush before its removal: VPP gives its index
/// to no other VIP. A server of weight 0 without flows is not in VPP, and is only forgotten.
pub(super) fn refine(plan: &mut VipPlan, mirror: &mut Mirror) {
    plan.clear.retain(|step| matches!(step, Step::RemoveVip { .. }));
    let vip = plan.vip;
    let errors = &mut plan.errors;
    plan.lower.retain(|step| match *step {
        Step::RemoveServer { server, weight: 0 } if mirror.is_drained(&vip, &server) => {
            mirror.acknowledge(&Write { vip, step: *step });
            false
        }
        Step::Flush { weight: 1.., .. } => {
            let meaning =
                "not sent: this VPP (lb API 1.1.0) can flush a server only while it is out of service";
            errors.push(StepError { step: step.to_string(), code: None, meaning: meaning.to_owned() });
            false
        }
        _ => true,
    });
}

/// The request that carries out a write; `None` if there is nothing to do.
pub fn request(write: &Write) -> Option<Request> {
    let vip = vip_of(&write.vip);
    let server = |as_address, is_del, is_flush| {
        Some(Request::Server(LbAddDelAs { vip, as_address, is_del, is_flush }))
    };
    match write.step {
        step @ (Step::AddVip { .. } | Step::RemoveVip { .. }) => {
            let message = vip_message(vip, step);
            // VPP does not turn it from network order.
            let encap = types::Encap::Other(u32::from(message.encap).swap_bytes());
            Some(Request::Vip(LbAddDelVipV2 { encap, ..message }))
        }
        // A flush would take a server out of service.
        Step::AddServer { weight: 0, .. } | Step::Flush { weight: 1.., .. } => None,
        Step::AddServer { server: address, .. } | Step::Reweight { server: address, to: 1.., .. } => {
            server(address, false, false)
        }
        Step::Reweight { server: address, to: 0, flush, .. } => server(address, true, flush),
        Step::Flush { server: address, weight: 0 } | Step::RemoveServer { server: address, .. } => {
            server(address, true, true)
        }
        Step::FlushVip => Some(Request::FlushVip(LbFlushVip { vip: raw(vip) })),
    }
}

/// Whether a refusal means that there was nothing to do: VPP has forgotten a server that was out.
pub(super) fn is_done(step: Step, retval: Retval) -> bool {
    let was_out = matches!(step, Step::Flush { weight: 0, .. } | Step::RemoveServer { weight: 0, .. });
    was_out && retval == Retval::NO_SUCH_ENTRY
}

/// The VIP as requests have it: the length counts all 128 bits. VPP takes an IPv4 prefix with a plain length for an
/// IPv6 one.
fn vip_of(key: &VipKey) -> VipId {
    let mut vip = vip_id(key);
    if vip.prefix.address.is_ipv4() {
        vip.prefix.length = vip.prefix.length.saturating_add(IPV4_OFFSET);
    }
    vip
}

/// The same with the address in VPP's own form, which `lb_flush_vip` does not convert: it would find no IPv4 VIP, and
/// flush an arbitrary one.
fn raw(mut vip: VipId) -> VipId {
    if let IpAddr::V4(address) = vip.prefix.address {
        vip.prefix.address = address.to_ipv6_compatible().into();
    }
    vip
}

/// The text with servers of weight 0 as in use: the ghosts that have flows, and those that `remembered` has.
pub fn complete(mut text: Text, remembered: Option<&Mirror>) -> Text {
    for vip in text.vips.iter_mut().filter(|vip| !vip.removed) {
        let known = remembered.and_then(|mirror| mirror.get(&vip.key));
        let out = known.into_iter().flat_map(|known| &known.servers).filter(|(_, weight)| **weight == 0);
        let mut out: BTreeSet<IpAddr> = out.map(|(server, _)| *server).collect();
        for server in &mut vip.servers {
            let is_known = out.remove(&server.address);
            server.removed &= !is_known && server.flows == 0;
        }
        vip.servers.extend(out.into_iter().map(|address| TextServer {
            address,
            weight: 0,
            buckets: 0,
            flows: 0,
            route: None,
            removed: false,
        }));
    }
    text
}

/// The VIPs and servers of a complete text, as dumps of API 1.2.0 would list them. A VIP that could not be parsed is
/// strange.
pub fn dumps(text: &Text) -> Dumps {
    let mut dumps = Dumps::default();
    for vip in text.vips.iter().filter(|vip| !vip.removed) {
        let (Some(encap), Some(table_length)) = (vip.encap, vip.table_length) else {
            dumps.strange.push((vip.key, "its text has no known type or no table length".to_owned()));
            continue;
        };
        dumps.vips.push(VipRow { key: vip.key, encap, table_length });
        dumps.servers.extend(vip.servers.iter().map(|server| ServerRow {
            vip: vip.key,
            address: server.address,
            used: !server.removed,
            weight: server.weight,
            buckets: server.buckets,
        }));
    }
    let unread = text.unread.iter().filter_map(|line| Some((line.vip?, line.to_string())));
    for (vip, reason) in unread {
        dumps.vips.retain(|row| row.key != vip);
        dumps.servers.retain(|row| row.vip != vip);
        dumps.strange.push((vip, reason));
    }
    dumps
}

/// The text of [`SUMMARY`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Number of VIPs and of servers, removed ones included.
    pub size: (usize, usize),
    ip4_src_address: Ipv4Addr,
    ip6_src_address: Ipv6Addr,
    /// Buckets and timeout of each thread's table of pinned flows, as of the thread's last packet to a VIP.
    tables: Vec<(u32, u32)>,
}

/// Settings that were sent to VPP.
#[derive(Debug, Clone)]
pub struct Sent {
    conf: LbConf,
    /// The tables before.
    tables: Vec<(u32, u32)>,
}

impl Summary {
    /// Parses the text; `None` if something is missing.
    pub fn parse(text: &str) -> Option<Self> {
        let after = |name: &str| text.split_once(name)?.1.split_whitespace().next();
        let mut tables = Vec::new();
        for thread in text.split("\ncore ").skip(1) {
            let after = |name: &str| thread.split_once(name)?.1.split_whitespace().next();
            let timeout = after("timeout: ")?.strip_suffix('s')?.parse().ok()?;
            // VPP prints the last bucket's number plus the slots of one, of which there are 4.
            let printed: u32 = after(" / ")?.parse().ok()?;
            tables.push((printed.checked_sub(3)?, timeout));
        }
        Some(Self {
            size: (after("#vips: ")?.parse().ok()?, after("#ass: ")?.parse().ok()?),
            ip4_src_address: after("ip4-src-address: ")?.parse().ok()?,
            ip6_src_address: after("ip6-src-address: ")?.parse().ok()?,
            tables,
        })
    }

    /// What to remember when these settings are sent.
    pub fn sending(&self, conf: LbConf) -> Sent {
        Sent { conf, tables: self.tables.clone() }
    }

    /// The settings. A thread's table shows them only after its next packet, so what was `sent` counts until a table
    /// shows something new.
    pub fn conf(&self, sent: Option<&Sent>) -> LbConf {
        let told = sent.map(|sent| (sent.conf.sticky_buckets_per_core, sent.conf.flow_timeout));
        let mut tables = self.tables.iter().enumerate();
        let news = tables.find(|(thread, table)| {
            Some(**table) != told && sent.is_none_or(|sent| sent.tables.get(*thread) != Some(table))
        });
        let shown = news.map(|(_, table)| *table).or(told);
        let (sticky_buckets_per_core, flow_timeout) = shown.unwrap_or_default();
        LbConf {
            ip4_src_address: self.ip4_src_address,
            ip6_src_address: self.ip6_src_address,
            sticky_buckets_per_core,
            flow_timeout,
        }
    }
}
