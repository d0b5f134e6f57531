//! Messages to watchers: the current state, and changes.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use maglev_engine::core::{self, FrontendChange, FrontendNow, Notice};
use maglev_engine::health::State;
use maglev_engine::history::Kind;
use maglev_engine::routes::Announcement;
use maglev_engine::snapshot::{AgentStatus, BackendView, RouteView, RouterStatus, Snapshot};
use maglev_proto::event::What;
use maglev_proto::frontend_event::Changed;
use maglev_proto::{
    AgentEvent, BackendEvent, BackendState, ConfigurationEvent, Event, FleetEvent, FrontendEvent,
    FrontendState, InitialStateEnd, LogField, LogLevel, LogLine, MissedEvents, NoteEvent, PoolCapacity,
    RouteEvent, RouterEvent, VppEvent,
};
use tracing::Level;

use super::{frontend_state, proto_state, routes, unix_ms, vpp};
use crate::logs::Line;

/// The requested parts of the current state, sorted by name within each kind. Lazy.
pub(in crate::grpc) fn state(
    snapshot: &Snapshot,
    config_file: &str,
    at: SystemTime,
) -> impl Iterator<Item = Event> + Send + use<> {
    let agent = &snapshot.agent;
    let file = ConfigurationEvent { changes: config_file.to_owned(), ..ConfigurationEvent::default() };
    let first = [What::Configuration(file), agent_event(agent), vpp_event(agent)];
    let router = (!snapshot.routes.is_empty()).then(|| router_event(&snapshot.router));
    let routes = snapshot.routes.clone().into_iter();
    let routes = routes.map(|(address, view)| What::Route(route_event(address, &view, None)));
    // Both maps share their data with the snapshot.
    let backends = snapshot.backends.clone().into_iter();
    let backends = backends.map(|(name, view)| What::Backend(backend_now(&name, &view)));
    let frontends = snapshot.frontends.clone().into_iter().map(|(name, view)| {
        let now = FrontendNow::of(&view);
        What::Frontend(frontend_event(&name, Some(&now), None))
    });
    let end = What::InitialStateEnd(InitialStateEnd {});
    let all = first.into_iter().chain(router).chain(backends).chain(frontends).chain(routes).chain([end]);
    all.map(move |what| Event { initial: true, ..event(at, what) })
}

/// A change.
pub(in crate::grpc) fn change(at: SystemTime, change: &core::Event, who: Option<&str>) -> Event {
    let what = match change {
        core::Event::Backend { backend, transition } => What::Backend(BackendEvent {
            backend: backend.to_string(),
            from: proto_state(transition.from).into(),
            to: proto_state(transition.to).into(),
            cause: transition.cause.to_string(),
        }),
        core::Event::Damped { backend, .. }
        | core::Event::Asked { backend, .. }
        | core::Event::Overruled { backend, .. } => {
            What::Note(NoteEvent { backend: backend.to_string(), text: change.remark() })
        }
        core::Event::Guard { .. } | core::Event::CutOff { .. } => {
            What::Note(NoteEvent { backend: String::new(), text: change.remark() })
        }
        core::Event::BackendAdded { backend } => What::Backend(BackendEvent {
            backend: backend.to_string(),
            from: BackendState::Removed.into(),
            to: proto_state(State::Unknown).into(),
            cause: "added to the configuration".to_owned(),
        }),
        core::Event::Frontend { frontend, change, now } => {
            let pool = |name: &Option<String>| name.clone().unwrap_or_default();
            let changed = match change {
                FrontendChange::Added | FrontendChange::HeldBack => None,
                FrontendChange::ActivePool(from) => Some(Changed::PreviousActivePool(pool(from))),
                FrontendChange::Panic(from) => Some(Changed::PreviousPanicPool(pool(from))),
                FrontendChange::State(from) => Some(Changed::PreviousState(frontend_state(*from).into())),
                FrontendChange::MinUp { pool, capacity } => Some(Changed::MinUp(PoolCapacity {
                    pool: pool.clone(),
                    up: capacity.up,
                    backends: capacity.total,
                    min_up: capacity.min_up,
                    below_min_up: now.below_min_up.contains(pool),
                })),
            };
            What::Frontend(frontend_event(frontend, Some(now), changed))
        }
        core::Event::FrontendRemoved { frontend } => {
            What::Frontend(frontend_event(frontend, None, Some(Changed::Removed(true))))
        }
        core::Event::Route { address, from, view } => What::Route(route_event(*address, view, *from)),
        core::Event::Router { status } => router_event(status),
        core::Event::Agent { status } => agent_event(status),
        core::Event::Vpp { status } => vpp_event(status),
        core::Event::Reloaded { changes } => configuration(changes, false, who),
        core::Event::Announced(Notice { kind: Kind::Fleet, what, is_problem }) => {
            let who = who.unwrap_or_default().to_owned();
            What::Fleet(FleetEvent { text: what.clone(), problem: *is_problem, who })
        }
        core::Event::Announced(Notice { what, .. }) => configuration(what, false, who),
        core::Event::Operator { command, reason } => {
            let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            configuration(&format!("{command}{why}"), true, who)
        }
        core::Event::Expires { entry, left } => {
            let left = humantime::format_duration(Duration::from_secs(left.as_secs()));
            configuration(&format!("override ends in {left}: {entry}"), true, who)
        }
        core::Event::Expired { entry } => {
            configuration(&format!("override cleared, its time is over: {entry}"), true, who)
        }
    };
    event(at, what)
}

/// A line of the log.
pub(in crate::grpc) fn line(line: &Line) -> Event {
    let fields =
        line.fields.iter().map(|(name, value)| LogField { name: (*name).into(), value: value.clone() });
    let told = LogLine {
        level: level(line.level).into(),
        target: line.target.to_owned(),
        message: line.message.clone(),
        fields: fields.collect(),
    };
    event(line.at, What::Log(told))
}

/// The number of events missed.
pub(in crate::grpc) fn missed(at: SystemTime, events: u64) -> Event {
    event(at, What::Missed(MissedEvents { events }))
}

fn event(at: SystemTime, what: What) -> Event {
    Event { at_unix_ms: unix_ms(at), initial: false, what: Some(what) }
}

fn backend_now(name: &str, view: &BackendView) -> BackendEvent {
    let newest = view.health.history().next();
    BackendEvent {
        backend: name.to_owned(),
        from: BackendState::Unspecified.into(),
        to: proto_state(view.health.state()).into(),
        cause: newest.map_or_else(String::new, |transition| transition.cause.to_string()),
    }
}

fn frontend_event(name: &str, now: Option<&FrontendNow>, changed: Option<Changed>) -> FrontendEvent {
    let state = now.map_or(FrontendState::Unspecified, |now| frontend_state(now.state));
    FrontendEvent {
        frontend: name.to_owned(),
        state: state.into(),
        active_pool: now.and_then(|now| now.active_pool.clone()).unwrap_or_default(),
        panic_pool: now.and_then(|now| now.panic_pool.clone()).unwrap_or_default(),
        pools_below_min_up: now.map(|now| now.below_min_up.clone()).unwrap_or_default(),
        held_back: now.is_some_and(|now| now.held_back),
        changed,
    }
}

fn route_event(address: IpAddr, view: &RouteView, from: Option<Announcement>) -> RouteEvent {
    RouteEvent {
        address: address.to_string(),
        frontends: view.frontends.iter().map(ToString::to_string).collect(),
        announcement: routes::announcement(view.route.announcement).into(),
        previous: routes::announcement(from).into(),
        reason: view.route.reason.to_string(),
    }
}

fn router_event(status: &RouterStatus) -> What {
    let restored = status.restored.iter().map(ToString::to_string).collect();
    What::Router(RouterEvent { router: Some(routes::router(status)), restored })
}

fn agent_event(status: &AgentStatus) -> What {
    let agent = vpp::agent(status);
    What::Agent(AgentEvent { connected: agent.connected, version: agent.version, reason: agent.reason })
}

fn vpp_event(status: &AgentStatus) -> What {
    let vpp = vpp::info_of(status);
    What::Vpp(VppEvent { state: vpp.state, version: vpp.version, reason: vpp.reason })
}

fn configuration(changes: &str, command: bool, who: Option<&str>) -> What {
    let who = who.unwrap_or_default().to_owned();
    What::Configuration(ConfigurationEvent { changes: changes.to_owned(), command, who })
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}
