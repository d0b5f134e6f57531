use super::*;

fn reload(bench: &mut Bench, backends: &str, frontends: &str) -> (Effects, crate::config::Changes) {
    let (effects, done) =
        bench.command(Command::Reload(configuration(AT_ONCE, backends, frontends).into())).unwrap();
    (effects, done.changes.unwrap())
}

fn renewed(effects: &Effects) -> Vec<&str> {
    effects.probers.iter().map(|name| &**name).collect()
}

#[test]
fn same_configuration_changes_nothing() {
    let mut bench = Bench::connected();
    bench.all_up();
    bench.probe("a", false);
    let before = bench.core.wanted();
    let (effects, changes) = reload(&mut bench, BACKENDS, FRONTENDS);
    assert!(effects.probers.is_empty() && effects.paces.is_empty());
    assert!(matches!(effects.events.as_slice(), [Event::Reloaded { .. }]), "{:?}", effects.events);
    assert_eq!(bench.core.wanted(), before);
    let health = &bench.core.backends.views()["a"].health;
    assert_eq!(
        (health.state(), health.counter().unwrap().value(), health.history().count()),
        (State::Up, 1, 1)
    );
    assert!(changes.to_string().contains("nothing"), "{changes}");
}

#[test]
fn backends_come_and_go() {
    let mut bench = Bench::connected();
    bench.all_up();
    let backends = BACKENDS.replace("    b: {", "    new: {").replace("10.0.0.2", "10.0.0.9");
    let frontends = FRONTENDS.replace("b: {}", "new: {}");
    let (effects, _) = reload(&mut bench, &backends, &frontends);
    assert_eq!(renewed(&effects), ["b", "new"]);
    let removed = effects.events.iter().find_map(|event| match event {
        Event::Backend { backend, transition } if &**backend == "b" => Some(transition.to),
        _ => None,
    });
    assert_eq!(removed, Some(State::Removed));
    assert!(bench.core.checks("b").next().is_none());
    assert_eq!(bench.core.checks("new").next().map(|checked| checked.pace), Some(Pace::Fast));
    assert_eq!(bench.weights("one"), [1, 0, 0, 0], "the new one must show itself");
    bench.probe("b", true);
    assert_eq!(bench.probe("b", true), Effects::default(), "nobody is there");
    bench.probe("new", true);
    assert_eq!(bench.weights("one"), [1, 0, 0, 1], "by their addresses");
}

#[test]
fn backend_that_serves_other_vips_is_probed_with_them_and_keeps_its_state() {
    let backends = BACKENDS.replace("healthcheck: tcp", "healthcheck: tunnel");
    let mut bench = Bench::with(configuration(AT_ONCE, &backends, FRONTENDS), Overrides::default());
    let vips = |bench: &Bench, name: &str| {
        let vips = bench.core.tunnel_vips(name, &bench.core.config.healthchecks["tunnel"]);
        vips.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(vips(&bench, "a"), ["203.0.113.1:80", "203.0.113.2:82"]);
    assert_eq!(vips(&bench, "c"), ["203.0.113.1:80"]);
    bench.probe("a", true);
    let frontends = FRONTENDS.replace("203.0.113.2", "203.0.113.9");
    let (effects, _) = reload(&mut bench, &backends, &frontends);
    assert_eq!(renewed(&effects), ["a"], "the others serve what they did");
    assert_eq!(vips(&bench, "a"), ["203.0.113.1:80", "203.0.113.9:82"]);
    assert_eq!(bench.core.backends.state("a"), State::Up);
    let weights = frontends.replace("{ a: {}, b: {}, off", "{ a: { weight: 50 }, b: {}, off");
    let (effects, _) = reload(&mut bench, &backends, &weights);
    assert_eq!(renewed(&effects), [""; 0]);
}

#[test]
fn backend_of_another_name_at_its_address_is_the_same_server() {
    let mut bench = Bench::connected();
    bench.all_up();
    bench.probe("b", false);
    bench.wish("a", BackendWish::Pause).unwrap();
    let (before, health) = (bench.core.wanted(), bench.core.backends.views()["b"].health.clone());
    let backends = BACKENDS.replace("    a: {", "    first: {").replace("    b: {", "    second: {");
    let frontends = FRONTENDS.replace("a: {}", "first: {}").replace("b: {}", "second: {}");
    let (effects, changes) = reload(&mut bench, &backends, &frontends);
    assert!(changes.to_string().contains("2 backends renamed (a to first, b to second)"), "{changes}");
    assert_eq!(renewed(&effects), ["a", "b", "first", "second"]);
    assert_eq!(bench.core.wanted().vips, before.vips, "VPP is told nothing");
    assert_eq!(bench.core.backends.views()["second"].health, health);
    assert_eq!(bench.state("first"), State::Paused);
    assert!(effects.overrides && bench.core.overrides().backends.keys().eq(["first"]));
    let told = effects.events.iter().filter_map(|event| match event {
        Event::Backend { backend, transition } => Some((&**backend, transition.to)),
        _ => None,
    });
    let expected =
        [("a", State::Removed), ("b", State::Removed), ("first", State::Paused), ("second", State::Up)];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn backends_that_change_names_keep_their_states_and_overrides() {
    let mut bench = Bench::connected();
    bench.all_up();
    bench.wish("a", BackendWish::Pause).unwrap();
    let before = bench.core.wanted();
    let backends = BACKENDS.replace("10.0.0.1,", "10.0.0.x,").replace("10.0.0.2,", "10.0.0.1,");
    let backends = backends.replace("10.0.0.x,", "10.0.0.2,");
    let (_, changes) = reload(&mut bench, &backends, FRONTENDS);
    assert!(changes.to_string().contains("renamed (b to a, a to b)"), "{changes}");
    assert_eq!((bench.state("a"), bench.state("b")), (State::Up, State::Paused));
    assert!(bench.core.overrides().backends.keys().eq(["b"]));
    let at = |wanted: &Wanted, last| {
        let server = IpAddr::from([10, 0, 0, last]);
        wanted.vips[&bench.key("one")].servers[&server]
    };
    let after = bench.core.wanted();
    assert_eq!([at(&after, 1), at(&after, 2)], [at(&before, 1), at(&before, 2)]);
}

#[test]
fn renamed_backend_with_another_check_keeps_its_weight_until_there_is_an_answer() {
    let mut bench = Bench::connected();
    bench.all_up();
    let before = bench.core.wanted();
    let backends = BACKENDS
        .replace("    a: {", "    first: {")
        .replace("10.0.0.1, healthcheck: tcp", "10.0.0.1, healthcheck: other");
    let frontends = FRONTENDS.replace("a: {}", "first: {}");
    let (_, changes) = reload(&mut bench, &backends, &frontends);
    assert_eq!(changes.backends.rechecked, ["first"]);
    assert_eq!(bench.state("first"), State::Unknown);
    assert_eq!(bench.core.wanted().vips, before.vips);
}

#[test]
fn backend_at_another_address_is_another_server() {
    let mut bench = Bench::connected();
    bench.all_up();
    let backends = BACKENDS.replace("10.0.0.2", "10.0.0.9");
    let (effects, _) = reload(&mut bench, &backends, FRONTENDS);
    assert_eq!(renewed(&effects), ["b"]);
    assert_eq!(bench.state("b"), State::Unknown);
    let spec = &bench.core.frontends.views()["one"].spec;
    assert!(!spec.servers.contains_key(&IpAddr::from([10, 0, 0, 2])));
    assert_eq!(spec.servers[&IpAddr::from([10, 0, 0, 9])].weight, 0);
}

#[test]
fn another_check_starts_anew_and_takes_nobody_out_of_service() {
    let mut bench = Bench::connected();
    bench.all_up();
    let backends = BACKENDS.replace("10.0.0.1, healthcheck: tcp", "10.0.0.1, healthcheck: other");
    bench.sleep(Duration::from_millis(10));
    let (effects, _) = reload(&mut bench, &backends, FRONTENDS);
    assert_eq!(renewed(&effects), ["a"]);
    assert_eq!(effects.paces[&(Arc::from("a"), 0)], Pace::Fast);
    assert_eq!(bench.state("a"), State::Unknown);
    assert_eq!(bench.core.backends.views()["a"].health.counter().unwrap().rise(), 2);
    assert_eq!(bench.weights("one"), [1, 1, 0, 0], "it keeps what it has until there is an answer");
    assert_eq!(bench.weights("two"), [1]);
    let old = Report {
        check: 0,
        backend: "a".into(),
        outcome: ProbeOutcome {
            code: ProbeCode::L4Con,
            detail: "test".into(),
            duration: Duration::ZERO,
            asked: None,
        },
        late: Duration::ZERO,
        ended: bench.now.mono - Duration::from_millis(1),
    };
    assert_eq!(
        bench.core.handle(Input::Probe(old), bench.now),
        Effects::default(),
        "the old check's last word"
    );
    bench.probe("a", false);
    assert_eq!((bench.state("a"), bench.weights("one")), (State::Down, vec![0, 1, 0, 0]));
}

#[test]
fn backend_of_which_the_old_check_knew_that_it_is_down_gets_nothing() {
    let mut bench = Bench::connected();
    bench.all_up();
    bench.probe("a", false);
    bench.probe("a", false);
    let backends = BACKENDS.replace("10.0.0.1, healthcheck: tcp", "10.0.0.1, healthcheck: other");
    reload(&mut bench, &backends, FRONTENDS);
    assert_eq!((bench.state("a"), bench.weights("one")), (State::Unknown, vec![0, 1, 0, 0]));
}

#[test]
fn backend_that_loses_its_check_is_up() {
    let mut bench = Bench::connected();
    let backends = BACKENDS.replace("10.0.0.1, healthcheck: tcp", "10.0.0.1");
    let (effects, _) = reload(&mut bench, &backends, FRONTENDS);
    assert_eq!(renewed(&effects), ["a"]);
    assert!(bench.core.checks("a").next().is_none());
    assert_eq!((bench.state("a"), bench.weights("two")), (State::Up, vec![1]));
}

#[test]
fn enabled_is_obeyed_unless_an_operator_set_something() {
    let mut bench = Bench::connected();
    bench.all_up();
    bench.wish("b", BackendWish::Disable).unwrap();
    let backends = BACKENDS
        .replace("10.0.0.1, healthcheck: tcp", "10.0.0.1, healthcheck: tcp, enabled: false")
        .replace(", enabled: false }\n    fixed", " }\n    fixed");
    reload(&mut bench, &backends, FRONTENDS);
    let states = ["a", "b", "off"].map(|name| bench.state(name));
    assert_eq!(states, [State::Disabled, State::Disabled, State::Unknown]);
    reload(&mut bench, BACKENDS, FRONTENDS);
    let states = ["a", "b", "off"].map(|name| bench.state(name));
    assert_eq!(states, [State::Unknown, State::Disabled, State::Disabled]);
}

#[test]
fn frontends_come_and_go_in_vpp() {
    let mut bench = Bench::connected();
    bench.all_up();
    let gone = bench.key("three");
    let frontends =
        FRONTENDS.replace("    three: { address: 203.0.113.3", "    four: { address: 203.0.113.4");
    let (effects, _) = reload(&mut bench, BACKENDS, &frontends);
    assert!(effects.wanted);
    let wanted = bench.core.wanted();
    assert!(!wanted.vips.contains_key(&gone) && !wanted.keep.contains(&gone));
    assert_eq!(wanted.vips[&bench.key("four")].servers.len(), 1);
    assert_eq!(bench.core.frontends.views().len(), 3);
    assert!(!bench.core.frontends.views().contains_key("three"));
    assert_eq!(bench.core.backends.views()["fixed"].frontends.as_ref(), [Arc::from("four")]);
}

#[test]
fn frontend_under_another_name_keeps_its_vip_as_it_is() {
    let mut bench = Bench::connected();
    bench.all_up();
    let spec = Arc::clone(&bench.core.frontends.views()["three"].spec);
    let synced = AgentEvent::Synced { specs: vec![spec], demanded: None, result: Ok(Arc::default()) };
    bench.agent(synced);
    let before = bench.core.wanted();
    let frontends = FRONTENDS.replace("    three:", "    drei:");
    reload(&mut bench, BACKENDS, &frontends);
    assert_eq!(Wanted { full: None, ..bench.core.wanted() }, before);
    assert_eq!(bench.sync("drei"), SyncStatus::Synced);
}

#[test]
fn frontend_that_is_held_back_stays_so_and_one_that_goes_is_not_kept() {
    let config = |frontends: &str| configuration(WARMUP, BACKENDS, frontends);
    let mut bench = Bench::with(config(FRONTENDS), Overrides::default());
    let (two, three) = (bench.key("two"), bench.key("three"));
    bench.vpp(&[(two, 1024, &[(1, 1)])]);
    let frontends = FRONTENDS.replace("    three:", "    drei:").replace("203.0.113.2", "203.0.113.9");
    bench.command(Command::Reload(config(&frontends).into())).unwrap();
    let wanted = bench.core.wanted();
    assert!(!wanted.keep.contains(&two) && wanted.keep.contains(&three) && wanted.keep.len() == 3);
    assert_eq!(bench.sync("drei"), SyncStatus::HeldBack);
}

#[test]
fn settings_are_taken_over() {
    let mut bench = Bench::connected();
    let text = "maglev: { vpp: { lb: { ipv4-src-address: 192.0.2.9, sync-interval: 9s } } }";
    bench.command(Command::Reload(Arc::new(parse("x", text).unwrap().config).into())).unwrap();
    let wanted = bench.core.wanted();
    assert_eq!(wanted.conf.ip4_src_address, Some([192, 0, 2, 9].into()));
    assert_eq!(wanted.sync_interval, Duration::from_secs(9));
    assert_eq!((wanted.vips.len(), bench.core.backends.views().len()), (0, 0));
}

#[test]
fn another_server_does_not_get_the_weight_that_was_kept_for_the_old_one() {
    let mut bench = Bench::connected();
    bench.all_up();
    let backends = BACKENDS.replace("10.0.0.1, healthcheck: tcp", "10.0.0.9, healthcheck: other");
    reload(&mut bench, &backends, FRONTENDS);
    assert_eq!((bench.state("a"), bench.weights("two")), (State::Unknown, vec![0]), "nobody knows this one");

    let mut bench = Bench::new(AT_ONCE);
    let two = bench.key("two");
    bench.vpp(&[(two, 1024, &[(1, 1)])]);
    assert_eq!(bench.weights("two"), [1], "kept for want of an answer");
    reload(&mut bench, &BACKENDS.replace("10.0.0.1,", "10.0.0.9,"), FRONTENDS);
    assert_eq!(bench.weights("two"), [0], "nobody knows this one either");
}

#[test]
fn weight_that_is_kept_stays_with_the_vip_under_another_name() {
    let mut bench = Bench::new(AT_ONCE);
    let two = bench.key("two");
    bench.vpp(&[(two, 1024, &[(1, 1)])]);
    reload(&mut bench, BACKENDS, &FRONTENDS.replace("    two:", "    zwei:"));
    assert_eq!(bench.weights("zwei"), [1]);
    reload(&mut bench, BACKENDS, &FRONTENDS.replace("203.0.113.2,", "203.0.113.9,"));
    assert_eq!(bench.weights("two"), [0], "VPP has no such VIP");
}

#[test]
fn backend_that_could_not_be_probed_is_not_missed_when_its_check_goes() {
    let mut bench = Bench::connected();
    let detail = "no socket".to_owned();
    bench.report(
        "a",
        ProbeOutcome {
            code: ProbeCode::SockErr,
            detail: detail.into(),
            duration: Duration::ZERO,
            asked: None,
        },
    );
    assert_eq!(bench.core.backends.unprobed(), 1);
    reload(&mut bench, &BACKENDS.replace("10.0.0.1, healthcheck: tcp", "10.0.0.1"), FRONTENDS);
    assert_eq!(bench.core.backends.unprobed(), 0);
    assert!(bench.core.backends.views()["a"].last_probe().is_none(), "that was the old check's");
}

/// The prober was stopped, but its result may already be in the inbox.
#[test]
fn probe_under_way_at_a_reload_says_nothing_of_the_new_check() {
    for check in ["", ", healthcheck: other"] {
        let mut bench = Bench::connected();
        bench.all_up();
        let backends = BACKENDS.replace(
            "a: { address: 10.0.0.1, healthcheck: tcp }",
            &format!("a: {{ address: 10.0.0.1{check} }}"),
        );
        bench.command(Command::Reload(configuration(AT_ONCE, &backends, FRONTENDS).into())).unwrap();
        let before = bench.state("a");
        bench.sleep(Duration::from_millis(1));
        let duration = Duration::from_millis(5);
        bench.report("a", ProbeOutcome { code: ProbeCode::L4Con, detail: "".into(), duration, asked: None });
        assert_eq!(bench.state("a"), before, "{backends}");
    }
}
