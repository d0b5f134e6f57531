use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn timed_out() -> ProbeOutcome {
    ProbeOutcome {
        code: ProbeCode::L4Tout,
        detail: "no echo reply in time".into(),
        duration: Duration::ZERO,
        asked: None,
    }
}

/// A probe over a way that lets packets up to this size pass.
fn probe(search: &mut Option<Search>, largest: u16) -> ProbeOutcome {
    let sizes = search.as_ref().map(Search::sizes).unwrap_or_default();
    let tried: Vec<_> = sizes.into_iter().map(|size| (size, size <= largest)).collect();
    search_on(search, 1476, timed_out(), &tried)
}

#[test]
fn the_detail_tells_the_largest_packet_that_passes() {
    let mut search = None;
    let details: Vec<_> = (0..5).map(|_| probe(&mut search, 1376).detail).collect();
    assert_eq!(
        details,
        [
            "no echo reply in time to 1476 bytes",
            "no echo reply in time to 1476 bytes; 1309 bytes pass",
            "no echo reply in time to 1476 bytes; 1372 bytes pass",
            "no echo reply in time to 1476 bytes; the largest packet that passes has 1376",
            "no echo reply in time to 1476 bytes; the largest packet that passes has 1376",
        ]
    );
    let passed = ProbeOutcome { code: ProbeCode::L4Ok, ..timed_out() };
    assert_eq!(search_on(&mut search, 1476, passed.clone(), &[]), passed);
    assert_eq!(search, None, "a pass ends it");
}

#[test]
fn a_change_of_the_way_is_noticed() {
    let mut search = None;
    for largest in [1376, 1400, 1300, 1475, 64, 1376] {
        let details: Vec<_> = (0..6).map(|_| probe(&mut search, largest).detail).collect();
        let found =
            format!("no echo reply in time to 1476 bytes; the largest packet that passes has {largest}");
        assert_eq!(details[5], found.as_str());
    }
}

#[test]
fn a_way_on_which_nothing_passes_has_no_largest_packet() {
    let mut search = None;
    for _ in 0..8 {
        assert_eq!(probe(&mut search, 0).detail, "no echo reply in time to 1476 bytes");
    }
    let mut details = (0..8).map(|_| probe(&mut search, 1376).detail);
    let found = "no echo reply in time to 1476 bytes; the largest packet that passes has 1376";
    assert!(details.any(|detail| detail == found), "it is found once some pass again");
}

proptest! {
    #[test]
    fn any_size_is_found_with_four_probes(size in 64u16..=1500, below in 1u16..1400) {
        let largest = size.saturating_sub(below);
        let mut search = Search::below(size);
        for _ in 0..3 {
            let sizes = search.sizes();
            prop_assert!(sizes.is_sorted_by(|one, other| one < other));
            prop_assert!(sizes.iter().all(|tried| (64..size).contains(tried)));
            let tried: Vec<_> = sizes.into_iter().map(|tried| (tried, tried <= largest)).collect();
            search.learn(&tried);
        }
        prop_assert_eq!(search.largest(), (largest >= 64).then_some(largest));
        prop_assert!(search.unknown() == 0 || largest < 64);
    }

    #[test]
    fn any_answers_are_taken(size in 64u16..=1500, tried in proptest::collection::vec((0u16..1600, any::<bool>()), 0..40)) {
        let mut search = Search::below(size);
        search.learn(&tried);
        prop_assert!(search.largest().is_none_or(|largest| largest < size));
        prop_assert!(search.sizes().iter().all(|tried| *tried < size));
    }
}
