use super::*;

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
        assert_eq!(result.panic, None);
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

fn held(weight: u8) -> Standing {
    Standing { held: Some(weight), ..State::Unknown.into() }
}

#[test]
fn unknown_backend_that_holds_a_weight_keeps_its_pool_active() {
    let frontend = frontend(&[&[("a", 100), ("b", 50)], &[("c", 100)]]);
    let result =
        with_standings(&frontend, &[("a", held(1)), ("b", State::Down.into()), ("c", State::Up.into())]);
    assert_eq!(result.active_pool, Some(0), "it may be serving");
    assert_eq!(result.state, FrontendState::Unknown, "but nobody knows");
    assert_eq!(weights(&result), [("a", 50, 1), ("b", 0, 0), ("c", 0, 0)]);
    assert!(!result.pools[0]["a"].flush);

    let result = with_standings(&frontend, &[("a", held(0)), ("c", State::Up.into())]);
    assert_eq!(result.active_pool, Some(1), "a held weight of 0 serves nobody");
    let result = with_standings(&frontend, &[("a", held(1)), ("b", State::Up.into())]);
    assert_eq!(result.state, FrontendState::Up);
    assert_eq!(weights(&result), [("a", 50, 1), ("b", 50, 1), ("c", 0, 0)]);
}

#[test]
fn held_weight_stays_in_a_standby_pool_too() {
    let frontend = frontend(&[&[("a", 100)], &[("c", 100), ("d", 50), ("e", 0)]]);
    let result =
        with_standings(&frontend, &[("a", State::Up.into()), ("c", held(9)), ("d", held(9)), ("e", held(9))]);
    assert_eq!(result.active_pool, Some(0));
    assert_eq!(weights(&result), [("a", 100, 2), ("c", 100, 2), ("d", 50, 1), ("e", 0, 0)], "up to its own");
}

#[test]
fn held_backend_of_several_pools_keeps_up_to_its_weight_in_each() {
    let frontend = frontend(&[&[("a", 25)], &[("a", 100), ("b", 75)]]);
    let result = with_standings(&frontend, &[("a", held(3)), ("b", State::Up.into())]);
    assert_eq!(result.active_pool, Some(0));
    assert_eq!(weights(&result), [("a", 25, 1), ("a", 75, 3), ("b", 0, 0)]);
}

#[test]
fn slow_start_rises_in_steps_and_tells_the_soonest() {
    let slow = Frontend {
        slow_start: Some(Duration::from_secs(20)),
        ..frontend(&[&[("a", 100), ("b", 50)], &[("c", 100)]])
    };
    let rising = |seconds| Standing { rising: Some(Duration::from_secs(seconds)), ..State::Up.into() };
    // 100 and 50 are 2 and 1, and ten times as much for the steps: 20 and 10.
    let result = with_standings(&slow, &[("a", rising(7)), ("b", rising(5)), ("c", rising(1))]);
    assert_eq!(weights(&result), [("a", 35, 7), ("b", 10, 2), ("c", 0, 0)]);
    assert_eq!(result.next_step, Some(Duration::from_secs(1)), "b's is due at 6 s, a's at 8 s");
    let result = with_standings(&slow, &[("a", rising(20)), ("b", rising(30))]);
    assert_eq!(weights(&result), [("a", 100, 20), ("b", 50, 10), ("c", 0, 0)]);
    assert_eq!(result.next_step, None);
    let at_once = Frontend { slow_start: None, ..slow };
    let result = with_standings(&at_once, &[("a", rising(0)), ("b", State::Up.into())]);
    assert_eq!(weights(&result), [("a", 100, 2), ("b", 50, 1), ("c", 0, 0)]);
    assert_eq!(result.next_step, None);
}

#[test]
fn backend_in_its_first_moment_serves_alone_if_it_must() {
    let frontend =
        Frontend { slow_start: Some(Duration::from_secs(60)), ..frontend(&[&[("a", 1)], &[("b", 1)]]) };
    let first = Standing { rising: Some(Duration::ZERO), ..State::Up.into() };
    let result = with_standings(&frontend, &[("a", first), ("b", State::Up.into())]);
    assert_eq!((result.active_pool, result.state), (Some(0), FrontendState::Up));
    assert_eq!(weights(&result), [("a", 1, 1), ("b", 0, 0)]);
}

#[test]
fn a_server_gets_the_share_that_it_asks_for() {
    let asks = |percent| Standing { share: Share::of(percent).unwrap(), ..State::Up.into() };
    let frontend = Frontend { servers_ask: true, ..frontend(&[&[("a", 100), ("b", 50)], &[("c", 100)]]) };
    let of = |one, other| {
        let result = with_standings(&frontend, &[("a", one), ("b", other), ("c", State::Up.into())]);
        let shares = weights(&result).into_iter().map(|(_, effective, _)| effective).collect::<Vec<_>>();
        (shares, result.active_pool)
    };
    assert_eq!(of(asks(100), asks(100)), (vec![100, 50, 0], Some(0)));
    assert_eq!(of(asks(40), asks(100)), (vec![40, 50, 0], Some(0)));
    assert_eq!(of(asks(1), asks(0)), (vec![5, 0, 0], Some(0)), "a step at least");
    assert_eq!(of(asks(0), asks(0)), (vec![0, 0, 100], Some(1)), "the next pool takes over");
    assert_eq!(of(State::Down.into(), asks(50)), (vec![0, 25, 0], Some(0)));
}
