use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::fleet::records::{Down, Problems};
use View::{Down as SeenDown, Unknown, Up};

const TTL: Duration = Duration::from_secs(15);

fn rule(down_votes: Option<u32>) -> Rule {
    Rule { down_votes, vote_ttl: TTL }
}

fn name(number: usize) -> Name {
    Name::new(&format!("lb{number}")).unwrap()
}

fn backend(number: usize) -> IpAddr {
    [10, 0, 0, u8::try_from(number).unwrap()].into()
}

fn vote(down: &[usize]) -> Votes {
    Votes { up: 0, down: Down::These(down.iter().map(|number| backend(*number)).collect()) }
}

fn heard(votes: &[(Votes, Duration)]) -> BTreeMap<Name, Heard<'_>> {
    votes.iter().enumerate().map(|(at, (votes, age))| (name(at + 2), Heard { votes, age: *age })).collect()
}

/// The own view of one backend, other members' votes against it (fresh, stale), votes needed.
#[test]
fn each_view_with_each_number_of_votes() {
    let (fresh, stale) = (Duration::ZERO, TTL + Duration::from_millis(1));
    let against = vote(&[1]);
    let none = vote(&[]);
    for (view, votes, down_votes, expected) in [
        // Alone: the own view.
        (Up, vec![], None, Verdict::Up),
        (SeenDown, vec![], None, Verdict::Down),
        (Unknown, vec![], None, Verdict::Unknown),
        (SeenDown, vec![], Some(3), Verdict::Down),
        // One other member.
        (Up, vec![(&against, fresh)], None, Verdict::Up),
        (SeenDown, vec![(&none, fresh)], None, Verdict::OnlyHere),
        (SeenDown, vec![(&against, fresh)], None, Verdict::Down),
        (Unknown, vec![(&against, fresh)], None, Verdict::Unknown),
        (SeenDown, vec![(&none, stale)], None, Verdict::Down),
        (Up, vec![(&against, fresh)], Some(1), Verdict::Down),
        // Two others.
        (Up, vec![(&against, fresh), (&against, fresh)], None, Verdict::Down),
        (Unknown, vec![(&against, fresh), (&against, fresh)], None, Verdict::Down),
        (Up, vec![(&against, fresh), (&against, stale)], None, Verdict::Up),
        (SeenDown, vec![(&against, fresh), (&none, fresh)], None, Verdict::Down),
        (SeenDown, vec![(&none, fresh), (&none, fresh)], None, Verdict::OnlyHere),
        (SeenDown, vec![(&against, TTL), (&none, fresh)], None, Verdict::Down),
        (SeenDown, vec![(&against, fresh), (&none, fresh)], Some(3), Verdict::OnlyHere),
        (Up, vec![(&against, fresh), (&against, fresh)], Some(3), Verdict::Up),
        (SeenDown, vec![(&against, fresh), (&none, stale)], Some(3), Verdict::Down),
    ] {
        let votes: Vec<_> = votes.into_iter().map(|(votes, age)| (votes.clone(), age)).collect();
        let found = verdicts(&[(backend(1), view)].into(), &heard(&votes), &rule(down_votes));
        assert_eq!(found[&backend(1)], expected, "{view:?} {votes:?} {down_votes:?}");
    }
}

#[test]
fn a_vote_against_everything_is_one_vote() {
    let all = Votes { up: 0, down: Down::Everything };
    let own = [(backend(1), Up), (backend(2), SeenDown)].into();
    let found = verdicts(&own, &heard(&[(all.clone(), TTL)]), &rule(None));
    assert_eq!(found, [(backend(1), Verdict::Up), (backend(2), Verdict::Down)].into());
}

#[test]
fn a_member_is_cut_off_by_more_than_half_until_at_most_a_quarter() {
    for (only_here, up, enters, stays) in [
        (0, 0, false, false),
        (0, 4, false, false),
        (1, 0, true, true),
        (1, 3, false, false),
        (2, 2, false, true),
        (2, 1, true, true),
        (2, 6, false, false),
        (3, 8, false, true),
    ] {
        let verdict = |at| if at < only_here { Verdict::OnlyHere } else { Verdict::Up };
        let mut all: BTreeMap<_, _> = (0..only_here + up).map(|at| (backend(at), verdict(at))).collect();
        // Those that are down for all, or unknown, do not count.
        all.insert(backend(100), Verdict::Down);
        all.insert(backend(101), Verdict::Unknown);
        assert_eq!((is_cut_off(&all, false), is_cut_off(&all, true)), (enters, stays), "{only_here} {up}");
    }
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

/// Votes of members, whose own view each is, on six backends.
fn views() -> impl Strategy<Value = Vec<Vec<View>>> {
    let view = prop::sample::select(vec![Up, SeenDown, Unknown]);
    vec(vec(view, 6), 1..8)
}

fn own(views: &[View]) -> BTreeMap<IpAddr, View> {
    views.iter().enumerate().map(|(at, view)| (backend(at), *view)).collect()
}

fn published(views: &[View]) -> Votes {
    let down = views.iter().enumerate().filter(|(_, view)| **view == SeenDown);
    Votes { up: 0, down: Down::These(down.map(|(at, _)| backend(at)).collect()) }
}

proptest! {
    #[test]
    fn members_with_the_same_votes_agree(views in views(), down_votes in prop::option::of(1..9_u32)) {
        let all: Vec<_> = views.iter().map(|views| published(views)).collect();
        let down: BTreeSet<Vec<IpAddr>> = (0..views.len()).map(|me| {
            let others = all.iter().enumerate().filter(|(at, _)| *at != me);
            let others: Vec<_> = others.map(|(_, votes)| (votes.clone(), Duration::ZERO)).collect();
            let found = verdicts(&own(&views[me]), &heard(&others), &rule(down_votes));
            for (backend, verdict) in &found {
                // Nothing is called up or down here that is not seen or voted so.
                let seen = own(&views[me])[backend];
                prop_assert!(*verdict != Verdict::Up || seen == Up);
                prop_assert!(*verdict != Verdict::OnlyHere || seen == SeenDown);
                prop_assert!(*verdict != Verdict::Down || all.iter().any(|votes| votes.down.contains(backend)));
            }
            let down = found.into_iter().filter(|(_, verdict)| *verdict == Verdict::Down);
            Ok(down.map(|(backend, _)| backend).collect())
        }).collect::<Result<_, TestCaseError>>()?;
        prop_assert_eq!(down.len(), 1, "members differ: {:?}", down);
    }

    #[test]
    fn no_single_liar_takes_a_backend_down(views in views(), down_votes in prop::option::of(2..9_u32), which in any::<prop::sample::Index>()) {
        let liar = Votes { up: 0, down: Down::Everything };
        let honest: Vec<_> = views.iter().map(|views| (published(views), Duration::ZERO)).collect();
        let me = which.index(views.len());
        let view = own(&views[me]);
        let mut others = honest.clone();
        others[me].0 = liar;
        for (backend, verdict) in verdicts(&view, &heard(&others), &rule(down_votes)) {
            let honestly = honest.iter().filter(|(votes, _)| votes.down.contains(&backend)).count();
            prop_assert!(verdict != Verdict::Down || honestly > 0, "{backend}");
        }
    }

    #[test]
    fn stale_votes_never_count(views in views(), stale in vec(views_of_one(), 0..5), down_votes in prop::option::of(1..9_u32)) {
        let fresh: Vec<_> = views.iter().map(|views| (published(views), Duration::ZERO)).collect();
        let old = stale.iter().map(|views| (published(views), TTL * 2));
        let with: Vec<_> = fresh.iter().cloned().chain(old).collect();
        let view = own(&views[0]);
        prop_assert_eq!(
            verdicts(&view, &heard(&fresh), &rule(down_votes)),
            verdicts(&view, &heard(&with), &rule(down_votes))
        );
    }

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

fn views_of_one() -> impl Strategy<Value = Vec<View>> {
    vec(prop::sample::select(vec![Up, SeenDown, Unknown]), 6)
}
