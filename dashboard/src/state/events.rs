//! A brain's events as browsers show them.

use maglev_proto::event::What;
use maglev_proto::frontend_event::Changed;
use maglev_proto::words;
use maglev_proto::{BackendState, Event, FrontendEvent, FrontendState, LogLevel, LogLine};
use serde_json::Value;

use crate::documents::Document;
use crate::rows::text;

/// What is shown; nothing for probes and what is no event.
pub(super) fn entry(server: &str, event: &Event) -> Option<Document> {
    let mut entry = match event.what.as_ref()? {
        What::Backend(change) => Document::from([
            ("kind", "backend".into()),
            ("name", change.backend.clone().into()),
            ("from", words::of::<BackendState>(change.from).into()),
            ("to", words::of::<BackendState>(change.to).into()),
            ("text", text(&change.cause)),
        ]),
        What::Frontend(change) => frontend(change)?,
        What::Agent(agent) => Document::from([
            ("kind", "agent".into()),
            ("to", if agent.connected { "connected" } else { "disconnected" }.into()),
            ("text", text(if agent.connected { &agent.version } else { &agent.reason })),
        ]),
        What::Vpp(vpp) => Document::from([
            ("kind", "vpp".into()),
            ("to", vpp.state.clone().into()),
            ("text", text(if vpp.reason.is_empty() { &vpp.version } else { &vpp.reason })),
        ]),
        What::Configuration(change) => Document::from([
            ("kind", if change.command { "command" } else { "reload" }.into()),
            ("text", text(&change.changes)),
            ("who", text(&change.who)),
        ]),
        What::VppWrite(write) => Document::from([
            ("kind", if write.error.is_empty() { "write" } else { "refused" }.into()),
            ("name", text(if write.frontend.is_empty() { &write.vip } else { &write.frontend })),
            ("text", text(&write.text)),
            ("error", text(&write.error)),
        ]),
        What::Log(line) => log(line),
        What::Missed(missed) => Document::from([
            ("kind", "missed".into()),
            ("text", format!("{} events were left out", missed.events).into()),
        ]),
        What::Probe(_) | What::Weights(_) | What::InitialStateEnd(_) => return None,
    };
    entry.insert("server", server.into());
    entry.insert("at", event.at_unix_ms.into());
    Some(entry)
}

fn frontend(change: &FrontendEvent) -> Option<Document> {
    let pool = |name: &str| if name.is_empty() { "no pool".to_owned() } else { format!("pool {name}") };
    let state = words::of::<FrontendState>(change.state);
    let (from, to, words): (Value, Value, &str) = match change.changed.as_ref() {
        Some(Changed::PreviousState(from)) => (words::of::<FrontendState>(*from).into(), state.into(), ""),
        Some(Changed::PreviousActivePool(from)) => {
            (pool(from).into(), pool(&change.active_pool).into(), "active pool")
        }
        Some(Changed::PreviousPanicPool(from)) => {
            (pool(from).into(), pool(&change.panic_pool).into(), "in panic")
        }
        Some(Changed::Removed(_)) => (Value::Null, "removed".into(), "removed from the configuration"),
        None if change.held_back => (Value::Null, "held back".into(), "VPP is not programmed yet"),
        None => (Value::Null, state.into(), ""),
    };
    Some(Document::from([
        ("kind", "frontend".into()),
        ("name", change.frontend.clone().into()),
        ("from", from),
        ("to", to),
        ("text", text(words)),
    ]))
}

fn log(line: &LogLine) -> Document {
    let fields: String =
        line.fields.iter().map(|field| format!(" {}={:?}", field.name, field.value)).collect();
    Document::from([
        ("kind", "log".into()),
        ("level", words::of::<LogLevel>(line.level).into()),
        ("text", format!("{}{fields}", line.message).into()),
    ])
}
