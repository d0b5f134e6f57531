//! `show agent`.

use maglev_proto::AgentInfo;

use super::vpp::{put_known, put_refused, state_with_reason};
use crate::moment::Moment;
use crate::style::{Palette, Tone, printable};
use crate::table::{Cell, Properties};

/// The connection, and the agent's details.
pub(super) fn info(agent: &AgentInfo, now: Moment, palette: Palette) -> String {
    let state = if agent.connected { "connected" } else { "not connected" };
    let mut properties = Properties::default();
    properties.put("Agent", state_with_reason(state, &agent.reason));
    put_known(&mut properties, "Socket", &agent.socket);
    put_known(&mut properties, "Version", &agent.version);
    if agent.protocol != 0 {
        properties.put("Protocol", Cell::number(agent.protocol));
    }
    if agent.pid != 0 {
        properties.put("PID", Cell::number(agent.pid));
    }
    for (label, at) in [("Started", agent.started_unix_ms), ("Connected", agent.connected_unix_ms)] {
        if at != 0 {
            properties.put(label, Cell::new(Moment(at).iso_with_age(now)));
        }
    }
    properties.put("Connections", Cell::new(format!("{} since maglev-brain's start", agent.connections)));
    if !agent.no_echo.is_empty() {
        let words = format!("not possible: {}", printable(&agent.no_echo));
        properties.put("Echo requests", Cell::toned(words, Tone::Warning));
    }
    put_refused(&mut properties, &agent.settings_refused);
    if let Some(newest) = agent.drift.first() {
        let at = Moment(agent.drift_at_unix_ms).iso_with_age(now);
        let words = format!("{}, corrected; last {at}: {}", agent.drift_total, printable(newest));
        properties.put("Drift", Cell::toned(words, Tone::Warning));
    }
    if !agent.foreign.is_empty() {
        let words = format!("{} (outside the agent's policy; left as they are)", agent.foreign.join(", "));
        properties.put("Foreign VIPs", Cell::toned(words, Tone::Warning));
    }
    properties.render(palette)
}

#[cfg(test)]
mod tests;
