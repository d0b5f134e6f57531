use proptest::prelude::*;

use super::*;

const RULES: Damping = Damping {
    half_life: Duration::from_secs(60),
    suppress: 2500,
    reuse: 1000,
    max_suppress: Duration::from_secs(600),
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_third_fall_in_a_row_holds_a_backend_down() {
    let (start, mut damper) = (crate::tests::moment(), Damper::default());
    for fall in 0..2 {
        damper.fall(&RULES, start + seconds(fall));
        assert_eq!(damper.held_until(start + seconds(fall)), None);
    }
    let third = start + seconds(2);
    damper.fall(&RULES, third);
    // Nearly 3000, so somewhat less than log2(3) half-lives.
    let until = damper.held_until(third).unwrap();
    assert!((90..96).contains(&(until - third).as_secs()), "{:?}", until - third);
    assert!((damper.penalty(&RULES, until) - 1000.0).abs() < 0.1);
    assert_eq!(damper.held_until(until), None);
    damper.forgive(&RULES, third);
    assert_eq!(damper.held_until(third), None);
}

#[test]
fn falls_far_apart_are_forgotten() {
    let (start, mut damper) = (crate::tests::moment(), Damper::default());
    for fall in 0..100 {
        let now = start + seconds(fall * 120);
        damper.fall(&RULES, now);
        assert_eq!(damper.held_until(now), None);
    }
}

proptest! {
    #[test]
    fn a_penalty_is_bounded_and_decays(
        gaps in prop::collection::vec(0u64..500, 1..60),
        half_life in 1u64..3600,
        reuse in 100u32..10_000,
        more in 1u32..10_000,
        max in 1u64..3600,
        later in 0u64..100_000,
    ) {
        let rules = Damping {
            half_life: seconds(half_life),
            suppress: reuse + more,
            reuse,
            max_suppress: seconds(max),
        };
        let (mut now, mut damper) = (crate::tests::moment(), Damper::default());
        for gap in gaps {
            now += seconds(gap);
            let before = damper.held_until(now);
            damper.fall(&rules, now);
            let penalty = damper.penalty(&rules, now);
            prop_assert!(penalty <= rules.ceiling());
            match damper.held_until(now) {
                Some(until) => {
                    prop_assert!(until <= now + rules.max_suppress);
                    prop_assert!(damper.penalty(&rules, until) <= f64::from(reuse) * 1.0001);
                }
                None => prop_assert!(penalty <= f64::from(reuse) || penalty < f64::from(rules.suppress)),
            }
            if let (Some(before), Some(after)) = (before, damper.held_until(now)) {
                prop_assert!(after >= before.min(now + rules.max_suppress), "a fall shortens nothing");
            }
        }
        let sooner = damper.penalty(&rules, now + seconds(later / 2));
        prop_assert!(damper.penalty(&rules, now + seconds(later)) <= sooner);
        prop_assert_eq!(damper.held_until(now + rules.max_suppress), None);
    }
}
