//! `config`.

use maglev_proto::words;
use maglev_proto::{CheckConfigResponse, ConfigVerdict, InVpp, ReloadConfigResponse};

use super::{changes, counted, overrides};
use crate::moment::Moment;
use crate::preview;
use crate::style::{Palette, Tone, printable, printable_lines};

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
    if !outcome.not_kept.is_empty() {
        let heading = palette.paint(Tone::Bad, "back after a restart");
        let reason = printable(&outcome.not_kept);
        text.push_str(&format!("Overrides that the reload removed are {heading}: {reason}\n"));
    }
    text
}

fn findings(findings: &[String]) -> String {
    findings.iter().map(|finding| format!("{}\n\n", printable_lines(finding))).collect()
}

#[cfg(test)]
mod tests;
