use proptest::prelude::*;

use super::*;

/// Buckets of each backend, by simulating the rounds. The backends are in the order of their addresses.
fn walked(weights: &[u8], length: u32) -> Vec<u64> {
    let replicas = (0..100).flat_map(|replica| (0..weights.len()).map(move |index| (replica, index)));
    let entries: Vec<_> = replicas.filter(|&(replica, index)| weights[index] > replica).collect();
    let mut buckets = vec![0; weights.len()];
    for &(_, index) in entries.iter().cycle().take(length.try_into().unwrap()) {
        buckets[index] += 1;
    }
    buckets
}

fn worst(configured: &[u8], programmed: &[u8], length: u32) -> Percent {
    let sum = configured.iter().map(|&weight| u64::from(weight)).sum();
    let buckets = walked(programmed, length);
    let each = buckets.iter().zip(configured);
    each.map(|(&buckets, &weight)| error(buckets, weight.into(), sum, length.into())).max().unwrap()
}

fn histogram(weights: &[u8]) -> Histogram {
    weights.iter().copied().collect()
}

#[test]
fn error_is_that_of_the_worst_off() {
    // 13 rounds of 149 give 650 and 1287; of the remaining 111 buckets, 50 go to the lighter one, which has
    // 700 instead of 687.2.
    assert_eq!(walked(&[50, 99], 2048), [700, 1348]);
    assert_eq!(histogram(&[50, 99]).worst_error(|weight| weight, 2048).to_string(), "1.86 %");
    assert_eq!(histogram(&[50, 99]).worst_error(|weight| weight, 8192), Percent::ZERO);
    assert_eq!(histogram(&[]).worst_error(|weight| weight, 1024), Percent::ZERO);
    // Nineteen of weight 100 and one of 50 in 1024 buckets: it gets 50 buckets instead of 26.3; with weights
    // 2 and 1, at most 27.
    let mut weights = vec![100; 19];
    weights.push(50);
    assert_eq!(histogram(&weights).worst_error(|weight| weight, 1024).to_string(), "90.43 %");
    assert_eq!(histogram(&weights).worst_error(|weight| weight / 50, 1024), Percent::ZERO);
}

#[test]
fn a_bucket_is_always_allowed() {
    assert_eq!(error(3, 1, 2, 4), Percent::ZERO);
    assert_eq!(error(4, 1, 2, 4), Percent::of(1, 1));
    assert_eq!(error(1010, 1, 2, 2000), Percent::ZERO);
    assert_eq!(error(1011, 1, 2, 2000), Percent::of(11, 1000));
}

#[test]
fn equal_weights_and_weights_of_one_need_no_length() {
    assert_eq!(histogram(&[]).exact_from(), 0);
    assert_eq!(histogram(&[1; 300]).exact_from(), 0);
    assert_eq!(histogram(&[7; 20]).exact_from(), 0);
    assert_eq!(histogram(&[1, 2]).exact_from(), 0);
}

#[test]
fn length_of_two_weights() {
    // The one of weight 50 is ahead by 49 and one at worst.
    assert_eq!(histogram(&[50, 99]).exact_from(), 5000);
    // The one of weight 100 waits for all three of weight 1, and so lacks three buckets in the first round.
    assert_eq!(histogram(&[100, 1, 1, 1]).exact_from(), 300);
}

#[test]
fn bound_is_not_idle() {
    // With a quarter of the required length, some share really is off.
    for weights in [&[50, 99][..], &[10, 20, 37], &[3, 100, 100, 100], &[99, 100, 50, 1, 2, 3]] {
        let needed = histogram(weights).exact_from();
        let some_length =
            (1..needed / 4).any(|length| worst(weights, weights, length.try_into().unwrap()) > Percent::ZERO);
        assert!(some_length, "{weights:?} need {needed}");
    }
}

fn any_weights(backends: usize) -> impl Strategy<Value = Vec<u8>> {
    let most = prop_oneof![Just(3u8), Just(10), Just(100)];
    most.prop_flat_map(move |most| proptest::collection::vec(1..=most, 1..=backends))
}

proptest! {
    // Each case has up to 511 tables.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_subset_is_exact_from_there_on(
        weights in any_weights(9),
        more in 0u32..4096,
    ) {
        let from = u32::try_from(histogram(&weights).exact_from()).unwrap();
        let length = (from + more).max(1);
        for chosen in 1u32..(1 << weights.len()) {
            let chosen: Vec<u8> =
                (0..weights.len()).filter(|index| chosen & (1 << index) != 0).map(|index| weights[index]).collect();
            prop_assert_eq!(worst(&chosen, &chosen, length), Percent::ZERO, "{:?} of {:?}", chosen, weights);
        }
    }

}

proptest! {
    #[test]
    fn random_subsets_of_many_are_exact_in_a_power_of_two(
        weights in any_weights(120),
        chosen in proptest::collection::vec(any::<bool>(), 120),
        longer in 0u32..3,
    ) {
        let length = u32::try_from(histogram(&weights).exact_from()).unwrap().next_power_of_two() << longer;
        let left: Vec<u8> =
            weights.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(weight, _)| *weight).collect();
        prop_assume!(!left.is_empty());
        prop_assert_eq!(worst(&left, &left, length), Percent::ZERO);
    }

    #[test]
    fn error_covers_what_the_rounds_give_in_any_order(
        weights in any_weights(60),
        divisor in 1u8..20,
        length in prop_oneof![1u32..5000, Just(1024), Just(65_536)],
    ) {
        let programmed = |weight: u8| weight.div_ceil(divisor);
        let shown: Vec<u8> = weights.iter().map(|&weight| programmed(weight)).collect();
        let told = histogram(&weights).worst_error(programmed, length);
        prop_assert!(worst(&weights, &shown, length) <= told);
        // Backends of equal weight differ only by their addresses, so another order may be worse, but only by
        // the one bucket that the order decides.
        let reversed: Vec<u8> = weights.iter().rev().copied().collect();
        let reversed_shown: Vec<u8> = shown.iter().rev().copied().collect();
        prop_assert!(worst(&reversed, &reversed_shown, length) <= told);
    }
}
