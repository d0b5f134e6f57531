use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::outcome::ProbeCode;

const NOW: SystemTime = UNIX_EPOCH;

fn pass() -> Input {
    Input::Probe(
        ProbeOutcome {
            code: ProbeCode::L4Ok,
            detail: "connected".into(),
            duration: Duration::ZERO,
            asked: None,
        }
        .into(),
    )
}

fn fail() -> Input {
    let detail = "connection refused".into();
    Input::Probe(
        ProbeOutcome { code: ProbeCode::L4Con, detail, duration: Duration::ZERO, asked: None }.into(),
    )
}

/// A backend with one check.
fn new(rise: u32, fall: u32, history_limit: usize) -> Health {
    Health::new(Checks::new([Counter::new(rise, fall)], 1), history_limit)
}

fn new_check(rise: u32, fall: u32) -> Input {
    Input::NewChecks { checks: Checks::new([Counter::new(rise, fall)], 1), kept: vec![None] }
}

fn value(health: &Health) -> u32 {
    health.counter().unwrap().value()
}

/// A backend with rise 2 and fall 3, so a counter from 0 to 4, in this state.
fn at(state: State) -> Health {
    let mut health = new(2, 3, 5);
    let inputs = match state {
        State::Unknown => vec![],
        State::Up => vec![pass()],
        State::Down => vec![fail()],
        State::Paused => vec![Input::Pause],
        State::Disabled => vec![Input::Disable],
        State::Removed => vec![Input::Remove],
    };
    for input in inputs {
        health.handle(input, NOW).unwrap();
    }
    assert_eq!(health.state(), state);
    health
}

fn no_verdict() -> Input {
    let detail = "no socket for the probe".into();
    Input::Probe(
        ProbeOutcome { code: ProbeCode::SockErr, detail, duration: Duration::ZERO, asked: None }.into(),
    )
}

/// Expected effect of an input: none, an error, or a new state with its counter.
#[derive(Debug, PartialEq)]
enum Effect {
    Keeps(u32),
    Refuses,
    Goes(State, u32),
}

#[test]
fn every_state_meets_every_input() {
    use Effect::{Goes, Keeps, Refuses};
    use State::{Disabled, Down, Paused, Removed, Unknown, Up};
    let inputs = [
        pass(),
        fail(),
        no_verdict(),
        Input::Pause,
        Input::Resume,
        Input::Disable,
        Input::Enable,
        new_check(4, 1),
        Input::Doubt { probation: false },
        Input::Doubt { probation: true },
        Input::Remove,
    ];
    let table = [
        (
            Unknown,
            [
                Goes(Up, 4),
                Goes(Down, 0),
                Keeps(1),
                Goes(Paused, 0),
                Keeps(1),
                Goes(Disabled, 0),
                Keeps(1),
                Keeps(3),
                Keeps(1),
                Keeps(1),
                Goes(Removed, 0),
            ],
        ),
        (
            Up,
            [
                Keeps(4),
                Keeps(3),
                Keeps(4),
                Goes(Paused, 0),
                Keeps(4),
                Goes(Disabled, 0),
                Keeps(4),
                Goes(Unknown, 3),
                Keeps(4),
                Keeps(4),
                Goes(Removed, 0),
            ],
        ),
        (
            Down,
            [
                Keeps(1),
                Keeps(0),
                Keeps(0),
                Goes(Paused, 0),
                Keeps(0),
                Goes(Disabled, 0),
                Keeps(0),
                Goes(Unknown, 3),
                Goes(Unknown, 1),
                Goes(Unknown, 1),
                Goes(Removed, 0),
            ],
        ),
        (
            Paused,
            [
                Keeps(0),
                Keeps(0),
                Keeps(0),
                Keeps(0),
                Goes(Unknown, 1),
                Goes(Disabled, 0),
                Refuses,
                Keeps(0),
                Keeps(0),
                Keeps(0),
                Goes(Removed, 0),
            ],
        ),
        (
            Disabled,
            [
                Keeps(0),
                Keeps(0),
                Keeps(0),
                Refuses,
                Refuses,
                Keeps(0),
                Goes(Unknown, 1),
                Keeps(0),
                Keeps(0),
                Keeps(0),
                Goes(Removed, 0),
            ],
        ),
        (
            Removed,
            [
                Keeps(0),
                Keeps(0),
                Keeps(0),
                Refuses,
                Refuses,
                Refuses,
                Refuses,
                Keeps(0),
                Keeps(0),
                Keeps(0),
                Keeps(0),
            ],
        ),
    ];
    for (state, effects) in table {
        assert_eq!(inputs.len(), effects.len());
        for (input, expected) in inputs.iter().zip(effects) {
            let mut health = at(state);
            let before = health.history().count();
            let effect = match health.handle(input.clone(), NOW) {
                Err(_) => Refuses,
                Ok(None) => {
                    assert_eq!(health.state(), state);
                    Keeps(value(&health))
                }
                Ok(Some(transition)) => {
                    assert_eq!((transition.from, transition.to), (state, health.state()));
                    assert_eq!(health.history().next(), Some(&transition));
                    assert_eq!(health.history().count(), before + 1);
                    Goes(health.state(), value(&health))
                }
            };
            assert_eq!(effect, expected, "{state} meets {input:?}");
        }
    }
}

/// The guide's worked example is what the machine does.
#[test]
fn worked_example_is_right() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/healthchecks.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let (_, section) = guide.split_once("| probe | counter | state | next probe after |").unwrap();
    let rows = section.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut health = new(2, 3, 5);
    let mut count = 0;
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        match cells[1] {
            "" => None,
            "L7OK" => health.handle(pass(), NOW).unwrap(),
            _ => health.handle(fail(), NOW).unwrap(),
        };
        let pace = match health.pace(0) {
            Pace::Normal => "`interval`",
            Pace::Fast => "`fast-interval`",
            Pace::Down => "`down-interval`",
            Pace::Stopped => "",
        };
        let state = cells[3].trim_start_matches("**").split([':', '*']).next().unwrap();
        let shown = (cells[2].parse().unwrap(), state, cells[4]);
        assert_eq!(shown, (value(&health), health.state().word(), pace), "{row}");
        count += 1;
    }
    assert!(count >= 10, "{count}");
}

#[test]
fn refusal_says_what_to_do_instead() {
    let refused = at(State::Disabled).handle(Input::Pause, NOW).unwrap_err();
    assert_eq!(refused.to_string(), "a disabled backend cannot be paused: enable it first");
}

#[test]
fn fall_failures_in_a_row_make_down_and_rise_passes_in_a_row_make_up() {
    let mut health = at(State::Up);
    for (input, state, counter) in [
        (fail(), State::Up, 3),
        (fail(), State::Up, 2),
        (pass(), State::Up, 4),
        (fail(), State::Up, 3),
        (fail(), State::Up, 2),
        (fail(), State::Down, 0),
        (pass(), State::Down, 1),
        (fail(), State::Down, 0),
        (pass(), State::Down, 1),
        (pass(), State::Up, 4),
    ] {
        health.handle(input, NOW).unwrap();
        assert_eq!((health.state(), value(&health)), (state, counter));
    }
}

#[test]
fn pace_follows_the_counter() {
    let mut health = at(State::Unknown);
    assert_eq!(health.pace(0), Pace::Fast);
    for (input, pace) in [
        (pass(), Pace::Normal),
        (fail(), Pace::Fast),
        (fail(), Pace::Fast),
        (fail(), Pace::Down),
        (pass(), Pace::Fast),
        (Input::Pause, Pace::Stopped),
        (Input::Resume, Pace::Fast),
        (Input::Disable, Pace::Stopped),
        (Input::Remove, Pace::Stopped),
    ] {
        health.handle(input, NOW).unwrap();
        assert_eq!(health.pace(0), pace);
    }
}

#[test]
fn history_keeps_the_newest() {
    let mut health = new(1, 1, 3);
    for index in 0..10u32 {
        let input = if index % 2 == 0 { pass() } else { fail() };
        health.handle(input, NOW + Duration::from_secs(index.into())).unwrap();
    }
    let seconds: Vec<_> = health
        .history()
        .map(|transition| transition.at.duration_since(UNIX_EPOCH).unwrap().as_secs())
        .collect();
    assert_eq!(seconds, [9, 8, 7]);
}

#[test]
fn another_check_begins_anew_and_keeps_the_history() {
    let mut health = at(State::Up);
    let transition = health.handle(new_check(1, 1), NOW).unwrap().unwrap();
    assert_eq!((transition.from, transition.to), (State::Up, State::Unknown));
    assert_eq!((health.counter().unwrap().max(), value(&health)), (1, 0));
    health.handle(fail(), NOW).unwrap();
    assert_eq!((health.state(), health.history().count()), (State::Down, 3));
    let mut paused = at(State::Paused);
    paused.handle(new_check(7, 1), NOW).unwrap();
    paused.handle(Input::Resume, NOW).unwrap();
    assert_eq!((paused.state(), value(&paused)), (State::Unknown, 6));
}

#[test]
fn doubt_takes_back_what_probes_brought_about_and_nothing_else() {
    let mut health = at(State::Up);
    for _ in 0..3 {
        health.handle(fail(), NOW).unwrap();
    }
    assert_eq!(health.state(), State::Down);
    health.handle(Input::Doubt { probation: false }, NOW).unwrap();
    assert_eq!((health.state(), value(&health), health.pace(0)), (State::Up, 4, Pace::Normal));
    assert_eq!(health.history().count(), 3, "both are told");
    health.handle(Input::Doubt { probation: false }, NOW).unwrap();
    assert_eq!(health.state(), State::Up);
    for _ in 0..3 {
        health.handle(fail(), NOW).unwrap();
    }
    health.handle(Input::Doubt { probation: true }, NOW).unwrap();
    assert_eq!((health.state(), health.pace(0)), (State::Up, Pace::Fast));
    health.handle(fail(), NOW).unwrap();
    assert_eq!(health.state(), State::Down, "on probation, one failure is enough");
}

#[test]
fn shorter_history_is_cut_at_once() {
    let mut health = new(1, 1, 5);
    for input in [pass(), fail(), pass(), fail()] {
        health.handle(input, NOW).unwrap();
    }
    health.set_history_limit(2);
    assert_eq!(health.history().count(), 2);
    health.set_history_limit(3);
    health.handle(pass(), NOW).unwrap();
    assert_eq!(health.history().count(), 3);
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        5 => Just(pass()),
        5 => Just(fail()),
        1 => Just(no_verdict()),
        1 => Just(Input::Pause),
        1 => Just(Input::Resume),
        1 => Just(Input::Disable),
        1 => Just(Input::Enable),
        1 => (1u32..6, 1u32..6).prop_map(|(rise, fall)| new_check(rise, fall)),
        1 => any::<bool>().prop_map(|probation| Input::Doubt { probation }),
    ]
}

proptest! {
    /// The counter stays in range, and agrees with up and down.
    #[test]
    fn counter_and_state_agree(
        rise in 1u32..6,
        fall in 1u32..6,
        inputs in proptest::collection::vec(any_input(), 0..60),
    ) {
        let mut health = new(rise, fall, 5);
        for input in inputs {
            // A refusal must leave everything as it was.
            let before = health.clone();
            if health.handle(input, NOW).is_err() {
                prop_assert_eq!(&health, &before);
            }
            prop_assert!(value(&health) <= health.counter().unwrap().max());
            match health.state() {
                State::Up => prop_assert!(value(&health) >= health.counter().unwrap().rise()),
                State::Down => prop_assert!(value(&health) < health.counter().unwrap().rise()),
                State::Unknown => prop_assert_eq!(value(&health), health.counter().unwrap().rise() - 1),
                State::Paused | State::Disabled | State::Removed => prop_assert_eq!(value(&health), 0),
            }
            prop_assert!(health.history().count() <= 5);
        }
    }

    /// From any counter in between, exactly `rise` passes lead to up and `fall` failures to down.
    #[test]
    fn it_takes_exactly_rise_or_fall(rise in 1u32..6, fall in 1u32..6, noise in proptest::collection::vec(any::<bool>(), 0..20)) {
        let mut health = new(rise, fall, 5);
        for passed in noise {
            health.handle(if passed { pass() } else { fail() }, NOW).unwrap();
        }
        for _ in 0..rise + fall {
            health.handle(pass(), NOW).unwrap();
        }
        prop_assert_eq!(health.state(), State::Up);
        for nth in 1..=fall {
            health.handle(fail(), NOW).unwrap();
            prop_assert_eq!(health.state() == State::Down, nth == fall);
        }
        for nth in 1..=rise {
            health.handle(pass(), NOW).unwrap();
            prop_assert_eq!(health.state() == State::Up, nth == rise);
        }
    }
}

#[test]
fn state_of_before_a_start_goes_on_if_the_first_result_is_the_same() {
    let then = Since { state: State::Up, at: NOW };
    let later = NOW + Duration::from_secs(9);
    let mut health = new(2, 3, 5);
    assert_eq!(health.since(), None);
    health.recall(then);
    assert_eq!(health.since(), None, "not known yet");
    health.handle(pass(), later).unwrap();
    assert_eq!(health.since(), Some(NOW));
    health.handle(Input::Pause, later).unwrap();
    health.handle(Input::Resume, later).unwrap();
    health.handle(pass(), later + Duration::from_secs(1)).unwrap();
    assert_eq!(health.since(), Some(later + Duration::from_secs(1)), "it was out of service since");
    let mut health = new(2, 3, 5);
    health.recall(then);
    health.handle(fail(), later).unwrap();
    assert_eq!(health.since(), Some(later));
    // What is in its state from the start on, by an override.
    let mut health = at(State::Paused);
    health.recall(Since { state: State::Paused, at: NOW - Duration::from_secs(5) });
    assert_eq!(health.since(), Some(NOW - Duration::from_secs(5)));
    health.recall(then);
    assert_eq!(health.since(), Some(NOW - Duration::from_secs(5)));
}

/// A result of one of several checks.
fn of_check(check: usize, passed: bool, gate: Gate) -> Input {
    let (Input::Probe(result), name) = (if passed { pass() } else { fail() }, Some(check.to_string().into()))
    else {
        unreachable!()
    };
    Input::Probe(CheckResult { check, name, gate, ..result })
}

fn several(count: usize, needed: usize) -> Health {
    Health::new(Checks::new((0..count).map(|_| Counter::new(1, 1)), needed), 50)
}

#[test]
fn a_backend_is_up_while_as_many_checks_are_as_it_requires() {
    let mut health = several(3, 2);
    let mut state = |check, passed| {
        let transition = health.handle(of_check(check, passed, Gate::OPEN), NOW).unwrap();
        (health.state().word(), transition.map(|transition| transition.cause.to_string()))
    };
    assert_eq!(state(0, true), ("unknown", None));
    assert_eq!(state(1, false), ("unknown", None), "one is enough for either");
    assert_eq!(
        state(2, true),
        ("up", Some("2: L4OK: connected".to_owned())),
        "the check that decided is named"
    );
    assert_eq!(state(1, true), ("up", None));
    assert_eq!(state(0, false), ("up", None));
    assert_eq!(state(2, false), ("down", Some("2: L4CON: connection refused".to_owned())));
    assert_eq!(state(2, true).0, "up");
}

#[test]
fn each_check_is_probed_at_its_own_pace() {
    let mut health = several(2, 1);
    health.handle(of_check(0, true, Gate::OPEN), NOW).unwrap();
    assert_eq!([0, 1, 2].map(|check| health.pace(check)), [Pace::Normal, Pace::Fast, Pace::Stopped]);
    health.handle(of_check(1, false, Gate::OPEN), NOW).unwrap();
    assert_eq!((health.pace(1), health.checks().worst()), (Pace::Down, 1));
    health.handle(Input::Pause, NOW).unwrap();
    assert_eq!([0, 1].map(|check| health.pace(check)), [Pace::Stopped; 2]);
}

#[test]
fn checks_that_stay_keep_their_results() {
    let with = |health: &Health, kept: Vec<Option<usize>>, needed| {
        let mut health = health.clone();
        let checks = Checks::new(kept.iter().map(|_| Counter::new(1, 1)), needed);
        let transition = health.handle(Input::NewChecks { checks, kept }, NOW).unwrap();
        (health, transition.map(|transition| transition.cause.to_string()))
    };
    let mut health = several(2, 2);
    health.handle(of_check(0, true, Gate::OPEN), NOW).unwrap();
    health.handle(of_check(1, false, Gate::OPEN), NOW).unwrap();
    assert_eq!(health.state(), State::Down);
    let (fewer, cause) = with(&health, vec![Some(0)], 1);
    assert_eq!((fewer.state(), cause.as_deref()), (State::Up, Some("its health checks changed")));
    let (mut more, cause) = with(&fewer, vec![None, Some(0)], 2);
    assert_eq!((more.state(), cause), (State::Up, None), "until the new one has a result");
    assert_eq!(more.checks().counters()[1].state(), State::Up);
    more.handle(of_check(0, false, Gate::OPEN), NOW).unwrap();
    assert_eq!(more.state(), State::Down);
    let (other, cause) = with(&more, vec![None, None], 2);
    assert_eq!((other.state(), cause.as_deref()), (State::Unknown, Some("another health check")));
}

#[test]
fn what_is_held_back_follows_when_it_is_released() {
    let shut = Gate { rise: false, fall: false };
    let mut health = several(1, 1);
    health.handle(of_check(0, true, shut), NOW).unwrap();
    assert_eq!(health.state(), State::Up, "the first result counts at once");
    for (passed, state) in [(false, State::Up), (true, State::Up)] {
        assert_eq!(health.handle(of_check(0, passed, shut), NOW), Ok(None));
        assert_eq!((health.state(), health.held_back().is_some()), (state, !passed));
    }
    let release = |gate| Input::Release { cause: Cause::Event("released"), gate };
    assert_eq!(health.handle(release(Gate::OPEN), NOW), Ok(None), "it has recovered");
    health.handle(of_check(0, false, shut), NOW).unwrap();
    assert_eq!(health.handle(release(shut), NOW), Ok(None));
    assert!(health.handle(release(Gate::OPEN), NOW).unwrap().is_some());
    assert_eq!((health.state(), health.held_back()), (State::Down, None));
    health.handle(of_check(0, true, shut), NOW).unwrap();
    assert_eq!((health.state(), health.held_back()), (State::Down, Some(State::Up)));
}

proptest! {
    /// Whatever the order of results is, the state is what the checks' last verdicts give, by their number.
    #[test]
    fn the_state_is_that_of_the_count(
        count in 1usize..5,
        needed in 1usize..5,
        results in proptest::collection::vec((0usize..5, any::<bool>()), 0..80),
    ) {
        let needed = needed.min(count);
        let mut health = several(count, needed);
        let (mut last, mut before) = (vec![None; count], State::Unknown);
        for (check, passed) in results {
            let check = check % count;
            health.handle(of_check(check, passed, Gate::OPEN), NOW).unwrap();
            last[check] = Some(passed);
            let up = last.iter().filter(|last| **last == Some(true)).count();
            let down = last.iter().filter(|last| **last == Some(false)).count();
            before = match () {
                () if up >= needed => State::Up,
                () if count - down < needed => State::Down,
                // It depends on a check without a result.
                () => before,
            };
            prop_assert_eq!((health.state(), health.held_back()), (before, None));
        }
    }
}
