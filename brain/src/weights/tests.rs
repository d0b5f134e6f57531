use proptest::prelude::*;

use super::*;
use crate::config::{Pool, Service};

fn frontend(pools: &[&[(&str, u8)]]) -> Frontend {
    let pools = pools.iter().enumerate().map(|(index, backends)| Pool {
        name: format!("pool{index}"),
        backends: backends.iter().map(|&(name, weight)| (name.to_owned(), weight)).collect(),
    });
    Frontend {
        description: String::new(),
        address: [192, 0, 2, 1].into(),
        service: Service::Tcp(80),
        src_ip_sticky: false,
        flush_on_down: true,
        new_flows_table_length: None,
        slow_start: None,
        panic_threshold: None,
        pools: pools.collect(),
    }
}

fn with_states(frontend: &Frontend, states: &[(&str, State)]) -> EffectiveWeights {
    effective(frontend, |name| {
        states.iter().find(|(known, _)| *known == name).map_or(State::Unknown, |&(_, state)| state)
    })
}

fn weights(result: &EffectiveWeights) -> Vec<(&str, u8, u8)> {
    let all = result.pools.iter().flatten();
    all.map(|(name, weight)| (name.as_str(), weight.effective, weight.programmed)).collect()
}

#[test]
fn truth_table() {
    use State::{Disabled, Down, Paused, Removed, Unknown, Up};
    // state, in the active pool, flush-on-down -> weight, flush; configured is 70.
    for (state, active, flush_on_down, weight, flush) in [
        (Up, true, true, 70, false),
        (Up, true, false, 70, false),
        (Up, false, true, 0, false),
        (Up, false, false, 0, false),
        (Unknown, true, true, 0, false),
        (Unknown, true, false, 0, false),
        (Unknown, false, true, 0, false),
        (Unknown, false, false, 0, false),
        (Down, true, true, 0, true),
        (Down, true, false, 0, false),
        (Down, false, true, 0, true),
        (Down, false, false, 0, false),
        (Paused, true, true, 0, false),
        (Paused, true, false, 0, false),
        (Paused, false, true, 0, false),
        (Paused, false, false, 0, false),
        (Disabled, true, true, 0, true),
        (Disabled, true, false, 0, true),
        (Disabled, false, true, 0, true),
        (Disabled, false, false, 0, true),
        (Removed, true, true, 0, true),
        (Removed, true, false, 0, true),
        (Removed, false, true, 0, true),
        (Removed, false, false, 0, true),
    ] {
        let found = rule(state, active, 70, flush_on_down);
        assert_eq!(found, (weight, flush), "{state}, active {active}, flush-on-down {flush_on_down}");
    }
    for active in [false, true] {
        assert_eq!(rule(Up, active, 0, true), (0, false), "a weight of 0 drains, it never flushes");
    }
}

#[test]
fn first_pool_with_an_up_backend_of_some_weight_is_active() {
    let frontend = frontend(&[&[("a", 100), ("b", 0)], &[("c", 50)], &[("d", 100)]]);
    use State::{Down, Up};
    for (states, active) in [
        (vec![("a", Up), ("b", Up), ("c", Up), ("d", Up)], Some(0)),
        (vec![("a", Down), ("b", Up), ("c", Up), ("d", Up)], Some(1)),
        (vec![("a", Down), ("b", Up), ("c", Down), ("d", Up)], Some(2)),
        (vec![("a", Down), ("b", Up), ("c", Down), ("d", Down)], None),
    ] {
        let result = with_states(&frontend, &states);
        assert_eq!(result.active_pool, active, "{states:?}");
        let serving: Vec<_> =
            weights(&result).into_iter().filter(|(_, effective, _)| *effective > 0).collect();
        assert_eq!(serving.len(), usize::from(active.is_some()));
        let state = if active.is_some() { FrontendState::Up } else { FrontendState::Down };
        assert_eq!(result.state, state);
    }
}

#[test]
fn frontend_is_unknown_while_no_probe_has_told_anything() {
    let frontend = frontend(&[&[("a", 100)], &[("b", 100)]]);
    assert_eq!(with_states(&frontend, &[("a", State::Disabled)]).state, FrontendState::Unknown);
    let out = [("a", State::Disabled), ("b", State::Paused)];
    assert_eq!(with_states(&frontend, &out).state, FrontendState::Down);
    assert_eq!(with_states(&frontend, &[]).state, FrontendState::Unknown);
    assert_eq!(with_states(&frontend, &[("b", State::Down)]).state, FrontendState::Down);
    assert_eq!(with_states(&frontend, &[("b", State::Up)]).state, FrontendState::Up);
}

#[test]
fn scale_does_not_follow_health() {
    let frontend = frontend(&[&[("a", 100), ("b", 50), ("c", 25)], &[("d", 100)]]);
    use State::{Down, Up};
    let all = with_states(&frontend, &[("a", Up), ("b", Up), ("c", Up), ("d", Up)]);
    assert_eq!(weights(&all), [("a", 100, 4), ("b", 50, 2), ("c", 25, 1), ("d", 0, 0)]);
    let fewer = with_states(&frontend, &[("a", Up), ("b", Up), ("c", Down), ("d", Up)]);
    assert_eq!(weights(&fewer), [("a", 100, 4), ("b", 50, 2), ("c", 0, 0), ("d", 0, 0)]);
    let standby = with_states(&frontend, &[("a", Down), ("b", Down), ("c", Down), ("d", Up)]);
    assert_eq!(weights(&standby)[3], ("d", 100, 4));
}

#[test]
fn table_is_long_enough_for_the_weights() {
    let of = |pools: &[&[(&str, u8)]]| table_length(&frontend(pools));
    assert_eq!(of(&[&[("a", 100), ("b", 100)]]), 1024);
    assert_eq!(of(&[&[("a", 0)]]), 1024);
    // 100 + 99 + 1 = 200, times 8 is 1600.
    assert_eq!(of(&[&[("a", 100), ("b", 99), ("c", 1)]]), 2048);
    // Only one pool is active at once, so the sums do not add up: 199 x 8 = 1592.
    assert_eq!(of(&[&[("a", 100), ("b", 99)], &[("c", 100), ("d", 99)]]), 2048);
    let many: Vec<(String, u8)> =
        (0..200).map(|n| (format!("b{n}"), if n == 0 { 99 } else { 100 })).collect();
    let many: Vec<(&str, u8)> = many.iter().map(|(name, weight)| (name.as_str(), *weight)).collect();
    assert_eq!(of(&[&many]), 65_536);
    let fixed = Frontend { new_flows_table_length: Some(4096), ..frontend(&[&[("a", 1)]]) };
    assert_eq!(table_length(&fixed), 4096);
}

fn any_frontend() -> impl Strategy<Value = Frontend> {
    let pool = proptest::collection::btree_map("[a-h]", 0u8..=100, 1..6);
    proptest::collection::vec(pool, 1..4).prop_map(|pools| {
        let pools = pools.into_iter().enumerate();
        let pools = pools.map(|(index, backends)| Pool { name: format!("pool{index}"), backends });
        Frontend { pools: pools.collect(), ..frontend(&[]) }
    })
}

fn any_state() -> impl Strategy<Value = State> {
    use State::{Disabled, Down, Paused, Unknown, Up};
    prop_oneof![Just(Up), Just(Up), Just(Down), Just(Unknown), Just(Paused), Just(Disabled)]
}

proptest! {
    #[test]
    fn only_up_backends_of_the_active_pool_have_weight(
        frontend in any_frontend(),
        states in proptest::collection::vec(any_state(), 8),
    ) {
        let state_of = |name: &str| states[usize::from(name.as_bytes()[0] - b'a')];
        let result = effective(&frontend, state_of);
        for (index, pool) in result.pools.iter().enumerate() {
            for (name, weight) in pool {
                let serves = Some(index) == result.active_pool && state_of(name) == State::Up;
                let configured = frontend.pools[index].backends[name];
                prop_assert_eq!(weight.effective, if serves { configured } else { 0 });
                let divisor = common_divisor(&frontend);
                prop_assert_eq!(u16::from(weight.programmed) * u16::from(divisor), u16::from(weight.effective));
            }
        }
        let someone = result.pools.iter().flatten().any(|(_, weight)| weight.programmed > 0);
        prop_assert_eq!(someone, result.state == FrontendState::Up);
    }

    #[test]
    fn table_length_is_one_that_vpp_takes(frontend in any_frontend()) {
        let length = table_length(&frontend);
        prop_assert!(length.is_power_of_two());
        prop_assert!((MIN_TABLE_LENGTH..=MAX_TABLE_LENGTH).contains(&length));
    }
}
