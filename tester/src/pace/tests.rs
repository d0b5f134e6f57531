use proptest::prelude::*;

use super::*;

#[test]
fn overrun_starts_the_next_at_once_and_nothing_is_caught_up() {
    let start = tokio::time::Instant::now().into_std();
    let at = |ms| start + Duration::from_millis(ms);
    let mut cadence = Cadence::new(Duration::from_millis(100), start);
    cadence.ended(at(30), 0.5);
    assert_eq!(cadence.due(), at(100));
    cadence.ended(at(350), 0.5);
    assert_eq!(cadence.due(), at(350), "two starts were missed, and one is made");
    cadence.ended(at(360), 0.5);
    assert_eq!(cadence.due(), at(450));
}

/// 1,000 periods of 100 ms with probes of 30 ms, in simulated time.
#[tokio::test(start_paused = true)]
async fn mean_period_is_the_interval_whatever_a_probe_takes() {
    let mut random = fastrand::Rng::with_seed(7);
    let start = tokio::time::Instant::now();
    let mut cadence = Cadence::new(Duration::from_millis(100), start.into_std());
    let mut starts = Vec::new();
    for _ in 0..=1000 {
        tokio::time::sleep_until(cadence.due().into()).await;
        starts.push(tokio::time::Instant::now());
        tokio::time::sleep(Duration::from_millis(30)).await;
        cadence.ended(tokio::time::Instant::now().into_std(), random.f64());
    }
    let mean = (starts[1000] - starts[0]).as_secs_f64() / 1000.0;
    assert!((mean - 0.1).abs() < 0.001, "{mean}");
    let periods: Vec<_> = starts.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert!(periods.iter().all(|period| (88..=112).contains(period)), "{periods:?}");
    assert!(periods.iter().any(|period| *period < 95) && periods.iter().any(|period| *period > 105));
}

proptest! {
    #[test]
    fn no_second_has_more_requests_than_allowed(per_second in 1u32..2000, steps in prop::collection::vec(0u64..5000, 1..400)) {
        let start = tokio::time::Instant::now().into_std();
        let mut rate = Rate::new(per_second, start);
        let (mut now, mut made) = (start, Vec::new());
        for step in steps {
            now += Duration::from_micros(step);
            let at = rate.reserve(now);
            prop_assert!(at >= now);
            made.push(at);
        }
        for (index, first) in made.iter().enumerate() {
            let within = made[index..].iter().filter(|at| **at < *first + Duration::from_secs(1)).count();
            // The gap is rounded down to a nanosecond.
            prop_assert!(within <= per_second as usize + 1, "{within} of {per_second}");
        }
    }

    #[test]
    fn starts_are_never_closer_than_nine_tenths_of_an_interval(ends in prop::collection::vec((0u64..400, 0.0f64..=1.0), 1..100)) {
        let start = tokio::time::Instant::now().into_std();
        let mut cadence = Cadence::new(Duration::from_millis(100), start);
        for (took, random) in ends {
            let due = cadence.due();
            cadence.ended(due + Duration::from_millis(took), random);
            prop_assert!(cadence.due() >= due + Duration::from_millis(90));
            prop_assert!(cadence.due() <= due + Duration::from_millis(took.max(110)));
        }
    }
}
