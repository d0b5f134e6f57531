//! What a brain says, as rows for browsers. Nothing is decided here: words and numbers are the brain's.

use maglev_proto::words::{self, Word};
use maglev_proto::{
    Backend, BackendOverride, BackendState, Frontend, FrontendState, Override, SyncState, Transition,
};
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

/// The word of an enum's value.
fn word<E: Word>(value: i32) -> Value {
    words::of::<E>(value).into()
}

pub(crate) fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

pub(crate) fn number(number: u64) -> Value {
    if number == 0 { Value::Null } else { number.into() }
}

/// Two digits behind the point.
pub(crate) fn rounded(number: f64) -> Value {
    ((number * 100.0).round() / 100.0).into()
}

pub(crate) fn frontend(
    server: &str,
    frontend: &Frontend,
    of_backend: impl Fn(&str) -> Option<BackendState>,
) -> Document {
    let mut names: Vec<_> = frontend
        .pools
        .iter()
        .flat_map(|pool| &pool.backends)
        .map(|row| (&row.backend, row.state()))
        .collect();
    names.sort_unstable();
    names.dedup_by_key(|(name, _)| *name);
    let is_up =
        |(name, state): &&(&String, BackendState)| of_backend(name).unwrap_or(*state) == BackendState::Up;
    let (up, total) = (names.iter().filter(is_up).count(), names.len());
    let kept = frontend.kept_table_length;
    Document::from([
        ("server", server.into()),
        ("name", frontend.name.clone().into()),
        ("description", text(&frontend.description)),
        ("vip", vip(frontend).into()),
        ("protocol", frontend.protocol.clone().into()),
        ("state", word::<FrontendState>(frontend.state)),
        ("active", text(&frontend.active_pool)),
        ("panic", text(&frontend.panic_pool)),
        ("sync", word::<SyncState>(frontend.sync)),
        ("error", text(&frontend.not_in_vpp)),
        ("table", if kept == 0 { frontend.new_flows_table_length } else { kept }.into()),
        ("unknown_figures", text(&frontend.vpp_figures_error)),
        ("up", up.into()),
        ("total", total.into()),
        ("pools", frontend.pools.iter().map(|pool| pool.name.clone()).collect()),
        ("sticky", if frontend.src_ip_sticky { true.into() } else { Value::Null }),
        ("flush", if frontend.flush_on_down { true.into() } else { Value::Null }),
        ("slow_start", number(frontend.slow_start_ms)),
        ("panic_threshold", number(frontend.panic_threshold.into())),
        (
            "share_error",
            if frontend.worst_share_error_percent > 0.0 {
                rounded(frontend.worst_share_error_percent)
            } else {
                Value::Null
            },
        ),
        ("better_table", number(frontend.better_table_length.into())),
    ])
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`, or the address alone for all ports.
fn vip(frontend: &Frontend) -> String {
    let address = &frontend.address;
    match frontend.port {
        0 => address.clone(),
        port if address.contains(':') => format!("[{address}]:{port}"),
        port => format!("{address}:{port}"),
    }
}

/// The rows of a frontend's backends, with their keys.
pub(crate) fn members(server: &str, frontend: &Frontend) -> Vec<(String, Document)> {
    let (programmed, buckets) = (
        by_server(frontend, |row| u64::from(row.programmed_weight)),
        by_server(frontend, |row| row.buckets.map_or(0, u64::from)),
    );
    let percent = |part: u64, whole: u64| {
        if whole == 0 { Value::Null } else { rounded(to_f64(part) * 100.0 / to_f64(whole)) }
    };
    let rows = frontend
        .pools
        .iter()
        .enumerate()
        .flat_map(|(at, pool)| pool.backends.iter().map(move |row| (at, pool, row)));
    rows.map(|(at, pool, row)| {
        let document = Document::from([
            ("server", server.into()),
            ("frontend", frontend.name.clone().into()),
            ("pool", pool.name.clone().into()),
            ("pool_at", at.into()),
            ("backend", row.backend.clone().into()),
            ("address", row.address.clone().into()),
            ("configured", row.configured_weight.into()),
            ("override", row.operator_weight.map_or(Value::Null, Value::from)),
            ("override_since", number(row.operator_since_unix_ms)),
            ("effective", row.effective_weight.into()),
            ("programmed", row.programmed_weight.into()),
            ("buckets", row.buckets.map_or(Value::Null, Value::from)),
            ("flows", row.flows.map_or(Value::Null, Value::from)),
            ("expected", percent(row.programmed_weight.into(), programmed)),
            ("measured", row.buckets.map_or(Value::Null, |own| percent(own.into(), buckets))),
        ]);
        (key(server, &[&frontend.name, &pool.name, &row.backend]), document)
    })
    .collect()
}

/// A sum over servers, of which one in several pools has the largest of its values.
fn by_server(frontend: &Frontend, value: impl Fn(&maglev_proto::PoolBackend) -> u64) -> u64 {
    let mut largest = std::collections::BTreeMap::<&str, u64>::new();
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

pub(crate) fn backend(server: &str, backend: &Backend) -> Document {
    let (newest, probe) = (backend.transitions.first(), backend.last_probe.as_ref());
    let counter = backend.counter.unwrap_or_default();
    let set = backend.operator_state();
    Document::from([
        ("server", server.into()),
        ("name", backend.name.clone().into()),
        ("address", backend.address.clone().into()),
        ("check", text(&backend.healthcheck)),
        ("state", word::<BackendState>(backend.state)),
        ("enabled", backend.enabled.into()),
        ("operator", if set == BackendOverride::None { Value::Null } else { set.word().into() }),
        ("operator_since", number(backend.operator_since_unix_ms)),
        ("operator_who", text(&backend.operator_set_by)),
        ("operator_reason", text(&backend.operator_reason)),
        ("since", newest.map_or(Value::Null, |newest| number(newest.at_unix_ms))),
        ("cause", newest.map_or(Value::Null, |newest| text(&newest.cause))),
        ("code", probe.map_or(Value::Null, |probe| text(&probe.code))),
        ("detail", probe.map_or(Value::Null, |probe| text(&probe.detail))),
        ("passed", probe.map_or(Value::Null, |probe| probe.passed.into())),
        ("health", json!([counter.value, counter.rise, counter.fall])),
        ("history", backend.transitions.iter().map(transition).collect()),
        ("frontends", backend.frontends.clone().into()),
    ])
}

/// The row of what an operator has set, with its key.
pub(crate) fn set_by_operator(server: &str, set: &Override) -> (String, Document) {
    let document = Document::from([
        ("server", server.into()),
        ("backend", set.backend.clone().into()),
        ("frontend", text(&set.frontend)),
        ("pool", text(&set.pool)),
        ("state", word::<BackendOverride>(set.operator_state)),
        ("weight", set.operator_weight.map_or(Value::Null, Value::from)),
        ("since", number(set.since_unix_ms)),
        ("who", text(&set.set_by)),
        ("reason", text(&set.reason)),
        ("configured", set.configured.into()),
        ("configured_weight", set.configured_weight.map_or(Value::Null, Value::from)),
    ]);
    (key(server, &[&set.backend, &set.frontend, &set.pool]), document)
}

fn transition(transition: &Transition) -> Value {
    json!([
        transition.at_unix_ms,
        word::<BackendState>(transition.from),
        word::<BackendState>(transition.to),
        transition.cause
    ])
}

#[cfg(test)]
mod tests;
