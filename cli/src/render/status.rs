//! `show status`.

use maglev_proto::{BrainStatus, ConfigRevision, Reload, WarmupPhase};

use super::vpp::state_with_reason;
use super::{configuration, counted, problems};
use crate::moment::{Moment, span};
use crate::style::{Palette, Tone};
use crate::table::{Cell, Properties};

/// The whole status page.
pub(super) fn status(status: &BrainStatus, now: Moment, palette: Palette) -> String {
    let agent = status.agent.clone().unwrap_or_default();
    let agent_state = if agent.connected { "connected" } else { "not connected" };
    let mut properties = Properties::default();
    let configuration = match status.config_since_unix_ms {
        0 => status.config_file.clone(),
        at => format!("{}, loaded {} ago", status.config_file, Moment(at).age(now)),
    };
    properties
        .put("Health", health(status))
        .put("maglev-brain", Cell::new(format!("{}, up {}", status.version, span(status.uptime_ms))))
        .put("Configuration", Cell::new(configuration));
    if let Some(config) = &status.config {
        properties.put("In use", in_use(config, now));
    }
    properties
        .put("Last reload", reload(status.last_reload.as_ref(), now))
        .put("Warm-up", warmup(status))
        .put("Frontends", frontends(status))
        .put("Backends", up(status.backends_up, status.backends))
        .put("Overrides", overrides(status))
        .put("Agent", state_with_reason(agent_state, &agent.reason))
        .put("VPP", state_with_reason(&status.vpp_state, ""));
    let problems = problems::list(&status.problems, status.problems_left_out.into(), now, palette);
    problems + &properties.render(palette)
}

/// Which of the applied configurations.
fn in_use(config: &ConfigRevision, now: Moment) -> Cell {
    let by = if config.who.is_empty() { String::new() } else { format!(" by {}", config.who) };
    let state = configuration::state(config, now);
    // The name of the line says that it is in use.
    let rest = state.text().trim_start_matches("in use");
    Cell::toned(format!("number {} ({}{by}){rest}", config.number, config.origin), state.tone())
}

fn health(status: &BrainStatus) -> Cell {
    let count = status.problems.len() as u64 + u64::from(status.problems_left_out);
    let words = if count == 0 { "all is well".to_owned() } else { counted(count, "problem") };
    Cell::toned(words, problems::tone(&status.problems))
}

fn reload(reload: Option<&Reload>, now: Moment) -> Cell {
    let Some(reload) = reload else { return Cell::new("none since the start") };
    let (word, tone) = if reload.taken { ("taken", Tone::Good) } else { ("refused", Tone::Bad) };
    let age = Moment(reload.at_unix_ms).age(now);
    Cell::toned(format!("{word} {age} ago: {}", reload.result), tone)
}

fn warmup(status: &BrainStatus) -> Cell {
    let left = span(status.next_phase_in_ms);
    match status.warmup() {
        WarmupPhase::Releasing if status.frontends_held_back == 0 => {
            Cell::toned("over: no frontend is held back", Tone::Good)
        }
        WarmupPhase::Over => Cell::toned("over", Tone::Good),
        WarmupPhase::Waiting => Cell::toned(
            format!("waiting, {left} left: VPP is not written to unless it is empty"),
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
        (status.frontends_failed, "not programmed"),
    ];
    let mut words = format!("{} of {} up", status.frontends_up, status.frontends);
    for (count, note) in notes.iter().filter(|(count, _)| *count > 0) {
        words.push_str(&format!(", {count} {note}"));
    }
    let all_well = notes.iter().all(|(count, _)| *count == 0);
    let tone = up(status.frontends_up, status.frontends).tone();
    Cell::toned(words, if tone == Tone::Good && !all_well { Tone::Warning } else { tone })
}

fn up(up: u32, all: u32) -> Cell {
    let tone = match up {
        up if up == all => Tone::Good,
        0 => Tone::Bad,
        _ => Tone::Warning,
    };
    Cell::toned(format!("{up} of {all} up"), tone)
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
        (all, unmatched) => Cell::toned(format!("{all}, {unmatched} without a target"), Tone::Warning),
    }
}

#[cfg(test)]
mod tests;
