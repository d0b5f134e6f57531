use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::fleet::records::Problems;

fn name(number: usize) -> Name {
    Name::new(&format!("lb{number}")).unwrap()
}

fn state(announces: bool, routes: Routes) -> MemberState {
    MemberState {
        running: None,
        refused: None,
        intents: 0,
        local: 0,
        not_programmed: None,
        vpp: true,
        problems: Problems::default(),
        announces,
        routes,
        clock_ms: 0,
        instance: 0,
    }
}

#[test]
fn routes_are_withdrawn_only_if_others_announce() {
    use Routes::{Normal, Withdrawing};
    for (cut_off, own, other, expected) in [
        (false, Some((true, Normal)), Some((true, Normal)), Withdrawal::Stay),
        (false, Some((false, Withdrawing)), Some((true, Normal)), Withdrawal::Stay),
        (true, None, Some((true, Normal)), Withdrawal::Ask),
        (true, Some((true, Normal)), Some((true, Normal)), Withdrawal::Ask),
        (true, Some((true, Withdrawing)), Some((true, Normal)), Withdrawal::Withdraw),
        (true, Some((false, Withdrawing)), Some((true, Normal)), Withdrawal::Withdraw),
        (true, Some((true, Withdrawing)), Some((true, Withdrawing)), Withdrawal::Stay),
        (true, Some((true, Withdrawing)), Some((false, Normal)), Withdrawal::Stay),
        (true, Some((true, Withdrawing)), None, Withdrawal::Stay),
    ] {
        let of = |(announces, routes)| state(announces, routes);
        let states = [(name(1), own), (name(2), other)].into_iter();
        let states: BTreeMap<_, _> = states.filter_map(|(name, state)| Some((name, of(state?)))).collect();
        let decided = |written| withdrawal(cut_off, &name(1), written, &states);
        assert_eq!(decided(states.get(&name(1))), Some(expected), "{cut_off} {own:?} {other:?}");
        // Its own last write is not in the view yet.
        assert_eq!(decided(Some(&MemberState { clock_ms: 9, ..state(true, Normal) })), None);
    }
}

proptest! {
    /// Members act on views of different ages, in any order. Nobody dies, so that nothing but their decisions counts.
    #[test]
    fn the_last_that_announces_never_withdraws(
        count in 2..5_usize, turns in vec((0..5_usize, 0..4_usize, any::<bool>()), 1..200),
    ) {
        let first: BTreeMap<_, _> = (0..count).map(|at| (name(at), state(true, Routes::Normal))).collect();
        let mut written: Vec<_> = first.values().cloned().collect();
        let mut log = vec![first];
        let mut seen = vec![0; count];
        for (clock_ms, (who, lag, is_cut_off)) in (1..).zip(turns) {
            let me = who % count;
            // A view never goes back, but it may be older than what this member wrote.
            seen[me] = seen[me].max(log.len().saturating_sub(1 + lag));
            let decision = withdrawal(is_cut_off, &name(me), Some(&written[me]), &log[seen[me]]);
            let Some(decision) = decision else { continue };
            let routes = if decision == Withdrawal::Stay { Routes::Normal } else { Routes::Withdrawing };
            let announces = decision != Withdrawal::Withdraw;
            if (announces, routes) != (written[me].announces, written[me].routes) {
                written[me] = MemberState { clock_ms, ..state(announces, routes) };
                let mut next = log[log.len() - 1].clone();
                next.insert(name(me), written[me].clone());
                log.push(next);
            }
            prop_assert!(written.iter().any(|state| state.announces), "nobody announces");
        }
    }
}
