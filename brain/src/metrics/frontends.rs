//! Metrics of frontends, and of their state in VPP.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use maglev_engine::config::{Config, Frontend, Service};
use maglev_engine::snapshot::{FrontendView, Snapshot, SyncStatus};
use maglev_engine::weights::{BackendWeight, Capacity, FrontendState};
use maglev_protocol::{Counters, RouteCounters, ServerFigure, VipCounters, VipKey};

use super::catalogue::{self as metrics, Metric};
use super::exposition::{Exposition, flag, number};

const STATES: [FrontendState; 3] = [FrontendState::Unknown, FrontendState::Up, FrontendState::Down];
const SYNC_STATES: [&str; 4] = ["held_back", "pending", "synced", "failed"];

struct Row<'a> {
    name: &'a str,
    configured: &'a Frontend,
    view: &'a FrontendView,
}

pub(super) fn write(snapshot: &Snapshot, counters: Option<&Counters>, out: &mut Exposition) {
    let config = &snapshot.config;
    let rows: Vec<_> = snapshot
        .frontends
        .iter()
        .filter_map(|(name, view)| Some(Row { name, configured: config.frontends.get(&**name)?, view }))
        .collect();
    write_states(&rows, out);
    write_weights(&rows, metrics::CONFIGURED_WEIGHT, |configured, _| configured, out);
    write_weights(&rows, metrics::EFFECTIVE_WEIGHT, |_, now| now.effective, out);
    write_weights(&rows, metrics::PROGRAMMED_WEIGHT, |_, now| now.programmed, out);
    let Some(counters) = counters else { return };
    write_packets(&rows, counters, out);
    let servers = counters.servers.as_ref().map_or(&[][..], |figures| &figures.servers);
    let found = found(config, &rows, servers);
    out.family(metrics::BACKEND_BUCKETS, |family| {
        for (frontend, backend, server) in &found {
            family.add(&[("frontend", frontend), ("backend", backend)], server.buckets.into());
        }
    });
    out.family(metrics::BACKEND_FLOWS, |family| {
        for (frontend, backend, server) in &found {
            family.add(&[("frontend", frontend), ("backend", backend)], number(server.flows));
        }
    })
}

fn write_states(rows: &[Row<'_>], out: &mut Exposition) {
    out.family(metrics::FRONTEND_INFO, |family| {
        for row in rows {
            let (protocol, port) = match row.configured.service {
                Service::AllPorts => ("any", 0),
                Service::Tcp(port) => ("tcp", port),
                Service::Udp(port) => ("udp", port),
            };
            let (address, port) = (row.configured.address.to_string(), port.to_string());
            let labels =
                [("frontend", row.name), ("address", &address), ("protocol", protocol), ("port", &port)];
            family.add(&labels, 1.0);
        }
    });
    out.family(metrics::FRONTEND_STATE, |family| {
        for row in rows {
            let is = row.view.weights.state.word();
            family.add_state(&[("frontend", row.name)], "state", &STATES.map(FrontendState::word), is);
        }
    });
    out.family(metrics::FRONTEND_SYNC, |family| {
        for row in rows {
            let is = match row.view.sync {
                SyncStatus::HeldBack => "held_back",
                SyncStatus::Pending => "pending",
                SyncStatus::Synced => "synced",
                SyncStatus::Failed(_) => "failed",
            };
            family.add_state(&[("frontend", row.name)], "state", &SYNC_STATES, is);
        }
    });
    out.family(metrics::FRONTEND_POOL_ACTIVE, |family| {
        for row in rows {
            for (index, pool) in row.configured.pools.iter().enumerate() {
                let is_active = row.view.weights.active_pool == Some(index);
                family.add(&[("frontend", row.name), ("pool", &pool.name)], flag(is_active));
            }
        }
    });
    out.family(metrics::FRONTEND_POOL_INDEX, |family| {
        for row in rows {
            if let Some(index) = row.view.weights.active_pool {
                family.add(&[("frontend", row.name)], number(index as u64));
            }
        }
    });
    write_capacity(metrics::FRONTEND_POOL_UP, rows, |capacity| Some(capacity.up), out);
    write_capacity(metrics::FRONTEND_POOL_MIN_UP, rows, |capacity| capacity.min_up, out);
    out.family(metrics::FRONTEND_PANIC, |family| {
        for row in rows {
            family.add(&[("frontend", row.name)], flag(row.view.weights.panic.is_some()));
        }
    })
}

fn write_capacity(
    metric: Metric,
    rows: &[Row<'_>],
    value: impl Fn(&Capacity) -> Option<u32>,
    out: &mut Exposition,
) {
    out.family(metric, |family| {
        for row in rows {
            for (pool, capacity) in row.configured.pools.iter().zip(&row.view.weights.capacity) {
                if let Some(value) = value(capacity) {
                    family.add(&[("frontend", row.name), ("pool", &pool.name)], value.into());
                }
            }
        }
    })
}

fn write_weights(
    rows: &[Row<'_>],
    metric: Metric,
    weight: impl Fn(u8, &BackendWeight) -> u8,
    out: &mut Exposition,
) {
    out.family(metric, |family| {
        for row in rows {
            for (pool, weights) in row.configured.pools.iter().zip(&row.view.weights.pools) {
                for (backend, &configured) in &pool.backends {
                    let Some(now) = weights.get(backend) else { continue };
                    let labels = [("frontend", row.name), ("pool", &pool.name), ("backend", backend)];
                    family.add(&labels, weight(configured, now).into());
                }
            }
        }
    })
}

fn write_packets(rows: &[Row<'_>], counters: &Counters, out: &mut Exposition) {
    let vip = |key: VipKey| {
        let place = counters.vips.binary_search_by_key(&key, |vip| vip.key).ok()?;
        counters.vips.get(place)
    };
    let vips: Vec<(&str, &VipCounters)> =
        rows.iter().filter_map(|row| Some((row.name, vip(row.view.spec.key)?))).collect();
    out.family(metrics::VIP_PACKETS, |family| {
        for (frontend, vip) in &vips {
            let kinds = [
                ("existing_session", vip.existing_sessions),
                ("first_session", vip.first_session),
                ("untracked", vip.untracked),
                ("no_server", vip.no_server),
            ];
            let kinds = kinds.map(|(kind, packets)| (kind, number(packets)));
            family.add_each(&[("frontend", frontend)], "kind", kinds);
        }
    });
    let route = |(_, vip): &(&str, &VipCounters)| Some((vip.key.prefix.to_string(), vip.route?));
    let routes: BTreeMap<String, RouteCounters> = vips.iter().filter_map(route).collect();
    out.family(metrics::ROUTE_PACKETS, |family| {
        for (prefix, route) in &routes {
            family.add(&[("prefix", prefix)], number(route.packets));
        }
    });
    out.family(metrics::ROUTE_BYTES, |family| {
        for (prefix, route) in &routes {
            family.add(&[("prefix", prefix)], number(route.bytes));
        }
    })
}

/// VPP's counters of each backend of each frontend; once for those in several pools.
fn found<'a>(
    config: &'a Config,
    rows: &[Row<'a>],
    servers: &'a [ServerFigure],
) -> Vec<(&'a str, &'a str, &'a ServerFigure)> {
    let server = |vip: VipKey, address: IpAddr| {
        let place =
            servers.binary_search_by_key(&(vip, address), |server| (server.vip, server.address)).ok()?;
        servers.get(place)
    };
    let mut found = Vec::with_capacity(servers.len());
    for row in rows {
        let names: BTreeSet<_> = row.configured.pools.iter().flat_map(|pool| pool.backends.keys()).collect();
        for name in names {
            let address = config.backends.get(name).map(|backend| backend.address);
            let figure = address.and_then(|address| server(row.view.spec.key, address));
            found.extend(figure.map(|figure| (row.name, name.as_str(), figure)));
        }
    }
    found
}
