//! Several checks of a backend, flap damping, the servers' own word and the guard, as operators see them.

use maglev_engine::core::Effects;
use maglev_engine::outcome::Share;
use maglev_proto::event::What;

use super::view::problems::Beside;
use super::*;

/// A backend with two checks, and two with one.
fn core() -> Core {
    let text = "
maglev:
  healthchecker: { damping: { suppress: 1500 }, guard: { more-than: 50%, per-second: 1 } }
  vpp: { lb: { ipv4-src-address: 192.0.2.1, startup-min-delay: 0s, startup-max-delay: 0s } }
  healthchecks:
    web: { type: http, rise: 1, fall: 1, params: { agent-header: X-Weight, drain-code: [404, 503] } }
    port: { type: tcp, port: 25, rise: 1, fall: 1 }
  backends:
    b1: { address: 10.0.0.1, healthcheck: [web, port] }
    b2: { address: 10.0.0.2, healthcheck: port }
    b3: { address: 10.0.0.3, healthcheck: port }
  frontends:
    f: { address: 203.0.113.11, pools: [ { name: only, backends: { b1: {}, b2: {}, b3: {} } } ] }
";
    let config = parse("test.yaml", text).unwrap().config;
    Core::new(Arc::new(config), Overrides::default(), "agent.sock".into(), at(1000))
}

fn probe(core: &mut Core, backend: &str, check: usize, code: ProbeCode, asked: Option<u8>) -> Effects {
    let asked = asked.and_then(Share::of);
    let outcome = ProbeOutcome { code, detail: "test".into(), duration: Duration::ZERO, asked };
    let (now, late) = (at(2000), Duration::ZERO);
    let report = Report { backend: backend.into(), check, outcome, late, ended: now.mono };
    core.handle(Input::Probe(report), now)
}

fn shown(core: &Core, backend: &str) -> maglev_proto::Backend {
    let now = Instant::now().into_std();
    view::backend(&core.snapshot(now), backend, now).unwrap()
}

fn notes(effects: &Effects) -> Vec<String> {
    let told = effects.events.iter().map(|event| view::events::change(UNIX_EPOCH, event, None).what);
    let notes = told.filter_map(|what| match what {
        Some(What::Note(note)) => Some(format!("{}: {}", note.backend, note.text)),
        _ => None,
    });
    notes.collect()
}

#[test]
fn each_check_is_shown() {
    let mut core = core();
    probe(&mut core, "b1", 0, ProbeCode::L7Ok, Some(100));
    let down = probe(&mut core, "b1", 1, ProbeCode::L4Con, None);
    assert!(notes(&down).is_empty());
    let b1 = shown(&core, "b1");
    assert_eq!(
        (b1.healthcheck.as_str(), b1.require.as_str(), b1.state()),
        ("web, port", "all", BackendState::Down)
    );
    assert_eq!(b1.transitions[0].cause, "port: L4CON: test");
    assert_eq!(b1.last_probe.as_ref().unwrap().code, "L4CON");
    let checks = b1.checks.iter().map(|check| {
        let code = check.last_probe.as_ref().unwrap().code.clone();
        (check.healthcheck.clone(), check.state().word(), check.counter.unwrap().value, code)
    });
    let expected = [("web", "up", 1, "L7OK"), ("port", "down", 0, "L4CON")];
    let expected =
        expected.map(|(name, state, value, code)| (name.to_owned(), state, value, code.to_owned()));
    assert_eq!(checks.collect::<Vec<_>>(), expected);
    let b2 = shown(&core, "b2");
    assert_eq!((b2.healthcheck.as_str(), b2.require.as_str(), b2.checks.len()), ("port", "", 0));
    let used = view::healthchecks::healthchecks(&core.snapshot(Instant::now().into_std()));
    let users = used.iter().map(|check| (check.name.as_str(), check.backends.len()));
    assert_eq!(users.collect::<Vec<_>>(), [("port", 3), ("web", 1)]);
    let keys: Vec<_> =
        used[1].parameters.iter().map(|found| format!("{} {}", found.key, found.value)).collect();
    assert!(
        keys.contains(&"agent-header X-Weight".to_owned()) && keys.contains(&"drain-code 404,503".to_owned())
    );
}

#[test]
fn a_server_s_own_word_is_shown() {
    let mut core = core();
    probe(&mut core, "b1", 1, ProbeCode::L4Ok, None);
    let up = probe(&mut core, "b1", 0, ProbeCode::L7Okc, Some(0));
    assert_eq!(notes(&up), ["b1: its server drains: it asks for no new flows"]);
    let b1 = shown(&core, "b1");
    assert_eq!((b1.state(), b1.server_share_percent), (BackendState::Up, Some(0)));
    assert_eq!(b1.state_detail, "drained by its server");
    // The first change of one that was up is free, the next has to wait.
    probe(&mut core, "b1", 0, ProbeCode::L7Ok, Some(40));
    assert_eq!(shown(&core, "b1").state_detail, "40% of its weight, by its server's own word");
    probe(&mut core, "b1", 0, ProbeCode::L7Ok, Some(100));
    let waits = "40% of its weight, by its server's own word; it asks for 100% now, which takes effect soon";
    assert_eq!(shown(&core, "b1").state_detail, waits);
}

#[test]
fn damping_and_the_guard_are_shown() {
    let mut core = core();
    for backend in ["b2", "b3"] {
        probe(&mut core, backend, 0, ProbeCode::L4Ok, None);
    }
    probe(&mut core, "b2", 0, ProbeCode::L4Con, None);
    let told = notes(&probe(&mut core, "b3", 0, ProbeCode::L4Con, None));
    assert_eq!(
        told,
        [": 2 of 3 backends went down within one second: the cause is probably here, not there"]
    );
    let b3 = shown(&core, "b3");
    assert_eq!(
        (b3.state(), b3.state_detail.as_str()),
        (BackendState::Up, "failed, and waits for its turn to go down (guard)")
    );
    let now = at(2000);
    let beside = Beside::default();
    let status = view::status::status(&core.snapshot(now.mono), "maglev.yaml".as_ref(), &beside, now);
    let guard = status.problems.iter().find(|problem| problem.kind == "guard").unwrap();
    assert_eq!(
        guard.what,
        "2 of 3 backends went down within one second: the cause is probably here; 1 wait for their turn to go down"
    );
    // The second fall of b2 is one too many.
    probe(&mut core, "b2", 0, ProbeCode::L4Ok, None);
    let later = Now { mono: now.mono + Duration::from_secs(3), ..now };
    core.handle(Input::Tick, later);
    assert_eq!(shown(&core, "b3").state(), BackendState::Down);
    let later = Now { mono: later.mono + Duration::from_secs(3), ..now };
    let outcome =
        ProbeOutcome { code: ProbeCode::L4Con, detail: "test".into(), duration: Duration::ZERO, asked: None };
    let report = Report { backend: "b2".into(), check: 0, outcome, late: Duration::ZERO, ended: later.mono };
    let told = notes(&core.handle(Input::Probe(report), later));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("b2: damped: it went down too often, and stays down for at least "),
        "{told:?}"
    );
    let b2 = view::backend(&core.snapshot(later.mono), "b2", later.mono).unwrap();
    assert!(
        b2.state_detail.starts_with("damped, ") && b2.damped_ms.is_some_and(|left| left > 50_000),
        "{b2:?}"
    );
}
