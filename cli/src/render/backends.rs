//! `show backends`.

use maglev_proto::words;
use maglev_proto::{Backend, BackendOverride, BackendState, ProbeResult, Transition};

use super::{state, yes_or_no};
use crate::moment::{Moment, took};
use crate::style::{Palette, Tone};
use crate::table::{Cell, Column, Properties, Table};

/// A line each.
pub(super) fn list(backends: &[Backend], now: Moment, palette: Palette) -> String {
    if backends.is_empty() {
        return "No backends are configured.\n".to_owned();
    }
    table(backends, now).render(palette)
}

pub(super) fn table<'a>(backends: impl IntoIterator<Item = &'a Backend>, now: Moment) -> Table<8> {
    let columns = [
        Column::Left("Name"),
        Column::Left("Address"),
        Column::Left("State"),
        Column::Right("Counter"),
        Column::Right("Since"),
        Column::Left("Check"),
        Column::Right("Took"),
        Column::Left("Detail"),
    ];
    let rows = backends.into_iter().map(|backend| {
        let since = backend.transitions.first().map(|newest| Moment(newest.at_unix_ms).age(now));
        let [code, took, detail] = last_probe(backend);
        [
            Cell::new(&backend.name),
            Cell::new(&backend.address),
            state::<BackendState>(backend.state),
            Cell::or_dash(counter(backend).unwrap_or_default()),
            Cell::or_dash(since.unwrap_or_default()),
            code,
            took,
            detail,
        ]
    });
    Table::new(columns).with_rows(rows)
}

fn is_static(backend: &Backend) -> bool {
    backend.healthcheck.is_empty()
}

/// Value and largest value. A static backend is not probed, and so has nothing to count.
fn counter(backend: &Backend) -> Option<String> {
    let counter = backend.counter.filter(|_| !is_static(backend))?;
    let largest = counter.rise.saturating_add(counter.fall).saturating_sub(1);
    Some(format!("{}/{largest}", counter.value))
}

fn last_probe(backend: &Backend) -> [Cell; 3] {
    let none = || Cell::or_dash("");
    match &backend.last_probe {
        Some(probe) => {
            let code = Cell::toned(&probe.code, probe_tone(probe));
            [code, Cell::new(took(probe.duration_ms)), Cell::or_dash(&probe.detail)]
        }
        None if is_static(backend) => [Cell::toned("static", Tone::Faint), none(), none()],
        None => [none(), none(), Cell::toned("not probed", Tone::Faint)],
    }
}

fn probe_tone(probe: &ProbeResult) -> Tone {
    if probe.passed { Tone::Good } else { Tone::Bad }
}

/// All about one.
pub(super) fn one(backend: &Backend, now: Moment, palette: Palette) -> String {
    let health_check = match backend.healthcheck.as_str() {
        "" => "none (static: taken as up, never probed)",
        name => name,
    };
    let frontends = match backend.frontends.as_slice() {
        [] => Cell::toned("none: it is in no frontend's pools", Tone::Faint),
        names => Cell::new(names.join(", ")),
    };
    let mut properties = Properties::default();
    properties
        .put("Backend", Cell::new(&backend.name))
        .put("Address", Cell::new(&backend.address))
        .put("State", state::<BackendState>(backend.state));
    if backend.operator_state() != BackendOverride::None {
        let word = words::of::<BackendOverride>(backend.operator_state);
        let at = Moment(backend.operator_since_unix_ms).iso_with_age(now);
        properties.put("By operator", Cell::toned(format!("{word}, {at}"), Tone::Warning));
    }
    properties.put("Enabled", yes_or_no(backend.enabled)).put("Health check", Cell::new(health_check));
    if let (Some(value), Some(parts)) = (counter(backend), backend.counter) {
        let words =
            format!("{value} (up at {} and above; rise {}, fall {})", parts.rise, parts.rise, parts.fall);
        properties.put("Counter", Cell::new(words));
    }
    if !is_static(backend) {
        properties.put("Last check", last_check(backend.last_probe.as_ref(), now));
    }
    properties.put("Frontends", frontends);
    let mut text = properties.render(palette);
    text.push('\n');
    text.push_str(&transitions(&backend.transitions, now, palette));
    text
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
        Column::Left("Time"),
        Column::Right("Age"),
        Column::Left("From"),
        Column::Left("To"),
        Column::Left("Cause"),
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
