//! Passes that a tally takes on its own, compared with a core that decides on every probe.

use proptest::prelude::*;

use super::*;
use crate::outcome::{LastProbe, Share};
use crate::snapshot::BackendView;

const TEXT: &str = "
maglev:
  healthchecker:
    damping: { half-life: 5s, suppress: 1500, reuse: 800 }
    guard: { more-than: 50%, per-second: 1 }
  vpp: { lb: { ipv4-src-address: 192.0.2.1, startup-min-delay: 0s, startup-max-delay: 0s } }
  healthchecks:
    tcp: { type: tcp, port: 80, rise: 2, fall: 2 }
    web: { type: http, rise: 1, fall: 2, params: { drain-code: [404], agent-header: X-Weight } }
  backends:
    a: { address: 10.0.0.1, healthcheck: tcp }
    b: { address: 10.0.0.2, healthcheck: [tcp, web], require: all }
    c: { address: 10.0.0.3, healthcheck: [tcp, web], require: 1 }
  frontends:
    f: { address: 203.0.113.1, pools: [ { name: only, backends: { a: {}, b: {}, c: {} } } ] }
";

#[derive(Debug, Clone)]
enum Step {
    Probe {
        backend: &'static str,
        check: usize,
        code: ProbeCode,
        asked: Option<Share>,
    },
    Wish(&'static str, BackendWish),
    /// Other checks of `a` and `c`, or `tcp` under another name.
    Reload(bool, bool),
    Silence,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let backend = prop::sample::select(vec!["a", "b", "c"]);
    let code = prop_oneof![
        6 => Just(ProbeCode::L7Ok),
        2 => Just(ProbeCode::L4Con),
        1 => Just(ProbeCode::SockErr),
    ];
    let asked = prop_oneof![8 => Just(None), 1 => Just(Share::of(50)), 1 => Just(Some(Share::WHOLE))];
    let wish = prop::sample::select(vec![
        BackendWish::Pause,
        BackendWish::Resume,
        BackendWish::Disable,
        BackendWish::Enable,
    ]);
    let step = prop_oneof![
        30 => (backend.clone(), 0usize..2, code, asked)
            .prop_map(|(backend, check, code, asked)| Step::Probe { backend, check, code, asked }),
        2 => (backend, wish).prop_map(|(backend, wish)| Step::Wish(backend, wish)),
        4 => any::<(bool, bool)>().prop_map(|(other, named)| Step::Reload(other, named)),
        1 => Just(Step::Silence),
        3 => (1u64..4000).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..250)
}

fn config(other: bool, named: bool) -> Arc<Config> {
    let text = TEXT.to_owned();
    let text = if other {
        text.replace("[tcp, web], require: 1", "[web]").replace("tcp }\n    b", "web }\n    b")
    } else {
        text
    };
    let text = if named { text.replace("tcp:", "port:").replace("tcp", "port") } else { text };
    let text = text.replace("type: port", "type: tcp");
    Arc::new(parse("test.yaml", &text).unwrap_or_else(|errors| panic!("{errors}")).config)
}

impl Bench {
    /// Makes a step. If tallies may `take` passes, those that do are not decided on; returns whether this one was.
    fn step(&mut self, step: &Step, take: bool) -> bool {
        match step {
            Step::Probe { backend, check, code, asked } => {
                let found = self.core.checks(backend).find(|checked| checked.index == *check);
                let Some(tally) = found.map(|checked| Arc::clone(checked.tally)) else { return false };
                let outcome = ProbeOutcome {
                    code: *code,
                    detail: "test".into(),
                    duration: Duration::from_millis(1),
                    asked: *asked,
                };
                let (late, ended) = (Duration::ZERO, self.now.mono);
                let probed = LastProbe { outcome, at: self.now.wall, ended, late };
                let probed = if take { tally.take_repeated(probed) } else { Err(probed) };
                let Err(LastProbe { outcome, .. }) = probed else { return true };
                let report = Report { backend: (*backend).into(), check: *check, outcome, late, ended };
                self.core.handle(Input::Probe(report), self.now);
            }
            Step::Wish(backend, wish) => {
                let command = Command::Backend { backend: (*backend).to_owned(), wish: *wish };
                // What an operator only tries must not matter.
                drop(self.core.tried(command.clone(), self.now));
                drop(self.command(command));
            }
            Step::Reload(other, named) => {
                let command = Command::Reload(config(*other, *named).into());
                drop(self.core.tried(command.clone(), self.now));
                drop(self.command(command));
            }
            Step::Silence => {
                self.vpp_leaves(Duration::from_secs(1));
                self.vpp(&[]);
            }
            Step::Wait(millis) => drop(self.sleep(Duration::from_millis(*millis))),
        }
        false
    }

    fn shown(&self) -> String {
        let views = self.core.backends.views().iter();
        let last = |view: &BackendView| -> Vec<_> {
            view.checks.iter().map(|check| check.tally.last_probe()).collect()
        };
        let backends: Vec<_> =
            views.map(|(name, view)| format!("{name} {view:?} {:?}", last(view))).collect();
        let durations: Vec<_> =
            self.core.checks.iter().map(|(name, tally)| (name, tally.durations.read())).collect();
        format!("{backends:#?}\n{durations:?}\n{:?}\n{}", self.core.wanted(), self.core.events())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 5_000 }))]
    #[test]
    fn what_a_tally_takes_would_have_changed_nothing(steps in steps()) {
        let mut decides = Bench::with(config(false, false), Overrides::default());
        let core = Core::new(config(false, false), Overrides::default(), "agent.sock".into(), decides.now);
        let mut takes = Bench { core, now: decides.now, views: 0 };
        for bench in [&mut decides, &mut takes] {
            bench.vpp(&[]);
            bench.seconds(1);
        }
        for (place, step) in steps.iter().enumerate() {
            decides.step(step, false);
            takes.step(step, true);
            prop_assert_eq!(decides.shown(), takes.shown(), "after step {}, {:?}", place, step);
        }
    }
}

#[test]
fn nearly_all_passes_are_taken() {
    let mut bench = Bench::with(config(false, false), Overrides::default());
    bench.vpp(&[]);
    bench.seconds(1);
    let pass = Step::Probe { backend: "a", check: 0, code: ProbeCode::L4Ok, asked: None };
    let taken: Vec<_> = (0..6).map(|_| bench.step(&pass, true)).collect();
    assert_eq!(
        taken,
        [false, false, true, true, true, true],
        "the first brings it up, the second changes nothing"
    );
    assert_eq!(bench.core.checks("a").next().unwrap().tally.probes(ProbeCode::L4Ok), 6);
}

#[test]
fn what_is_only_tried_forgets_no_probe() {
    let mut bench = Bench::with(config(false, false), Overrides::default());
    bench.seconds(1);
    bench.step(&Step::Probe { backend: "a", check: 0, code: ProbeCode::L4Ok, asked: None }, true);
    let last = |bench: &Bench| bench.core.checks("a").next().unwrap().tally.last_probe().is_some();
    let reload = Command::Reload(config(true, false).into());
    bench.core.tried(reload.clone(), bench.now).unwrap();
    assert!(last(&bench));
    bench.command(reload).unwrap();
    assert!(!last(&bench), "its check is another one");
    assert_eq!(bench.core.checks("a").next().unwrap().tally.probes(ProbeCode::L4Ok), 1, "its counters go on");
}

#[test]
fn a_probe_from_before_other_checks_is_not_taken() {
    let mut bench = Bench::with(config(false, false), Overrides::default());
    bench.seconds(1);
    let web = |check| Step::Probe { backend: "c", check, code: ProbeCode::L7Ok, asked: None };
    let taken: Vec<_> = (0..3).map(|_| bench.step(&web(1), true)).collect();
    assert_eq!(taken, [false, false, true]);
    bench.command(Command::Reload(config(true, false).into())).unwrap();
    assert!(!bench.step(&web(0), true), "it began a millisecond ago");
    assert_eq!(bench.core.checks("c").next().unwrap().tally.probes(ProbeCode::L7Ok), 3, "nor is it counted");
}
