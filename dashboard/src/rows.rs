//! What a brain says, as rows for browsers. Nothing is decided here: names, words and numbers are the brain's.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use maglev_proto::{Backend, BackendState, Frontend, PoolBackend, ProbeResult};
use serde::Serialize;
use serde_json::{Value, json};

use crate::documents::Document;

/// Between the parts of a key.
const SEPARATOR: char = '\u{1f}';

/// The key of something of one load balancer.
pub(crate) fn key(server: &str, parts: &[&str]) -> String {
    let mut key = server.to_owned();
    for part in parts {
        key.push(SEPARATOR);
        key.push_str(part);
    }
    key
}

/// What the keys of everything below this one begin with.
pub(crate) fn prefix(key: &str) -> String {
    format!("{key}{SEPARATOR}")
}

/// Two digits behind the point.
pub(crate) fn rounded(number: f64) -> Value {
    ((number * 100.0).round() / 100.0).into()
}

/// The fields of a JSON object.
pub(crate) fn object(value: Value) -> Document {
    if let Value::Object(fields) = value { fields } else { Document::new() }
}

/// The fields of a message, as maglevc's JSON has them, and its load balancer.
pub(crate) fn of(server: &str, message: &impl Serialize) -> Document {
    let mut fields = object(serde_json::to_value(message).unwrap_or_default());
    fields.insert("server".to_owned(), server.into());
    fields
}

pub(crate) fn frontend(
    server: &str,
    frontend: &Frontend,
    of_backend: impl Fn(&str) -> Option<BackendState>,
) -> Document {
    let rows = frontend.pools.iter().flat_map(|pool| &pool.backends);
    let states: BTreeMap<_, _> =
        rows.map(|row| (&row.backend, of_backend(&row.backend).unwrap_or(row.state()))).collect();
    let up = states.values().filter(|state| **state == BackendState::Up).count();
    let pools: Vec<_> = frontend.pools.iter().map(|pool| &pool.name).collect();
    let own = Frontend { pools: Vec::new(), vpp_figures_age_ms: None, ..frontend.clone() };
    let mut row = of(server, &own);
    row.extend(object(json!({ "vip": vip(frontend), "up": up, "total": states.len(), "pools": pools })));
    row
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`, or the address alone for all ports.
fn vip(frontend: &Frontend) -> String {
    match (frontend.address.parse(), u16::try_from(frontend.port)) {
        (Ok(address), Ok(port @ 1..)) => SocketAddr::new(address, port).to_string(),
        _ => frontend.address.clone(),
    }
}

/// The rows of a frontend's backends, with their keys.
pub(crate) fn members(server: &str, frontend: &Frontend) -> BTreeMap<String, Document> {
    let (programmed, buckets) = (
        by_server(frontend, |row| u64::from(row.programmed_weight)),
        by_server(frontend, |row| row.buckets.map_or(0, u64::from)),
    );
    let percent =
        |part: u32, whole: u64| (whole > 0).then(|| rounded(f64::from(part) * 100.0 / to_f64(whole)));
    let mut members = BTreeMap::new();
    for (at, pool) in frontend.pools.iter().enumerate() {
        for row in &pool.backends {
            let mut member = of(server, row);
            // The backend's own row has it, and newer.
            member.remove("state");
            member.extend(object(json!({
                "frontend": frontend.name,
                "pool": pool.name,
                "pool_at": at,
                "expected": percent(row.programmed_weight, programmed),
                "measured": row.buckets.and_then(|own| percent(own, buckets)),
            })));
            members.insert(key(server, &[&frontend.name, &pool.name, &row.backend]), member);
        }
    }
    members
}

/// A sum over servers, of which one in several pools has the largest of its values.
fn by_server(frontend: &Frontend, value: impl Fn(&PoolBackend) -> u64) -> u64 {
    let mut largest = BTreeMap::<&str, u64>::new();
    for row in frontend.pools.iter().flat_map(|pool| &pool.backends) {
        let entry = largest.entry(&row.address).or_default();
        *entry = value(row).max(*entry);
    }
    largest.values().sum()
}

/// Exact up to 2^32, and near enough above.
pub(crate) fn to_f64(number: u64) -> f64 {
    u32::try_from(number).map_or_else(|_| f64::from(u32::MAX) * (number >> 32) as f64, f64::from)
}

/// Without what changes at each probe and each look at VPP.
pub(crate) fn backend(server: &str, backend: &Backend) -> Document {
    let probe = backend.last_probe.clone();
    let last_probe = probe.map(|probe| ProbeResult { at_unix_ms: 0, duration_ms: 0.0, ..probe });
    let (flows, vpp_figures_age_ms) = (None, None);
    of(server, &Backend { last_probe, flows, vpp_figures_age_ms, uses: Vec::new(), ..backend.clone() })
}

#[cfg(test)]
mod tests;
