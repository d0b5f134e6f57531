//! Finds the fields in which several servers' messages differ. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::render::host;

/// Fields that always differ: ages, times and durations, counters, and process ids.
const VOLATILE: [&str; 30] = [
    "age_ms",
    "at_unix_ms",
    "boot_time_unix_ms",
    "connected_unix_ms",
    "config_since_unix_ms",
    "connections",
    "counter",
    "damped_ms",
    "duration_ms",
    "existing_sessions",
    "first_session",
    "flows",
    "index",
    "last_probe",
    "last_reload",
    "next_phase_in_ms",
    "no_server",
    "operator_since_unix_ms",
    "pid",
    "problems",
    "problems_left_out",
    "route_bytes",
    "route_packets",
    "since_unix_ms",
    "started_unix_ms",
    "state_detail",
    "transitions",
    "untracked",
    "uptime_ms",
    "vpp_weight",
];

/// The message without those fields.
pub(crate) fn steady(message: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(message).map(without_volatile).map_err(Error::Json)
}

fn without_volatile(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let is_steady = |name: &str| !VOLATILE.contains(&name) && name != "vpp_figures_age_ms";
            let fields = fields.into_iter().filter(|(name, _)| is_steady(name));
            Value::Object(fields.map(|(name, value)| (name, without_volatile(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(without_volatile).collect()),
        other => other,
    }
}

/// Path to a field: `pools`, `primary`, `backends`, `web1`, `state`.
pub(crate) type FieldPath = Vec<String>;

/// Paths of the differing fields, sorted.
pub(crate) fn differences<'v>(values: impl IntoIterator<Item = &'v Value>) -> BTreeSet<FieldPath> {
    let mut found = BTreeSet::new();
    let mut values = values.into_iter();
    if let Some(first) = values.next() {
        for other in values {
            compare(&[], first, other, &mut found);
        }
    }
    found
}

fn compare(path: &[String], one: &Value, other: &Value, found: &mut BTreeSet<FieldPath>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            compare_by_key(path, &members(one), &members(other), found);
        }
        (Value::Array(some), Value::Array(others)) => match (by_name(some), by_name(others)) {
            (Some(some), Some(others)) => compare_by_key(path, &some, &others, found),
            _ => differ(path, some != others, found),
        },
        _ => differ(path, one != other, found),
    }
}

fn differ(path: &[String], differs: bool, found: &mut BTreeSet<FieldPath>) {
    if differs {
        found.insert(path.to_owned());
    }
}

type Keyed<'v> = BTreeMap<String, &'v Value>;

fn compare_by_key(path: &[String], some: &Keyed<'_>, others: &Keyed<'_>, found: &mut BTreeSet<FieldPath>) {
    for key in some.keys().chain(others.keys()).collect::<BTreeSet<_>>() {
        let path: FieldPath = path.iter().chain([key]).cloned().collect();
        match (some.get(key), others.get(key)) {
            (Some(one), Some(other)) => compare(&path, one, other, found),
            _ => differ(&path, true, found),
        }
    }
}

fn members(fields: &Map<String, Value>) -> Keyed<'_> {
    fields.iter().map(|(name, value)| (name.clone(), value)).collect()
}

/// Elements by name. `None` if one has no name, or two have the same.
fn by_name(values: &[Value]) -> Option<Keyed<'_>> {
    let named: Keyed<'_> =
        values.iter().map(|value| name(value).map(|name| (name, value))).collect::<Option<_>>()?;
    (named.len() == values.len()).then_some(named)
}

fn name(value: &Value) -> Option<String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(prefix) = text("prefix") {
        let port = value.get("port").and_then(Value::as_u64).unwrap_or(0);
        return Some(format!("{} {}/{port}", host(prefix), text("protocol").unwrap_or("any")));
    }
    ["name", "backend", "address", "key"].into_iter().find_map(text).map(str::to_owned)
}

#[cfg(test)]
mod tests;
