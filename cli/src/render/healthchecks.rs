//! `show healthchecks`.

use maglev_proto::{BackendState, HealthCheck};

use super::{dash_or, state};
use crate::moment::exact;
use crate::style::Palette;
use crate::table::{Cell, Column, Properties, Table};

/// A line each.
pub(super) fn list(checks: &[HealthCheck], palette: Palette) -> String {
    if checks.is_empty() {
        return "No health checks are configured.\n".to_owned();
    }
    table(checks).render(palette)
}

pub(super) fn table<'a>(checks: impl IntoIterator<Item = &'a HealthCheck>) -> Table<10> {
    let columns = [
        Column::left("Name"),
        Column::left("Type"),
        Column::right("Port"),
        Column::right("Interval"),
        Column::right("Fast").optional(2),
        Column::right("Down").optional(1),
        Column::right("Timeout"),
        Column::right("Rise"),
        Column::right("Fall"),
        Column::right("Up/Total"),
    ];
    let rows = checks.into_iter().map(|check| {
        let up = check.backends.iter().filter(|user| user.state() == BackendState::Up).count();
        [
            Cell::new(&check.name),
            Cell::new(&check.r#type),
            dash_or(Some(check.port).filter(|port| *port != 0)),
            Cell::new(exact(check.interval_ms)),
            Cell::new(exact(check.fast_interval_ms)),
            Cell::new(exact(check.down_interval_ms)),
            Cell::new(exact(check.timeout_ms)),
            Cell::number(check.rise),
            Cell::number(check.fall),
            Cell::new(format!("{up}/{}", check.backends.len())),
        ]
    });
    Table::new(columns).with_rows(rows)
}

/// Details of one health check.
pub(super) fn one(check: &HealthCheck, palette: Palette) -> String {
    let mut properties = Properties::default();
    properties.put("Health check", Cell::new(&check.name)).put("Type", Cell::new(&check.r#type));
    if check.port != 0 {
        properties.put("Port", Cell::number(check.port));
    }
    let intervals = format!(
        "{}; {} while a backend is unknown or on its way up or down, {} while it is down",
        exact(check.interval_ms),
        exact(check.fast_interval_ms),
        exact(check.down_interval_ms),
    );
    let counts =
        format!("{} passes in a row make a backend up, {} failures in a row down", check.rise, check.fall);
    properties
        .put("Interval", Cell::new(intervals))
        .put("Timeout", Cell::new(exact(check.timeout_ms)))
        .put("Rise, fall", Cell::new(counts));
    let mut text = properties.render(palette);
    if !check.parameters.is_empty() {
        let columns = [Column::left("Setting"), Column::left("Value")];
        let rows = check.parameters.iter().map(|one| [Cell::new(&one.key), Cell::or_dash(&one.value)]);
        text.push('\n');
        text.push_str(&Table::new(columns).with_rows(rows).render(palette));
    }
    text.push('\n');
    if check.backends.is_empty() {
        text.push_str("No backend uses it.\n");
        return text;
    }
    let columns = [Column::left("Backend"), Column::left("State")];
    let rows =
        check.backends.iter().map(|user| [Cell::new(&user.backend), state::<BackendState>(user.state)]);
    text.push_str(&Table::new(columns).with_rows(rows).render(palette));
    text
}

#[cfg(test)]
mod tests;
