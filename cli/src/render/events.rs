//! `watch events`: one line each. Future lines are unknown, so columns have the width of typical values.

use maglev_proto::event::What;
use maglev_proto::frontend_event::Changed;
use maglev_proto::words::{self, Word};
use maglev_proto::{
    Announcement, BackendEvent, BackendState, Event, FrontendEvent, FrontendState, LogLevel, LogLine,
    PoolCapacity, RouteEvent,
};

use super::vpp::state_with_reason;
use super::{Toned, counted};
use crate::moment::Moment;
use crate::style::{Palette, Tone, printable};

/// One line, ended.
pub(crate) fn event(event: &Event, palette: Palette) -> String {
    let at = palette.paint(Tone::Faint, &Moment(event.at_unix_ms).iso()).into_owned();
    let (kind, words) = match &event.what {
        Some(What::Backend(change)) => ("backend", backend(change, event.initial, palette)),
        Some(What::Note(note)) => {
            let name = if note.backend.is_empty() { String::new() } else { printable(&note.backend) + "  " };
            ("backend", name + &palette.paint(Tone::Warning, &printable(&note.text)))
        }
        Some(What::Frontend(change)) => ("frontend", frontend(change, event.initial, palette)),
        Some(What::Agent(agent)) => {
            let state = if agent.connected { "connected" } else { "not connected" };
            ("agent", connection(state, &agent.version, &agent.reason, palette))
        }
        Some(What::Route(change)) => ("route", route(change, event.initial, palette)),
        Some(What::Router(change)) => {
            let router = change.router.clone().unwrap_or_default();
            let state = if router.connected { "connected" } else { "not connected" };
            let lacks = match router.missing.is_empty() {
                true => String::new(),
                false => format!("  lacks {}", printable(&router.missing.join(" "))),
            };
            let restored = match change.restored.as_slice() {
                [] => String::new(),
                restored => format!("  restored {}", printable(&restored.join(" "))),
            };
            let state = state_with_reason(state, &router.reason).paint(palette);
            (
                "router",
                format!("{state}  {}{lacks}{restored}", printable(&router.version)).trim_end().to_owned(),
            )
        }
        Some(What::Vpp(vpp)) => ("vpp", connection(&vpp.state, &vpp.version, &vpp.reason, palette)),
        Some(What::Configuration(change)) => {
            let who = if change.who.is_empty() {
                String::new()
            } else {
                format!("  by {}", printable(&change.who))
            };
            ("configuration", format!("{}{who}", printable(&change.changes)))
        }
        Some(What::Fleet(news)) => {
            let who =
                if news.who.is_empty() { String::new() } else { format!("  by {}", printable(&news.who)) };
            let tone = if news.problem { Tone::Warning } else { Tone::Plain };
            ("fleet", format!("{}{who}", palette.paint(tone, &printable(&news.text))))
        }
        Some(What::Log(line)) => ("log", log(line, palette)),
        Some(What::Missed(missed)) => {
            let missed = counted(missed.events, "event");
            let words =
                format!("{missed} missed, since they were read too slowly; the current state follows");
            ("missed", palette.paint(Tone::Bad, &words).into_owned())
        }
        // Never requested.
        Some(What::Probe(_) | What::Weights(_) | What::VppWrite(_)) => return String::new(),
        Some(What::InitialStateEnd(_)) => ("watching", "current state above, live changes below".to_owned()),
        None => ("unknown", "an event that this maglevc does not know; is maglev-brain newer?".to_owned()),
    };
    format!("{at}  {kind:<13}  {words}\n")
}

fn toned<E: Word + Toned>(value: i32, palette: Palette) -> String {
    let tone = E::try_from(value).map_or(Tone::Warning, |known| known.tone());
    palette.paint(tone, words::of::<E>(value)).into_owned()
}

fn backend(change: &BackendEvent, initial: bool, palette: Palette) -> String {
    let (name, to) = (printable(&change.backend), toned::<BackendState>(change.to, palette));
    let cause =
        if change.cause.is_empty() { String::new() } else { format!("  {}", printable(&change.cause)) };
    if initial || change.from() == BackendState::Unspecified {
        return format!("{name}  {to}{cause}");
    }
    format!("{name}  {} -> {to}{cause}", words::of::<BackendState>(change.from))
}

fn frontend(change: &FrontendEvent, initial: bool, palette: Palette) -> String {
    let name = printable(&change.frontend);
    let state = toned::<FrontendState>(change.state, palette);
    let pool = |name: &str| if name.is_empty() { "none".to_owned() } else { printable(name) };
    let held_back = if change.held_back { "  held back by the warm-up" } else { "" };
    let what = match &change.changed {
        Some(Changed::PreviousState(from)) if !initial => {
            format!("{} -> {state}", words::of::<FrontendState>(*from))
        }
        Some(Changed::PreviousActivePool(from)) if !initial => {
            format!("active pool {} -> {}", pool(from), pool(&change.active_pool))
        }
        Some(Changed::PreviousPanicPool(from)) if !initial => {
            let words = format!("panic {} -> {}", pool(from), pool(&change.panic_pool));
            let tone = if change.panic_pool.is_empty() { Tone::Good } else { Tone::Bad };
            palette.paint(tone, &words).into_owned()
        }
        Some(Changed::MinUp(PoolCapacity { pool, up, backends, min_up, below_min_up })) if !initial => {
            let min_up = min_up.map(|min_up| format!(", min-up {min_up}")).unwrap_or_default();
            let (words, tone) = match below_min_up {
                true => ("below", Tone::Bad),
                false => ("no longer below", Tone::Good),
            };
            let words = format!("pool {} {words} its min-up: {up} of {backends} up{min_up}", printable(pool));
            palette.paint(tone, &words).into_owned()
        }
        Some(Changed::Removed(true)) => "removed from the configuration".to_owned(),
        _ => {
            let panic = match change.panic_pool.as_str() {
                "" => String::new(),
                panic => format!("  panic {}", printable(panic)),
            };
            let below: String = change
                .pools_below_min_up
                .iter()
                .map(|pool| format!("  pool {} below its min-up", printable(pool)))
                .collect();
            format!("{state}  active pool {}{panic}{below}", pool(&change.active_pool))
        }
    };
    format!("{name}  {what}{held_back}")
}

fn route(change: &RouteEvent, initial: bool, palette: Palette) -> String {
    let (address, to) = (printable(&change.address), toned::<Announcement>(change.announcement, palette));
    let from = match initial {
        true => String::new(),
        false => format!("{} -> ", words::of::<Announcement>(change.previous)),
    };
    format!("{address}  {from}{to}  {}", printable(&change.reason))
}

fn connection(state: &str, version: &str, reason: &str, palette: Palette) -> String {
    let state = state_with_reason(state, reason).paint(palette);
    if version.is_empty() { state } else { format!("{state}  version {}", printable(version)) }
}

fn log(line: &LogLine, palette: Palette) -> String {
    let level = toned::<LogLevel>(line.level, palette);
    let fields: String = line
        .fields
        .iter()
        .map(|field| format!(" {}={}", printable(&field.name), printable(&field.value)))
        .collect();
    format!("{level}  {}: {}{fields}", printable(&line.target), printable(&line.message))
}

#[cfg(test)]
mod tests;
