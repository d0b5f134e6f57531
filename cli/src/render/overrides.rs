//! `show overrides`.

use maglev_proto::words::{self, Word};
use maglev_proto::{BackendOverride, LbDrainKind, Override};

use crate::moment::Moment;
use crate::style::{Palette, Tone};
use crate::table::{Cell, Column, Table};

/// A line each.
pub(super) fn list(overrides: &[Override], now: Moment, palette: Palette) -> String {
    if overrides.is_empty() {
        return "No overrides: everything follows the configuration.\n".to_owned();
    }
    table(overrides, now).render(palette)
}

pub(super) fn table<'a>(overrides: impl IntoIterator<Item = &'a Override>, now: Moment) -> Table<10> {
    let columns = [
        Column::left("Backend"),
        Column::left("Frontend"),
        Column::left("Pool").optional(3),
        Column::right("Set"),
        Column::right("Configured").optional(2),
        Column::left("Since").optional(1),
        Column::right("Age"),
        Column::right("Ends in"),
        Column::left("Set by"),
        Column::left("Reason").prose(),
    ];
    let rows = overrides.into_iter().map(|set| {
        let at = Moment(set.since_unix_ms);
        [
            Cell::or_dash(&set.backend),
            Cell::or_dash(&set.frontend),
            Cell::or_dash(&set.pool),
            Cell::toned(value(set), Tone::Warning),
            configured(set),
            Cell::new(at.iso()),
            Cell::new(at.age(now)),
            Cell::or_dash(left(set.until_unix_ms, now)),
            Cell::or_dash(&set.set_by),
            Cell::or_dash(&set.reason),
        ]
    });
    Table::new(columns).with_rows(rows)
}

/// Time until an override ends by itself.
fn left(until_unix_ms: u64, now: Moment) -> String {
    if until_unix_ms == 0 { String::new() } else { now.age(Moment(until_unix_ms)) }
}

fn value(set: &Override) -> String {
    match set.operator_weight {
        None if set.lb_drain() != LbDrainKind::Unspecified => format!("lb {}", set.lb_drain().word()),
        Some(weight) => format!("weight {weight}"),
        None => words::of::<BackendOverride>(set.operator_state).to_owned(),
    }
}

fn configured(set: &Override) -> Cell {
    match (set.configured_weight, set.configured_enabled) {
        (Some(weight), _) => Cell::new(format!("weight {weight}")),
        (None, Some(enabled)) => Cell::new(if enabled { "enabled" } else { "disabled" }),
        (None, None) if set.lb_drain() != LbDrainKind::Unspecified => Cell::or_dash(""),
        (None, None) => Cell::toned("missing", Tone::Bad),
    }
}

#[cfg(test)]
mod tests;
