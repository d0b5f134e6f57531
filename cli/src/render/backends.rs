//! `show backends`.

use maglev_proto::words;
use maglev_proto::{
    Backend, BackendCheck, BackendOverride, BackendState, BackendUse, HealthCounter, ProbeResult, SyncState,
    Transition,
};

use super::frontends::{WEIGHTS, buckets_of, weights};
use super::{dash_or, state, yes_or_no};
use crate::drain::takes_new;
use crate::moment::{Moment, span, took};
use crate::style::{Palette, Tone, printable};
use crate::table::{Cell, Column, Properties, Table};

/// One line each, the worst first.
pub(super) fn list(backends: &[Backend], now: Moment, palette: Palette) -> String {
    if backends.is_empty() {
        return "No backends.\n".to_owned();
    }
    let mut sorted: Vec<_> = backends.iter().collect();
    // Stable: equally bad ones stay sorted by name.
    sorted.sort_by_key(|backend| badness(backend.state()));
    let unknown = backends.iter().find(|backend| backend.flows.is_none());
    let reason = unknown.map(|backend| unknown_flows(backend, palette)).unwrap_or_default();
    table(sorted, now).render(palette) + &reason
}

/// Why flows are shown as dashes.
fn unknown_flows(backend: &Backend, palette: Palette) -> String {
    let reason = match backend.vpp_figures_error.as_str() {
        "" => String::new(),
        reason => format!(": {}", printable(reason)),
    };
    format!("\n{}\n", palette.paint(Tone::Warning, &format!("Flows are not known{reason}")))
}

/// 0 is the worst.
pub(super) fn badness(state: BackendState) -> usize {
    match state {
        BackendState::Down => 0,
        BackendState::Unspecified | BackendState::Unknown => 1,
        BackendState::Paused => 2,
        BackendState::Disabled | BackendState::Removed => 3,
        BackendState::Up => 4,
    }
}

pub(super) fn table<'a>(backends: impl IntoIterator<Item = &'a Backend>, now: Moment) -> Table<10> {
    let columns = [
        Column::left("Name"),
        Column::left("Address").optional(2),
        Column::left("State"),
        Column::right("Since"),
        Column::left("Frontends").optional(1),
        Column::right("Flows"),
        Column::right("Health").optional(3),
        Column::left("Check"),
        Column::right("Took").optional(4),
        Column::left("Detail").prose(),
    ];
    let rows = backends.into_iter().map(|backend| {
        let since = since(backend).map(|since| since.age(now));
        let [code, took, detail] = last_probe(backend, now);
        [
            Cell::new(&backend.name),
            Cell::new(&backend.address),
            state::<BackendState>(backend.state),
            Cell::or_dash(since.unwrap_or_default()),
            Cell::or_dash(frontends(backend)),
            dash_or(backend.flows),
            Cell::or_dash(counter(backend).unwrap_or_default()),
            code,
            took,
            detail,
        ]
    });
    Table::new(columns).with_rows(rows)
}

/// When its state began, if that is known. A maglev-brain that does not tell knows of no time before its start.
pub(super) fn since(backend: &Backend) -> Option<Moment> {
    let newest = backend.transitions.first().map(|newest| newest.at_unix_ms);
    Some(backend.since_unix_ms).filter(|at| *at > 0).or(newest).map(Moment)
}

/// The first one, and the number of others.
pub(super) fn frontends(backend: &Backend) -> String {
    match backend.frontends.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first, more @ ..] => format!("{first} +{}", more.len()),
    }
}

/// Out of service on purpose, so the last check is outdated.
fn is_out(backend: &Backend) -> bool {
    matches!(backend.state(), BackendState::Paused | BackendState::Disabled)
}

fn is_static(backend: &Backend) -> bool {
    backend.healthcheck.is_empty()
}

/// Current and maximum value. A static backend is not probed and has no counter.
fn counter(backend: &Backend) -> Option<String> {
    backend.counter.as_ref().filter(|_| !is_static(backend)).map(health)
}

fn health(counter: &HealthCounter) -> String {
    let largest = counter.rise.saturating_add(counter.fall).saturating_sub(1);
    format!("{}/{largest}", counter.value)
}

/// The reason for an override, and when it ends.
fn why(backend: &Backend) -> String {
    let reason = match backend.operator_reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    let until = match backend.operator_until_unix_ms {
        0 => String::new(),
        at => format!(", until {}", Moment(at).iso()),
    };
    reason + &until
}

pub(super) fn last_probe(backend: &Backend, now: Moment) -> [Cell; 3] {
    let none = || Cell::or_dash("");
    if is_out(backend) && !backend.operator_set_by.is_empty() {
        let at = Moment(backend.operator_since_unix_ms).age(now);
        let by = format!("by {}, {at} ago{}", backend.operator_set_by, why(backend));
        let by = Cell::toned(by, Tone::Warning);
        let [code, took] = match &backend.last_probe {
            Some(probe) => [&probe.code, &took(probe.duration_ms)].map(|text| Cell::toned(text, Tone::Faint)),
            None => [none(), none()],
        };
        return [code, took, by];
    }
    match &backend.last_probe {
        Some(probe) if is_out(backend) => {
            let old = format!("{} ({} ago)", probe.detail, Moment(probe.at_unix_ms).age(now));
            [&probe.code, &took(probe.duration_ms), old.trim_start()]
                .map(|text| Cell::toned(text, Tone::Faint))
        }
        Some(probe) => {
            let code = Cell::toned(&probe.code, probe_tone(probe));
            [code, Cell::new(took(probe.duration_ms)), Cell::or_dash(detail(backend, probe))]
        }
        None if is_static(backend) => [Cell::toned("static", Tone::Faint), none(), none()],
        None => [none(), none(), Cell::toned("not probed", Tone::Faint)],
    }
}

/// What the state does not say, the check if there are several, and the probe's detail.
fn detail(backend: &Backend, probe: &ProbeResult) -> String {
    let is_it =
        |check: &&BackendCheck| check.counter == backend.counter && check.last_probe.as_ref() == Some(probe);
    let check = backend.checks.iter().find(is_it).map_or("", |check| check.healthcheck.as_str());
    let parts = [backend.state_detail.as_str(), check, probe.detail.as_str()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

fn probe_tone(probe: &ProbeResult) -> Tone {
    if probe.passed { Tone::Good } else { Tone::Bad }
}

/// Details of one backend.
pub(super) fn one(backend: &Backend, now: Moment, palette: Palette) -> String {
    let health_check = match (backend.healthcheck.as_str(), backend.require.as_str()) {
        ("", _) => "none (static: taken as up, never probed)".to_owned(),
        (name, "") => name.to_owned(),
        (names, require) => format!("{names} (require {require})"),
    };
    let frontends = match backend.frontends.as_slice() {
        [] => Cell::toned("none: it is in no frontend's pools", Tone::Faint),
        names => Cell::new(names.join(", ")),
    };
    let mut properties = Properties::default();
    properties
        .put("Backend", Cell::new(&backend.name))
        .put("Address", Cell::new(&backend.address))
        .put("State", state_in_detail(backend));
    // Otherwise the newest transition says it.
    let newest = backend.transitions.first().map(|newest| Moment(newest.at_unix_ms));
    if let Some(since) = since(backend).filter(|since| newest != Some(*since)) {
        let since = format!("{}, before maglev-brain's start", since.iso_with_age(now));
        properties.put("Since", Cell::new(since));
    }
    if backend.operator_state() != BackendOverride::None {
        let word = words::of::<BackendOverride>(backend.operator_state);
        let at = Moment(backend.operator_since_unix_ms).iso_with_age(now);
        let by = match backend.operator_set_by.as_str() {
            "" => String::new(),
            who => format!(" by {who}"),
        };
        properties
            .put("By operator", Cell::toned(format!("{word}{by}, {at}{}", why(backend)), Tone::Warning));
    }
    if !backend.labels.is_empty() {
        properties.put("Labels", Cell::new(backend.labels.join(", ")));
    }
    properties.put("Enabled", yes_or_no(backend.enabled)).put("Health check", Cell::new(health_check));
    if let (Some(value), Some(parts), true) = (counter(backend), backend.counter, backend.checks.is_empty()) {
        let words =
            format!("{value} (up at {} and above; rise {}, fall {})", parts.rise, parts.rise, parts.fall);
        properties.put("Counter", Cell::new(words));
    }
    if !is_static(backend) && backend.checks.is_empty() {
        let check = last_check(backend.last_probe.as_ref(), now);
        let stale = is_out(backend);
        properties.put("Last check", if stale { check.in_tone(Tone::Faint) } else { check });
    }
    properties.put("Flows", flows(backend));
    if let Some(sent) = sent(backend) {
        properties.put("Sent", sent);
    }
    properties.put("Frontends", frontends);
    let mut text = properties.render(palette);
    if !backend.checks.is_empty() {
        text.push('\n');
        text.push_str(&checks(&backend.checks, now).render(palette));
    }
    if !backend.uses.is_empty() {
        text.push('\n');
        text.push_str(&uses(&backend.uses).render(palette));
    }
    text.push('\n');
    text.push_str(&transitions(&backend.transitions, now, palette));
    text
}

/// The state, and what it does not say.
fn state_in_detail(backend: &Backend) -> Cell {
    match backend.state_detail.as_str() {
        "" => state::<BackendState>(backend.state),
        detail => {
            Cell::toned(format!("{} ({detail})", words::of::<BackendState>(backend.state)), Tone::Warning)
        }
    }
}

/// Each of several health checks.
fn checks(checks: &[BackendCheck], now: Moment) -> Table<7> {
    let columns = [
        Column::left("Check"),
        Column::left("State"),
        Column::right("Health"),
        Column::left("Code"),
        Column::right("Took"),
        Column::right("Age"),
        Column::left("Detail").prose(),
    ];
    let rows = checks.iter().map(|check| {
        let health = check.counter.as_ref().map(health).unwrap_or_default();
        let [code, took, age, detail] = match &check.last_probe {
            Some(probe) => [
                Cell::toned(&probe.code, probe_tone(probe)),
                Cell::new(took(probe.duration_ms)),
                Cell::new(Moment(probe.at_unix_ms).age(now)),
                Cell::or_dash(&probe.detail),
            ],
            None => ["", "", "", ""].map(Cell::or_dash),
        };
        let name = Cell::new(&check.healthcheck);
        [name, state::<BackendState>(check.state), Cell::or_dash(health), code, took, age, detail]
    });
    Table::new(columns).indented(2).with_rows(rows)
}

/// Its flows: at 0 the server may be switched off.
fn flows(backend: &Backend) -> Cell {
    match (backend.flows, backend.vpp_figures_age_ms) {
        (Some(flows), Some(age)) => {
            let (words, tone) = match (flows, takes_new(backend)) {
                (0, false) => ("none, and no new ones: it can be switched off".to_owned(), Tone::Good),
                (0, true) => ("none now, but it takes new ones".to_owned(), Tone::Plain),
                (flows, false) => (format!("at most {flows} left, and no new ones"), Tone::Plain),
                (flows, true) => (format!("{flows}, and it takes new ones"), Tone::Plain),
            };
            Cell::toned(format!("{words} (all frontends; {} old)", span(age)), tone)
        }
        _ => Cell::toned(format!("not known: {}", backend.vpp_figures_error), Tone::Warning),
    }
}

/// Packets and bytes that VPP sent it, and for how long none.
fn sent(backend: &Backend) -> Option<Cell> {
    let (packets, bytes, idle) = (backend.sent_packets?, backend.sent_bytes?, backend.idle_ms?);
    let last = match idle {
        0..1_000 => String::new(),
        idle => format!("; none for {}", span(idle)),
    };
    Some(Cell::new(format!("{packets} packets, {bytes} bytes (all frontends{last})")))
}

/// Its rows in all pools.
fn uses(uses: &[BackendUse]) -> Table<8> {
    let columns = [
        Column::left("Frontend"),
        Column::left("Pool"),
        WEIGHTS[0],
        WEIGHTS[1],
        WEIGHTS[2],
        WEIGHTS[3],
        Column::right("Buckets"),
        Column::right("Flows"),
    ];
    let rows = uses.iter().map(|used| {
        let row = used.row.clone().unwrap_or_default();
        let [configured, set, effective, in_vpp] = weights(&row, used.sync() == SyncState::Synced);
        let (frontend, pool) = (Cell::new(&used.frontend), Cell::new(&used.pool));
        let buckets = buckets_of(&row, used.sync() == SyncState::Synced);
        [frontend, pool, configured, set, effective, in_vpp, buckets, dash_or(row.flows)]
    });
    Table::new(columns).indented(2).with_rows(rows)
}

fn last_check(probe: Option<&ProbeResult>, now: Moment) -> Cell {
    let Some(probe) = probe else {
        return Cell::toned("not probed", Tone::Faint);
    };
    let at = Moment(probe.at_unix_ms).iso_with_age(now);
    let detail = if probe.detail.is_empty() { String::new() } else { format!(": {}", probe.detail) };
    let words = format!("{}{detail}; took {}, {at}", probe.code, took(probe.duration_ms));
    Cell::toned(words, probe_tone(probe))
}

fn transitions(transitions: &[Transition], now: Moment, palette: Palette) -> String {
    if transitions.is_empty() {
        return "No transitions yet.\n".to_owned();
    }
    let columns = [
        Column::left("Time").optional(1),
        Column::right("Age"),
        Column::left("From"),
        Column::left("To"),
        Column::left("Cause").prose(),
    ];
    let rows = transitions.iter().map(|transition| {
        let at = Moment(transition.at_unix_ms);
        [
            Cell::new(at.iso()),
            Cell::new(at.age(now)),
            state::<BackendState>(transition.from),
            state::<BackendState>(transition.to),
            Cell::new(&transition.cause),
        ]
    });
    let heading = palette.paint(Tone::Heading, "Transitions, newest first");
    format!("{heading}\n{}", Table::new(columns).indented(2).with_rows(rows).render(palette))
}

#[cfg(test)]
mod tests;
