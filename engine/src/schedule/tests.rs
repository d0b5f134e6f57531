use proptest::prelude::*;

use super::*;

fn intervals(normal_ms: u64, fast_ms: u64) -> Intervals {
    let [normal, fast] = [normal_ms, fast_ms].map(Duration::from_millis);
    Intervals { normal, fast, down: Duration::from_secs(3600) }
}

#[test]
fn each_pace_has_its_interval() {
    let intervals = intervals(2000, 500);
    let of = [Pace::Normal, Pace::Fast, Pace::Down, Pace::Stopped].map(|pace| intervals.at(pace));
    let [normal, fast, down] = [2, 0, 3600].map(Duration::from_secs);
    assert_eq!(of, [Some(normal), Some(fast + Duration::from_millis(500)), Some(down), None]);
}

#[test]
fn first_probes_are_spread_evenly_over_the_shorter_time() {
    let check = intervals(2000, 2000);
    let delay = |warm_up_ms, rank, backends| {
        check.first_delay(Duration::from_millis(warm_up_ms), rank, backends, 0.5).as_secs_f64() * 1e3
    };
    assert!((delay(5000, 0, 4) - 250.0).abs() < 1e-6, "the interval is shorter");
    assert!((delay(5000, 3, 4) - 1750.0).abs() < 1e-6);
    assert!((delay(1000, 3, 4) - 875.0).abs() < 1e-6, "the warm-up is shorter");
    assert!(delay(0, 3, 4) < 0.2, "no warm-up: at once");
    assert!((delay(0, 9_999, 10_000) - 500.0).abs() < 0.1, "but not ten thousand at the same time");
}

proptest! {
    #[test]
    fn first_probe_comes_within_the_interval(
        normal in 10u64..100_000, fast in 10u64..100_000, warm_up in 0u64..100_000,
        backends in 1usize..60_000, rank in 0.0f64..1.0, random in 0.0f64..1.0,
    ) {
        let check = intervals(normal, fast);
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
        let rank = (rank * backends as f64) as usize;
        let delay = check.first_delay(Duration::from_millis(warm_up), rank, backends, random);
        prop_assert!(delay <= Duration::from_millis(normal.min(fast)));
        prop_assert!(delay <= Duration::from_millis(warm_up) || delay <= FIRST_PROBE_GAP * 60_000);
    }

    #[test]
    fn starts_are_an_interval_apart_or_at_once(
        interval_ms in 10u64..100_000, took_ms in 0u64..200_000, random in 0.0f64..1.0,
    ) {
        let start = crate::tests::moment();
        let now = start + Duration::from_millis(took_ms);
        let interval = Duration::from_millis(interval_ms);
        let next = next_start(start, now, interval, random);
        prop_assert!(next >= now);
        let (least, most) = (interval.mul_f64(0.9), interval.mul_f64(1.1));
        if now - start < least {
            prop_assert!((least..=most).contains(&(next - start)));
        } else if now - start > most {
            prop_assert_eq!(next, now);
        }
    }
}
