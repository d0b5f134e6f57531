//! The events after any state yield the next state.

use std::fmt::Debug;

use proptest::prelude::*;

use maglev_protocol::AgentInfo;

use super::*;
use crate::snapshot::AgentStatus;

/// The knowledge of a listener.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    backends: BTreeMap<Arc<str>, State>,
    frontends: BTreeMap<Arc<str>, FrontendNow>,
    connection: Result<String, String>,
    vpp: Arc<AgentStatus>,
}

impl Known {
    fn of(snapshot: &Snapshot) -> Self {
        let backends = snapshot.backends.iter();
        let frontends = snapshot.frontends.iter();
        Self {
            backends: backends.map(|(name, view)| (Arc::clone(name), view.health.state())).collect(),
            frontends: frontends.map(|(name, view)| (Arc::clone(name), FrontendNow::of(view))).collect(),
            connection: snapshot.agent.connection.clone(),
            vpp: Arc::clone(&snapshot.agent),
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Backend { backend, transition } if transition.to == State::Removed => {
                assert_eq!(self.backends.remove(&backend), Some(transition.from));
            }
            Event::Backend { backend, transition } => {
                let before = self.backends.insert(backend, transition.to);
                assert_eq!(before, Some(transition.from), "each begins where the last one ended");
            }
            Event::BackendAdded { backend } => {
                assert_eq!(self.backends.insert(backend, State::Unknown), None);
            }
            Event::FrontendRemoved { frontend } => assert!(self.frontends.remove(&frontend).is_some()),
            Event::Frontend { frontend, change, now } => self.take_frontend(frontend, change, now),
            Event::Agent { status } => self.connection = status.connection.clone(),
            Event::Vpp { status } => self.vpp = status,
            Event::Damped { .. }
            | Event::Asked { .. }
            | Event::Overruled { .. }
            | Event::CutOff { .. }
            | Event::Guard { .. }
            | Event::Route { .. }
            | Event::Router { .. }
            | Event::Reloaded { .. }
            | Event::Announced(_)
            | Event::Operator { .. }
            | Event::Expires { .. }
            | Event::Expired { .. } => {}
        }
    }

    fn take_frontend(&mut self, frontend: Arc<str>, change: FrontendChange, now: FrontendNow) {
        let before = self.frontends.insert(frontend, now.clone());
        let differs = |before: &FrontendNow| *before != now;
        match change {
            FrontendChange::Added => assert_eq!(before, None),
            FrontendChange::HeldBack => assert!(before.as_ref().is_some_and(differs)),
            // Simultaneous changes are separate events, each with the complete new state.
            FrontendChange::ActivePool(_)
            | FrontendChange::Panic(_)
            | FrontendChange::State(_)
            | FrontendChange::MinUp { .. } => {
                assert!(before.is_some());
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Probe(&'static str, bool),
    Wish(&'static str, BackendWish),
    Weight(u8),
    Recreate,
    Reload(usize),
    Vpp(bool),
    Agent(bool),
    Sleep(u64),
}

/// Configurations that differ in everything a reload can change: pools, names, VIPs, backends.
pub(super) fn configurations() -> Vec<Arc<Config>> {
    let renamed = FRONTENDS.replace("    two:", "    deux:");
    let moved = FRONTENDS.replace("203.0.113.1\n", "203.0.113.9\n");
    let pools = FRONTENDS.replace("name: primary", "name: first, min-up: 2").replace(
        "        - { name: first",
        "        - { name: before, backends: { fixed: { weight: 3 } } }\n        - { name: first",
    );
    let panicking =
        FRONTENDS.replace("      protocol: tcp", "      panic-threshold: 90\n      protocol: tcp");
    let backends =
        BACKENDS.replace("10.0.0.2", "10.0.0.8").replace("3, healthcheck: tcp", "3, healthcheck: other");
    let swapped_names = BACKENDS.replace("10.0.0.1,", "10.0.0.0,").replace("10.0.0.2,", "10.0.0.1,");
    let swapped_names = swapped_names
        .replace("10.0.0.0,", "10.0.0.2,")
        .replace("10.0.0.3, healthcheck: tcp", "10.0.0.3, healthcheck: same");
    let swapped_vips = FRONTENDS
        .replace("    two:", "    0:")
        .replace("    three:", "    two:")
        .replace("    0:", "    three:");
    let fewer = BACKENDS.replace("    b: { address: 10.0.0.2, healthcheck: tcp }\n", "");
    [
        (BACKENDS, FRONTENDS),
        (BACKENDS, &renamed),
        (BACKENDS, &moved),
        (BACKENDS, &pools),
        (BACKENDS, &panicking),
        (&backends, FRONTENDS),
        (&fewer, &FRONTENDS.replace(" b: {},", "")),
        (&swapped_names, FRONTENDS),
        (BACKENDS, &swapped_vips),
    ]
    .map(|(backends, frontends)| configuration(WARMUP, backends, frontends))
    .into()
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let names = || prop::sample::select(vec!["a", "b", "c", "off", "fixed"]);
    let wishes = prop::sample::select(vec![
        BackendWish::Pause,
        BackendWish::Resume,
        BackendWish::Disable,
        BackendWish::Enable,
        BackendWish::Clear,
    ]);
    let step = prop_oneof![
        8 => (names(), any::<bool>()).prop_map(|(name, passed)| Step::Probe(name, passed)),
        3 => (names(), wishes).prop_map(|(name, wish)| Step::Wish(name, wish)),
        1 => (0..=100u8).prop_map(Step::Weight),
        1 => Just(Step::Recreate),
        2 => (0..9usize).prop_map(Step::Reload),
        2 => any::<bool>().prop_map(Step::Vpp),
        1 => any::<bool>().prop_map(Step::Agent),
        2 => (0..20u64).prop_map(Step::Sleep),
    ];
    prop::collection::vec(step, 1..60)
}

pub(super) fn carry_out(bench: &mut Bench, step: Step, configurations: &[Arc<Config>]) -> Effects {
    let gone = || VppState::Disconnected { reason: "gone".into(), silent_ms: 5000 };
    match step {
        Step::Probe(name, passed) => bench.probe(name, passed),
        Step::Wish(name, wish) => bench.wish(name, wish).unwrap_or_default(),
        Step::Weight(weight) => {
            let member = PoolMember { frontend: "one".into(), pool: "primary".into(), backend: "a".into() };
            let set = bench.command(Command::SetWeight { member, weight, flush: false });
            set.map(|(effects, _)| effects).unwrap_or_default()
        }
        Step::Recreate => {
            let made = bench.command(Command::Recreate { frontend: "one".into() });
            made.map(|(effects, _)| effects).unwrap_or_default()
        }
        Step::Reload(index) => {
            bench.command(Command::Reload(Arc::clone(&configurations[index]).into())).unwrap().0
        }
        Step::Vpp(true) => bench.vpp(&[]),
        Step::Vpp(false) => {
            bench.agent(AgentEvent::Vpp { info: VppInfo { generation: 9, state: gone() }, programmed: None })
        }
        Step::Agent(true) => bench.agent(connected()),
        Step::Agent(false) => bench.agent(AgentEvent::Disconnected { reason: "away".into() }),
        Step::Sleep(seconds) => bench.seconds(seconds),
    }
}

fn connected() -> AgentEvent {
    let info =
        AgentInfo { pid: 1, started: 1, no_echo: None, policy: maglev_protocol::AgentPolicy::default() };
    AgentEvent::Connected { version: "1".into(), protocol: 5, info }
}

fn same<T: PartialEq + Debug>(known: &T, is: &T) -> Result<(), TestCaseError> {
    prop_assert_eq!(known, is);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn events_make_one_state_of_another(steps in steps()) {
        let configurations = configurations();
        let mut bench = Bench::with(Arc::clone(&configurations[0]), Overrides::default());
        let first = bench.core.snapshot(bench.now.mono);
        let (mut known, mut number) = (Known::of(&first), first.events);
        for step in steps {
            let effects = carry_out(&mut bench, step, &configurations);
            prop_assert!(effects.state || effects.events.is_empty(), "who is told can see it");
            number += effects.events.len() as u64;
            effects.events.into_iter().for_each(|event| known.take(event));
            let snapshot = bench.core.snapshot(bench.now.mono);
            prop_assert_eq!(number, snapshot.events);
            let is = Known::of(&snapshot);
            same(&known.backends, &is.backends)?;
            same(&known.frontends, &is.frontends)?;
            same(&known.connection, &is.connection)?;
            same(&known.vpp.vpp, &is.vpp.vpp)?;
            same(&known.vpp.connection.is_ok(), &is.vpp.connection.is_ok())?;
        }
    }
}

fn operators(effects: &Effects) -> Vec<&str> {
    let told = effects.events.iter().filter_map(|event| match event {
        Event::Operator { command, .. } => Some(command.as_str()),
        _ => None,
    });
    told.collect()
}

#[test]
fn what_operators_set_is_told_as_one_would_type_it() {
    let mut bench = Bench::connected();
    bench.all_up();
    assert_eq!(operators(&bench.wish("a", BackendWish::Pause).unwrap()), ["set backend a pause"]);
    assert!(operators(&bench.wish("a", BackendWish::Pause).unwrap()).is_empty(), "it is paused already");
    assert_eq!(operators(&bench.wish("a", BackendWish::Clear).unwrap()), ["clear override backend a"]);
    let member = PoolMember { frontend: "one".into(), pool: "primary".into(), backend: "a".into() };
    let set = Command::SetWeight { member: member.clone(), weight: 7, flush: true };
    let told = "set frontend one pool primary backend a weight 7 flush";
    assert_eq!(operators(&bench.command(set.clone()).unwrap().0), [told]);
    assert!(operators(&bench.command(set).unwrap().0).is_empty(), "it has that weight already");
    let cleared = bench.command(Command::ClearWeight { member }).unwrap().0;
    assert_eq!(operators(&cleared), ["clear override frontend one pool primary backend a"]);
}

#[test]
fn reload_is_told_before_what_it_changes() {
    let mut bench = Bench::connected();
    bench.all_up();
    let fewer = FRONTENDS.replace("    two: {", "    deux: {");
    let (effects, done) =
        bench.command(Command::Reload(configuration(AT_ONCE, BACKENDS, &fewer).into())).unwrap();
    let (deux, two) = ("deux".into(), "two".into());
    let now = FrontendNow::of(&bench.core.frontends.views()["deux"]);
    let expected = [
        Event::Reloaded { changes: done.changes.unwrap().to_string() },
        Event::FrontendRemoved { frontend: two },
        Event::Frontend { frontend: deux, change: FrontendChange::Added, now },
    ];
    assert_eq!(effects.events, expected);
}

#[test]
fn agent_and_vpp_are_told_when_they_change() {
    let mut bench = Bench::new(AT_ONCE);
    let kinds = |effects: &Effects| {
        let kind = |event: &Event| match event {
            Event::Agent { status } => format!("agent {}", status.connection.is_ok()),
            Event::Vpp { status } => format!("vpp {}", status.vpp.is_some()),
            other => format!("{other:?}"),
        };
        effects.events.iter().map(kind).filter(|kind| !kind.starts_with("Frontend")).collect::<Vec<_>>()
    };
    let away = |reason: &str| AgentEvent::Disconnected { reason: reason.into() };
    assert_eq!(kinds(&bench.agent(away("no such file"))), ["agent false"]);
    assert!(kinds(&bench.agent(away("no such file"))).is_empty(), "the same again and again");
    assert_eq!(kinds(&bench.agent(connected())), ["agent true", "vpp false"]);
    assert_eq!(kinds(&bench.vpp(&[]))[0], "vpp true");
    assert_eq!(kinds(&bench.agent(away("gone"))), ["agent false", "vpp false"]);
}
