//! Sample events.

use maglev_proto::event::What;
use maglev_proto::frontend_event::Changed;
use maglev_proto::{
    AgentEvent, BackendEvent, BackendState, ConfigurationEvent, Event, FleetEvent, FrontendEvent,
    FrontendState, InitialStateEnd, LogField, LogLevel, LogLine, MissedEvents, VppEvent,
};

use super::{HOUR, NOW, SECOND};

/// Events for a watcher of everything who then falls behind.
pub(crate) fn events() -> Vec<Event> {
    let at = |ago: u64, initial, what| Event { at_unix_ms: NOW - ago, initial, what: Some(what) };
    let backend = |name: &str, from: BackendState, to: BackendState, cause: &str| {
        let (from, to) = (from.into(), to.into());
        What::Backend(BackendEvent { backend: name.into(), from, to, cause: cause.into() })
    };
    let frontend = |state: FrontendState, active_pool: &str, changed| {
        What::Frontend(FrontendEvent {
            frontend: "shop".into(),
            state: state.into(),
            active_pool: active_pool.into(),
            changed,
            ..FrontendEvent::default()
        })
    };
    let vpp = |state: &str, version: &str, reason: &str| {
        What::Vpp(VppEvent { state: state.into(), version: version.into(), reason: reason.into() })
    };
    let log = LogLine {
        level: LogLevel::Warn.into(),
        target: "maglev_brain::probe".into(),
        message: "no answer".into(),
        fields: vec![LogField { name: "backend".into(), value: "web1".into() }],
    };
    vec![
        at(
            HOUR,
            true,
            What::Agent(AgentEvent { connected: true, version: "0.2.0".into(), ..AgentEvent::default() }),
        ),
        at(HOUR, true, vpp("connected", "26.10-rc0~374", "")),
        at(HOUR, true, backend("web1", BackendState::Unspecified, BackendState::Up, "L7OK: HTTP 200")),
        at(HOUR, true, frontend(FrontendState::Up, "primary", None)),
        at(HOUR, false, What::InitialStateEnd(InitialStateEnd {})),
        at(
            10 * SECOND,
            false,
            What::Fleet(FleetEvent {
                text: "rollout of revision 8: soaking".into(),
                ..FleetEvent::default()
            }),
        ),
        at(9 * SECOND, false, What::Log(log)),
        at(
            9 * SECOND,
            false,
            backend("web1", BackendState::Up, BackendState::Down, "L4TOUT: no answer in 1.5s"),
        ),
        at(
            9 * SECOND,
            false,
            frontend(FrontendState::Up, "fallback", Some(Changed::PreviousActivePool("primary".into()))),
        ),
        at(
            8 * SECOND,
            false,
            frontend(FrontendState::Down, "", Some(Changed::PreviousState(FrontendState::Up.into()))),
        ),
        at(7 * SECOND, false, vpp("disconnected", "", "connection reset by peer")),
        at(
            6 * SECOND,
            false,
            What::Configuration(ConfigurationEvent {
                changes: "1 backend added (web4)".into(),
                who: "anna (uid 1000)".to_owned(),
                ..ConfigurationEvent::default()
            }),
        ),
        at(5 * SECOND, false, What::Missed(MissedEvents { events: 12 })),
    ]
}
