//! `show history`: a line for each record, the newest last, as in a log.

use maglev_proto::words;
use maglev_proto::{BackendState, GetHistoryResponse, HistoryRecord};

use super::counted;
use crate::moment::Moment;
use crate::style::{Palette, Tone, printable};
use crate::table::{Cell, Column, Table};

/// The records, and what is missing of them.
pub(super) fn list(history: &GetHistoryResponse, palette: Palette) -> String {
    let mut text = String::new();
    if history.left_out > 0 {
        let older = counted(history.left_out, "older record");
        text += &palette.paint(Tone::Faint, &format!("{older} left out; `num` shows more\n"));
    }
    if history.records.is_empty() {
        text += "No records.\n";
    } else {
        text += &table(&history.records).render(palette);
    }
    if history.damaged_lines > 0 {
        let lines = counted(history.damaged_lines, "damaged line");
        text += &palette.paint(Tone::Warning, &format!("{lines} in the files could not be read\n"));
    }
    if !history.not_written.is_empty() {
        let missing = format!("The newest records are missing: {}\n", printable(&history.not_written));
        text += &palette.paint(Tone::Bad, &missing);
    }
    text
}

fn table(records: &[HistoryRecord]) -> Table<4> {
    let columns = [
        Column::left("Time"),
        Column::left("Kind").optional(1),
        Column::left("About"),
        Column::left("What").prose(),
    ];
    let rows = records.iter().map(|record| {
        let about: Vec<_> = [&record.frontend, &record.backend]
            .into_iter()
            .filter(|name| !name.is_empty())
            .cloned()
            .collect();
        [
            Cell::new(Moment(record.at_unix_ms).iso()),
            Cell::new(&record.kind),
            Cell::or_dash(about.join(" ")),
            Cell::toned(what(record), tone(record)),
        ]
    });
    Table::new(columns).with_rows(rows)
}

fn what(record: &HistoryRecord) -> String {
    let change = match (record.from(), record.to()) {
        (_, BackendState::Unspecified) => String::new(),
        _ => {
            let state = words::of::<BackendState>;
            format!("{} -> {}  ", state(record.from), state(record.to))
        }
    };
    let by = if record.who.is_empty() { String::new() } else { format!("  by {}", record.who) };
    let why = if record.reason.is_empty() { String::new() } else { format!(": {}", record.reason) };
    format!("{change}{}{by}{why}", record.what)
}

fn tone(record: &HistoryRecord) -> Tone {
    match record.to() {
        _ if record.failed => Tone::Bad,
        BackendState::Down => Tone::Bad,
        BackendState::Up => Tone::Good,
        _ if record.kind == "command" => Tone::Warning,
        _ => Tone::Plain,
    }
}

#[cfg(test)]
mod tests;
