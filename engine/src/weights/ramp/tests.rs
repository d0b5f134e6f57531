use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn weight_is_in_proportion_to_the_time() {
    for (seconds, weight, next) in [
        (0, 1, Some(12)),
        (6, 1, Some(6)),
        (12, 2, Some(6)),
        (29, 4, Some(1)),
        (59, 9, Some(1)),
        (60, 10, None),
    ] {
        let found = ramp(10, Duration::from_secs(seconds), MINUTE);
        assert_eq!(found, (weight, next.map(Duration::from_secs)), "after {seconds} s");
    }
}

#[test]
fn nothing_to_rise_to_is_reached_at_once() {
    assert_eq!(ramp(0, Duration::ZERO, MINUTE), (0, None));
    assert_eq!(ramp(1, Duration::ZERO, MINUTE), (1, None));
    assert_eq!(ramp(100, Duration::ZERO, Duration::ZERO), (100, None));
    assert_eq!(ramp(100, Duration::MAX, MINUTE), (100, None));
    assert!(ramp(100, Duration::ZERO, Duration::MAX).1.is_some());
}

proptest! {
    #[test]
    fn every_step_comes_when_it_was_told(full in 0u8..=100, nanoseconds in 0u64..10_000_000_000) {
        let whole = Duration::from_nanos(nanoseconds);
        let (mut elapsed, mut steps) = (Duration::ZERO, 0);
        let (mut weight, mut next) = ramp(full, elapsed, whole);
        while let Some(wait) = next {
            prop_assert!((1..full).contains(&weight) && wait > Duration::ZERO);
            let before = elapsed + wait.saturating_sub(Duration::from_nanos(1));
            prop_assert_eq!(ramp(full, before, whole).0, weight, "not sooner");
            elapsed += wait;
            let later = ramp(full, elapsed, whole);
            prop_assert!(later.0 > weight, "not later");
            (weight, next) = later;
            steps += 1;
        }
        prop_assert_eq!(weight, full);
        prop_assert!(elapsed <= whole && steps <= 100);
    }
}
