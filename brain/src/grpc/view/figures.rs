//! What VPP counts, beside what it shall have.

use std::collections::BTreeMap;
use std::net::IpAddr;

use maglev_engine::desired::vip_key;
use maglev_engine::snapshot::Snapshot;
use maglev_proto::{Frontend, VipCounters, VpplbCounters};
use maglev_protocol::{Counters, VipKey};
use tokio::time::Instant;

use super::milliseconds;
use super::vpp::{frontends_by_vip, protocol};
use crate::coalesced::Timed;

/// Gives the rows of a frontend the buckets and flows of their servers, or says why they are not known.
pub(in crate::grpc) fn fill(
    frontend: &mut Frontend,
    snapshot: &Snapshot,
    figures: Result<&Timed<Counters>, &str>,
    now: Instant,
) {
    let known = figures.and_then(|figures| {
        let age = figures.servers_age(now).ok_or("the agent has not read the servers' figures yet")?;
        Ok((figures, age))
    });
    let (figures, age) = match known {
        Ok(known) => known,
        Err(reason) => {
            frontend.vpp_figures_error = reason.to_owned();
            return;
        }
    };
    frontend.vpp_figures_age_ms = Some(milliseconds(age));
    let Some(vip) = snapshot.config.frontends.get(&frontend.name).map(|frontend| vip_key(frontend)) else {
        return;
    };
    for row in frontend.pools.iter_mut().flat_map(|pool| &mut pool.backends) {
        let address: Option<IpAddr> =
            snapshot.config.backends.get(&row.backend).map(|backend| backend.address);
        let figure = address.and_then(|address| figures.server(&vip, address));
        row.buckets = figure.map(|figure| figure.buckets);
        row.flows = figure.map(|figure| figure.flows);
    }
}

/// What VPP counts of all VIPs, or of this one.
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
