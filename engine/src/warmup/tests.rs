use proptest::prelude::*;

use super::*;
use crate::tests::moment;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn every_phase_with_every_frontend() {
    let start = moment();
    // Seconds since the start, known, VPP empty -> released, anything may be written.
    for (elapsed, known, empty, released, write) in [
        (0, false, false, false, false),
        (0, true, false, false, false),
        (0, false, true, false, true),
        (0, true, true, true, true),
        (5, false, false, false, true),
        (5, true, false, true, true),
        (5, false, true, false, true),
        (5, true, true, true, true),
        (30, false, false, true, true),
        (30, true, false, true, true),
        (30, false, true, true, true),
        (30, true, true, true, true),
    ] {
        let mut warmup = Warmup::new(start, seconds(5), seconds(30));
        warmup.advance(start + seconds(elapsed));
        let found = (warmup.releases(known, empty), warmup.may_write(empty));
        assert_eq!(found, (released, write), "after {elapsed} s, known {known}, empty {empty}");
    }
}

#[test]
fn phases_follow_one_another_once() {
    let start = moment();
    let mut warmup = Warmup::new(start, seconds(5), seconds(30));
    assert_eq!((warmup.phase(), warmup.next_phase_at()), (Phase::Waiting, Some(start + seconds(5))));
    assert_eq!(warmup.advance(start + Duration::from_millis(4999)), None);
    assert_eq!(warmup.advance(start + seconds(5)), Some(Phase::Releasing));
    assert_eq!(warmup.next_phase_at(), Some(start + seconds(30)));
    assert_eq!(warmup.advance(start + seconds(29)), None);
    assert_eq!(warmup.advance(start + seconds(31)), Some(Phase::Over));
    assert_eq!((warmup.advance(start + seconds(60)), warmup.next_phase_at()), (None, None));
    assert_eq!(warmup.elapsed(start + seconds(61)), seconds(61));
}

#[test]
fn without_delays_there_is_no_warm_up() {
    let warmup = Warmup::new(moment(), Duration::ZERO, Duration::ZERO);
    assert_eq!((warmup.phase(), warmup.next_phase_at()), (Phase::Over, None));
    let mut warmup = Warmup::new(moment(), seconds(3), seconds(3));
    assert_eq!(warmup.phase(), Phase::Waiting);
    assert_eq!(warmup.advance(warmup.started + seconds(3)), Some(Phase::Over), "nothing between the two");
}

proptest! {
    /// A release is final, whatever the clock says next, and every delay ends.
    #[test]
    fn nothing_is_taken_back(min in 0u64..50, more in 0u64..50, steps in prop::collection::vec(0u64..120, 1..20)) {
        let start = moment();
        let mut warmup = Warmup::new(start, seconds(min), seconds(min + more));
        let mut before = warmup;
        for step in steps {
            warmup.advance(start + seconds(step));
            prop_assert!(warmup.phase() >= before.phase());
            for (known, empty) in [(false, false), (false, true), (true, false), (true, true)] {
                prop_assert!(warmup.releases(known, empty) || !before.releases(known, empty));
                prop_assert!(!warmup.releases(known, empty) || warmup.may_write(empty));
            }
            before = warmup;
        }
        warmup.advance(start + seconds(min + more));
        prop_assert_eq!(warmup.phase(), Phase::Over);
    }
}
