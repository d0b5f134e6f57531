use super::*;

fn synced(bench: &mut Bench, frontend: &str, errors: Vec<StepError>, table_length: Option<TableLengthKept>) {
    let spec = Arc::clone(&bench.core.frontends[frontend].spec);
    synced_as(bench, spec, errors, table_length);
}

fn synced_as(
    bench: &mut Bench,
    spec: Arc<VipSpec>,
    errors: Vec<StepError>,
    table_length: Option<TableLengthKept>,
) {
    let vip = VipReport { key: spec.key, changes: vec![Change::VipAdded], table_length, errors };
    let report = SyncReport { vips: vec![vip], ..SyncReport::default() };
    bench.agent(AgentEvent::Synced { specs: vec![spec], demanded: None, result: Ok(report) });
}

#[test]
fn sync_is_followed_to_its_end() {
    let mut bench = Bench::connected();
    bench.all_up();
    assert_eq!(bench.sync("one"), SyncStatus::Pending);
    synced(&mut bench, "one", vec![], None);
    assert_eq!(bench.sync("one"), SyncStatus::Synced);
    assert_eq!(bench.core.frontends["one"].kept_table_length(), None);
    let error = StepError { step: "add server 10.0.0.1".into(), code: Some(-97), meaning: "family".into() };
    synced(&mut bench, "one", vec![error], None);
    assert_eq!(bench.sync("one"), SyncStatus::Failed("add server 10.0.0.1: family".into()));
    let specs = vec![Arc::clone(&bench.core.frontends["one"].spec)];
    bench.agent(AgentEvent::Synced { specs, demanded: None, result: Err("timeout".into()) });
    assert_eq!(bench.sync("one"), SyncStatus::Failed("timeout".into()));
    bench.vpp_leaves(Duration::ZERO);
    assert_eq!(bench.sync("one"), SyncStatus::Pending, "a VPP that comes back has nothing of ours");
    assert_eq!(bench.core.wanted().view, None);
}

#[test]
fn answer_to_an_older_wish_says_nothing_about_the_newest() {
    let mut bench = Bench::connected();
    bench.all_up();
    let older = Arc::clone(&bench.core.frontends["one"].spec);
    bench.probe("a", false);
    bench.probe("a", false);
    synced_as(&mut bench, older, vec![], None);
    assert_eq!(bench.sync("one"), SyncStatus::Pending);
}

#[test]
fn what_is_known_of_vpp_survives_a_change_that_leaves_its_wish() {
    let mut bench = Bench::connected();
    bench.all_up();
    synced(&mut bench, "one", vec![], None);
    // The standby goes down, comes up and goes down: its weight is 0 throughout, its flush is not.
    bench.probe("c", false);
    assert!(bench.probe("c", false).wanted);
    assert_eq!(bench.sync("one"), SyncStatus::Pending);
}

const UNEVEN: &str = "
    uneven:
      address: 203.0.113.1
      pools: [ { name: only, backends: { a: { weight: 100 }, b: { weight: 51 }, c: { weight: 7 } } } ]
";

fn uneven() -> Bench {
    Bench::with(configuration(AT_ONCE, BACKENDS, UNEVEN), Overrides::default())
}

#[test]
fn weights_fit_the_table_that_vpp_has() {
    let mut bench = uneven();
    let key = bench.key("uneven");
    bench.vpp(&[(key, 64, &[(1, 1)])]);
    bench.all_up();
    let rounded = bench.weights("uneven");
    let sum: u32 = rounded.iter().copied().map(u32::from).sum();
    assert!(sum <= 64 && rounded.iter().all(|weight| *weight > 0), "{rounded:?}");
    let view = &bench.core.frontends["uneven"];
    assert_eq!(view.kept_table_length(), Some(64));
    assert!(!view.table.scale.is_exact());
    assert!(view.spec.new_flows_table_length > 1024, "a VIP that is made anew gets the right one");

    // It was removed behind our back, and the sync made it with the right length.
    synced(&mut bench, "uneven", vec![], None);
    assert_eq!(bench.weights("uneven"), [100, 51, 7]);
    assert_eq!(bench.core.frontends["uneven"].kept_table_length(), None);
    // Somebody made it with another.
    let kept =
        TableLengthKept { has: 64, wanted: bench.core.frontends["uneven"].spec.new_flows_table_length };
    synced(&mut bench, "uneven", vec![], Some(kept));
    assert_eq!(bench.weights("uneven"), rounded);
    assert_eq!(bench.sync("uneven"), SyncStatus::Pending, "these weights are not there yet");
}

#[test]
fn vip_is_made_anew_when_an_operator_demands_it() {
    let mut bench = uneven();
    let recreate = || Command::Recreate { frontend: "uneven".to_owned() };
    assert!(matches!(bench.command(recreate()), Err(CommandError::NoVpp(_))));
    let key = bench.key("uneven");
    bench.vpp(&[(key, 64, &[])]);
    bench.all_up();
    let (effects, done) = bench.command(recreate()).unwrap();
    assert!(effects.wanted);
    let demanded = bench.core.wanted().demands[&key].clone();
    assert!(demanded.demands.recreate);
    assert_eq!(done.demand, Some((key, demanded.number)));

    let spec = Arc::clone(&bench.core.frontends["uneven"].spec);
    let recreated = Change::VipRecreated { reason: "table length".into() };
    let vip = VipReport { key, changes: vec![recreated], table_length: None, errors: vec![] };
    let result = Ok(SyncReport { vips: vec![vip], ..SyncReport::default() });
    let effects =
        bench.agent(AgentEvent::Synced { specs: vec![spec], demanded: Some(demanded.number), result });
    assert_eq!(effects.ended, [Ended { vip: key, number: demanded.number, result: Ok(()) }]);
    assert!(bench.core.wanted().demands.is_empty());
    assert_eq!(bench.weights("uneven"), [100, 51, 7], "as the new table can have them");
    assert_eq!(
        bench.command(Command::Recreate { frontend: "nobody".to_owned() }).unwrap_err(),
        CommandError::NoSuchFrontend("nobody".to_owned())
    );
}

#[test]
fn demand_that_vpp_refuses_ends_with_its_reason() {
    let mut bench = uneven();
    let key = bench.key("uneven");
    bench.vpp(&[(key, 64, &[])]);
    bench.all_up();
    let (_, done) = bench.command(Command::Recreate { frontend: "uneven".to_owned() }).unwrap();
    let number = done.demand.unwrap().1;
    let specs = vec![Arc::clone(&bench.core.frontends["uneven"].spec)];
    let failed =
        AgentEvent::Synced { specs: specs.clone(), demanded: Some(number), result: Err("late".into()) };
    assert!(bench.agent(failed).ended.is_empty(), "it is demanded until there is an answer");
    assert_eq!(bench.core.wanted().demands.len(), 1);
    let error = StepError { step: "make anew".into(), code: None, meaning: "not tried".into() };
    let vip = VipReport { key, changes: vec![], table_length: None, errors: vec![error] };
    let result = Ok(SyncReport { vips: vec![vip], ..SyncReport::default() });
    let effects = bench.agent(AgentEvent::Synced { specs, demanded: Some(number), result });
    assert_eq!(effects.ended[0].result, Err("make anew: not tried".to_owned()));
    assert!(bench.core.wanted().demands.is_empty());
}
