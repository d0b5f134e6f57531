use super::*;
use crate::snapshot::Drift;

fn synced(bench: &mut Bench, frontend: &str, errors: Vec<StepError>, table_length: Option<TableLengthKept>) {
    let spec = Arc::clone(&bench.core.frontends.views()[frontend].spec);
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
    bench.agent(AgentEvent::Synced { specs: vec![spec], demanded: None, result: Ok(Arc::new(report)) });
}

#[test]
fn sync_is_followed_to_its_end() {
    let mut bench = Bench::connected();
    bench.all_up();
    assert_eq!(bench.sync("one"), SyncStatus::Pending);
    synced(&mut bench, "one", vec![], None);
    assert_eq!(bench.sync("one"), SyncStatus::Synced);
    assert_eq!(bench.core.frontends.views()["one"].kept_table_length(), None);
    let error = StepError { step: "add server 10.0.0.1".into(), code: Some(-97), meaning: "family".into() };
    synced(&mut bench, "one", vec![error], None);
    assert_eq!(bench.sync("one"), SyncStatus::Failed("VPP refused to add server 10.0.0.1: family".into()));
    let specs = vec![Arc::clone(&bench.core.frontends.views()["one"].spec)];
    bench.agent(AgentEvent::Synced { specs, demanded: None, result: Err(CallError::Timeout) });
    assert_eq!(bench.sync("one"), SyncStatus::Failed("the agent did not answer in time".into()));
    bench.vpp_leaves(Duration::ZERO);
    assert_eq!(bench.sync("one"), SyncStatus::Pending, "a VPP that comes back has nothing of ours");
    assert_eq!(bench.core.wanted().view, None);
}

#[test]
fn answer_to_an_older_wish_says_nothing_about_the_newest() {
    let mut bench = Bench::connected();
    bench.all_up();
    let older = Arc::clone(&bench.core.frontends.views()["one"].spec);
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
    // The standby goes down, up and down again: its weight stays 0, but a flush is requested.
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
    let view = &bench.core.frontends.views()["uneven"];
    assert_eq!(view.kept_table_length(), Some(64));
    assert!(!view.table.scale.is_exact());
    assert!(view.spec.new_flows_table_length > 1024, "a VIP that is made anew gets the right one");

    // It was removed by somebody else, and the sync added it with the right length.
    synced(&mut bench, "uneven", vec![], None);
    assert_eq!(bench.weights("uneven"), [100, 51, 7]);
    assert_eq!(bench.core.frontends.views()["uneven"].kept_table_length(), None);
    // Somebody else re-created it with another length.
    let kept = TableLengthKept {
        has: 64,
        wanted: bench.core.frontends.views()["uneven"].spec.new_flows_table_length,
    };
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
    let demand = Demand::Vip(key, demanded.number);
    assert_eq!(Bench::demand(&done), Some(demand));

    let spec = Arc::clone(&bench.core.frontends.views()["uneven"].spec);
    let recreated = Change::VipRecreated { reason: "table length".into() };
    let vip = VipReport { key, changes: vec![recreated], table_length: None, errors: vec![] };
    let report = Arc::new(SyncReport { vips: vec![vip], ..SyncReport::default() });
    let result = Ok(Arc::clone(&report));
    let effects = bench.agent(AgentEvent::Synced { specs: vec![spec], demanded: Some(demand), result });
    assert_eq!(effects.ended, [Ended { demand, in_vpp: InVpp::Acknowledged, report: Some(report) }]);
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
    let demand = Bench::demand(&done).unwrap();
    let specs = vec![Arc::clone(&bench.core.frontends.views()["uneven"].spec)];
    let mut synced = |result| {
        let synced = AgentEvent::Synced { specs: specs.clone(), demanded: Some(demand), result };
        (bench.agent(synced).ended, bench.core.wanted().demands.len())
    };
    assert_eq!(synced(Err(CallError::Timeout)), (vec![], 1), "it is demanded until there is an answer");
    // A failed sync is retried, but nobody needs to wait for that.
    let (ended, left) = synced(Err(another_writes()));
    assert_eq!((told(&ended), left), (refused("another brain is the"), 1));
    let (ended, left) = synced(Err(CallError::Agent(AgentError::NoVpp { reason: "gone".into() })));
    assert_eq!((&ended[0].in_vpp, left), (&InVpp::Away("VPP is not connected: gone".to_owned()), 1));
    let error = StepError { step: "make anew".into(), code: None, meaning: "not tried".into() };
    let vip = VipReport { key, changes: vec![], table_length: None, errors: vec![error] };
    let report = SyncReport { vips: vec![vip], ..SyncReport::default() };
    let (ended, left) = synced(Ok(Arc::new(report)));
    assert_eq!(
        (&ended[0].in_vpp, left),
        (&InVpp::Refused("the agent did not make anew: not tried".to_owned()), 0)
    );
}

fn another_writes() -> CallError {
    CallError::Agent(AgentError::AnotherWriter { version: "1.0".into(), pid: None, seconds: 1 })
}

/// The first refusal's reason, shortened.
fn told(ended: &[Ended]) -> (String, bool) {
    let InVpp::Refused(reason) = &ended[0].in_vpp else { panic!("{ended:?}") };
    (reason.chars().take(20).collect(), reason.ends_with("; will be retried"))
}

fn refused(beginning: &str) -> (String, bool) {
    (beginning.to_owned(), true)
}

#[test]
fn vpp_that_leaves_ends_every_wait_and_the_demands_on_vips_stay() {
    let mut bench = uneven();
    let key = bench.key("uneven");
    bench.vpp(&[(key, 64, &[])]);
    bench.all_up();
    let (_, recreate) = bench.command(Command::Recreate { frontend: "uneven".to_owned() }).unwrap();
    let (_, sync) = bench.command(Command::Sync { frontend: None }).unwrap();
    let effects = bench.vpp_leaves(Duration::ZERO);
    let reason = "VPP is not connected: gone".to_owned();
    let away = |demand| Ended { demand, in_vpp: InVpp::Away(reason.clone()), report: None };
    assert_eq!(effects.ended, [away(Bench::demand(&recreate).unwrap()), away(Bench::demand(&sync).unwrap())]);
    let wanted = bench.core.wanted();
    assert_eq!((wanted.demands.len(), wanted.full), (1, None), "everything is compared anyhow on its return");
    bench.vpp(&[(key, 64, &[])]);
    bench.command(Command::Sync { frontend: None }).unwrap();
    let effects = bench.agent(AgentEvent::Disconnected { reason: "gone".into() });
    assert_eq!(effects.ended.len(), 2, "as with its agent");
}

#[test]
fn full_sync_is_demanded_until_one_is_done_that_was_sent_after_that() {
    let mut bench = Bench::connected();
    bench.all_up();
    let mut demand = |frontend: Option<&str>| {
        let (effects, done) = bench.command(Command::Sync { frontend: frontend.map(str::to_owned) }).unwrap();
        assert!(effects.wanted && *done.in_vpp() == InVpp::Late);
        Bench::demand(&done).unwrap()
    };
    let (first, second) = (demand(None), demand(Some("one")));
    assert_eq!(Some(second), bench.core.wanted().full.map(Demand::Full));
    assert!(second.includes(&first) && !first.includes(&second));
    let mut synced = |demanded, result| {
        let ended = bench.agent(AgentEvent::Synced { specs: vec![], demanded, result }).ended;
        (ended, bench.core.wanted().full.is_some())
    };
    assert_eq!(synced(None, Ok(Arc::default())), (vec![], true), "one that began before");
    let done = |demand| Ended { demand, in_vpp: InVpp::Acknowledged, report: Some(Arc::default()) };
    assert_eq!(synced(Some(first), Ok(Arc::default())), (vec![done(first)], true));
    assert_eq!(synced(Some(second), Err(CallError::Timeout)), (vec![], true));
    let (ended, left) = synced(Some(second), Err(another_writes()));
    assert_eq!((told(&ended), left), (refused("another brain is the"), true));
    assert_eq!(synced(Some(second), Ok(Arc::default())), (vec![done(second)], false));
}

#[test]
fn nothing_is_compared_for_a_name_that_is_unknown_or_before_it_may_be_written() {
    let mut bench = Bench::new(WARMUP);
    let sync = |frontend: Option<&str>| Command::Sync { frontend: frontend.map(str::to_owned) };
    assert_eq!(bench.command(sync(Some("x"))), Err(CommandError::NoSuchFrontend("x".to_owned())));
    assert!(matches!(bench.command(sync(Some("one"))), Err(CommandError::NoVpp(_))));
    let key = bench.key("one");
    bench.vpp(&[(key, 1024, &[(1, 1)])]);
    bench.sleep(Duration::from_millis(1500));
    let early = bench.command(sync(None)).unwrap_err();
    assert_eq!(early, CommandError::WarmingUp("4s".to_owned()));
    assert!(early.to_string().ends_with("try again in 4s"), "{early}");
    bench.seconds(4);
    assert_eq!(bench.command(sync(Some("one"))), Err(CommandError::HeldBack("one".to_owned())));
    assert!(bench.core.wanted().full.is_none());
    assert!(bench.command(sync(None)).is_ok(), "of the others");
}

#[test]
fn agent_is_shown_with_its_process_and_what_it_leaves_alone() {
    let mut bench = Bench::connected();
    let connected = |started| AgentEvent::Connected {
        version: "0.2".into(),
        protocol: 5,
        info: AgentInfo {
            pid: 77,
            started,
            no_echo: Some("no privilege".into()),
            policy: maglev_protocol::AgentPolicy::default(),
        },
    };
    bench.seconds(5);
    bench.agent(connected(3));
    let process = AgentProcess {
        protocol: 5,
        pid: 77,
        started: UNIX_EPOCH + Duration::from_secs(3),
        connected: UNIX_EPOCH + Duration::from_secs(5),
        no_echo: Some("no privilege".into()),
        policy: maglev_protocol::AgentPolicy::default(),
    };
    let agent = |bench: &Bench| bench.core.snapshot(bench.now.mono).agent;
    assert_eq!((agent(&bench).process.clone(), agent(&bench).connections), (Some(process), 1));
    let foreign = vec![bench.key("one")];
    let synced = |read, foreign| AgentEvent::Synced {
        specs: vec![],
        demanded: None,
        result: Ok(Arc::new(SyncReport { read, foreign, ..SyncReport::default() })),
    };
    bench.agent(synced(Some(FullRead { vips: 1, servers: 0 }), foreign.clone()));
    bench.agent(synced(None, vec![]));
    assert_eq!(agent(&bench).foreign, foreign, "a sync without a read says nothing of them");
    bench.agent(AgentEvent::Disconnected { reason: "gone".into() });
    assert_eq!((&agent(&bench).process, agent(&bench).foreign.len()), (&None, 1));
    // A nonsensical clock.
    bench.agent(connected(u64::MAX));
    assert_eq!(agent(&bench).connections, 2);
    bench.agent(synced(Some(FullRead { vips: 0, servers: 0 }), vec![]));
    assert_eq!(agent(&bench).foreign, []);
}

#[test]
fn drift_is_remembered_with_its_time_and_counted() {
    let mut bench = Bench::connected();
    let drift = |bench: &Bench| bench.core.snapshot(bench.now.mono).agent.drift.clone();
    let synced = |lines: usize| AgentEvent::Synced {
        specs: vec![],
        demanded: None,
        result: Ok(Arc::new(SyncReport {
            read: Some(FullRead { vips: 1, servers: 0 }),
            drift: (0..lines).map(|line| format!("line {line}")).collect(),
            ..SyncReport::default()
        })),
    };
    bench.agent(synced(0));
    assert_eq!(drift(&bench), Drift::default());
    bench.seconds(3);
    bench.agent(synced(30));
    bench.seconds(3);
    bench.agent(synced(0));
    let Drift { total, newest } = drift(&bench);
    let (at, lines) = newest.unwrap();
    assert_eq!((total, at, lines.len()), (30, UNIX_EPOCH + Duration::from_secs(3), 20));
    bench.agent(synced(1));
    assert_eq!((drift(&bench).total, drift(&bench).newest.unwrap().1), (31, vec!["line 0".to_owned()]));
}

#[test]
fn refused_settings_are_shown_until_they_are_in_vpp_or_the_agent_is_gone() {
    let mut bench = Bench::connected();
    let refused = |reason: Option<&str>| AgentEvent::Settings { refused: reason.map(str::to_owned) };
    let shown = |bench: &Bench| bench.core.snapshot(bench.now.mono).agent.settings_refused.clone();
    bench.agent(refused(Some("no room")));
    assert_eq!(shown(&bench).as_deref(), Some("no room"));
    bench.agent(refused(None));
    assert_eq!(shown(&bench), None);
    bench.agent(refused(Some("no room")));
    bench.agent(AgentEvent::Disconnected { reason: "gone".into() });
    assert_eq!(shown(&bench), None);
}
