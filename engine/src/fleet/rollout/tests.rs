use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::fleet::records::{Plan, Problems, Record, Refused, Running, Sha256};
use crate::tests::moment;

const SOAK: Duration = Duration::from_secs(60);

fn name(number: usize) -> Name {
    Name::new(&format!("lb{number}")).unwrap()
}

fn names(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<Name> {
    numbers.into_iter().map(name).collect()
}

fn running(revision: Option<u64>) -> MemberState {
    let sha256 = Sha256::of(b"");
    let running = revision.map(|revision| Running { revision, sha256 });
    MemberState {
        running,
        refused: None,
        intents: 0,
        local: 0,
        not_programmed: None,
        vpp: true,
        problems: Problems::default(),
        announces: true,
        routes: crate::fleet::records::Routes::Normal,
        clock_ms: 0,
        instance: 0,
    }
}

/// From 6 to 7, on four members.
fn rollout(stage: Stage, may: &[usize], order: Order) -> Rollout {
    let plan = Plan { canary: names([1]), soak_ms: u64::try_from(SOAK.as_millis()).unwrap(), order };
    let may = names(may.iter().copied());
    let (members, comment) = (names(1..=4), String::new());
    Rollout {
        revision: 7,
        back_to: Some(6),
        plan,
        members,
        stage,
        may,
        since_ms: 0,
        begun_ms: 5,
        who: None,
        comment,
    }
}

/// The states of lb1 and lb2 in the table.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Case {
    Old,
    Taken,
    NotProgrammed,
    Refused,
    RefusedBefore,
    Problem,
    Missing,
    Away,
}

const CASES: [Case; 8] = [
    Case::Old,
    Case::Taken,
    Case::NotProgrammed,
    Case::Refused,
    Case::RefusedBefore,
    Case::Problem,
    Case::Missing,
    Case::Away,
];

impl Case {
    fn state(self) -> MemberState {
        let refused = |begun_ms| Some(Refused { revision: 7, reason: "line 3: no".to_owned(), begun_ms });
        match self {
            Self::Old | Self::Missing | Self::Away => running(Some(6)),
            Self::Taken => running(Some(7)),
            Self::NotProgrammed => {
                MemberState { not_programmed: Some("VPP is away".to_owned()), ..running(Some(7)) }
            }
            Self::Refused => MemberState { refused: refused(5), ..running(Some(6)) },
            Self::RefusedBefore => MemberState { refused: refused(4), ..running(Some(6)) },
            Self::Problem => {
                MemberState { problems: Problems { drift: 2, ..Problems::default() }, ..running(Some(7)) }
            }
        }
    }
}

fn decided(rollout: &Rollout, cases: &[Case], age: Duration) -> Decision {
    let states: Vec<_> = cases.iter().map(|case| case.state()).collect();
    let presence = |(case, state): (&Case, _)| match case {
        Case::Missing => Presence::Missing,
        Case::Away => Presence::Away,
        _ => Presence::Here(state),
    };
    let members = (1..).map(name).zip(cases.iter().zip(&states).map(presence)).collect();
    decide(rollout, &members, age)
}

fn words(decision: &Decision) -> String {
    match decision {
        Decision::Wait(None) => "wait".to_owned(),
        Decision::Wait(Some(age)) => format!("wait until {}", humantime::format_duration(*age)),
        Decision::Step(step) => {
            let may: Vec<_> = step.may.iter().map(Name::as_str).collect();
            format!("{}, may {}", step.stage, may.join(" "))
        }
    }
}

/// Every stage, with the canary in every state, young and old. The other members run the old revision.
#[test]
fn each_stage_with_each_state_of_the_canary() {
    use Case::*;
    let young = Duration::from_secs(59);
    let failed = || Stage::Failed { reason: "x".to_owned() };
    let aborted = || Stage::Aborted { reason: "x".to_owned() };
    let back = || Stage::RolledBack { reason: "x".to_owned() };
    let drift = "failed: on lb1, since it runs revision 7: differences in VPP were found (2), may lb1";
    let refused = "failed: lb1 refused revision 7: line 3: no, may lb1";
    let late = "failed: lb1 did not run revision 7 within 5m, may lb1";
    let unprogrammed = "failed: on lb1, revision 7 is not programmed: VPP is away, may lb1";
    let away = "failed: lb1 went away while it was to run revision 7, may lb1";
    let wait = "wait until 5m";
    let returned = "rolled-back: x, may lb1";
    let table: Vec<(Stage, [[&str; 2]; 8])> = vec![
        (
            Stage::Canary,
            [
                [wait, late],
                ["soaking, may lb1"; 2],
                [wait, unprogrammed],
                [refused; 2],
                [wait, late],
                [drift; 2],
                [wait, "wait"],
                [away; 2],
            ],
        ),
        (
            Stage::Soaking,
            [
                [wait, late],
                ["wait until 1m", "rest, may lb1"],
                [wait, "wait"],
                [refused; 2],
                [wait, late],
                [drift; 2],
                [wait, "wait"],
                [away; 2],
            ],
        ),
        (
            Stage::Rest,
            [
                [wait, late],
                ["rest, may lb1 lb2"; 2],
                [wait, unprogrammed],
                [refused; 2],
                [wait, late],
                [drift; 2],
                [wait, "wait"],
                [away; 2],
            ],
        ),
        (Stage::Done, [["wait"; 2]; 8]),
        (
            failed(),
            [
                [returned; 2],
                ["wait"; 2],
                ["wait"; 2],
                [returned; 2],
                [returned; 2],
                ["wait"; 2],
                ["wait"; 2],
                [returned; 2],
            ],
        ),
        (
            aborted(),
            [
                [returned; 2],
                ["wait"; 2],
                ["wait"; 2],
                [returned; 2],
                [returned; 2],
                ["wait"; 2],
                ["wait"; 2],
                [returned; 2],
            ],
        ),
        (back(), [["wait"; 2]; 8]),
    ];
    for (stage, row) in table {
        for (case, expected) in CASES.into_iter().zip(row) {
            for (age, expected) in [young, TAKE_WITHIN].into_iter().zip(expected) {
                let found =
                    decided(&rollout(stage.clone(), &[1], Order::OneByOne), &[case, Old, Old, Old], age);
                assert_eq!(words(&found), expected, "{stage}, {case:?}, after {age:?}");
            }
        }
    }
}

#[test]
fn the_rest_follows_in_order_and_passes_those_who_are_away() {
    use Case::*;
    for (order, may, cases, expected) in [
        (Order::OneByOne, &[1][..], [Taken, Old, Old, Old], "rest, may lb1 lb2"),
        (Order::OneByOne, &[1, 2], [Taken, Old, Old, Old], "wait until 5m"),
        (Order::OneByOne, &[1, 2], [Taken, Taken, Old, Old], "rest, may lb1 lb2 lb3"),
        (Order::OneByOne, &[1], [Taken, Away, Old, Old], "rest, may lb1 lb3"),
        (Order::OneByOne, &[1], [Taken, Missing, Old, Old], "rest, may lb1 lb3"),
        (Order::OneByOne, &[1, 3, 4], [Taken, Missing, Taken, Taken], "wait"),
        (Order::OneByOne, &[1, 3, 4], [Taken, Away, Taken, Taken], "done, may lb1 lb3 lb4"),
        (Order::OneByOne, &[1, 2, 3, 4], [Taken; 4], "done, may lb1 lb2 lb3 lb4"),
        (Order::OneByOne, &[1, 2, 3, 4], [Taken, Taken, Taken, NotProgrammed], "wait until 5m"),
        (Order::Halves, &[1], [Taken, Old, Old, Old], "rest, may lb1 lb2 lb3"),
        (Order::Halves, &[1, 2, 3], [Taken, Taken, Old, Old], "wait until 5m"),
        (Order::Halves, &[1, 2, 3], [Taken, Taken, Taken, Old], "rest, may lb1 lb2 lb3 lb4"),
        (Order::Halves, &[1], [Taken, Away, Away, Old], "rest, may lb1 lb4"),
        (Order::Halves, &[1, 2, 3, 4], [Taken; 4], "done, may lb1 lb2 lb3 lb4"),
    ] {
        let found = decided(&rollout(Stage::Rest, may, order), &cases, Duration::ZERO);
        assert_eq!(words(&found), expected, "{order:?} {may:?} {cases:?}");
    }
}

#[test]
fn a_member_runs_what_it_may() {
    let run = |stage: Stage| {
        let rollout = rollout(stage, &[1], Order::OneByOne);
        [1, 2].map(|number| target(&rollout, &name(number)))
    };
    for stage in [Stage::Canary, Stage::Soaking, Stage::Rest] {
        assert_eq!(run(stage), [Some(7), Some(6)]);
    }
    assert_eq!(run(Stage::Done), [Some(7), Some(7)]);
    let reason = String::new;
    for stage in [Stage::Failed { reason: reason() }, Stage::Aborted { reason: reason() }] {
        assert_eq!(run(stage), [Some(6), Some(6)]);
    }
    assert_eq!(run(Stage::RolledBack { reason: reason() }), [Some(6), Some(6)]);
}

#[test]
fn operators_begin_confirm_and_abort() {
    let request = |revision, canary: &[usize], soak_ms| Request {
        revision,
        plan: Plan { canary: names(canary.iter().copied()), soak_ms, order: Order::OneByOne },
        who: None,
        comment: "a\nb".to_owned(),
    };
    let current = |stage| rollout(stage, &[1], Order::OneByOne);
    let done = current(Stage::Done);
    let begun = begin(request(8, &[2], 1), Some(&done), names(1..=3), 3).unwrap();
    assert_eq!((begun.stage.clone(), begun.back_to, begun.may.clone()), (Stage::Canary, Some(7), names([2])));
    assert_eq!((begun.begun_ms, begun.since_ms, begun.comment.as_str()), (6, 3, "a b"));
    assert_eq!(begun.check(), Ok(()));
    let first = begin(request(1, &[], 0), None, names(1..=3), 3).unwrap();
    assert_eq!((first.stage.clone(), first.back_to, first.may.len()), (Stage::Rest, None, 0));
    assert_eq!(first.check(), Ok(()));
    let back = Stage::RolledBack { reason: String::new() };
    assert_eq!(begin(request(7, &[], 0), Some(&current(back)), names(1..=3), 3).unwrap().back_to, Some(6));
    let refused = |request, current: Option<&Rollout>, members| {
        begin(request, current, members, 1).unwrap_err().to_string()
    };
    assert!(refused(request(7, &[], 0), Some(&done), names([1])).contains("runs revision 7 already"));
    assert!(refused(request(8, &[9], 0), None, names([1])).contains("lb9 is not a member"));
    assert!(refused(request(8, &[], 9), None, names([1])).contains("needs a canary"));
    assert!(refused(request(8, &[], 0), None, names([])).contains("no members"));
    assert!(refused(request(8, &[1], u64::MAX), None, names([1])).contains("at most 7days"));
    let failed = || Stage::Failed { reason: "x".to_owned() };
    for (stage, may_confirm, may_abort, may_begin) in [
        (Stage::Canary, false, true, false),
        (Stage::Soaking, true, true, false),
        (Stage::Rest, false, true, false),
        (Stage::Done, false, false, true),
        (failed(), false, false, false),
        (Stage::Aborted { reason: "x".to_owned() }, false, false, false),
        (Stage::RolledBack { reason: "x".to_owned() }, false, false, true),
    ] {
        let current = current(stage.clone());
        assert_eq!(confirm(&current, 1).is_ok(), may_confirm, "{stage}");
        assert_eq!(abort(&current, None, "", 1).is_ok(), may_abort, "{stage}");
        assert_eq!(begin(request(8, &[], 0), Some(&current), names([1]), 1).is_ok(), may_begin, "{stage}");
    }
    assert_eq!(confirm(&current(Stage::Soaking), 1).unwrap().stage, Stage::Rest);
    let stopped = abort(&current(Stage::Rest), Some("anna"), "wrong file", 1).unwrap();
    assert_eq!(stopped.stage.to_string(), "aborted: by anna: wrong file");
}

#[test]
fn revisions_in_use_are_never_trimmed() {
    let kept: BTreeSet<_> = (1..=60).collect();
    assert_eq!(unused(&kept, None, &BTreeSet::new()), (1..=10).collect());
    let rollout = rollout(Stage::Rest, &[1], Order::OneByOne);
    assert_eq!(unused(&kept, Some(&rollout), &[3].into()), [1, 2, 4, 5, 8, 9, 10].into());
    assert_eq!(unused(&(1..=50).collect(), None, &BTreeSet::new()), BTreeSet::new());
}

#[test]
fn absence_counts_only_while_the_store_is_seen() {
    let (begin, after) = (moment(), Duration::from_secs);
    let rollout = rollout(Stage::Soaking, &[1], Order::OneByOne);
    let states: BTreeMap<_, _> = (2..=4).map(|number| (name(number), running(Some(6)))).collect();
    let (known, mut watch) = (names(1..=4), Watch::default());
    assert_eq!(watch.decide(&states, begin), None);
    watch.see(Some(&rollout), &known, &states, begin);
    let (decision, again) = watch.decide(&states, begin).unwrap();
    assert_eq!((words(&decision).as_str(), again), ("wait until 5m", Some(begin + AWAY_AFTER)));
    // The store was away for a part of the time.
    watch.lose(begin + after(20));
    watch.see(Some(&rollout), &known, &states, begin + after(31));
    assert_eq!(words(&watch.decide(&states, begin + after(49)).unwrap().0), "wait until 5m");
    watch.see(Some(&rollout), &known, &states, begin + after(50));
    let (decision, _) = watch.decide(&states, begin + after(50)).unwrap();
    assert_eq!(words(&decision), "failed: lb1 went away while it was to run revision 7, may lb1");
    // It returned in time: the soak goes on, but its age is that since the connection was lost.
    let states: BTreeMap<_, _> = states.into_iter().chain([(name(1), running(Some(7)))]).collect();
    watch.see(Some(&rollout), &known, &states, begin + after(51));
    assert_eq!(watch.age(begin + after(51)), Some(after(31)));
    let (decision, again) = watch.decide(&states, begin + after(51)).unwrap();
    assert_eq!((words(&decision).as_str(), again), ("wait until 1m", Some(begin + after(80))));
    assert_eq!(words(&watch.decide(&states, begin + after(80)).unwrap().0), "rest, may lb1");
}

/// What happens in a fleet whose members see every change at once.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Take(usize),
    Program(usize),
    Refuse(usize),
    Problem(usize),
    Leave(usize),
    Return(usize),
    Time(u64),
    Step,
    Confirm,
    Abort,
}

fn happenings() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let member = 1..=5_usize;
    prop_oneof![
        6 => member.clone().prop_map(Take),
        6 => member.clone().prop_map(Program),
        1 => member.clone().prop_map(Refuse),
        1 => member.clone().prop_map(Problem),
        1 => member.clone().prop_map(Leave),
        2 => member.prop_map(Return),
        4 => (0..400_u64).prop_map(Time),
        8 => Just(Step),
        1 => Just(Confirm),
        1 => Just(Abort),
    ]
}

fn rank(stage: &Stage) -> u8 {
    match stage {
        Stage::Canary => 0,
        Stage::Soaking => 1,
        Stage::Rest => 2,
        Stage::Done | Stage::Failed { .. } | Stage::Aborted { .. } => 3,
        Stage::RolledBack { .. } => 4,
    }
}

struct Fleet {
    rollout: Rollout,
    states: BTreeMap<Name, MemberState>,
    away: BTreeMap<Name, MemberState>,
    watch: Watch,
    known: BTreeSet<Name>,
    now: Instant,
}

impl Fleet {
    fn new(canaries: usize, order: Order) -> Self {
        let states: BTreeMap<_, _> = (1..=5).map(|number| (name(number), running(Some(6)))).collect();
        let known: BTreeSet<_> = states.keys().cloned().collect();
        let canary = names(1..=canaries);
        let soak_ms = if canaries == 0 { 0 } else { 60_000 };
        let plan = Plan { canary, soak_ms, order };
        let request = Request { revision: 7, plan, who: None, comment: String::new() };
        let done = Rollout { revision: 6, back_to: None, ..self::rollout(Stage::Done, &[], order) };
        let rollout = begin(request, Some(&done), known.clone(), 9).unwrap();
        let mut fleet =
            Self { rollout, states, away: BTreeMap::new(), watch: Watch::default(), known, now: moment() };
        fleet.look();
        fleet
    }

    fn look(&mut self) {
        self.watch.see(Some(&self.rollout), &self.known, &self.states, self.now);
    }

    fn put(&mut self, next: Rollout) {
        assert_eq!(next.check(), Ok(()), "{next:?}");
        let (before, after) = (rank(&self.rollout.stage), rank(&next.stage));
        assert!(after >= before, "{} -> {}", self.rollout.stage, next.stage);
        assert!(before < 3 || after == 4, "{} -> {}", self.rollout.stage, next.stage);
        assert!(next.may.is_superset(&self.rollout.may));
        self.rollout = next;
        self.look();
    }

    /// Takes a step, if one is due; every member would compute the same.
    fn step(&mut self) -> bool {
        let Some((Decision::Step(step), _)) = self.watch.decide(&self.states, self.now) else { return false };
        let rollout = &self.rollout;
        let is_settled = |name: &Name| self.states.get(name).is_some_and(|state| has_taken(rollout, state));
        let added = step.may.difference(&rollout.may).count();
        if matches!(step.stage, Stage::Soaking | Stage::Rest | Stage::Done) {
            assert!(rollout.may.iter().all(is_settled), "{rollout:?}");
            let healthy = |name: &Name| self.states[name].problems == Problems::default();
            assert!(rollout.may.iter().all(healthy), "a failed soak is taken by others: {rollout:?}");
            let soaked = self.watch.age(self.now).unwrap() >= Duration::from_millis(rollout.plan.soak_ms);
            assert!(rollout.stage != Stage::Soaking || soaked);
            assert!(step.unchanged.is_superset(&rollout.may));
        }
        assert!(added <= 1 || rollout.plan.order == Order::Halves, "two at once: {step:?}");
        let next = step.apply(rollout, 1);
        assert_ne!(next, self.rollout, "a step that changes nothing would be taken for ever");
        self.put(next);
        true
    }

    fn happen(&mut self, happening: Happening) {
        use Happening::*;
        match happening {
            Take(number) => {
                let (name, rollout) = (name(number), &self.rollout);
                let target = target(rollout, &name);
                if let Some(state) = self.states.get_mut(&name)
                    && state.running.as_ref().map(|running| running.revision) != target
                {
                    *state = MemberState { not_programmed: Some("soon".to_owned()), ..running(target) };
                }
            }
            Program(number) => {
                if let Some(state) = self.states.get_mut(&name(number)) {
                    state.not_programmed = None;
                }
            }
            Refuse(number) => {
                let name = name(number);
                let refuses = target(&self.rollout, &name) == Some(7);
                let begun_ms = self.rollout.begun_ms;
                if let Some(state) = self.states.get_mut(&name).filter(|_| refuses) {
                    *state = running(Some(6));
                    state.refused = Some(Refused { revision: 7, reason: "no".to_owned(), begun_ms });
                }
            }
            Problem(number) => {
                if let Some(state) = self.states.get_mut(&name(number)) {
                    state.problems.downs += 1;
                }
            }
            Leave(number) => {
                if let Some(state) = self.states.remove(&name(number)) {
                    self.away.insert(name(number), state);
                }
            }
            Return(number) => {
                if let Some(state) = self.away.remove(&name(number)) {
                    self.states.insert(name(number), state);
                }
            }
            Time(seconds) => self.now += Duration::from_secs(seconds),
            Step => drop(self.step()),
            Confirm => drop(confirm(&self.rollout, 1).map(|next| self.put(next))),
            Abort => drop(abort(&self.rollout, None, "", 1).map(|next| self.put(next))),
        }
        self.look();
    }
}

proptest! {
    #[test]
    fn every_rollout_ends_and_leaves_all_members_equal(
        canaries in 0..=3_usize, halves in any::<bool>(), history in vec(happenings(), 0..120),
    ) {
        let mut fleet = Fleet::new(canaries, if halves { Order::Halves } else { Order::OneByOne });
        for happening in history {
            fleet.happen(happening);
        }
        let had_stopped = rank(&fleet.rollout.stage) >= 3;
        let was_done = fleet.rollout.stage == Stage::Done;
        for _ in 0..40 {
            for number in 1..=5 {
                fleet.happen(Happening::Return(number));
                fleet.happen(Happening::Take(number));
                fleet.happen(Happening::Program(number));
            }
            fleet.happen(Happening::Time(61));
            while fleet.step() {}
        }
        let rollout = &fleet.rollout;
        prop_assert!(rollout.stage.is_final(), "{:?}", rollout);
        prop_assert_eq!(fleet.states.len(), 5);
        let revision = if rollout.stage == Stage::Done { 7 } else { 6 };
        prop_assert!(fleet.states.values().all(|state| runs(state, Some(revision))), "{:?}", fleet.states);
        if had_stopped {
            prop_assert_eq!(rollout.stage == Stage::Done, was_done);
        }
    }
}
