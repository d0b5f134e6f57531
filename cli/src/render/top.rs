//! The screen of `top`. Pure: the servers' lists, the keys' state, time and size in, lines out.

use std::cmp::Reverse;

use maglev_proto::{Backend, Frontend};
use tokio::time::Instant;

use super::{backends, dash_or, frontends};
use crate::moment::{Moment, span};
use crate::style::{Palette, Tone, printable};
use crate::table::{Cell, Column, Table, cut};
use crate::top::app::{App, Sort, View};
use crate::top::{Feed, List};

/// Lines besides those of servers that do not answer and the rows: the title, the headings and the keys.
const FRAME: usize = 3;
/// Maximum number of servers that do not answer that are named.
const NAMED: usize = 3;
/// Columns of a page without a width.
const WIDE: usize = 200;

const KEYS: &str = "q quit  f frontends  b backends  s sort  / filter  p pause  ? help";
const HELP: [&str; 14] = [
    "f, b, Tab          frontends, backends, the other of the two",
    "s                  sort by: trouble, name, packets, flows, new flows or probe time",
    "/                  show only names with this text; Enter keeps it, Esc clears it",
    "p, Space           pause, and go on",
    "arrows, j, k       scroll; PageUp, PageDown, Home and End too",
    "q, Ctrl-C          quit",
    "",
    "Pkts/s             packets to the VIP, or to the backend through all VIPs",
    "New/s              flows that VPP has pinned",
    "Drops/s            packets that VPP had no backend for",
    "Flows              pinned now, at most; read every 15 s",
    "-                  not known: no counters yet, or the VIP was re-created",
    "state?             as of the last answer: the server does not answer",
    "Any of these keys returns: ? h Esc",
];

/// One row, of whichever kind.
struct Row<'f, T, const N: usize> {
    feed: &'f Feed,
    item: &'f T,
    rates: Option<[f64; N]>,
}

/// The rows on the screen, and its width.
#[derive(Clone, Copy)]
struct Page {
    skipped: usize,
    room: usize,
    width: usize,
    /// Whether rows say whose they are.
    is_of_several: bool,
}

/// The number of rows that a screen has room for, and how many there are.
pub(crate) fn rows(app: &App, feeds: &[Feed], (_, lines): (usize, usize)) -> (usize, usize) {
    let shown = match app.view {
        View::Frontends => frontend_rows(app, feeds).len(),
        View::Backends => backend_rows(app, feeds).len(),
    };
    let silent = silent(feeds).count().min(NAMED);
    (lines.saturating_sub(FRAME + silent), shown)
}

/// At most so many `lines`; `None`: all of a batch, without keys. None is wider than the palette's page.
pub(crate) fn screen(
    app: &App,
    feeds: &[Feed],
    at: Instant,
    now: Moment,
    lines: Option<usize>,
    palette: Palette,
) -> Vec<String> {
    let width = palette.width().unwrap_or(WIDE);
    let line = |tone, text: &str| palette.paint(tone, &cut(text, width)).into_owned();
    let (room, count) = rows(app, feeds, (width, lines.unwrap_or(usize::MAX)));
    let mut screen = vec![line(Tone::Heading, &title(app, feeds, count, now))];
    screen.extend(silent(feeds).take(NAMED).map(|(feed, error)| {
        let since = feed.read.map(|read| at.saturating_duration_since(read).as_millis());
        let since = since
            .map_or_else(String::new, |age| format!(" for {}", span(age.try_into().unwrap_or(u64::MAX))));
        line(Tone::Bad, &format!("{}: no answer{since}: {}", printable(&feed.server), printable(error)))
    }));
    let frame = screen.len() + 1;
    if app.is_helping && lines.is_some() {
        screen.extend(HELP.iter().map(|words| line(Tone::Plain, words)));
    } else {
        let page = Page {
            skipped: app.skipped.min(count.saturating_sub(room)),
            room,
            width,
            is_of_several: feeds.len() > 1,
        };
        let table = match app.view {
            View::Frontends => frontend_table(&frontend_rows(app, feeds), page, palette),
            View::Backends => backend_table(&backend_rows(app, feeds), page, now, palette),
        };
        screen.extend(table.lines().map(str::to_owned));
    }
    let Some(lines) = lines else { return screen };
    screen.truncate(lines.saturating_sub(1).max(frame.min(lines)));
    screen.resize(lines.saturating_sub(1).max(screen.len()), String::new());
    if screen.len() < lines {
        screen.push(line(Tone::Faint, &keys(app)));
    }
    screen
}

fn title(app: &App, feeds: &[Feed], count: usize, now: Moment) -> String {
    let of_view = |feed: &Feed| match (&feed.list, app.view) {
        (List::Frontends(list, _), View::Frontends) => list.len(),
        (List::Backends(list, _), View::Backends) => list.len(),
        _ => 0,
    };
    let all: usize = feeds.iter().map(of_view).sum();
    let what = if app.view == View::Frontends { "frontends" } else { "backends" };
    let shown = if count == all { format!("{all}") } else { format!("{count} of {all}") };
    let paused = if app.is_paused { "  PAUSED" } else { "" };
    let time = now.iso();
    let time = time.get(11..19).unwrap_or_default();
    format!("{shown} {what} by {}{paused}  {time} UTC", app.sort.word(app.view))
}

fn keys(app: &App) -> String {
    if app.is_typing || !app.filter.is_empty() {
        let cursor = if app.is_typing { "_" } else { "" };
        return format!("filter: {}{cursor}  Enter keeps it, Esc clears it", printable(&app.filter));
    }
    KEYS.to_owned()
}

/// Servers that do not answer, with the reason.
fn silent(feeds: &[Feed]) -> impl Iterator<Item = (&Feed, &str)> {
    feeds.iter().filter_map(|feed| Some((feed, feed.error.as_deref()?)))
}

fn frontend_rows<'f>(app: &App, feeds: &'f [Feed]) -> Vec<Row<'f, Frontend, 3>> {
    let mut rows = Vec::new();
    for feed in feeds {
        if let List::Frontends(list, rates) = &feed.list {
            let kept = list.iter().filter(|one| fits(app, &one.name));
            rows.extend(kept.map(|item| Row { feed, item, rates: rates.get(&item.name).copied() }));
        }
    }
    rows.sort_by(|one, other| one.item.name.cmp(&other.item.name));
    match app.sort {
        Sort::Name => {}
        Sort::Trouble => rows.sort_by_key(|row| frontends::badness(row.item)),
        Sort::Packets => most_first(&mut rows, 0),
        Sort::Last => most_first(&mut rows, 1),
        Sort::Flows => rows.sort_by_key(|row| Reverse(flows(row.item))),
    }
    rows
}

fn backend_rows<'f>(app: &App, feeds: &'f [Feed]) -> Vec<Row<'f, Backend, 2>> {
    let mut rows = Vec::new();
    for feed in feeds {
        if let List::Backends(list, rates) = &feed.list {
            let kept = list.iter().filter(|one| fits(app, &one.name));
            rows.extend(kept.map(|item| Row { feed, item, rates: rates.get(&item.name).copied() }));
        }
    }
    rows.sort_by(|one, other| one.item.name.cmp(&other.item.name));
    let took =
        |row: &Row<'_, Backend, 2>| row.item.last_probe.as_ref().map_or(-1.0, |probe| probe.duration_ms);
    match app.sort {
        Sort::Name => {}
        Sort::Trouble => rows.sort_by_key(|row| backends::badness(row.item.state())),
        Sort::Packets => most_first(&mut rows, 0),
        Sort::Last => rows.sort_by(|one, other| took(other).total_cmp(&took(one))),
        Sort::Flows => rows.sort_by_key(|row| Reverse(row.item.flows)),
    }
    rows
}

fn fits(app: &App, name: &str) -> bool {
    name.to_lowercase().contains(&app.filter.to_lowercase())
}

/// Unknown rates come last.
fn most_first<T, const N: usize>(rows: &mut [Row<'_, T, N>], index: usize) {
    let rate = |row: &Row<'_, T, N>| row.rates.and_then(|rates| rates.get(index).copied()).unwrap_or(-1.0);
    rows.sort_by(|one, other| rate(other).total_cmp(&rate(one)));
}

/// Pinned flows of all its backends, if all are known.
fn flows(frontend: &Frontend) -> Option<u64> {
    let rows = frontend.pools.iter().flat_map(|pool| &pool.backends);
    rows.map(|row| row.flows).sum()
}

fn frontend_table(rows: &[Row<'_, Frontend, 3>], page: Page, palette: Palette) -> String {
    let columns = [
        Column::left("Frontend"),
        Column::left("State"),
        Column::left("In VPP").optional(5),
        Column::left("Pool").optional(4),
        Column::right("Pool up").short("Up"),
        Column::right("Pkts/s"),
        Column::right("New/s").optional(1),
        Column::right("Drops/s").optional(2),
        Column::right("Flows").optional(3),
    ];
    let rows = rows.iter().skip(page.skipped).take(page.room).map(|row| {
        let [packets, new, dropped] = row.rates.map_or([None; 3], |rates| rates.map(Some));
        let dropped_cell = rate(dropped).in_tone(if dropped.is_some_and(|dropped| dropped > 0.0) {
            Tone::Bad
        } else {
            Tone::Plain
        });
        let cells = [
            name(&row.item.name, row.feed, page),
            frontends::in_force(row.item),
            frontends::in_vpp(row.item),
            short(&frontends::serving_pool(row.item), page.width),
            frontends::pool_up(row.item),
            rate(packets),
            rate(new),
            dropped_cell,
            dash_or(flows(row.item)),
        ];
        stale(cells, row.feed)
    });
    Table::new(columns).with_rows(rows).render(palette)
}

fn backend_table(rows: &[Row<'_, Backend, 2>], page: Page, now: Moment, palette: Palette) -> String {
    let columns = [
        Column::left("Backend"),
        Column::left("State"),
        Column::right("Since").optional(4),
        Column::left("Frontends").optional(5),
        Column::right("Pkts/s"),
        Column::right("Mbit/s").optional(3),
        Column::right("Flows").optional(1),
        Column::right("Probe").optional(2),
        Column::left("Detail").optional(6),
    ];
    let rows = rows.iter().skip(page.skipped).take(page.room).map(|row| {
        let [packets, bytes] = row.rates.map_or([None; 2], |rates| rates.map(Some));
        let [_, took, detail] = backends::last_probe(row.item, now);
        let since = backends::since(row.item).map(|since| since.age(now));
        let cells = [
            name(&row.item.name, row.feed, page),
            super::state::<maglev_proto::BackendState>(row.item.state),
            Cell::or_dash(since.unwrap_or_default()),
            short(&Cell::or_dash(backends::frontends(row.item)), page.width),
            rate(packets),
            rate(bytes.map(|bytes| bytes * 8.0 / 1e6)),
            dash_or(row.item.flows),
            took,
            short(&detail, page.width),
        ];
        stale(cells, row.feed)
    });
    Table::new(columns).with_rows(rows).render(palette)
}

/// At most a third of the page, so that numbers have room.
fn name(name: &str, feed: &Feed, page: Page) -> Cell {
    let whole = if page.is_of_several { format!("{name} @ {}", feed.server) } else { name.to_owned() };
    short(&Cell::new(whole), page.width)
}

fn short(cell: &Cell, width: usize) -> Cell {
    Cell::toned(cut(cell.text(), (width / 3).max(12)), cell.tone())
}

/// Marks cells of a server that does not answer, in words and not by their tone alone: the second is the state.
fn stale<const N: usize>(cells: [Cell; N], feed: &Feed) -> [Cell; N] {
    if feed.error.is_none() {
        return cells;
    }
    let mut index = 0;
    cells.map(|cell| {
        index += 1;
        let text = if index == 2 { format!("{}?", cell.text()) } else { cell.text().to_owned() };
        Cell::toned(text, Tone::Faint)
    })
}

/// A number per second with at most six characters.
fn rate(rate: Option<f64>) -> Cell {
    let Some(rate) = rate else { return Cell::or_dash("") };
    let (value, unit) = match rate {
        1e9.. => (rate / 1e9, "G"),
        1e6.. => (rate / 1e6, "M"),
        1e5.. => (rate / 1e3, "k"),
        _ => (rate, ""),
    };
    let is_short = if unit.is_empty() { value > 0.0 && value < 10.0 } else { value < 100.0 };
    let digits = usize::from(is_short);
    Cell::new(format!("{value:.digits$}{unit}"))
}

#[cfg(test)]
mod tests;
