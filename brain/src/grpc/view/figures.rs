//! VPP's counters next to the desired state.

use std::collections::BTreeMap;
use std::net::IpAddr;

use maglev_engine::desired::vip_key;
use maglev_engine::snapshot::Snapshot;
use maglev_proto::{Backend, Frontend, SyncState, VipCounters, VpplbCounters};
use maglev_protocol::{Counters, VipKey};
use tokio::time::Instant;

use super::milliseconds;
use super::vpp::{frontends_by_vip, protocol};
use crate::coalesced::Timed;

/// Why a desired server has no counters yet.
const READ_EARLIER: &str = "VPP was last read before it was programmed; it is read every 15 s";

/// Age of the servers' counters, or why they are unknown.
fn servers_age(figures: Result<&Timed<Counters>, &str>, now: Instant) -> Result<u64, String> {
    let age = figures?.servers_age(now).ok_or("the agent has not read the servers' figures yet")?;
    Ok(milliseconds(age))
}

/// Adds weights, buckets and flows of their servers to a frontend's rows, or why they are unknown.
pub(in crate::grpc) fn fill(
    frontend: &mut Frontend,
    snapshot: &Snapshot,
    figures: Result<&Timed<Counters>, &str>,
    now: Instant,
) {
    let Some(vip) = snapshot.config.frontends.get(&frontend.name).map(|frontend| vip_key(frontend)) else {
        return;
    };
    match servers_age(figures, now) {
        Ok(age) => frontend.vpp_figures_age_ms = Some(age),
        Err(reason) => frontend.vpp_figures_error = reason,
    }
    let Ok(figures) = figures else { return };
    let synced = frontend.sync() == SyncState::Synced;
    for row in frontend.pools.iter_mut().flat_map(|pool| &mut pool.backends) {
        let address: Option<IpAddr> =
            snapshot.config.backends.get(&row.backend).map(|backend| backend.address);
        let figure = address.and_then(|address| figures.server(&vip, address));
        row.vpp_weight = figure.map(|figure| figure.weight.into());
        row.buckets = figure.map(|figure| figure.buckets);
        row.flows = figure.map(|figure| figure.flows);
        if figure.is_none() && frontend.vpp_figures_error.is_empty() {
            let reason = if synced { READ_EARLIER } else { "VPP does not have all of its backends yet" };
            frontend.vpp_figures_error = reason.to_owned();
        }
    }
}

/// Adds up a backend's flows in all its frontends, or says why they are unknown.
pub(in crate::grpc) fn fill_backend(
    backend: &mut Backend,
    snapshot: &Snapshot,
    figures: Result<&Timed<Counters>, &str>,
    now: Instant,
) {
    match servers_age(figures, now) {
        Ok(age) => backend.vpp_figures_age_ms = Some(age),
        Err(reason) => backend.vpp_figures_error = reason,
    }
    let address = snapshot.config.backends.get(&backend.name).map(|backend| backend.address);
    let (Ok(figures), Some(address), true) = (figures, address, backend.vpp_figures_age_ms.is_some()) else {
        return;
    };
    let frontends = backend.frontends.iter().filter_map(|name| snapshot.config.frontends.get(name));
    let servers = frontends.filter_map(|frontend| figures.server(&vip_key(frontend), address));
    // A server that VPP does not have has no flows.
    backend.flows = Some(servers.map(|figure| figure.flows).sum());
    if let Some(sent) = figures.sent(address) {
        backend.sent_packets = Some(sent.packets);
        backend.sent_bytes = Some(sent.bytes);
        backend.idle_ms = Some(milliseconds(sent.idle));
    }
}

/// VPP's counters of all VIPs, or of this one.
pub(in crate::grpc) fn counters(
    snapshot: &Snapshot,
    figures: &Timed<Counters>,
    only: Option<&VipKey>,
    now: Instant,
) -> VpplbCounters {
    let frontends: BTreeMap<VipKey, &str> = frontends_by_vip(snapshot);
    let mut vips: Vec<_> = figures
        .value
        .vips
        .iter()
        .filter(|vip| only.is_none_or(|only| vip.key == *only))
        .map(|vip| VipCounters {
            frontend: frontends.get(&vip.key).copied().unwrap_or_default().to_owned(),
            prefix: vip.key.prefix.to_string(),
            protocol: protocol(vip.key.protocol),
            port: vip.key.port.into(),
            existing_sessions: vip.existing_sessions,
            first_session: vip.first_session,
            untracked: vip.untracked,
            no_server: vip.no_server,
            route_packets: vip.route.map(|route| route.packets),
            route_bytes: vip.route.map(|route| route.bytes),
        })
        .collect();
    // The agent sorts by key, and this sort is stable.
    vips.sort_by(|a, b| (a.frontend.is_empty(), &a.frontend).cmp(&(b.frontend.is_empty(), &b.frontend)));
    VpplbCounters { age_ms: milliseconds(figures.vips_age(now)), vips }
}
