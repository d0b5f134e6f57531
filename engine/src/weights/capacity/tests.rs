use proptest::prelude::*;

use super::*;
use crate::config::MinUp;
use crate::weights::tests::any_frontend;

#[test]
fn only_what_is_certain_takes_a_pool_below_and_back() {
    let capacity = |up, unknown| Capacity { up, unknown, total: 4, min_up: Some(3) };
    let below = |up, unknown| [false, true].map(|before| capacity(up, unknown).is_below(before));
    assert_eq!(below(3, 0), [false, false]);
    assert_eq!(below(2, 0), [true, true]);
    assert_eq!(below(2, 1), [false, true], "the unknown one decides");
    assert_eq!(below(0, 4), [false, true]);
    assert_eq!([capacity(2, 1).missing(), capacity(1, 1).missing(), capacity(4, 0).missing()], [0, 1, 0]);
    let free = Capacity { min_up: None, ..capacity(0, 0) };
    assert_eq!((free.missing(), free.is_below(true)), (0, false));
    assert_eq!([capacity(2, 1), free].map(|shown| shown.to_string()), ["2 of 4 up, min-up 3", "0 of 4 up"]);
}

proptest! {
    /// Whether or not the pool is active, and whatever the order of the states.
    #[test]
    fn count_equals_a_recount(
        frontend in any_frontend(),
        states in prop::collection::vec(any_state(), 8),
        percent in prop::option::of(0..=100u8),
    ) {
        let of = |name: &str| Standing::from(states[usize::from(name.as_bytes()[0] - b'a')]);
        for pool in frontend.pools {
            let pool = Pool { min_up: percent.map(MinUp::Percent), ..pool };
            let found = Capacity::of(&pool, &of);
            let mut up = 0;
            for (name, weight) in &pool.backends {
                up += u32::from(*weight > 0 && of(name).state == State::Up);
            }
            prop_assert_eq!((found.up, found.total as usize), (up, pool.backends.len()));
            prop_assert!(found.up + found.unknown <= found.total);
            prop_assert_eq!(found.min_up.is_some(), percent.is_some());
        }
    }
}

fn any_state() -> impl Strategy<Value = State> {
    use State::{Disabled, Down, Paused, Removed, Unknown, Up};
    prop::sample::select(vec![Up, Down, Unknown, Paused, Disabled, Removed])
}
