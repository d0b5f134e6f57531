use super::*;

#[test]
fn backends_with_a_check_are_probed_if_they_take_part() {
    let bench = Bench::new(AT_ONCE);
    let paces: Vec<_> =
        bench.core.checked_backends().map(|(name, checked)| (&**name, checked.pace)).collect();
    let expected = [("a", Pace::Fast), ("b", Pace::Fast), ("c", Pace::Fast), ("off", Pace::Stopped)];
    assert_eq!(paces, expected);
}

#[test]
fn backend_that_dies_loses_its_weight_after_fall_failures() {
    let mut bench = Bench::connected();
    bench.all_up();
    assert_eq!(bench.weights("one"), [1, 1, 0, 0]);
    assert!(!bench.probe("a", false).wanted, "one failure of two");
    assert_eq!(bench.weights("one"), [1, 1, 0, 0]);
    let effects = bench.probe("a", false);
    assert!(effects.wanted && effects.state);
    assert_eq!(effects.paces[&(Arc::from("a"), 0)], Pace::Down);
    assert_eq!(bench.weights("one"), [0, 1, 0, 0]);
    assert_eq!(bench.weights("two"), [0]);
    assert!(bench.core.frontends.views()["one"].spec.servers[&IpAddr::from([10, 0, 0, 1])].flush);
}

#[test]
fn pool_that_dies_is_followed_by_the_next_and_comes_back() {
    let mut bench = Bench::connected();
    bench.all_up();
    for backend in ["a", "a", "b", "b"] {
        bench.probe(backend, false);
    }
    assert_eq!(bench.weights("one"), [0, 0, 1, 0]);
    assert_eq!(bench.core.frontends.views()["one"].weights.active_pool, Some(1));
    bench.probe("b", true);
    assert_eq!(bench.weights("one"), [0, 1, 0, 0]);
    let standby = bench.core.frontends.views()["one"].spec.servers[&IpAddr::from([10, 0, 0, 3])];
    assert!(!standby.flush, "standby drains");
}

#[test]
fn probes_that_change_nothing_want_nothing() {
    let mut bench = Bench::connected();
    bench.all_up();
    for _ in 0..3 {
        let effects = bench.probe("a", true);
        assert!(!effects.wanted && !effects.state);
    }
    assert_eq!(bench.probe("nobody", true), Effects::default());
}

#[test]
fn probe_that_could_not_be_made_changes_nothing() {
    let mut bench = Bench::connected();
    bench.all_up();
    for _ in 0..10 {
        let detail = "too many open files".to_owned();
        let outcome = ProbeOutcome {
            code: ProbeCode::SockErr,
            detail: detail.into(),
            duration: Duration::ZERO,
            asked: None,
        };
        assert_eq!(bench.report("a", outcome), Effects::default());
    }
    let view = &bench.core.backends.views()["a"];
    assert_eq!((view.health.state(), view.health.counter().unwrap().value()), (State::Up, 2));
    assert_eq!(view.last_probe().unwrap().outcome.code, ProbeCode::SockErr, "but is shown");
    assert_eq!(bench.core.backends.unprobed(), 1, "once, however often");
    bench.probe("a", true);
    assert_eq!(bench.core.backends.unprobed(), 0);
}

#[test]
fn changes_of_backends_and_frontends_are_events_in_order() {
    let told = |effects: Effects| {
        let words = effects.events.iter().map(|event| match event {
            Event::Backend { backend, transition } => {
                format!("{backend} {} {}", transition.from, transition.to)
            }
            Event::Frontend { frontend, change: FrontendChange::ActivePool(from), now } => {
                format!("{frontend} pool {from:?} {:?}", now.active_pool)
            }
            Event::Frontend { frontend, change: FrontendChange::State(from), now } => {
                format!("{frontend} {} {}", from.word(), now.state.word())
            }
            Event::Operator { command, .. } => command.clone(),
            other => format!("{other:?}"),
        });
        words.collect::<Vec<_>>()
    };
    let mut bench = Bench::connected();
    assert_eq!(bench.core.frontends.views()["one"].weights.state, FrontendState::Unknown);
    let first = r#"one pool None Some("primary")"#;
    let only = r#"two pool None Some("only")"#;
    assert_eq!(
        told(bench.probe("a", true)),
        ["a unknown up", first, "one unknown up", only, "two unknown up"]
    );
    assert!(told(bench.probe("a", false)).is_empty());
    let none = r#"one pool Some("primary") None"#;
    let none_only = r#"two pool Some("only") None"#;
    assert_eq!(told(bench.probe("a", false)), ["a up down", none, "one up down", none_only, "two up down"]);
    let fallback = r#"one pool None Some("fallback")"#;
    assert_eq!(told(bench.probe("c", true)), ["c unknown up", fallback, "one down up"]);
    let none = r#"one pool Some("fallback") None"#;
    let paused = told(bench.wish("c", BackendWish::Pause).unwrap());
    assert_eq!(paused, ["set backend c pause", "c up paused", none, "one up down"]);
}

#[test]
fn what_probes_say_while_vpp_is_away_takes_nobody_down() {
    let mut bench = Bench::connected();
    bench.all_up();
    bench.seconds(60);
    // VPP hangs. Its backends fail before the agent notices.
    for backend in ["a", "a", "b", "b", "c"] {
        bench.probe(backend, false);
    }
    assert_eq!((bench.state("a"), bench.state("b"), bench.state("c")), (State::Down, State::Down, State::Up));
    bench.seconds(3);
    let effects = bench.vpp_leaves(Duration::from_secs(4));
    assert!(effects.state);
    assert_eq!((bench.state("a"), bench.state("b")), (State::Up, State::Up), "taken back");
    assert_eq!(bench.weights("one"), [1, 1, 0, 0]);
    for _ in 0..5 {
        bench.probe("c", false);
    }
    assert_eq!(bench.state("c"), State::Up);
    let failed = bench.core.backends.views()["c"].last_probe().unwrap().outcome.code;
    assert_eq!(failed, ProbeCode::L4Con, "but it is shown");

    bench.seconds(20);
    let key = bench.key("one");
    bench.vpp(&[(key, 1024, &[(1, 1), (2, 1)])]);
    let began_before = Duration::from_millis(200);
    bench.sleep(Duration::from_millis(100));
    for _ in 0..3 {
        let code = ProbeCode::L4Tout;
        bench.report("c", ProbeOutcome { code, detail: "test".into(), duration: began_before, asked: None });
    }
    assert_eq!(bench.state("c"), State::Up, "these were under way when VPP came back");
    bench.probe("c", false);
    bench.probe("c", false);
    assert_eq!(bench.state("c"), State::Down, "these were not");
}

/// A brain that starts together with VPP does not know the backends, but VPP may have weights for them.
#[test]
fn failures_through_a_vpp_without_interfaces_take_no_unknown_backend_down() {
    let mut bench = Bench::new(AT_ONCE);
    let info = VppInfo { generation: 1, state: VppState::sample(1, Some(0)) };
    bench.agent(AgentEvent::Vpp { info, programmed: Some((ViewId(1), Programmed::default())) });
    for _ in 0..4 {
        bench.probe("a", false);
        bench.sleep(Duration::from_millis(400));
    }
    assert_eq!(bench.state("a"), State::Unknown);
    bench.seconds(1);
    bench.probe("a", false);
    assert_eq!(
        bench.state("a"),
        State::Down,
        "a frontend does not wait for it until VPP has settled for sure"
    );
}

#[test]
fn what_probes_said_long_before_vpp_left_stands() {
    let mut bench = Bench::connected();
    bench.all_up();
    bench.seconds(60);
    bench.probe("a", false);
    bench.probe("a", false);
    bench.seconds(5);
    bench.vpp_leaves(Duration::from_secs(4));
    assert_eq!(bench.state("a"), State::Down);
    bench.probe("a", true);
    assert_eq!(bench.state("a"), State::Up, "a probe that passes is believed at any time");
    bench.agent(AgentEvent::Disconnected { reason: "test".into() });
    bench.seconds(1);
    bench.probe("a", false);
    bench.probe("a", false);
    assert_eq!(bench.state("a"), State::Down, "nobody says that VPP is away any more");
}

#[test]
fn what_was_not_believed_is_not_believed_because_the_agent_goes() {
    let failed = |seconds| {
        let duration = Duration::from_secs(seconds);
        ProbeOutcome { code: ProbeCode::L4Tout, detail: "test".into(), duration, asked: None }
    };
    // The probe began while VPP was disconnected, and its result arrives after the agent has disconnected.
    let mut bench = Bench::connected();
    bench.all_up();
    bench.seconds(60);
    bench.vpp_leaves(Duration::ZERO);
    bench.seconds(2);
    bench.agent(AgentEvent::Disconnected { reason: "test".into() });
    bench.report("a", failed(1));
    bench.report("a", failed(1));
    assert_eq!(bench.state("a"), State::Up);

    // A restarted VPP has not settled, whether or not it was watched.
    let mut bench = Bench::connected();
    bench.all_up();
    bench.seconds(60);
    bench.vpp_leaves(Duration::ZERO);
    bench.views += 1;
    let boot = bench.now.wall.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let info = VppInfo { generation: bench.views, state: VppState::sample(2, Some(boot)) };
    let programmed = Some((ViewId(bench.views), Programmed::default()));
    bench.agent(AgentEvent::Vpp { info, programmed });
    bench.agent(AgentEvent::Disconnected { reason: "test".into() });
    bench.seconds(2);
    bench.report("a", failed(1));
    bench.report("a", failed(1));
    assert_eq!(bench.state("a"), State::Up);
    bench.seconds(10);
    bench.report("a", failed(1));
    bench.report("a", failed(1));
    assert_eq!(bench.state("a"), State::Down);
}

#[test]
fn vpp_that_falls_silent_right_after_its_start_has_not_settled_sooner() {
    let mut bench = Bench::connected();
    bench.all_up();
    bench.seconds(60);
    bench.vpp_leaves(Duration::ZERO);
    bench.views += 1;
    let boot = bench.now.wall.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let info = VppInfo { generation: bench.views, state: VppState::sample(2, Some(boot)) };
    let programmed = Some((ViewId(bench.views), Programmed::default()));
    bench.agent(AgentEvent::Vpp { info, programmed });
    bench.agent(AgentEvent::Silence { silent_for: Some(Duration::from_millis(200)) });
    bench.agent(AgentEvent::Silence { silent_for: None });
    bench.seconds(1);
    bench.probe("a", false);
    bench.probe("a", false);
    assert_eq!(bench.state("a"), State::Up);
    bench.seconds(10);
    bench.probe("a", false);
    bench.probe("a", false);
    assert_eq!(bench.state("a"), State::Down);
}

#[test]
fn backend_that_comes_back_starts_slowly_and_one_that_was_there_does_not() {
    let frontends = "
    slow:
      address: 203.0.113.1
      slow-start: 10s
      pools: [ { name: only, backends: { a: {}, b: {} } } ]
";
    let config = configuration(AT_ONCE, BACKENDS, frontends);
    let mut bench = Bench::with(config, Overrides::default());
    bench.vpp(&[]);
    bench.probe("a", true);
    bench.probe("b", true);
    let full = bench.weights("slow")[1];
    assert!(full >= 10, "{full} steps");
    assert_eq!(bench.weights("slow"), [full, full], "known for the first time");
    bench.probe("a", false);
    bench.probe("a", false);
    bench.seconds(100);
    bench.probe("a", true);
    assert_eq!(bench.weights("slow"), [1, full], "back");
    let effects = bench.seconds(5);
    assert!(effects.wanted);
    let half = bench.weights("slow")[0];
    assert!((full / 2 - 1..=full / 2 + 1).contains(&half), "{half} of {full} at half-time");
    bench.seconds(5);
    assert_eq!(bench.weights("slow"), [full, full]);
    assert_eq!(bench.core.next_tick(), None);
}

#[test]
fn panic_begins_below_the_threshold_and_ends_above_it() {
    let frontends = "
    scarce:
      address: 203.0.113.1
      panic-threshold: 60
      pools: [ { name: only, backends: { a: {}, b: {} } } ]
";
    let mut bench = Bench::with(configuration(AT_ONCE, BACKENDS, frontends), Overrides::default());
    bench.vpp(&[]);
    bench.probe("a", true);
    bench.probe("b", true);
    bench.probe("a", false);
    let panic = |effects: &Effects| {
        effects.events.iter().find_map(|event| match event {
            Event::Frontend { change: FrontendChange::Panic(_), now, .. } => Some(now.panic_pool.is_some()),
            _ => None,
        })
    };
    assert_eq!(panic(&bench.probe("a", false)), Some(true), "half of them is less than 60 %");
    assert_eq!(bench.weights("scarce"), [1, 1], "better a bad answer than none");
    assert_eq!(panic(&bench.probe("a", true)), Some(false));
    assert_eq!(bench.weights("scarce"), [1, 1]);
}
