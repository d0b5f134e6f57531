//! A brain's events as browsers show them.

use maglev_proto::event::What;
use maglev_proto::frontend_event::Changed;
use maglev_proto::words::{self, Word};
use maglev_proto::{Announcement, BackendState, Event, FrontendEvent, FrontendState, LogLevel, PoolCapacity};
use serde_json::json;

use crate::documents::Document;
use crate::rows::object;

/// What is shown: a kind, by which people choose, a picture and words. Nothing for probes and what is no event.
pub(super) fn entry(server: &str, event: &Event) -> Option<Document> {
    let (kind, icon, text) = match event.what.as_ref()? {
        What::Backend(change) => {
            let (from, to) = (words::of::<BackendState>(change.from), words::of::<BackendState>(change.to));
            ("backend", to, format!("backend {} {from} → {to}{}", change.backend, because(&change.cause)))
        }
        What::Note(note) => {
            let of =
                if note.backend.is_empty() { String::new() } else { format!("backend {}: ", note.backend) };
            ("backend", "warn", of + &note.text)
        }
        What::Frontend(change) => {
            let (icon, words) = frontend(change);
            ("frontend", icon, format!("frontend {} {words}", change.frontend))
        }
        What::Agent(agent) => {
            let (to, why) = match agent.connected {
                true => ("connected", &agent.version),
                false => ("disconnected", &agent.reason),
            };
            return Some(connection(server, "agent", event.at_unix_ms, to, why));
        }
        What::Vpp(vpp) => {
            let why = if vpp.reason.is_empty() { &vpp.version } else { &vpp.reason };
            return Some(connection(server, "VPP", event.at_unix_ms, &vpp.state, why));
        }
        What::Route(change) => {
            let to = words::of::<Announcement>(change.announcement);
            let icon = if change.announcement() == Announcement::Withdrawn { "warn" } else { "link" };
            ("route", icon, format!("route of {} {to}{}", change.address, because(&change.reason)))
        }
        What::Router(change) => {
            let router = change.router.clone().unwrap_or_default();
            let (to, why) = match router.connected {
                true => ("connected", &router.version),
                false => ("disconnected", &router.reason),
            };
            return Some(connection(server, "router", event.at_unix_ms, to, why));
        }
        What::Configuration(change) if change.command => {
            let who = if change.who.is_empty() { String::new() } else { format!("{}: ", change.who) };
            ("command", "play", who + &change.changes)
        }
        What::Configuration(change) => {
            let who = if change.who.is_empty() { String::new() } else { format!(" by {}", change.who) };
            ("reload", "play", format!("configuration reloaded{who}{}", because(&change.changes)))
        }
        What::Fleet(news) => {
            let who = if news.who.is_empty() { String::new() } else { format!("{}: ", news.who) };
            ("fleet", if news.problem { "warn" } else { "link" }, format!("fleet: {who}{}", news.text))
        }
        What::VppWrite(write) => {
            let name = if write.frontend.is_empty() { &write.vip } else { &write.frontend };
            match write.error.as_str() {
                "" => ("write", "link", format!("VPP: {name} {}", write.text)),
                error => ("write", "warn", format!("VPP refused: {name} {}: {error}", write.text)),
            }
        }
        What::Log(line) => {
            let fields: String =
                line.fields.iter().map(|field| format!(" {}={:?}", field.name, field.value)).collect();
            ("log", "warn", format!("{}: {}{fields}", words::of::<LogLevel>(line.level), line.message))
        }
        What::Missed(missed) => ("log", "unknown", format!("{} events were left out", missed.events)),
        What::Probe(_) | What::Weights(_) | What::InitialStateEnd(_) => return None,
    };
    Some(object(
        json!({ "kind": kind, "server": server, "at": event.at_unix_ms, "icon": icon, "text": text }),
    ))
}

/// A connection that came or went.
pub(crate) fn connection(server: &str, of: &str, at_ms: u64, to: &str, why: &str) -> Document {
    let (icon, text) = (if to == "connected" { "up" } else { "down" }, format!("{of} {to}{}", because(why)));
    object(json!({ "kind": "connection", "server": server, "at": at_ms, "icon": icon, "text": text }))
}

fn because(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {why}") }
}

fn frontend(change: &FrontendEvent) -> (&'static str, String) {
    let pool = |name: &str| if name.is_empty() { "no pool".to_owned() } else { format!("pool {name}") };
    let state = words::of::<FrontendState>(change.state);
    match change.changed.as_ref() {
        Some(Changed::PreviousState(from)) => {
            let icon = if change.state() == FrontendState::Unknown { "warn" } else { state };
            (icon, format!("{} → {state}", words::of::<FrontendState>(*from)))
        }
        Some(Changed::PreviousActivePool(from)) => {
            ("warn", format!("active {} → {}", pool(from), pool(&change.active_pool)))
        }
        Some(Changed::PreviousPanicPool(from)) => {
            ("warn", format!("in panic: {} → {}", pool(from), pool(&change.panic_pool)))
        }
        Some(Changed::MinUp(PoolCapacity { pool, up, backends, min_up, below_min_up })) => {
            let min_up = min_up.map(|min_up| format!(", min-up {min_up}")).unwrap_or_default();
            let (icon, words) = if *below_min_up { ("warn", "below") } else { ("up", "no longer below") };
            (icon, format!("pool {pool} {words} its min-up: {up} of {backends} up{min_up}"))
        }
        Some(Changed::Removed(_)) => ("warn", "removed from the configuration".to_owned()),
        None if change.held_back => ("warn", "held back: VPP is not programmed yet".to_owned()),
        None => (change.state().word(), state.to_owned()),
    }
}
