use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::weights::tests::{any_frontend, frontend};

fn pool(weights: &[u8]) -> Frontend {
    let names: Vec<String> = (0..weights.len()).map(|index| format!("b{index}")).collect();
    let backends: Vec<(&str, u8)> = names.iter().map(String::as_str).zip(weights.iter().copied()).collect();
    frontend(&[&backends])
}

#[test]
fn without_weights_all_that_are_in_have_equal_shares() {
    let of = |weights: &[u8]| Scale::of(Dialect::InOut, &pool(weights), Some(1024));
    let scale = of(&[100, 50, 1]);
    assert_eq!([0, 1, 50, 100].map(|weight| scale.programmed(weight)), [0, 1, 1, 1]);
    assert!(!scale.is_exact() && scale.worst_error() > Percent::ZERO);
    assert_eq!(unequal(&pool(&[50, 100, 0, 50])).as_deref(), Some("100:50"));
    assert!(doubts(Dialect::InOut, &pool(&[100, 50]), None).is_some_and(|found| found.longer.is_none()));
    let scale = of(&[30, 30, 0]);
    assert!(scale.is_exact() && scale.worst_error() == Percent::ZERO && scale.programmed(30) == 1);
    // Of several pools, one is active at a time.
    let two = frontend(&[&[("a", 100)], &[("b", 50), ("c", 50)]]);
    assert_eq!((unequal(&two), Scale::of(Dialect::InOut, &two, None).is_exact()), (None, true));
    assert_eq!(doubts(Dialect::InOut, &two, None), None);
}

#[test]
fn table_is_long_enough_for_the_weights() {
    let of = |weights: &[u8]| table_length(&pool(weights));
    assert_eq!(of(&[100, 100]), 1024);
    assert_eq!(of(&[0]), 1024);
    assert_eq!(of(&[100; 200]), 2048, "eight times 200");
    // Eight times 149 would give 2048, but there the one of weight 50 has 1.86 % too much.
    assert_eq!(of(&[50, 99]), 8192);
    let mut many = [100; 200];
    many[0] = 99;
    assert_eq!(of(&many), 65_536, "no longer one exists");
    let fixed = Frontend { new_flows_table_length: Some(4096), ..pool(&[1]) };
    assert_eq!(table_length(&fixed), 4096);
}

#[test]
fn pools_share_a_scale_but_not_a_table() {
    let one = frontend(&[&[("a", 100), ("b", 99)]]);
    let two = frontend(&[&[("a", 100), ("b", 99)], &[("c", 100), ("d", 99)]]);
    assert_eq!(table_length(&one), table_length(&two), "only one is active at once");
    let scale = Scale::new(&frontend(&[&[("a", 100)], &[("b", 50), ("c", 0)]]), None);
    assert_eq!([100, 50, 0].map(|weight| scale.programmed(weight)), [2, 1, 0]);
    assert!(scale.is_exact());
}

#[test]
fn too_short_a_table_rounds_to_what_it_can_express() {
    let weights = pool(&[50, 99]);
    let scale = Scale::new(&weights, Some(1024));
    // 341 and 683 buckets of 1024, instead of 343.6 and 680.4.
    assert_eq!([50, 99].map(|weight| scale.programmed(weight)), [1, 2]);
    assert_eq!((scale.is_exact(), scale.worst_error(), scale.table_length()), (false, Percent::ZERO, 1024));
    let scale = Scale::new(&weights, Some(8192));
    assert_eq!([50, 99].map(|weight| scale.programmed(weight)), [50, 99]);
    assert!(scale.is_exact());
}

#[test]
fn slow_start_has_steps_where_there_is_room() {
    let slow = |weights: &[u8]| Frontend { slow_start: Some(Duration::from_secs(30)), ..pool(weights) };
    for (weights, steps, length) in [
        (&[100, 100][..], 10, 1024),
        // The one of weight 50 may be ahead by 11 of 1024 buckets.
        (&[100, 50], 10, 2048),
        (&[30, 40], 12, 1024),
        (&[100; 200], 10, 16_384),
        // The largest is already 100.
        (&[100, 1], 1, 1024),
        // 100 and 10, though 10 and 1 would do in 1024.
        (&[100, 10], 10, 16_384),
        // Four times as much; five times would exceed 100.
        (&[25, 2], 8, 16_384),
    ] {
        let frontend = slow(weights);
        let scale = Scale::new(&frontend, None);
        assert_eq!((scale.steps(), table_length(&frontend)), (steps, length), "{weights:?}");
        assert!(scale.is_exact(), "{weights:?}");
        assert_eq!(
            Scale::new(&pool(weights), None).steps(),
            *weights.iter().min().unwrap() / gcd_of(weights)
        );
    }
}

fn gcd_of(weights: &[u8]) -> u8 {
    weights.iter().fold(0, |divisor, &weight| gcd(divisor, weight))
}

#[test]
fn standing_table_has_as_many_steps_as_it_can_express() {
    let slow = Frontend { slow_start: Some(Duration::from_secs(30)), ..pool(&[100; 40]) };
    assert_eq!(Scale::new(&slow, None).steps(), 10);
    let short = Scale::new(&slow, Some(1024));
    assert_eq!((short.steps(), short.is_exact()), (3, true), "40 x 3 x 8 is 960");
    let shorter = Scale::new(&slow, Some(64));
    assert_eq!((shorter.steps(), shorter.is_exact()), (1, true));
}

#[test]
fn doubts_name_the_table_that_would_do() {
    assert_eq!(doubts(Dialect::Weighted, &pool(&[50, 99]), None), None);
    let weights: Vec<u8> = (0..20).map(|index| 100 - 4 * index).collect();
    let fixed = Frontend { new_flows_table_length: Some(1024), ..pool(&weights) };
    let found = doubts(Dialect::Weighted, &fixed, None).unwrap();
    assert_eq!(found.table_length, 1024);
    assert_eq!(found.worst_error, Scale::new(&fixed, None).worst_error());
    let longer = found.longer.unwrap();
    assert_eq!(longer.worst_error, Percent::ZERO);
    assert_eq!(Scale::new(&fixed, Some(longer.table_length)).worst_error(), Percent::ZERO);
    assert!(Scale::new(&fixed, Some(longer.table_length / 2)).worst_error() > Percent::ZERO);
    assert_eq!(
        doubts(Dialect::Weighted, &pool(&weights), Some(1024)),
        Some(found),
        "a standing table is no better"
    );
}

#[test]
fn longest_table_leaves_no_way_out() {
    let weights: Vec<u8> = (0..250).map(|index| 1 + index % 100).collect();
    let found = doubts(Dialect::Weighted, &pool(&weights), None).unwrap();
    assert_eq!((found.table_length, found.longer), (65_536, None));
    assert!(found.worst_error > Percent::ZERO);
}

proptest! {
    #[test]
    fn scale_keeps_order_and_range(
        frontend in any_frontend(),
        standing in proptest::option::of((0u32..17).prop_map(|bit| 1 << bit)),
    ) {
        let scale = Scale::new(&frontend, standing);
        prop_assert_eq!(&scale, &Scale::new(&frontend, standing));
        prop_assert_eq!(scale.programmed(0), 0);
        for weight in 1..=100 {
            prop_assert!((1..=100).contains(&scale.programmed(weight)));
            prop_assert!(scale.programmed(weight) >= scale.programmed(weight - 1));
        }
        prop_assert_eq!(scale.table_length(), standing.unwrap_or_else(|| table_length(&frontend)));
        if scale.is_exact() {
            prop_assert_eq!(scale.worst_error(), Percent::ZERO);
            let configured = || frontend.pools.iter().flat_map(|pool| pool.backends.values().copied());
            for (a, b) in configured().flat_map(|a| configured().map(move |b| (a, b))) {
                let programmed = |weight| u32::from(scale.programmed(weight));
                prop_assert_eq!(u32::from(a) * programmed(b), u32::from(b) * programmed(a));
            }
        }
    }

    #[test]
    fn table_length_is_one_that_vpp_takes(frontend in any_frontend()) {
        let length = table_length(&frontend);
        prop_assert!(length.is_power_of_two());
        prop_assert!((MIN_TABLE_LENGTH..=MAX_TABLE_LENGTH).contains(&length));
        prop_assert!(Scale::new(&frontend, None).is_exact(), "so few backends always fit");
    }

}

proptest! {
    // Each case weighs 200 scales.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_scale_is_better_than_the_chosen_one(
        weights in proptest::collection::vec(0u8..=100, 1..150),
        length in (0u32..17).prop_map(|bit| 1 << bit),
    ) {
        let frontend = pool(&weights);
        let (scale, all) = (Scale::new(&frontend, Some(length)), Weights::of(&frontend));
        for other in 1..=MAX_WEIGHT {
            prop_assert!(scale.worst_error() <= all.worst_error(other, length));
        }
    }
}
