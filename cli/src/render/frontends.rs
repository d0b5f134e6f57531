//! `show frontends`.

use std::time::Duration;

use maglev_proto::{
    BackendState, Frontend, FrontendState, ListFrontendsResponse, Pool, PoolBackend, SyncState,
};

use super::vpp::share;
use super::{dash_or, problems, service, state, yes_or_no};
use crate::moment::{Moment, span};
use crate::style::{Palette, Tone, printable};
use crate::table::{Beside, Cell, Column, Properties, Table};

/// Maximum number of problems above the list.
const PROBLEMS: usize = 5;

/// Problems, then a line for each frontend, the worst first.
pub(super) fn list(list: &ListFrontendsResponse, now: Moment, palette: Palette) -> String {
    let (shown, more) = list.problems.split_at(list.problems.len().min(PROBLEMS));
    let problems = problems::list(shown, more.len() as u64, now, palette);
    if list.frontends.is_empty() {
        return problems + "No frontends.\n";
    }
    let mut frontends: Vec<_> = list.frontends.iter().collect();
    // Stable: equally bad ones stay sorted by name.
    frontends.sort_by_key(|frontend| badness(frontend));
    let table = table(frontends.iter().copied());
    if frontends.iter().all(|frontend| frontend.announcement_reason.is_empty()) {
        return problems + &table.render(palette);
    }
    let cells = frontends.iter().map(|frontend| route(frontend)).collect();
    problems + &table.render_beside(&Beside { column: ROUTE, cells }, palette)
}

/// 0 is the worst.
pub(super) fn badness(frontend: &Frontend) -> usize {
    match (frontend.state(), frontend.sync()) {
        (FrontendState::Down, _) => 0,
        (_, SyncState::Failed) => 1,
        (_, SyncState::Disconnected) => 2,
        _ if !frontend.panic_pool.is_empty() => 3,
        _ if frontend.pools.iter().any(|pool| pool.below_min_up) => 4,
        (_, SyncState::Pending) => 5,
        (FrontendState::Up, SyncState::Synced) => 7,
        _ => 6,
    }
}

/// `up` only if programmed in VPP; otherwise `healthy`.
pub(super) fn in_force(frontend: &Frontend) -> Cell {
    match (frontend.state(), frontend.sync()) {
        (FrontendState::Up, SyncState::Synced) => state::<FrontendState>(frontend.state),
        (FrontendState::Up, sync) => Cell::toned("healthy", super::Toned::tone(&sync)),
        _ => state::<FrontendState>(frontend.state),
    }
}

pub(super) fn in_vpp(frontend: &Frontend) -> Cell {
    let word = match frontend.sync() {
        // Green is only for what serves.
        SyncState::Synced if frontend.state() == FrontendState::Down => return Cell::new("yes"),
        SyncState::Synced => "yes",
        SyncState::Failed | SyncState::Disconnected => "no",
        SyncState::Pending => "pending",
        SyncState::HeldBack => "held back",
        SyncState::Unspecified => "unknown",
    };
    Cell::toned(word, super::Toned::tone(&frontend.sync()))
}

pub(super) fn table<'a>(frontends: impl IntoIterator<Item = &'a Frontend>) -> Table<7> {
    let columns = [
        Column::left("Name"),
        Column::left("State"),
        Column::left("In VPP"),
        Column::left("VIP").optional(1),
        Column::left("Service").optional(2),
        Column::left("Active pool").short("Pool"),
        Column::right("Pool up"),
    ];
    let rows = frontends.into_iter().map(|frontend| {
        [
            Cell::new(&frontend.name),
            in_force(frontend),
            in_vpp(frontend),
            Cell::new(&frontend.address),
            Cell::new(service(&frontend.protocol, frontend.port)),
            serving_pool(frontend),
            pool_up(frontend),
        ]
    });
    Table::new(columns).with_rows(rows)
}

/// Only shown if a frontend is announced at times.
const ROUTE: Column = Column::left("Route").optional(3);

fn route(frontend: &Frontend) -> Cell {
    if frontend.announcement_reason.is_empty() {
        return Cell::or_dash("");
    }
    Cell::toned(super::routes::word(frontend.announcement()), super::Toned::tone(&frontend.announcement()))
}

pub(super) fn serving_pool(frontend: &Frontend) -> Cell {
    match frontend.panic_pool.as_str() {
        "" => Cell::or_dash(&frontend.active_pool),
        panic => Cell::toned(format!("{panic} (panic)"), Tone::Bad),
    }
}

/// Healthy backends out of all in the active pool, or in the first one if none is active. Standby pools do
/// not count.
pub(super) fn pool_up(frontend: &Frontend) -> Cell {
    let serving = frontend.pools.iter().find(|pool| pool.name == frontend.active_pool);
    let Some(pool) = serving.or(frontend.pools.first()) else { return Cell::or_dash("") };
    let (up, total) = (pool.up as usize, pool.backends.len());
    let tone = if up == total { Tone::Plain } else { Tone::Warning };
    let min_up = pool.min_up.map(|min_up| format!(", min-up {min_up}")).unwrap_or_default();
    let words = format!("{up}/{total}{min_up}");
    Cell::toned(words, if up == 0 || pool.below_min_up { Tone::Bad } else { tone })
}

/// Details of one frontend.
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
        .put("State", in_force(frontend))
        .put("Active pool", active_pool)
        .put("In VPP", reason_beside(in_vpp(frontend), &frontend.not_in_vpp));
    if !frontend.announcement_reason.is_empty() {
        let tone = super::Toned::tone(&frontend.announcement());
        let word = super::routes::word(frontend.announcement());
        properties.put("Route", Cell::toned(format!("{word}: {}", frontend.announcement_reason), tone));
    }
    properties
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
    if !frontend.inexpressible.is_empty() {
        properties.put("VPP's limits", Cell::toned(printable(&frontend.inexpressible), Tone::Warning));
    } else if frontend.worst_share_error_percent > 0.0 {
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

/// Adds the reason, if there is one.
fn reason_beside(cell: Cell, reason: &str) -> Cell {
    if reason.is_empty() { cell } else { Cell::toned(format!("no: {reason}"), cell.tone()) }
}

fn table_length(frontend: &Frontend) -> String {
    let wanted = frontend.new_flows_table_length;
    match frontend.kept_table_length {
        0 => format!("{wanted} buckets"),
        kept => format!("{kept} buckets; re-created, the VIP would have {wanted}"),
    }
}

/// The error of the table's shares, if any, and what would help.
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

/// Buckets of the whole table, over all pools.
fn buckets(frontend: &Frontend) -> u64 {
    let rows = frontend.pools.iter().flat_map(|pool| &pool.backends);
    rows.filter_map(|row| row.buckets).map(u64::from).sum()
}

/// Why buckets and flows are shown as dashes.
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
    let mut heading = palette.paint(Tone::Heading, &title).into_owned();
    if let Some(min_up) = pool.min_up {
        let words = format!("{} of {} up, min-up {min_up}", pool.up, pool.backends.len());
        let tone = if pool.below_min_up { Tone::Bad } else { Tone::Plain };
        heading += &format!(": {}", palette.paint(tone, &words));
    }
    if pool.backends.is_empty() {
        return format!("{heading}\n  No backends.\n");
    }
    let columns = [
        Column::left("Backend"),
        Column::left("Address").optional(1),
        Column::left("State"),
        WEIGHTS[0],
        WEIGHTS[1],
        WEIGHTS[2],
        WEIGHTS[3],
        Column::right("Buckets"),
        Column::right("Share").optional(2),
        Column::right("Flows"),
    ];
    let (total, synced) = (buckets(frontend), frontend.sync() == SyncState::Synced);
    let rows = pool.backends.iter().map(|row: &PoolBackend| {
        let [configured, set, effective, in_vpp] = weights(row, synced);
        [
            Cell::new(&row.backend),
            Cell::new(&row.address),
            state::<BackendState>(row.state),
            configured,
            set,
            effective,
            in_vpp,
            buckets_of(row, synced),
            Cell::or_dash(row.buckets.map(|buckets| share(buckets, total)).unwrap_or_default()),
            dash_or(row.flows),
        ]
    });
    let contradiction = pool.backends.iter().any(|row| contradicts(row, synced));
    let note = if contradiction { palette.paint(Tone::Warning, CONTRADICTION) } else { "".into() };
    format!("{heading}\n{}{note}", Table::new(columns).indented(2).with_rows(rows).render(palette))
}

/// Weights of a backend in a pool.
pub(super) const WEIGHTS: [Column; 4] = [
    Column::right("Configured").short("Conf"),
    Column::right("Override").short("Over"),
    Column::right("Effective").short("Eff"),
    Column::right("In VPP").short("VPP"),
];

/// In the columns [`WEIGHTS`].
pub(super) fn weights(row: &PoolBackend, synced: bool) -> [Cell; 4] {
    let in_vpp = match (weight_in_vpp(row, synced), row.programmed_weight) {
        (Some(has), wanted) if has == wanted => Cell::number(has),
        (Some(has), wanted) => Cell::toned(format!("{has} -> {wanted}"), Tone::Bad),
        (None, wanted) => Cell::toned(format!("? -> {wanted}"), Tone::Warning),
    };
    let set = row.operator_weight.map(|weight| Cell::toned(weight.to_string(), Tone::Warning));
    [
        Cell::number(row.configured_weight),
        set.unwrap_or_else(|| Cell::or_dash("")),
        Cell::number(row.effective_weight),
        in_vpp,
    ]
}

/// The weight that VPP acknowledged, or had when last read.
fn weight_in_vpp(row: &PoolBackend, synced: bool) -> Option<u32> {
    if synced { Some(row.programmed_weight) } else { row.vpp_weight }
}

const CONTRADICTION: &str =
    "  * contradicts the weight: read before the newest change, or changed by others\n";

fn contradicts(row: &PoolBackend, synced: bool) -> bool {
    weight_in_vpp(row, synced)
        .zip(row.buckets)
        .is_some_and(|(weight, buckets)| (weight == 0) != (buckets == 0))
}

pub(super) fn buckets_of(row: &PoolBackend, synced: bool) -> Cell {
    match row.buckets {
        Some(buckets) if contradicts(row, synced) => Cell::toned(format!("{buckets}*"), Tone::Warning),
        buckets => dash_or(buckets),
    }
}

#[cfg(test)]
mod tests;
