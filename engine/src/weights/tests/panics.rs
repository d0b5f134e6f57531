use State::{Disabled, Down, Paused, Removed, Unknown, Up};

use super::*;

fn with_threshold(percent: u8, pools: &[&[(&str, u8)]]) -> Frontend {
    Frontend { panic_threshold: Some(percent), ..frontend(pools) }
}

#[test]
fn too_few_up_backends_bring_all_of_their_pool_back() {
    let frontend = with_threshold(50, &[&[("a", 100), ("b", 50), ("c", 100), ("d", 0)], &[("e", 100)]]);
    let result = with_states(&frontend, &[("a", Up), ("b", Down), ("c", Down), ("d", Up), ("e", Up)]);
    assert_eq!((result.active_pool, result.panic), (Some(0), Some(0)), "a weight of 0 does not count");
    assert_eq!(weights(&result)[..3], [("a", 100, 2), ("b", 50, 1), ("c", 100, 2)]);
    assert_eq!(weights(&result)[3..], [("d", 0, 0), ("e", 0, 0)]);
    assert!(result.pools[0].values().all(|weight| !weight.flush));
    assert_eq!(result.state, FrontendState::Up);

    let result = with_states(&frontend, &[("a", Up), ("b", Up), ("c", Down), ("d", Up), ("e", Up)]);
    assert_eq!(result.panic, None);
    assert!(result.pools[0]["c"].flush);
}

#[test]
fn threshold_itself_is_enough() {
    let frontend = with_threshold(50, &[&[("a", 100), ("b", 100)]]);
    assert_eq!(with_states(&frontend, &[("a", Up), ("b", Down)]).panic, None);
    let more = with_threshold(51, &[&[("a", 100), ("b", 100)]]);
    assert_eq!(with_states(&more, &[("a", Up), ("b", Down)]).panic, Some(0));
}

#[test]
fn failover_goes_before_panic() {
    let frontend = with_threshold(50, &[&[("a", 100), ("b", 100)], &[("c", 100)]]);
    let result = with_states(&frontend, &[("a", Down), ("b", Down), ("c", Up)]);
    assert_eq!((result.active_pool, result.panic), (Some(1), None));
    assert_eq!(weights(&result), [("a", 0, 0), ("b", 0, 0), ("c", 100, 1)]);
}

#[test]
fn with_nobody_up_the_first_known_pool_serves() {
    let frontend = with_threshold(1, &[&[("a", 100)], &[("b", 100), ("c", 100)], &[("d", 100)]]);
    let result = with_states(&frontend, &[("a", Paused), ("b", Down), ("c", Disabled), ("d", Down)]);
    assert_eq!((result.active_pool, result.panic), (None, Some(1)));
    assert_eq!(result.state, FrontendState::Down, "what serves is not up");
    assert_eq!(weights(&result), [("a", 0, 0), ("b", 100, 1), ("c", 0, 0), ("d", 0, 0)]);
}

#[test]
fn nothing_known_is_no_panic() {
    let frontend = with_threshold(100, &[&[("a", 100), ("b", 100)]]);
    for state in [Unknown, Paused, Disabled, Removed] {
        let result = with_states(&frontend, &[("a", state), ("b", state)]);
        assert_eq!(result.panic, None, "{state}");
        assert!(weights(&result).iter().all(|(_, effective, _)| *effective == 0), "{state}");
    }
}

#[test]
fn unknown_backends_join_a_panic_and_those_taken_out_do_not() {
    let frontend = with_threshold(50, &[&[("a", 10), ("b", 10), ("c", 10), ("d", 10), ("e", 10)]]);
    let result = with_states(&frontend, &[("a", Down), ("c", Paused), ("d", Disabled), ("e", Removed)]);
    assert_eq!(weights(&result), [("a", 10, 1), ("b", 10, 1), ("c", 0, 0), ("d", 0, 0), ("e", 0, 0)]);
}

#[test]
fn no_one_rises_slowly_in_a_panic() {
    let frontend = Frontend {
        slow_start: Some(Duration::from_secs(10)),
        ..with_threshold(60, &[&[("a", 10), ("b", 10)]])
    };
    let rising = Standing { rising: Some(Duration::ZERO), ..Up.into() };
    let result = with_standings(&frontend, &[("a", rising), ("b", Down.into())]);
    assert_eq!(weights(&result), [("a", 10, 10), ("b", 10, 10)]);
    assert_eq!(result.next_step, None);
    let result = with_standings(&frontend, &[("a", rising), ("b", Up.into())]);
    assert_eq!(weights(&result), [("a", 1, 1), ("b", 10, 10)]);
    assert_eq!(result.next_step, Some(Duration::from_secs(2)));
}
