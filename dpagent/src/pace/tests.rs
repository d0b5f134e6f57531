use proptest::prelude::*;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_second_s_worth_is_there_at_once_and_then_refills() {
    let start = Instant::now();
    let mut pace = Pace::new(start);
    for _ in 0..10 {
        assert_eq!(pace.take(10, start), Ok(()));
    }
    let again = pace.take(10, start).unwrap_err();
    let wait = again - start;
    assert!((Duration::from_millis(99)..Duration::from_millis(101)).contains(&wait), "{wait:?}");
    assert_eq!(pace.take(10, again), Ok(()));
    assert!(pace.take(10, again).is_err());
    for _ in 0..10 {
        assert_eq!(pace.take(10, again + Duration::from_secs(60)), Ok(()));
    }
    assert!(pace.take(10, again + Duration::from_secs(60)).is_err());
}

#[tokio::test(start_paused = true)]
async fn another_rate_holds_at_once() {
    let start = Instant::now();
    let mut pace = Pace::new(start);
    assert_eq!(pace.take(10, start), Ok(()));
    assert_eq!(pace.take(1, start), Ok(()));
    assert!(pace.take(1, start).is_err());
}

proptest! {
    /// Over any time span, at most one second's tokens plus those that the span adds.
    #[test]
    fn never_more_than_allowed(per_second in 1u32..50_000, gaps in prop::collection::vec(0u64..200_000, 1..300)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let start = Instant::now();
            let mut pace = Pace::new(start);
            let (mut now, mut taken) = (start, 0u32);
            for gap in gaps {
                now += Duration::from_micros(gap);
                match pace.take(per_second, now) {
                    Ok(()) => taken += 1,
                    Err(when) => {
                        prop_assert!(when > now);
                        prop_assert!(pace.take(per_second, when).is_ok());
                        (now, taken) = (when, taken + 1);
                    }
                }
                let most = f64::from(per_second) * (1.0 + (now - start).as_secs_f64());
                prop_assert!(f64::from(taken) <= most + 1e-6 * most + 1.0);
            }
            Ok(())
        })?;
    }
}
