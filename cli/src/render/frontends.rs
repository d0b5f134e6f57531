//! `show frontends`.

use std::collections::BTreeMap;
use std::time::Duration;

use maglev_proto::{BackendState, Frontend, FrontendState, Pool, PoolBackend, SyncState};

use super::vpp::share;
use super::{dash_or, service, state, yes_or_no};
use crate::moment::span;
use crate::style::{Palette, Tone, printable};
use crate::table::{Cell, Column, Properties, Table};

/// A line each.
pub(super) fn list(frontends: &[Frontend], palette: Palette) -> String {
    if frontends.is_empty() {
        return "No frontends are configured.\n".to_owned();
    }
    table(frontends).render(palette)
}

pub(super) fn table<'a>(frontends: impl IntoIterator<Item = &'a Frontend>) -> Table<7> {
    let columns = [
        Column::Left("Name"),
        Column::Left("VIP"),
        Column::Left("Service"),
        Column::Left("State"),
        Column::Left("Active pool"),
        Column::Left("Sync"),
        Column::Right("Up/Total"),
    ];
    let rows = frontends.into_iter().map(|frontend| {
        let (up, total) = backends_up(frontend);
        [
            Cell::new(&frontend.name),
            Cell::new(&frontend.address),
            Cell::new(service(&frontend.protocol, frontend.port)),
            state::<FrontendState>(frontend.state),
            serving_pool(frontend),
            state::<SyncState>(frontend.sync),
            Cell::new(format!("{up}/{total}")),
        ]
    });
    Table::new(columns).with_rows(rows)
}

fn serving_pool(frontend: &Frontend) -> Cell {
    match frontend.panic_pool.as_str() {
        "" => Cell::or_dash(&frontend.active_pool),
        panic => Cell::toned(format!("{panic} (panic)"), Tone::Bad),
    }
}

/// A backend in two pools counts once.
fn backends_up(frontend: &Frontend) -> (usize, usize) {
    let backends = frontend.pools.iter().flat_map(|pool| &pool.backends);
    let states: BTreeMap<_, _> = backends.map(|row| (row.backend.as_str(), row.state())).collect();
    let up = states.values().filter(|state| **state == BackendState::Up).count();
    (up, states.len())
}

/// All about one.
pub(super) fn one(frontend: &Frontend, palette: Palette) -> String {
    let mut properties = Properties::default();
    properties.put("Frontend", Cell::new(&frontend.name));
    if !frontend.description.is_empty() {
        properties.put("Description", Cell::new(&frontend.description));
    }
    let vip = format!("{} {}", frontend.address, service(&frontend.protocol, frontend.port));
    let active_pool = match (frontend.active_pool.as_str(), frontend.panic_pool.as_str()) {
        ("", "") => Cell::toned("none: no backend takes new flows", Tone::Bad),
        (active, "") => Cell::new(active),
        (_, panic) => {
            let words = format!("{panic}, in panic: up or not, its backends take new flows");
            Cell::toned(words, Tone::Bad)
        }
    };
    properties
        .put("VIP", Cell::new(vip))
        .put("State", state::<FrontendState>(frontend.state))
        .put("Active pool", active_pool)
        .put("Sync", sync(frontend))
        .put("Src-IP sticky", yes_or_no(frontend.src_ip_sticky))
        .put("Flush on down", yes_or_no(frontend.flush_on_down));
    if frontend.slow_start_ms != 0 {
        let time = humantime::format_duration(Duration::from_millis(frontend.slow_start_ms));
        properties.put("Slow start", Cell::new(time.to_string()));
    }
    if frontend.panic_threshold != 0 {
        properties
            .put("Panic", Cell::new(format!("when less than {}% of a pool is up", frontend.panic_threshold)));
    }
    properties.put("Table length", Cell::new(table_length(frontend)));
    if frontend.worst_share_error_percent > 0.0 {
        properties.put("Shares", Cell::toned(shares(frontend), Tone::Warning));
    }
    if let Some(age) = frontend.vpp_figures_age_ms {
        properties.put("VPP's figures", Cell::new(format!("{} old", span(age))));
    }
    let mut text = properties.render(palette);
    for pool in &frontend.pools {
        text.push('\n');
        text.push_str(&pool_rows(pool, frontend, palette));
    }
    if frontend.pools.is_empty() {
        text.push_str("\nNo pools.\n");
    } else if let Some(reason) = unknown_figures(frontend, palette) {
        text.push_str(&reason);
    }
    text
}

fn sync(frontend: &Frontend) -> Cell {
    let word = frontend.sync();
    let meaning = match word {
        SyncState::HeldBack => ": not sent to VPP until every backend is known",
        SyncState::Pending => ": VPP has not acknowledged it yet",
        SyncState::Unspecified | SyncState::Synced | SyncState::Failed => "",
    };
    let reason =
        if frontend.sync_error.is_empty() { String::new() } else { format!(": {}", frontend.sync_error) };
    let words = maglev_proto::words::of::<SyncState>(frontend.sync);
    Cell::toned(format!("{words}{meaning}{reason}"), super::Toned::tone(&word))
}

fn table_length(frontend: &Frontend) -> String {
    let wanted = frontend.new_flows_table_length;
    match frontend.kept_table_length {
        0 => format!("{wanted} buckets"),
        kept => format!("{kept} buckets; the standing VIP keeps them, a new one would have {wanted}"),
    }
}

/// What the table makes of the weights, if not what they say, and what would help.
fn shares(frontend: &Frontend) -> String {
    let error = format!("up to {:.2}% off the weights", frontend.worst_share_error_percent);
    let (name, wanted) = (&frontend.name, frontend.new_flows_table_length);
    match frontend.better_table_length {
        0 => format!("{error}; no longer table does better"),
        better if better <= wanted => {
            format!("{error}; `recreate frontend {name} force` gives it a table of {wanted}")
        }
        better => format!("{error}; a table of {better} buckets does better (new-flows-table-length)"),
    }
}

/// All of the table, whichever pool they belong to.
fn buckets(frontend: &Frontend) -> u64 {
    let rows = frontend.pools.iter().flat_map(|pool| &pool.backends);
    rows.filter_map(|row| row.buckets).map(u64::from).sum()
}

/// Why buckets and flows are dashes.
fn unknown_figures(frontend: &Frontend, palette: Palette) -> Option<String> {
    let reason = match (frontend.vpp_figures_error.as_str(), frontend.vpp_figures_age_ms) {
        ("", Some(_)) => return None,
        ("", None) => String::new(),
        (reason, _) => format!(": {}", printable(reason)),
    };
    let words = format!("Buckets and flows are not known{reason}");
    Some(format!("\n{}\n", palette.paint(Tone::Warning, &words)))
}

fn pool_rows(pool: &Pool, frontend: &Frontend, palette: Palette) -> String {
    let role = match pool.name.as_str() {
        name if name == frontend.panic_pool => " (in panic)",
        name if name == frontend.active_pool => " (active)",
        _ => "",
    };
    let title = format!("Pool {}{role}", printable(&pool.name));
    let heading = palette.paint(Tone::Heading, &title);
    if pool.backends.is_empty() {
        return format!("{heading}\n  No backends.\n");
    }
    let columns = [
        Column::Left("Backend"),
        Column::Left("Address"),
        Column::Left("State"),
        Column::Right("Configured"),
        Column::Right("Set"),
        Column::Right("Effective"),
        Column::Right("Programmed"),
        Column::Right("Buckets"),
        Column::Right("Share"),
        Column::Right("Flows"),
    ];
    let total = buckets(frontend);
    let rows = pool.backends.iter().map(|row: &PoolBackend| {
        [
            Cell::new(&row.backend),
            Cell::new(&row.address),
            state::<BackendState>(row.state),
            Cell::number(row.configured_weight),
            dash_or(row.operator_weight),
            Cell::number(row.effective_weight),
            Cell::number(row.programmed_weight),
            dash_or(row.buckets),
            Cell::or_dash(row.buckets.map(|buckets| share(buckets, total)).unwrap_or_default()),
            dash_or(row.flows),
        ]
    });
    format!("{heading}\n{}", Table::new(columns).indented(2).with_rows(rows).render(palette))
}

#[cfg(test)]
mod tests;
