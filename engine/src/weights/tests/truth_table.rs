use super::*;

#[test]
fn every_row() {
    use Role::{Active, Panic, Standby};
    use State::{Disabled, Down, Paused, Removed, Unknown, Up};
    // state, role of the pool, flush-on-down -> weight, flush; the weight is 70, and VPP has 30.
    for (state, role, flush_on_down, weight, flush) in [
        (Up, Active, true, 70, false),
        (Up, Active, false, 70, false),
        (Up, Standby, true, 0, false),
        (Up, Standby, false, 0, false),
        (Up, Panic, true, 70, false),
        (Up, Panic, false, 70, false),
        (Unknown, Active, true, 30, false),
        (Unknown, Active, false, 30, false),
        (Unknown, Standby, true, 30, false),
        (Unknown, Standby, false, 30, false),
        (Unknown, Panic, true, 70, false),
        (Unknown, Panic, false, 70, false),
        (Down, Active, true, 0, true),
        (Down, Active, false, 0, false),
        (Down, Standby, true, 0, true),
        (Down, Standby, false, 0, false),
        (Down, Panic, true, 70, false),
        (Down, Panic, false, 70, false),
        (Paused, Active, true, 0, false),
        (Paused, Active, false, 0, false),
        (Paused, Standby, true, 0, false),
        (Paused, Standby, false, 0, false),
        (Paused, Panic, true, 0, false),
        (Paused, Panic, false, 0, false),
        (Disabled, Active, true, 0, true),
        (Disabled, Active, false, 0, true),
        (Disabled, Standby, true, 0, true),
        (Disabled, Standby, false, 0, true),
        (Disabled, Panic, true, 0, true),
        (Disabled, Panic, false, 0, true),
        (Removed, Active, true, 0, true),
        (Removed, Active, false, 0, true),
        (Removed, Standby, true, 0, true),
        (Removed, Standby, false, 0, true),
        (Removed, Panic, true, 0, true),
        (Removed, Panic, false, 0, true),
    ] {
        let found = rule(state, role, 70, 30, flush_on_down);
        assert_eq!(found, (weight, flush), "{state}, {role:?}, flush-on-down {flush_on_down}");
    }
}

#[test]
fn unknown_backend_has_what_it_holds_up_to_its_own_weight() {
    for role in [Role::Active, Role::Standby] {
        for (held, weight) in [(0, 0), (1, 1), (70, 70), (71, 70), (100, 70)] {
            assert_eq!(rule(State::Unknown, role, 70, held, true), (weight, false), "{role:?}, {held}");
        }
    }
}

#[test]
fn weight_of_zero_drains_and_never_flushes() {
    for role in [Role::Active, Role::Standby, Role::Panic] {
        assert_eq!(rule(State::Up, role, 0, 0, true), (0, false), "{role:?}");
        assert_eq!(rule(State::Unknown, role, 0, 9, true), (0, false), "{role:?}");
    }
}

/// Such a backend does not serve in a panic, either, so its flows must not stay on a server that is down.
#[test]
fn backend_without_a_weight_that_is_down_flushes_in_a_panic_too() {
    for role in [Role::Active, Role::Standby, Role::Panic] {
        assert_eq!(rule(State::Down, role, 0, 0, true), (0, true), "{role:?}");
        assert_eq!(rule(State::Down, role, 0, 0, false), (0, false), "{role:?}");
    }
}

#[test]
fn what_is_held_counts_only_while_unknown() {
    for state in [State::Down, State::Paused, State::Disabled, State::Removed] {
        assert_eq!(rule(state, Role::Active, 70, 30, true).0, 0, "{state}");
    }
    assert_eq!(rule(State::Up, Role::Standby, 70, 30, true), (0, false));
}
