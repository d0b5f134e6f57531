use proptest::prelude::*;

use super::*;
use crate::config::Pool;

/// Backends are named "a" to "h", and may stand in several pools.
pub(in super::super) fn any_frontend() -> impl Strategy<Value = Frontend> {
    let pool = proptest::collection::btree_map("[a-h]", 0u8..=100, 1..6);
    let pools = proptest::collection::vec(pool, 1..4);
    let settings = (any::<bool>(), any::<bool>(), proptest::option::of(1u8..=100));
    (pools, settings).prop_map(|(pools, (flush_on_down, slow, panic_threshold))| {
        let pools = pools.into_iter().enumerate();
        let pools =
            pools.map(|(index, backends)| Pool { name: format!("pool{index}"), backends, min_up: None });
        let slow_start = slow.then_some(Duration::from_secs(10));
        Frontend { pools: pools.collect(), flush_on_down, slow_start, panic_threshold, ..frontend(&[]) }
    })
}

fn any_standing() -> impl Strategy<Value = Standing> {
    use State::{Disabled, Down, Paused, Removed, Unknown, Up};
    let states = proptest::sample::select(vec![Up, Up, Up, Down, Down, Unknown, Paused, Disabled, Removed]);
    let held = proptest::option::of(0u8..=100);
    let rising = proptest::option::of((0u64..15_000).prop_map(Duration::from_millis));
    let share = prop_oneof![Just(100u8), 0u8..=100].prop_map(|percent| Share::of(percent).unwrap());
    (states, held, rising, share).prop_map(|(state, held, rising, share)| Standing {
        state,
        held,
        rising,
        share,
    })
}

fn out(standing: Standing) -> bool {
    matches!(standing.by_its_word().state, State::Paused | State::Disabled | State::Removed)
}

proptest! {
    #[test]
    fn weights_are_where_they_may_be(
        frontend in any_frontend(),
        standings in proptest::collection::vec(any_standing(), 8),
        standing_table in proptest::option::of(proptest::sample::select(vec![16u32, 1024, 65_536])),
    ) {
        let of = |name: &str| standings[usize::from(name.as_bytes()[0] - b'a')];
        let scale = Scale::new(&frontend, standing_table);
        let result = effective(&frontend, &scale, of);
        prop_assert_eq!(&result, &effective(&frontend, &scale, of), "same input, same output");
        let mut someone = false;
        for (index, pool) in result.pools.iter().enumerate() {
            prop_assert_eq!(pool.len(), frontend.pools[index].backends.len());
            let panic = result.panic == Some(index);
            for (name, weight) in pool {
                let configured = frontend.pools[index].backends[name];
                let (mut full, standing) = (scale.programmed(configured), of(name));
                someone |= weight.programmed > 0;
                prop_assert!(weight.programmed <= full && weight.effective <= configured);
                prop_assert_eq!(weight.programmed > 0, weight.effective > 0);
                if weight.programmed == full {
                    prop_assert_eq!(weight.effective, configured);
                }
                if standing.state == State::Up {
                    full = standing.share.part(full);
                }
                if out(standing) {
                    prop_assert_eq!(weight.programmed, 0);
                    prop_assert_eq!(weight.flush, standing.by_its_word().state != State::Paused);
                } else if panic {
                    let flush = full == 0 && standing.state == State::Down && frontend.flush_on_down;
                    prop_assert_eq!((weight.programmed, weight.flush), (full, flush));
                } else {
                    let flush = standing.state == State::Down && frontend.flush_on_down;
                    prop_assert_eq!(weight.flush, flush);
                    match standing.state {
                        State::Up if result.active_pool == Some(index) => {
                            let slow = standing.rising.is_some() && frontend.slow_start.is_some();
                            prop_assert!(weight.programmed >= full.min(1));
                            prop_assert!(slow || weight.programmed == full);
                        }
                        State::Unknown => {
                            prop_assert_eq!(weight.programmed, full.min(standing.held.unwrap_or(0)));
                        }
                        _ => prop_assert_eq!(weight.programmed, 0),
                    }
                }
            }
        }
        prop_assert_eq!(someone, result.active_pool.is_some() || result.panic.is_some());
        prop_assert!(result.active_pool.is_none() || result.panic.is_none() || result.panic == result.active_pool);
        prop_assert!(result.panic.is_none() || frontend.panic_threshold.is_some());
        prop_assert!(result.next_step.is_none_or(|step| step > Duration::ZERO));
        if result.state == FrontendState::Up {
            let pool = &frontend.pools[result.active_pool.unwrap()].backends;
            prop_assert!(pool.iter().any(|(name, &weight)| weight > 0 && of(name).by_its_word().state == State::Up));
        }
    }

    #[test]
    fn one_more_backend_up_never_makes_an_earlier_pool_inactive(
        frontend in any_frontend(),
        standings in proptest::collection::vec(any_standing(), 8),
        riser in 0usize..8,
    ) {
        let scale = Scale::new(&frontend, None);
        let active = |standings: &[Standing]| {
            let of = |name: &str| standings[usize::from(name.as_bytes()[0] - b'a')];
            effective(&frontend, &scale, of).active_pool.unwrap_or(usize::MAX)
        };
        let mut better = standings.clone();
        better[riser] = State::Up.into();
        prop_assert!(active(&better) <= active(&standings));
    }
}
