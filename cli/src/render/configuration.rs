//! `config`.

use maglev_proto::words;
use maglev_proto::{
    CheckConfigResponse, ConfigDifference, ConfigRevision, ConfigVerdict, ConfirmConfigResponse, InVpp,
    ReloadConfigResponse,
};

use super::{changes, counted, overrides};
use crate::moment::Moment;
use crate::preview;
use crate::style::{Palette, Tone, printable, printable_lines};
use crate::table::{Cell, Column, Table};

/// A line for each value that differs, then the effect of a reload.
pub(super) fn compared(check: &CheckConfigResponse, palette: Palette) -> String {
    differences(&check.differences, check.differences_left_out, ["In use", "File"], palette)
        + &self::check(check, palette)
}

/// A line for each value that differs.
pub(super) fn differences(
    differences: &[ConfigDifference],
    left_out: u32,
    [old, new]: [&'static str; 2],
    palette: Palette,
) -> String {
    let value = |value: &Option<String>| match value {
        Some(value) if value.is_empty() => Cell::new("\"\""),
        Some(value) => Cell::new(value),
        None => Cell::or_dash(""),
    };
    let columns = [Column::left("Key"), Column::left(old).prose(), Column::left(new).prose()];
    let rows = differences.iter().map(|found| [Cell::new(&found.key), value(&found.old), value(&found.new)]);
    let mut text = match differences.is_empty() {
        true => String::new(),
        false => Table::new(columns).with_rows(rows).render(palette),
    };
    if left_out > 0 {
        text.push_str(&format!("and {left_out} more\n"));
    }
    text
}

/// The last applied configurations.
pub(super) fn history(configs: &[ConfigRevision], now: Moment, palette: Palette) -> String {
    let columns = [
        Column::right("Number"),
        Column::left("Since").optional(2),
        Column::right("Age"),
        Column::left("By"),
        Column::left("How").prose(),
        Column::right("Bytes").optional(1),
        Column::left("State").prose(),
    ];
    let rows = configs.iter().enumerate().map(|(index, config)| {
        let at = Moment(config.at_unix_ms);
        [
            Cell::number(config.number),
            Cell::new(at.iso()),
            Cell::new(at.age(now)),
            Cell::or_dash(&config.who),
            Cell::new(&config.origin),
            Cell::number(config.size),
            match (index, config.intact) {
                (0, _) => state(config, now),
                (_, true) => Cell::or_dash(""),
                (_, false) => Cell::toned("damaged", Tone::Bad),
            },
        ]
    });
    match configs.is_empty() {
        true => "No configurations are on record.\n".to_owned(),
        false => Table::new(columns).with_rows(rows).render(palette),
    }
}

/// Of the configuration in use.
pub(super) fn state(config: &ConfigRevision, now: Moment) -> Cell {
    if config.confirm_until_unix_ms > 0 {
        let left = now.age(Moment(config.confirm_until_unix_ms));
        return Cell::toned(
            format!("in use, back to {} in {left} unless confirmed", config.back_to),
            Tone::Warning,
        );
    }
    match config.other_than_file {
        true => Cell::toned("in use, not the file", Tone::Warning),
        false => Cell::toned("in use", Tone::Good),
    }
}

/// A confirmation.
pub(super) fn confirmed(confirmed: &ConfirmConfigResponse, palette: Palette) -> String {
    let number = confirmed.config.as_ref().map(|config| config.number).unwrap_or_default();
    let done = palette.paint(Tone::Good, "confirmed");
    let mut text = format!("configuration {number}: {done}\n");
    if !confirmed.not_kept.is_empty() {
        let heading = palette.paint(Tone::Bad, "forgets the confirmation");
        text.push_str(&format!("A restart of maglev-brain {heading}: {}\n", printable(&confirmed.not_kept)));
    }
    text
}

/// Every diagnostic, then a line with the effect of a reload.
pub(super) fn check(check: &CheckConfigResponse, palette: Palette) -> String {
    let mut text = findings(&check.findings);
    if let Some(preview) = &check.preview {
        text.push_str(&preview::text(preview));
    }
    let warnings = counted(check.warnings.into(), "warning");
    let verdict = match check.verdict() {
        ConfigVerdict::Fine => {
            let ok = palette.paint(Tone::Good, "OK");
            let warnings = if check.warnings == 0 { "no warnings" } else { &warnings };
            let effect = match check.changes.as_str() {
                "nothing changed" => " nothing".to_owned(),
                changes => format!(": {}", printable(changes)),
            };
            format!("{ok}, {warnings}; a reload would change{effect}")
        }
        _ => {
            let errors = counted(check.errors.into(), "error");
            let word = words::of::<ConfigVerdict>(check.verdict).replace('-', " ");
            let word = palette.paint(Tone::Bad, &word);
            format!("{word} ({errors}, {warnings}); a reload would be refused")
        }
    };
    text.push_str(&format!("{}: {verdict}\n", printable(&check.file)));
    text
}

/// Every warning, overrides without a target, then a line with the changes.
pub(super) fn reload(reload: &ReloadConfigResponse, now: Moment, palette: Palette) -> String {
    let mut text = findings(&reload.warnings);
    if !reload.unmatched.is_empty() {
        let heading = "Overrides without a target in the configuration, kept in case it returns:";
        text.push_str(&format!("{}\n", palette.paint(Tone::Warning, heading)));
        text.push_str(&overrides::list(&reload.unmatched, now, palette));
        text.push('\n');
    }
    let done = palette.paint(Tone::Good, "reloaded");
    let outcome = reload.outcome.clone().unwrap_or_default();
    let vpp = match outcome.in_vpp() {
        // The configuration is unchanged.
        InVpp::NotAsked => String::new(),
        _ => format!("; {}", changes::in_vpp(&outcome, palette)),
    };
    text.push_str(&format!("{}: {done}; {}{vpp}\n", printable(&reload.file), printable(&reload.changes)));
    if let Some(config) = reload.config.as_ref().filter(|config| config.confirm_until_unix_ms > 0) {
        let left = now.age(Moment(config.confirm_until_unix_ms));
        let (number, back_to) = (config.number, config.back_to);
        text.push_str(&format!(
            "configuration {number} goes back to {back_to} in {left} unless `config confirm` keeps it\n"
        ));
    }
    if !outcome.not_kept.is_empty() {
        let heading = palette.paint(Tone::Bad, "undo a part of this");
        text.push_str(&format!(
            "A restart of maglev-brain would {heading}: {}\n",
            printable(&outcome.not_kept)
        ));
    }
    text
}

fn findings(findings: &[String]) -> String {
    findings.iter().map(|finding| format!("{}\n\n", printable_lines(finding))).collect()
}

#[cfg(test)]
mod tests;
