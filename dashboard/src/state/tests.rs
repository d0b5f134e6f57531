use maglev_proto::{
    ConfigurationEvent, MemberWeight, Pool, PoolBackend, ProbeResult, SyncState, VipCounters,
};

use super::*;

const SERVER: &str = "lb1";

fn frontend(name: &str, backends: &[&str]) -> Frontend {
    let row = |backend: &&str| PoolBackend {
        backend: (*backend).into(),
        address: format!("10.0.0.{}", backend.len()),
        configured_weight: 100,
        effective_weight: 100,
        programmed_weight: 1,
        state: BackendState::Up.into(),
        ..PoolBackend::default()
    };
    Frontend {
        name: name.into(),
        state: FrontendState::Up.into(),
        sync: SyncState::Synced.into(),
        active_pool: "primary".into(),
        pools: vec![Pool {
            name: "primary".into(),
            backends: backends.iter().map(row).collect(),
            ..Pool::default()
        }],
        ..Frontend::default()
    }
}

fn backend(name: &str, frontends: &[&str]) -> Backend {
    Backend {
        name: name.into(),
        state: BackendState::Up.into(),
        frontends: frontends.iter().map(|name| (*name).to_owned()).collect(),
        ..Backend::default()
    }
}

fn state() -> State {
    let mut state = State::default();
    state.set_backends(
        SERVER,
        vec![backend("web1", &["shop"]), backend("web22", &["shop"])],
        &Need::default(),
    );
    state.set_frontends(SERVER, vec![frontend("shop", &["web1", "web22"])], &Need::default());
    state.documents.take_patch();
    state
}

fn event(what: What) -> Event {
    Event { at_unix_ms: 7, initial: false, what: Some(what) }
}

fn falls(name: &str) -> Event {
    event(What::Backend(BackendEvent {
        backend: name.into(),
        from: BackendState::Up.into(),
        to: BackendState::Down.into(),
        cause: "L4CON: refused".into(),
    }))
}

#[test]
fn a_backend_that_falls_is_shown_before_anything_is_asked_for() {
    let mut state = state();
    let need = state.apply(SERVER, falls("web1"));
    let expected =
        Need { backends: ["web1".into()].into(), frontends: ["shop".into()].into(), ..Need::default() };
    assert_eq!(need, expected);
    let patch = serde_json::to_value(state.documents.take_patch()).unwrap();
    let row = &patch["backends"]["lb1\u{1f}web1"];
    assert_eq!((&row["state"], &row["transitions"][0]["at_unix_ms"]), (&"down".into(), &7.into()));
    assert_eq!(patch["frontends"]["lb1\u{1f}shop"]["up"], 1);
    assert_eq!(patch["fleet"]["shop"]["faults"], serde_json::json!(["degraded"]));
    let (events, left_out) = state.take_events();
    assert_eq!((events.len(), left_out, &events[0]["icon"]), (1, 0, &"down".into()));
}

#[test]
fn an_answer_that_is_older_than_an_event_does_not_undo_it() {
    let mut state = state();
    let need = state.apply(SERVER, falls("web1"));
    // Asked for before the event, and answered after it.
    state.set_backends(SERVER, vec![backend("web1", &["shop"]), backend("web22", &["shop"])], &need);
    let row = state.documents.get(Table::Backends, &key(SERVER, &["web1"])).unwrap();
    assert_eq!(row["state"], "down");
}

#[test]
fn weights_come_with_their_event_and_only_they_are_told() {
    let mut state = state();
    let weight = |effective| MemberWeight {
        pool: "primary".into(),
        backend: "web1".into(),
        effective_weight: effective,
        programmed_weight: effective / 10,
    };
    let change = WeightsEvent {
        frontend: "shop".into(),
        weights: vec![weight(0)],
        sync: SyncState::Synced.into(),
        sync_error: String::new(),
    };
    state.apply(SERVER, event(What::Weights(change)));
    let patch = serde_json::to_value(state.documents.take_patch()).unwrap();
    let expected = serde_json::json!({
        "lb1\u{1f}shop\u{1f}primary\u{1f}web1": { "effective_weight": 0, "expected": 0.0, "programmed_weight": 0 },
        "lb1\u{1f}shop\u{1f}primary\u{1f}web22": { "expected": 100.0 },
    });
    assert_eq!(patch["members"], expected);
}

#[test]
fn what_the_configuration_lost_is_gone_with_all_of_its_rows() {
    let mut state = state();
    state.set_backends(SERVER, vec![backend("web1", &[])], &Need::default());
    state.set_frontends(SERVER, vec![], &Need::default());
    let rows = state.documents.rows();
    assert!(
        rows[&Table::Members].is_empty()
            && rows[&Table::Frontends].is_empty()
            && rows[&Table::Fleet].is_empty()
    );
    assert_eq!(rows[&Table::Backends].len(), 1);
    assert_eq!(state.history(SERVER, "shop"), None);
}

#[test]
fn commands_and_reloads_are_told_apart_with_who() {
    let mut state = state();
    let made = |command| {
        event(What::Configuration(ConfigurationEvent { changes: "x".into(), command, who: "alice".into() }))
    };
    assert_eq!(state.apply(SERVER, made(true)), Need::overrides());
    assert_eq!(state.apply(SERVER, made(false)), Need::all());
    let (events, _) = state.take_events();
    let told: Vec<_> = events.iter().map(|event| (&event["kind"], &event["text"])).collect();
    let (command, reload) = ("alice: x".into(), "configuration reloaded by alice: x".into());
    assert_eq!(told, [(&"command".into(), &command), (&"reload".into(), &reload)]);
}

#[test]
fn writes_and_refusals_of_vpp_are_counted() {
    let mut state = state();
    state.set_brain(SERVER, Document::new());
    let write = |error: &str, flush| VppWriteEvent { error: error.into(), flush, ..VppWriteEvent::default() };
    for write in [write("", true), write("", false), write("no memory", false)] {
        state.apply(SERVER, event(What::VppWrite(write)));
    }
    let expected = json!({
        "writes": 2, "flushes": 1, "refused": 1, "at_unix_ms": 7, "error": "no memory", "error_unix_ms": 7
    });
    assert_eq!(state.documents.get(Table::Brains, SERVER).unwrap()["activity"], expected);
}

#[test]
fn one_override_more_is_one_row_more() {
    let mut state = state();
    let set = |backend: &str| Override { backend: backend.into(), since_unix_ms: 5, ..Override::default() };
    state.set_overrides(SERVER, &[set("web1")]);
    state.documents.take_patch();
    state.set_overrides(SERVER, &[set("web1"), set("web22")]);
    let patch = state.documents.take_patch();
    assert_eq!((patch.len(), patch[&Table::Overrides].len()), (1, 1));
    state.set_overrides(SERVER, &[]);
    let patch = state.documents.take_patch();
    assert!(patch[&Table::Overrides].values().all(Option::is_none) && patch[&Table::Overrides].len() == 2);
}

#[test]
fn events_are_in_the_order_of_their_times_and_bounded() {
    let mut state = state();
    for at in (0..FRESH as u64 + 3).rev() {
        state.happened(rows::object(json!({ "at": at })));
    }
    let (fresh, left_out) = state.take_events();
    assert!(fresh.is_sorted_by_key(|event| event["at"].as_u64()));
    assert_eq!((fresh.len(), left_out), (FRESH, 3));
    for _ in 0..3 {
        (0..FRESH as u64).for_each(|at| state.happened(rows::object(json!({ "at": at }))));
        state.take_events();
    }
    assert_eq!(state.events().count(), EVENTS);
}

#[test]
fn probes_beat_and_rates_are_counted() {
    let mut state = state();
    let result = ProbeResult {
        passed: true,
        code: "L7OK".into(),
        at_unix_ms: 9,
        duration_ms: 1.5,
        ..ProbeResult::default()
    };
    let probe = |what| ProbeEvent { backend: "web1".into(), what: Some(what), healthcheck: String::new() };
    let server = Arc::from(SERVER);
    let beat = state.probe(&server, probe(probe_event::What::Started(true))).unwrap();
    assert_eq!((beat.backend.as_str(), beat.ended), ("web1", None));
    let beat = state.probe(&server, probe(probe_event::What::Result(result))).unwrap();
    assert_eq!(beat.ended, Some((9, 1.5, true)));
    for (at, packets) in [(1_000, 0), (6_000, 500)] {
        let vip =
            VipCounters { frontend: "shop".into(), existing_sessions: packets, ..VipCounters::default() };
        state.count(SERVER, at, &VpplbCounters { age_ms: 0, vips: vec![vip] });
    }
    let row = state.documents.get(Table::Frontends, &key(SERVER, &["shop"])).unwrap();
    assert_eq!(row["packets"], 100.0);
    let history = state.history(SERVER, "shop").unwrap();
    assert_eq!(history["probes"]["web1"], serde_json::json!([[9, 1.5, true]]));
    assert_eq!(history["traffic"].as_array().unwrap().len(), 1);
    assert_eq!(state.backends_of(&["shop".into()]).len(), 2);
}
