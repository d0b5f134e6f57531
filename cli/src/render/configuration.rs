//! `config`.

use maglev_proto::words;
use maglev_proto::{CheckConfigResponse, ConfigVerdict, InVpp, ReloadConfigResponse};

use super::{changes, counted, overrides};
use crate::moment::Moment;
use crate::preview;
use crate::style::{Palette, Tone, printable, printable_lines};

/// Every finding, then a line that tells what a reload would do.
pub(super) fn check(check: &CheckConfigResponse, palette: Palette) -> String {
    let mut text = findings(&check.findings);
    if let Some(preview) = &check.preview {
        text.push_str(&preview::text(preview));
    }
    let warnings = counted(check.warnings.into(), "warning");
    let verdict = match check.verdict() {
        ConfigVerdict::Fine => {
            let fine = palette.paint(Tone::Good, "fine");
            format!("{fine} ({warnings}); a reload: {}", printable(&check.changes))
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

/// Every warning, what operators have set in vain, then a line that tells what has changed.
pub(super) fn reload(reload: &ReloadConfigResponse, now: Moment, palette: Palette) -> String {
    let mut text = findings(&reload.warnings);
    if !reload.unmatched.is_empty() {
        let heading = "Set by operators for what the configuration does not have; kept for its return:";
        text.push_str(&format!("{}\n", palette.paint(Tone::Warning, heading)));
        text.push_str(&overrides::list(&reload.unmatched, now, palette));
        text.push('\n');
    }
    let done = palette.paint(Tone::Good, "reloaded");
    let outcome = reload.outcome.clone().unwrap_or_default();
    let vpp = match outcome.in_vpp() {
        // Of a configuration that says the same.
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
