use crate::overrides::Remark;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::config::{Config, parse};
use crate::core::{BackendWish, Input};
use crate::outcome::{ProbeCode, ProbeOutcome, Report};
use crate::overrides::{Overrides, PoolMember};

const BACKENDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A configuration with one frontend of two pools, and one more that shares some of its backends.
fn configuration(weights: &[u8; 6], options: &str) -> Arc<Config> {
    let backends: String = BACKENDS
        .iter()
        .zip(1..)
        .map(|(name, last)| format!("    {name}: {{ address: 10.0.0.{last}, healthcheck: tcp }}\n"))
        .collect();
    let (options, min_up) = match options.strip_prefix("min-up: ") {
        Some(min_up) => ("", format!("min-up: {min_up}, ")),
        None => (options, String::new()),
    };
    let pool = |range: std::ops::Range<usize>| {
        let rows = range.map(|index| format!("{}: {{ weight: {} }}", BACKENDS[index], weights[index]));
        rows.collect::<Vec<_>>().join(", ")
    };
    let text = format!(
        "\
maglev:
  vpp: {{ lb: {{ ipv4-src-address: 192.0.2.1, startup-min-delay: 0s, startup-max-delay: 0s }} }}
  healthchecks:
    tcp: {{ type: tcp, port: 80, rise: 1, fall: 1 }}
  backends:
{backends}  frontends:
    one:
      address: 203.0.113.1
      protocol: tcp
      port: 80
      {options}
      pools: [ {{ name: p, {min_up}backends: {{ {} }} }}, {{ name: q, {min_up}backends: {{ {} }} }} ]
    two:
      address: 203.0.113.2
      pools: [ {{ name: p, backends: {{ {} }} }} ]
",
        pool(0..4),
        pool(3..6),
        pool(2..5),
    );
    Arc::new(parse("test.yaml", &text).unwrap().config)
}

struct Bench {
    core: Core,
    now: Now,
}

impl Bench {
    fn new(config: Arc<Config>) -> Self {
        let now = Now { wall: SystemTime::UNIX_EPOCH, mono: crate::tests::moment() };
        Self { core: Core::new(config, Overrides::default(), "/agent.sock".into(), now), now }
    }

    fn all(up: &[bool; 6], config: Arc<Config>) -> Self {
        let mut bench = Self::new(config);
        for (name, up) in BACKENDS.into_iter().zip(up) {
            bench.probe(name, *up);
        }
        bench
    }

    fn probe(&mut self, backend: &str, passes: bool) {
        self.now.mono += Duration::from_millis(10);
        self.now.wall += Duration::from_millis(10);
        let code = if passes { ProbeCode::L4Ok } else { ProbeCode::L4Con };
        let outcome =
            ProbeOutcome { code, detail: "".into(), duration: Duration::from_millis(1), asked: None };
        let report =
            Report { backend: backend.into(), check: 0, outcome, late: Duration::ZERO, ended: self.now.mono };
        self.core.handle(Input::Probe(report), self.now);
    }

    fn preview(&self, command: Command) -> Preview {
        preview(&self.core, command, &|_, _| Some(7), self.now).unwrap()
    }
}

fn wish(backend: &str, wish: BackendWish) -> Command {
    Command::Backend { backend: backend.into(), wish }
}

fn weight(backend: &str, weight: u8, flush: bool) -> Command {
    let member = PoolMember { frontend: "one".into(), pool: "p".into(), backend: backend.into() };
    Command::SetWeight { member, weight, flush }
}

fn sentences(preview: &Preview, frontend: &str) -> Vec<String> {
    let found = preview.frontends.iter().find(|found| found.frontend == frontend);
    found.map(|found| found.sentences.clone()).unwrap_or_default()
}

#[test]
fn what_changes_nothing_says_nothing() {
    let bench = Bench::all(&[true; 6], configuration(&[100; 6], ""));
    let preview = bench.preview(Command::Reload(configuration(&[100; 6], "").into()));
    assert_eq!((preview.severity, preview.frontends.len()), (Severity::None, 0));
    // It is up already.
    let preview = bench.preview(weight("a", 100, false));
    assert_eq!((preview.severity, preview.frontends.len()), (Severity::None, 0));
}

#[test]
fn pause_leaves_flows_and_disabling_moves_them() {
    let bench = Bench::all(&[true; 6], configuration(&[100; 6], ""));
    let paused = bench.preview(wish("a", BackendWish::Pause));
    assert_eq!(paused.severity, Severity::Notice);
    let said = sentences(&paused, "one");
    assert_eq!(said[0], "7 flows of a are left to finish");
    assert!(said[1].contains(" buckets move between backends that go on serving"), "{said:?}");
    let disabled = bench.preview(wish("a", BackendWish::Disable));
    assert_eq!(sentences(&disabled, "one")[0], "7 flows of a are moved to other backends at once");
    let row = disabled.frontends[0].backends.iter().find(|row| row.backend == "a").unwrap();
    let (before, after) = (row.before.unwrap(), row.after.unwrap());
    assert_eq!((before.effective, after.effective, after.buckets, row.fate), (100, 0, 0, Fate::Move));
    assert!(before.buckets > 0);
    assert_eq!(disabled.frontends.len(), 1, "the other one does not have it");
}

#[test]
fn last_backend_is_told_as_danger_and_a_standby_pool_as_notice() {
    let bench = Bench::all(&[true, false, false, false, true, false], configuration(&[100; 6], ""));
    let preview = bench.preview(wish("a", BackendWish::Pause));
    assert_eq!(preview.severity, Severity::Notice);
    assert_eq!(sentences(&preview, "one")[0], "pool q takes over from pool p");
    let bench = Bench::all(&[true, false, false, false, false, false], configuration(&[100; 6], ""));
    let preview = bench.preview(wish("a", BackendWish::Disable));
    assert_eq!(preview.severity, Severity::Danger);
    assert_eq!(
        sentences(&preview, "one"),
        ["no backend left: new flows are dropped", "7 flows of a are cut at once"]
    );
}

#[test]
fn panic_is_danger() {
    let config = configuration(&[100; 6], "panic-threshold: 40");
    let bench = Bench::all(&[true, true, false, false, true, true], config);
    let preview = bench.preview(wish("a", BackendWish::Disable));
    assert_eq!(preview.severity, Severity::Danger);
    let said = sentences(&preview, "one");
    assert_eq!(said[0], "too few backends of pool p are up: all of them take new flows, healthy or not");
}

#[test]
fn pool_below_its_min_up_is_danger_active_or_not() {
    let bench = Bench::all(&[true, true, true, false, true, true], configuration(&[100; 6], "min-up: 2"));
    let told = |bench: &Bench, command| {
        let preview = bench.preview(command);
        (preview.severity, sentences(&preview, "one").first().cloned().unwrap_or_default())
    };
    assert_eq!(told(&bench, wish("a", BackendWish::Pause)).0, Severity::Notice);
    let below = "pool q goes below its min-up: 1 of 3 up, min-up 2";
    assert_eq!(told(&bench, wish("e", BackendWish::Pause)), (Severity::Danger, below.to_owned()));
    let more = Command::Reload(configuration(&[100; 6], "min-up: 75%").into());
    let below = "pool q goes below its min-up: 2 of 3 up, min-up 3";
    assert_eq!(told(&bench, more), (Severity::Danger, below.to_owned()), "nothing else of the pool changes");
    let weights = Command::Reload(configuration(&[100, 0, 0, 100, 100, 100], "min-up: 2").into());
    let below = "pool p goes below its min-up: 1 of 4 up, min-up 2";
    assert_eq!(told(&bench, weights), (Severity::Danger, below.to_owned()));

    let mut bench =
        Bench::all(&[true, false, false, false, true, true], configuration(&[100; 6], "min-up: 2"));
    let none = "pool p goes further below its min-up: 0 of 4 up, min-up 2";
    let preview = bench.preview(weight("a", 0, false));
    assert_eq!(preview.severity, Severity::Danger);
    assert!(sentences(&preview, "one").iter().any(|sentence| sentence == none), "{preview:?}");
    // Back again, and as unknown as before.
    bench.core.command(wish("a", BackendWish::Pause), bench.now).unwrap();
    assert_eq!(told(&bench, wish("a", BackendWish::Resume)).0, Severity::None);
}

#[test]
fn reload_tells_what_becomes_of_vips_and_of_all_pinned_flows() {
    let bench = Bench::all(&[true; 6], configuration(&[100; 6], ""));
    let sticky = bench.preview(Command::Reload(configuration(&[100; 6], "src-ip-sticky: true").into()));
    assert_eq!(sticky.severity, Severity::Danger);
    assert_eq!(sticky.frontends[0].change, VipChange::Recreated);
    assert!(sentences(&sticky, "one")[0].starts_with("VIP 203.0.113.1 tcp/80 is re-created: "));

    let mut moved = Config::clone(bench.core.config());
    let one = moved.frontends.get_mut("one").unwrap();
    Arc::make_mut(one).address = "203.0.113.9".parse().unwrap();
    moved.lb.sticky_buckets_per_core *= 2;
    let moved = bench.preview(Command::Reload(Arc::new(moved).into()));
    let changes: Vec<_> = moved.frontends.iter().map(|frontend| frontend.change).collect();
    assert_eq!(changes, [VipChange::Removed, VipChange::Added]);
    assert_eq!(moved.severity, Severity::Danger);
    assert_eq!(
        moved.sentences,
        ["sticky-buckets-per-core changes from 65536 to 131072: VPP forgets the pinned flows of all VIPs"]
    );
}

#[test]
fn errors_are_those_of_the_command_and_nothing_is_counted() {
    let bench = Bench::all(&[true; 6], configuration(&[100; 6], ""));
    let unknown = preview(&bench.core, wish("nobody", BackendWish::Pause), &|_, _| None, bench.now);
    assert_eq!(unknown, Err(CommandError::NoSuchBackend("nobody".into())));
    let before = format!("{:?}", bench.core);
    bench.preview(wish("a", BackendWish::Disable));
    assert_eq!(format!("{:?}", bench.core), before);
}

#[test]
fn command_decided_on_another_state_is_refused() {
    let mut bench = Bench::all(&[true; 6], configuration(&[100; 6], ""));
    let state = bench.preview(wish("a", BackendWish::Pause)).events;
    bench.probe("b", false);
    let refused =
        bench.core.command_on(Some(state), wish("a", BackendWish::Pause), Remark::default(), bench.now);
    assert_eq!(refused.unwrap_err(), CommandError::Moved);
    let state = bench.preview(wish("a", BackendWish::Pause)).events;
    bench.core.command_on(Some(state), wish("a", BackendWish::Pause), Remark::default(), bench.now).unwrap();
}

fn any_command() -> impl Strategy<Value = Command> {
    let backend = || prop::sample::select(BACKENDS.to_vec());
    let wishes = [BackendWish::Pause, BackendWish::Resume, BackendWish::Enable, BackendWish::Disable];
    let wishes = prop::sample::select(wishes.to_vec());
    prop_oneof![
        (backend(), wishes).prop_map(|(backend, to)| wish(backend, to)),
        (prop::sample::select(vec!["a", "b", "c", "d"]), 0..=100_u8, any::<bool>())
            .prop_map(|(backend, to, flush)| weight(backend, to, flush)),
        (any_weights(), any_options())
            .prop_map(|(weights, options)| { Command::Reload(configuration(&weights, options).into()) }),
    ]
}

fn any_weights() -> impl Strategy<Value = [u8; 6]> {
    prop::array::uniform6(prop_oneof![Just(100_u8), Just(0), 0..=100_u8])
}

fn any_options() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "min-up: 2",
        "flush-on-down: false",
        "src-ip-sticky: true",
        "panic-threshold: 60",
    ])
}

proptest! {
    /// The state afterwards equals the preview, for any configuration, health, overrides and change.
    #[test]
    fn what_is_told_is_what_happens(
        weights in any_weights(),
        options in any_options(),
        up in prop::array::uniform6(any::<bool>()),
        before in prop::collection::vec(any_command(), 0..4),
        command in any_command(),
    ) {
        let mut bench = Bench::all(&up, configuration(&weights, options));
        for command in before {
            // One that is refused changes nothing.
            drop(bench.core.command(command, bench.now));
        }
        let was: Vec<_> = bench.core.frontends().map(|(_, view)| Arc::clone(view)).collect();
        let Ok(told) = preview(&bench.core, command.clone(), &|_, _| None, bench.now) else {
            prop_assert!(bench.core.command(command, bench.now).is_err());
            return Ok(());
        };
        bench.core.command(command, bench.now).unwrap();
        let listed: BTreeSet<_> = told.frontends.iter().map(|frontend| frontend.vip).collect();
        for (name, view) in bench.core.frontends() {
            let earlier = was.iter().find(|earlier| earlier.spec.key == view.spec.key);
            if let Some(earlier) = earlier && !listed.contains(&view.spec.key) {
                let (was, is) = (&earlier.spec.servers, &view.spec.servers);
                let weights = |servers: &std::collections::BTreeMap<IpAddr, maglev_protocol::ServerSpec>| {
                    servers.iter().map(|(server, spec)| (*server, spec.weight)).collect::<Vec<_>>()
                };
                prop_assert_eq!(weights(was), weights(is), "{} is not told", name);
            }
            let Some(frontend) = told.frontends.iter().find(|found| found.vip == view.spec.key) else { continue };
            let after = frontend.after.as_ref().unwrap();
            prop_assert_eq!(after.state, view.weights.state);
            for row in &frontend.backends {
                let server = view.spec.servers.get(&row.server);
                prop_assert_eq!(row.after.map(|share| share.programmed), server.map(|server| server.weight));
                if server.is_some_and(|server| server.weight > 0) {
                    prop_assert!(matches!(row.fate, Fate::Stay | Fate::Rehash | Fate::Move), "{row:?}");
                }
            }
            let total: u32 = {
                let mut servers = BTreeSet::new();
                let rows = frontend.backends.iter().filter(|row| servers.insert(row.server));
                rows.filter_map(|row| Some(row.after?.buckets)).sum()
            };
            let serves = view.spec.servers.values().any(|server| server.weight > 0);
            prop_assert_eq!(total, if serves { after.table_length } else { 0 });
            let nobody = frontend.sentences.iter().any(|sentence| sentence.starts_with("no backend left"));
            prop_assert!(!(nobody && serves));
        }
    }
}
