//! `show status`.

use maglev_proto::{BrainStatus, WarmupPhase};

use super::vpp::state_with_reason;
use crate::moment::span;
use crate::style::{Palette, Tone};
use crate::table::{Cell, Properties};

/// All of it on one page.
pub(super) fn status(status: &BrainStatus, palette: Palette) -> String {
    let agent = status.agent.clone().unwrap_or_default();
    let agent_state = if agent.connected { "connected" } else { "not connected" };
    let mut properties = Properties::default();
    properties
        .put("maglev-brain", Cell::new(format!("{}, up {}", status.version, span(status.uptime_ms))))
        .put("Configuration", Cell::new(&status.config_file))
        .put("Warm-up", warmup(status))
        .put("Frontends", frontends(status))
        .put("Backends", up(status.backends_up, status.backends))
        .put("Overrides", overrides(status))
        .put("Agent", state_with_reason(agent_state, &agent.reason))
        .put("VPP", state_with_reason(&status.vpp_state, ""));
    properties.render(palette)
}

fn warmup(status: &BrainStatus) -> Cell {
    let left = span(status.next_phase_in_ms);
    match status.warmup() {
        WarmupPhase::Over => Cell::toned("over", Tone::Good),
        WarmupPhase::Waiting => Cell::toned(
            format!("waiting, {left} left: a VPP that has something is not touched"),
            Tone::Warning,
        ),
        WarmupPhase::Releasing => Cell::toned(
            format!("releasing, {left} left: each frontend waits for its backends to be known"),
            Tone::Warning,
        ),
        WarmupPhase::Unspecified => Cell::toned("unspecified", Tone::Warning),
    }
}

fn frontends(status: &BrainStatus) -> Cell {
    let notes = [
        (status.frontends_held_back, "held back"),
        (status.frontends_in_panic, "in panic"),
        (status.frontends_failed, "refused by VPP"),
    ];
    let mut words = format!("{} of {} up", status.frontends_up, status.frontends);
    for (count, note) in notes.iter().filter(|(count, _)| *count > 0) {
        words.push_str(&format!(", {count} {note}"));
    }
    let all_well = status.frontends_up == status.frontends && notes.iter().all(|(count, _)| *count == 0);
    Cell::toned(words, if all_well { Tone::Good } else { Tone::Warning })
}

fn up(up: u32, all: u32) -> Cell {
    Cell::toned(format!("{up} of {all} up"), if up == all { Tone::Good } else { Tone::Warning })
}

fn overrides(status: &BrainStatus) -> Cell {
    if !status.not_kept.is_empty() {
        let words =
            format!("{}, a restart would forget the last change: {}", status.overrides, status.not_kept);
        return Cell::toned(words, Tone::Bad);
    }
    match (status.overrides, status.overrides_unmatched) {
        (0, _) => Cell::new("none"),
        (all, 0) => Cell::toned(all.to_string(), Tone::Warning),
        (all, unmatched) => {
            Cell::toned(format!("{all}, {unmatched} for what is not configured"), Tone::Warning)
        }
    }
}

#[cfg(test)]
mod tests;
