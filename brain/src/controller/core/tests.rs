use std::time::{Duration, UNIX_EPOCH};

use maglev_protocol::{
    Change, StepError, SyncReport, TableLengthKept, VipReport, VipSpec, VppInfo, VppState,
};
use tokio::time::Instant;

use super::*;
use crate::config::parse;
use crate::controller::SyncStatus;
use crate::health::State;

const NOW: SystemTime = UNIX_EPOCH;

fn core() -> Core {
    let text = "
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1, sync-interval: 7s } }
  healthchecks:
    tcp: { type: tcp, port: 80, rise: 1, fall: 2 }
  backends:
    a: { address: 10.0.0.1, healthcheck: tcp }
    b: { address: 10.0.0.2, healthcheck: tcp }
    c: { address: 10.0.0.3, healthcheck: tcp }
    off: { address: 10.0.0.4, healthcheck: tcp, enabled: false }
    fixed: { address: 10.0.0.5 }
  frontends:
    one:
      address: 203.0.113.1
      protocol: tcp
      port: 80
      pools:
        - { name: primary, backends: { a: {}, b: {}, off: {} } }
        - { name: fallback, backends: { c: {} } }
    two: { address: 203.0.113.2, pools: [ { name: only, backends: { a: {} } } ] }
    three: { address: 203.0.113.3, pools: [ { name: only, backends: { fixed: {} } } ] }
";
    Core::new(Arc::new(parse("test.yaml", text).unwrap().config), "agent.sock".into(), NOW)
}

fn probe(core: &mut Core, backend: &str, passed: bool) -> Effects {
    let code = if passed { ProbeCode::L4Ok } else { ProbeCode::L4Con };
    let outcome = ProbeOutcome { code, detail: "test".into(), duration: Duration::ZERO };
    report(core, backend, outcome)
}

fn report(core: &mut Core, backend: &str, outcome: ProbeOutcome) -> Effects {
    let (late, ended) = (Duration::ZERO, Instant::now());
    core.handle(Input::Probe(Report { backend: backend.into(), outcome, late, ended }), NOW)
}

fn all_up(core: &mut Core) {
    for backend in ["a", "b", "c"] {
        probe(core, backend, true);
    }
}

fn weights(core: &Core, frontend: &str) -> Vec<u8> {
    core.frontends[frontend].spec.servers.values().map(|server| server.weight).collect()
}

fn sync(core: &Core, frontend: &str) -> SyncStatus {
    core.frontends[frontend].sync.clone()
}

#[test]
fn backends_with_a_check_are_probed_if_they_take_part() {
    let core = core();
    let paces: Vec<_> = core.checked_backends().map(|(name, .., pace)| (&**name, pace)).collect();
    let expected = [("a", Pace::Fast), ("b", Pace::Fast), ("c", Pace::Fast), ("off", Pace::Stopped)];
    assert_eq!(paces, expected);
}

#[test]
fn frontend_is_held_back_until_every_backend_is_known() {
    let mut core = core();
    let key = |core: &Core, name: &str| core.frontends[name].spec.key;
    let wanted = core.wanted();
    assert_eq!(wanted.vips.keys().collect::<Vec<_>>(), [&key(&core, "three")], "static backends are known");
    assert_eq!(wanted.keep, OrdSet::from_iter([key(&core, "one"), key(&core, "two")]));
    assert!(probe(&mut core, "a", true).wanted, "releases two");
    assert_eq!(core.wanted().keep, OrdSet::unit(key(&core, "one")));
    assert!(!probe(&mut core, "b", true).wanted);
    assert!(probe(&mut core, "c", false).wanted, "a backend that is down is known as well");
    let wanted = core.wanted();
    assert_eq!((wanted.vips.len(), wanted.keep.len()), (3, 0));
    assert_eq!(wanted.sync_interval, Duration::from_secs(7));
}

#[test]
fn backend_that_dies_loses_its_weight_after_fall_failures() {
    let mut core = core();
    all_up(&mut core);
    assert_eq!(weights(&core, "one"), [1, 1, 0, 0]);
    assert!(!probe(&mut core, "a", false).wanted, "one failure of two");
    assert_eq!(weights(&core, "one"), [1, 1, 0, 0]);
    let effects = probe(&mut core, "a", false);
    assert!(effects.wanted && effects.state);
    assert_eq!(effects.paces[&Arc::from("a")], Pace::Down);
    assert_eq!(weights(&core, "one"), [0, 1, 0, 0]);
    assert_eq!(weights(&core, "two"), [0]);
    assert!(core.frontends["one"].spec.servers[&IpAddr::from([10, 0, 0, 1])].flush);
}

#[test]
fn pool_that_dies_is_followed_by_the_next_and_comes_back() {
    let mut core = core();
    all_up(&mut core);
    for backend in ["a", "a", "b", "b"] {
        probe(&mut core, backend, false);
    }
    assert_eq!(weights(&core, "one"), [0, 0, 1, 0]);
    assert_eq!(core.frontends["one"].weights.active_pool, Some(1));
    probe(&mut core, "b", true);
    assert_eq!(weights(&core, "one"), [0, 1, 0, 0]);
    assert!(!core.frontends["one"].spec.servers[&IpAddr::from([10, 0, 0, 3])].flush, "standby drains");
}

#[test]
fn probes_that_change_nothing_want_nothing() {
    let mut core = core();
    all_up(&mut core);
    for _ in 0..3 {
        let effects = probe(&mut core, "a", true);
        assert!(!effects.wanted && !effects.state);
    }
    assert_eq!(probe(&mut core, "nobody", true), Effects::default());
}

fn synced(core: &mut Core, frontend: &str, errors: Vec<StepError>, table_length: Option<TableLengthKept>) {
    let spec = Arc::clone(&core.frontends[frontend].spec);
    synced_as(core, spec, errors, table_length);
}

fn synced_as(
    core: &mut Core,
    spec: Arc<VipSpec>,
    errors: Vec<StepError>,
    table_length: Option<TableLengthKept>,
) {
    let vip = VipReport { key: spec.key, changes: vec![Change::VipAdded], table_length, errors };
    let report = SyncReport { vips: vec![vip], ..SyncReport::default() };
    core.handle(Input::Agent(AgentEvent::Synced { specs: vec![spec], result: Ok(report) }), NOW);
}

#[test]
fn sync_is_followed_to_its_end() {
    let mut core = core();
    assert_eq!(sync(&core, "one"), SyncStatus::HeldBack);
    all_up(&mut core);
    assert_eq!(sync(&core, "one"), SyncStatus::Pending);
    synced(&mut core, "one", vec![], Some(TableLengthKept { has: 4096, wanted: 1024 }));
    assert_eq!(sync(&core, "one"), SyncStatus::Synced);
    assert_eq!(core.frontends["one"].kept_table_length, Some(4096));
    let error = StepError { step: "add server 10.0.0.1".into(), code: Some(-97), meaning: "family".into() };
    synced(&mut core, "one", vec![error], None);
    assert_eq!(sync(&core, "one"), SyncStatus::Failed("add server 10.0.0.1: family".into()));
    let spec = Arc::clone(&core.frontends["one"].spec);
    let failed = AgentEvent::Synced { specs: vec![spec], result: Err("timeout".into()) };
    core.handle(Input::Agent(failed), NOW);
    assert_eq!(sync(&core, "one"), SyncStatus::Failed("timeout".into()));
    let gone =
        VppInfo { generation: 9, state: VppState::Disconnected { reason: "gone".into(), silent_ms: 0 } };
    core.handle(Input::Agent(AgentEvent::Vpp(gone)), NOW);
    assert_eq!(sync(&core, "one"), SyncStatus::Pending, "a VPP that comes back has nothing of ours");
}

#[test]
fn answer_to_an_older_wish_says_nothing_about_the_newest() {
    let mut core = core();
    all_up(&mut core);
    let older = Arc::clone(&core.frontends["one"].spec);
    probe(&mut core, "a", false);
    probe(&mut core, "a", false);
    synced_as(&mut core, older, vec![], None);
    assert_eq!(sync(&core, "one"), SyncStatus::Pending);
}

#[test]
fn what_is_known_of_vpp_survives_a_change_that_leaves_its_wish() {
    let mut core = core();
    all_up(&mut core);
    synced(&mut core, "one", vec![], None);
    // The standby goes down, comes up and goes down: its weight is 0 throughout, its flush is not.
    probe(&mut core, "c", false);
    assert!(probe(&mut core, "c", false).wanted);
    assert_eq!(sync(&core, "one"), SyncStatus::Pending);
}

#[test]
fn probe_that_could_not_be_made_changes_nothing() {
    let mut core = core();
    all_up(&mut core);
    for _ in 0..10 {
        let detail = "too many open files".to_owned();
        let outcome = ProbeOutcome { code: ProbeCode::SockErr, detail, duration: Duration::ZERO };
        let effects = report(&mut core, "a", outcome);
        assert_eq!(effects, Effects::default());
    }
    let view = &core.backends["a"];
    assert_eq!((view.health.state(), view.health.counter()), (State::Up, 2));
    assert_eq!(view.last_probe.as_ref().unwrap().outcome.code, ProbeCode::SockErr, "but is shown");
    assert_eq!(core.unprobed, 1, "once, however often");
    probe(&mut core, "a", true);
    assert_eq!(core.unprobed, 0);
}

#[test]
fn operators_pause_and_disable() {
    let mut core = core();
    all_up(&mut core);
    let effects = core.command("a", Command::Pause, NOW).unwrap();
    assert!(effects.wanted && effects.state);
    assert_eq!(effects.paces, [("a".into(), Pace::Stopped)].into());
    assert_eq!(weights(&core, "one"), [0, 1, 0, 0]);
    let server = |core: &Core| core.frontends["one"].spec.servers[&IpAddr::from([10, 0, 0, 1])];
    assert!(!server(&core).flush, "a paused backend keeps its flows");
    assert_eq!(probe(&mut core, "a", true).paces.len(), 0, "a late report wakes nobody");

    assert!(core.command("a", Command::Disable, NOW).unwrap().wanted);
    assert!(server(&core).flush, "a disabled one does not");
    let refused = core.command("a", Command::Pause, NOW).unwrap_err();
    assert_eq!(refused.to_string(), "backend \"a\": a disabled backend cannot be paused: enable it first");
    assert_eq!(core.command("a", Command::Disable, NOW).unwrap(), Effects::default(), "as it is");

    let effects = core.command("a", Command::Enable, NOW).unwrap();
    assert_eq!(effects.paces[&Arc::from("a")], Pace::Fast);
    assert_eq!(weights(&core, "one"), [0, 1, 0, 0], "nothing is known of it yet");
    probe(&mut core, "a", true);
    assert_eq!(weights(&core, "one"), [1, 1, 0, 0]);
    assert_eq!(core.backends["a"].health.history().count(), 5, "the history went on throughout");
    assert_eq!(
        core.command("nobody", Command::Pause, NOW),
        Err(CommandError::NoSuchBackend("nobody".to_owned()))
    );
}

#[test]
fn static_backend_is_up_as_soon_as_it_is_resumed() {
    let mut core = core();
    core.command("fixed", Command::Pause, NOW).unwrap();
    assert_eq!(weights(&core, "three"), [0]);
    let effects = core.command("fixed", Command::Resume, NOW).unwrap();
    assert!(effects.wanted);
    assert_eq!(weights(&core, "three"), [1]);
    assert_eq!(core.backends["fixed"].health.state(), State::Up);
}

#[test]
fn changes_of_backends_and_frontends_are_events_in_order() {
    use crate::weights::FrontendState;
    let told = |effects: Effects| {
        let words = effects.events.iter().map(|event| match event {
            Event::Backend { backend, transition } => {
                format!("{backend} {} {}", transition.from, transition.to)
            }
            Event::Frontend { frontend, from, to, .. } => {
                format!("{frontend} {} {}", from.word(), to.word())
            }
        });
        words.collect::<Vec<_>>()
    };
    let mut core = core();
    assert_eq!(core.frontends["one"].weights.state, FrontendState::Unknown);
    assert_eq!(told(probe(&mut core, "a", true)), ["a unknown up", "one unknown up", "two unknown up"]);
    assert!(told(probe(&mut core, "a", false)).is_empty());
    assert_eq!(told(probe(&mut core, "a", false)), ["a up down", "one up down", "two up down"]);
    assert_eq!(told(probe(&mut core, "c", true)), ["c unknown up", "one down up"]);
    let paused = core.command("c", Command::Pause, NOW).unwrap();
    assert_eq!(told(paused), ["c up paused", "one up down"]);
}
