use proptest::prelude::*;

use super::*;

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn many_falls_within_a_second_are_told_once_an_episode() {
    let (start, mut guard) = (crate::tests::moment(), Guard::default());
    let at = |ms| start + milliseconds(ms);
    assert_eq!([0, 300, 600].map(|ms| guard.fell(3, at(ms))), [None; 3]);
    assert_eq!(guard.fell(3, at(1000)), None, "the first is a second old");
    assert_eq!(guard.fell(3, at(1200)), Some(4));
    assert_eq!(guard.fell(3, at(1250)), None, "told already");
    assert!(guard.is_exceeded(at(61_200)) && !guard.is_exceeded(at(61_250)));
    let later = [70_000, 70_001, 70_002, 70_003].map(|ms| guard.fell(3, at(ms)));
    assert_eq!(later, [None, None, None, Some(4)]);
}

#[test]
fn backends_wait_for_their_turn_in_order() {
    let (now, mut guard) = (crate::tests::moment(), Guard::default());
    let limit = Some(2);
    for _ in 0..2 {
        assert!(guard.may_fall(limit, now));
        guard.take(now);
    }
    assert!(!guard.may_fall(limit, now) && guard.may_fall(None, now));
    let names: [Arc<str>; 2] = ["a".into(), "b".into()];
    names.iter().chain(&names).for_each(|name| guard.wait(name));
    assert_eq!((guard.waiting(), guard.next(limit)), (2, Some(now + SECOND)));
    assert_eq!(guard.pop(limit, now + milliseconds(999)), None);
    assert_eq!(guard.pop(limit, now + SECOND), Some("a".into()));
    assert!(!guard.may_fall(limit, now + SECOND), "b goes first");
    assert_eq!(guard.pop(limit, now + SECOND), Some("b".into()));
    assert!(guard.may_fall(limit, now + SECOND));
    guard.wait(&names[0]);
    assert_eq!(guard.waiting(), 1, "it may wait again");
}

proptest! {
    #[test]
    fn no_second_has_more_falls_than_it_may(
        gaps in prop::collection::vec(0u64..400, 1..100),
        most in 1u32..6,
    ) {
        let (mut now, mut guard) = (crate::tests::moment(), Guard::default());
        let limit = Some(most);
        let mut taken: Vec<Instant> = Vec::new();
        for (number, gap) in gaps.iter().enumerate() {
            let fell = now + milliseconds(*gap);
            while let Some(turn) = guard.next(limit).filter(|turn| *turn <= fell) {
                now = turn.max(now);
                let popped = guard.pop(limit, now);
                prop_assert!(popped.is_some());
                guard.take(now);
                taken.push(now);
            }
            now = fell;
            if guard.may_fall(limit, now) {
                guard.take(now);
                taken.push(now);
            } else {
                guard.wait(&number.to_string().into());
            }
        }
        for (index, at) in taken.iter().enumerate() {
            let within = taken[index..].iter().filter(|other| other.saturating_duration_since(*at) < SECOND);
            prop_assert!(within.count() <= usize::try_from(most).unwrap());
        }
        prop_assert_eq!(taken.len() + guard.waiting(), gaps.len(), "none is lost");
    }
}
