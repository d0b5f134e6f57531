//! Reports of full syncs.

use maglev_engine::desired::vip_key;
use maglev_engine::snapshot::{Snapshot, SyncStatus};
use maglev_proto::{SyncVpplbStateResponse, VipSync};
use maglev_protocol::{Change, SyncReport, VipKey, VipReport};

use super::frontends_by_vip;

/// The whole report, or with `only` the part about that frontend's VIP.
pub(in crate::grpc) fn sync_report(
    snapshot: &Snapshot,
    report: &SyncReport,
    only: Option<&str>,
) -> SyncVpplbStateResponse {
    // A frontend removed by a reload meanwhile has no part.
    let key = only.map(|name| snapshot.config.frontends.get(name).map(|frontend| vip_key(frontend)));
    let is_meant = |vip: &VipKey| key.is_none_or(|key| key == Some(*vip));
    let frontends = frontends_by_vip(snapshot);
    let told = report.vips.iter().filter(|vip| !(vip.changes.is_empty() && vip.errors.is_empty()));
    let mut vips: Vec<_> = told
        .filter(|vip| is_meant(&vip.key))
        .map(|vip| vip_sync(frontends.get(&vip.key).copied().unwrap_or_default(), vip))
        .collect();
    // The agent sorts by key, and this sort is stable.
    vips.sort_by(|a, b| (a.frontend.is_empty(), &a.frontend).cmp(&(b.frontend.is_empty(), &b.frontend)));
    let held_back = snapshot.frontends.iter().filter(|(_, view)| view.sync == SyncStatus::HeldBack);
    let held_back = held_back.filter(|(_, view)| is_meant(&view.spec.key));
    let foreign = report.foreign.iter().filter(|vip| is_meant(vip));
    let drift =
        report.drift.iter().filter(|line| key.is_none_or(|key| key.is_some_and(|key| names(line, &key))));
    SyncVpplbStateResponse {
        vips,
        drift: drift.cloned().collect(),
        held_back: held_back.map(|(name, _)| name.to_string()).collect(),
        foreign: foreign.map(VipKey::to_string).collect(),
        vips_read: report.read.map_or(0, |read| read.vips),
        application_servers_read: report.read.map_or(0, |read| read.servers),
        settings_written: report.conf.is_some(),
        settings_refused: snapshot.agent.settings_refused.clone().unwrap_or_default(),
    }
}

/// Whether a line of drift is about this VIP. It begins with the VIP's name, which may be a prefix of
/// another's: port 80 of port 8080.
fn names(line: &str, vip: &VipKey) -> bool {
    let rest = line.strip_prefix("VIP ").and_then(|rest| rest.strip_prefix(vip.to_string().as_str()));
    rest.is_some_and(|rest| [":", " is gone", " has appeared"].iter().any(|end| rest.starts_with(end)))
}

fn vip_sync(frontend: &str, vip: &VipReport) -> VipSync {
    VipSync {
        frontend: frontend.to_owned(),
        vip: vip.key.to_string(),
        changes: vip.changes.iter().map(change).collect(),
        errors: vip.errors.iter().map(ToString::to_string).collect(),
    }
}

pub(in crate::grpc::view) fn change(change: &Change) -> String {
    let flushed = |yes: &bool| if *yes { ", flushed" } else { "" };
    match change {
        Change::VipAdded => "VIP made".to_owned(),
        Change::VipRemoved => "VIP removed".to_owned(),
        Change::VipRecreated { reason } => format!("VIP removed to re-create it: {reason}"),
        Change::ServerAdded { server, weight } => format!("{server} added, weight {weight}"),
        Change::ServerRemoved { server, flushed: yes } => format!("{server} removed{}", flushed(yes)),
        Change::Reweighted { server, from, to, flushed: yes } => {
            format!("weight of {server}: {from} -> {to}{}", flushed(yes))
        }
        Change::VipFlushed => "all flows of the VIP flushed".to_owned(),
        Change::Flushed { server, weight } => format!("{server} flushed, weight {weight}"),
    }
}
