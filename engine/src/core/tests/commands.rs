use super::*;
use crate::overrides::{BackendOverride, Stamp, Stamped};

fn set(bench: &Bench, backend: &str) -> Option<BackendOverride> {
    bench.core.overrides().backends.get(backend).map(|set| set.value)
}

fn member(frontend: &str, pool: &str, backend: &str) -> PoolMember {
    PoolMember { frontend: frontend.into(), pool: pool.into(), backend: backend.into() }
}

#[test]
fn operators_pause_and_disable() {
    let mut bench = Bench::connected();
    bench.all_up();
    let effects = bench.wish("a", BackendWish::Pause).unwrap();
    assert!(effects.wanted && effects.state && effects.overrides);
    assert_eq!(effects.paces, [(("a".into(), 0), Pace::Stopped)].into());
    assert_eq!(bench.weights("one"), [0, 1, 0, 0]);
    let server =
        |bench: &Bench| bench.core.frontends.views()["one"].spec.servers[&IpAddr::from([10, 0, 0, 1])];
    assert!(!server(&bench).flush, "a paused backend keeps its flows");
    assert_eq!(bench.probe("a", true).paces.len(), 0, "a late report wakes nobody");
    assert_eq!(set(&bench, "a"), Some(BackendOverride::Paused));

    assert!(bench.wish("a", BackendWish::Disable).unwrap().wanted);
    assert!(server(&bench).flush, "a disabled one does not");
    assert_eq!(set(&bench, "a"), Some(BackendOverride::Disabled));
    let refused = bench.wish("a", BackendWish::Pause).unwrap_err();
    assert_eq!(refused.to_string(), "backend \"a\": a disabled backend cannot be paused: enable it first");
    let asked = Effects { wanted: true, ..Effects::default() };
    assert_eq!(
        bench.wish("a", BackendWish::Disable).unwrap(),
        asked,
        "as it is, but VPP is asked whether it has it"
    );

    let effects = bench.wish("a", BackendWish::Enable).unwrap();
    assert_eq!(effects.paces[&(Arc::from("a"), 0)], Pace::Fast);
    assert_eq!(bench.weights("one"), [0, 1, 0, 0], "nothing is known of it yet");
    assert_eq!(set(&bench, "a"), None);
    bench.probe("a", true);
    assert_eq!(bench.weights("one"), [1, 1, 0, 0]);
    assert_eq!(
        bench.core.backends.views()["a"].health.history().count(),
        5,
        "the history went on throughout"
    );
    let nobody = bench.wish("nobody", BackendWish::Pause);
    assert_eq!(nobody, Err(CommandError::NoSuchBackend("nobody".to_owned())));
}

#[test]
fn static_backend_is_up_as_soon_as_it_is_resumed() {
    let mut bench = Bench::connected();
    bench.wish("fixed", BackendWish::Pause).unwrap();
    assert_eq!(bench.weights("three"), [0]);
    let effects = bench.wish("fixed", BackendWish::Resume).unwrap();
    assert!(effects.wanted);
    assert_eq!(bench.weights("three"), [1]);
    assert_eq!(bench.state("fixed"), State::Up);
}

#[test]
fn what_was_set_is_there_after_a_restart_before_the_first_probe() {
    let mut bench = Bench::connected();
    bench.all_up();
    bench.wish("a", BackendWish::Pause).unwrap();
    bench.wish("b", BackendWish::Disable).unwrap();
    bench.wish("off", BackendWish::Enable).unwrap();
    let command = Command::SetWeight { member: member("one", "fallback", "c"), weight: 40, flush: false };
    bench.command(command).unwrap();

    let kept = Overrides::clone(bench.core.overrides());
    let mut bench = Bench::with(configuration(AT_ONCE, BACKENDS, FRONTENDS), kept);
    let states = ["a", "b", "off"].map(|name| bench.state(name));
    assert_eq!(states, [State::Paused, State::Disabled, State::Unknown]);
    let stopped = bench.core.checked_backends().filter(|(_, checked)| checked.pace == Pace::Stopped);
    assert_eq!(stopped.map(|(name, _)| &**name).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(bench.core.frontends.views()["one"].frontend.pools[1].backends["c"], 40);

    for (backend, state) in [("a", State::Unknown), ("b", State::Unknown), ("off", State::Disabled)] {
        bench.wish(backend, BackendWish::Clear).unwrap();
        assert_eq!(bench.state(backend), state, "{backend} does what the configuration says");
    }
    assert!(bench.core.overrides().backends.is_empty());
    let nothing = bench.wish("a", BackendWish::Clear).unwrap_err();
    assert_eq!(nothing.to_string(), "there is no override for backend \"a\"");
}

#[test]
fn weight_is_set_told_to_vpp_and_taken_back() {
    let mut bench = Bench::connected();
    bench.all_up();
    let a = member("one", "primary", "a");
    let command = Command::SetWeight { member: a.clone(), weight: 50, flush: true };
    let (effects, done) = bench.command(command.clone()).unwrap();
    assert!(effects.wanted && effects.overrides);
    assert_eq!(bench.weights("one"), [1, 2, 0, 0], "50 and 100");
    let key = bench.key("one");
    assert_eq!(bench.core.wanted().demands[&key].demands.flush, [IpAddr::from([10, 0, 0, 1])].into());
    assert_eq!(*done.in_vpp(), InVpp::Late, "until the demand has ended");

    let (again, second) = bench.command(command).unwrap();
    assert!(!again.overrides, "it is set already");
    assert!(Bench::demand(&second) > Bench::demand(&done), "but its flows are moved again");
    bench.command(Command::ClearWeight { member: a.clone() }).unwrap();
    assert_eq!(bench.weights("one"), [1, 1, 0, 0]);
    assert!(bench.core.overrides().is_empty());
    assert!(matches!(bench.command(Command::ClearWeight { member: a }), Err(CommandError::NothingSet(_))));
}

#[test]
fn weight_of_what_is_not_there_is_refused_with_what_is() {
    let mut bench = Bench::connected();
    let mut refused = |member: PoolMember, weight| {
        let command = Command::SetWeight { member, weight, flush: false };
        bench.command(command).unwrap_err().to_string()
    };
    assert_eq!(refused(member("x", "primary", "a"), 1), "there is no frontend \"x\"");
    assert_eq!(
        refused(member("one", "x", "a"), 1),
        "frontend \"one\" has no pool \"x\": it has \"primary\", \"fallback\""
    );
    assert_eq!(
        refused(member("one", "fallback", "a"), 1),
        "pool \"fallback\" of frontend \"one\" has no backend \"a\": it has \"c\""
    );
    assert_eq!(refused(member("one", "primary", "a"), 101), "weight 101: must be 0 to 100");
}

#[test]
fn weight_waits_for_a_vpp_that_is_away_or_protected() {
    let mut bench = Bench::new(WARMUP);
    let command = Command::SetWeight { member: member("one", "primary", "a"), weight: 50, flush: false };
    let (_, done) = bench.command(command.clone()).unwrap();
    assert_eq!((done.in_vpp(), Bench::demand(&done)), (&InVpp::HeldBack, None));
    bench.seconds(60);
    let (_, done) = bench.command(command).unwrap();
    let reason = "the agent is not connected: not connected yet".to_owned();
    assert_eq!((done.in_vpp(), Bench::demand(&done)), (&InVpp::Away(reason), None));
}

#[test]
fn weight_that_the_configuration_has_is_not_kept() {
    let mut bench = Bench::connected();
    let weight = |weight| Command::SetWeight { member: member("one", "primary", "a"), weight, flush: false };
    bench.command(weight(50)).unwrap();
    bench.command(weight(100)).unwrap();
    assert!(bench.core.overrides().is_empty());

    bench.command(weight(50)).unwrap();
    let frontends = FRONTENDS.replace("a: {}, b: {}", "a: { weight: 50 }, b: {}");
    let (effects, _) =
        bench.command(Command::Reload(configuration(AT_ONCE, BACKENDS, &frontends).into())).unwrap();
    assert!(effects.overrides);
    assert!(bench.core.overrides().is_empty());
    assert_eq!(bench.core.frontends.views()["one"].frontend.pools[0].backends["a"], 50);
}

#[test]
fn what_was_set_for_something_that_went_waits_for_its_return() {
    let mut bench = Bench::connected();
    bench.wish("c", BackendWish::Pause).unwrap();
    let without = BACKENDS.replace("    c: { address: 10.0.0.3, healthcheck: tcp }\n", "");
    let frontends = FRONTENDS.replace("        - { name: fallback, backends: { c: {} } }\n", "");
    bench.command(Command::Reload(configuration(AT_ONCE, &without, &frontends).into())).unwrap();
    assert_eq!(set(&bench, "c"), Some(BackendOverride::Paused));
    bench.command(Command::Reload(configuration(AT_ONCE, BACKENDS, FRONTENDS).into())).unwrap();
    assert_eq!(bench.state("c"), State::Paused);

    bench.command(Command::Reload(configuration(AT_ONCE, &without, &frontends).into())).unwrap();
    bench.wish("c", BackendWish::Clear).unwrap();
    assert_eq!(set(&bench, "c"), None, "and can be taken back meanwhile");
}

#[test]
fn paused_backend_that_the_configuration_disables_stays_paused() {
    let kept = Overrides {
        backends: [(
            "off".to_owned(),
            Stamped { value: BackendOverride::Paused, stamp: Stamp::at(UNIX_EPOCH) },
        )]
        .into(),
        ..Overrides::default()
    };
    let bench = Bench::with(configuration(AT_ONCE, BACKENDS, FRONTENDS), kept);
    assert_eq!(bench.state("off"), State::Paused);
}
