use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use View::{Down as SeenDown, Unknown, Up};

const TTL: Duration = Duration::from_secs(10);
const SUBJECT: &str = "0123456789abcdef";

fn rule(down_votes: Option<u32>) -> FleetHealth {
    FleetHealth { is_fleet: true, down_votes, vote_ttl: TTL }
}

fn backend(number: usize) -> String {
    format!("web{number}")
}

/// Votes on backends in this order.
fn votes(views: &[View]) -> Votes {
    let of = |wanted: View| {
        let names = views.iter().enumerate().filter(|(_, view)| **view == wanted);
        Backends::of(names.map(|(number, _)| backend(number)).collect())
    };
    Votes { subject: SUBJECT.to_owned(), down: of(SeenDown), unknown: of(Unknown) }
}

/// Votes of these ages, of members lb2, lb3 and so on.
fn others(votes: &[(Votes, Duration)], now: Instant) -> Others {
    let vote = |(number, (votes, age)): (usize, &(Votes, Duration))| {
        let vote = Vote { votes: Arc::new(votes.clone()), at: now.checked_sub(*age).unwrap() };
        (format!("lb{}", number + 2).into(), vote)
    };
    votes.iter().enumerate().map(vote).collect()
}

fn now() -> Instant {
    crate::tests::moment() + Duration::from_secs(3600)
}

/// The verdict on the first backend, and its reason.
fn verdict(own: View, all: &[(Votes, Duration)], rule: &FleetHealth) -> (Verdict, Option<Overruled>) {
    let others = others(all, now());
    Poll::new(&others, SUBJECT, rule, now()).verdict("web0", own)
}

/// The own view of one backend, other members' views (fresh or not), votes needed.
#[test]
fn each_view_with_each_number_of_votes() {
    let (fresh, stale) = (Duration::ZERO, TTL);
    let last = TTL - Duration::from_millis(1);
    for (own, seen, down_votes, expected) in [
        // Alone: the own view.
        (Up, vec![], None, Verdict::Up),
        (SeenDown, vec![], None, Verdict::Down),
        (Unknown, vec![], None, Verdict::Unknown),
        (SeenDown, vec![], Some(3), Verdict::Down),
        // One other member.
        (Up, vec![(SeenDown, fresh)], None, Verdict::Up),
        (SeenDown, vec![(Up, fresh)], None, Verdict::Kept),
        (SeenDown, vec![(SeenDown, fresh)], None, Verdict::Down),
        (Unknown, vec![(SeenDown, fresh)], None, Verdict::Unknown),
        (SeenDown, vec![(Up, stale)], None, Verdict::Down),
        (SeenDown, vec![(Up, last)], None, Verdict::Kept),
        (Up, vec![(SeenDown, fresh)], Some(1), Verdict::Down),
        // Who does not know it vouches for nothing.
        (SeenDown, vec![(Unknown, fresh)], None, Verdict::Down),
        (SeenDown, vec![(Unknown, fresh), (Up, fresh)], None, Verdict::Kept),
        // Two others.
        (Up, vec![(SeenDown, fresh), (SeenDown, fresh)], None, Verdict::Down),
        (Unknown, vec![(SeenDown, fresh), (Up, fresh)], None, Verdict::Unknown),
        (Unknown, vec![(SeenDown, fresh), (SeenDown, fresh)], None, Verdict::Down),
        (Up, vec![(SeenDown, fresh), (SeenDown, stale)], None, Verdict::Up),
        (SeenDown, vec![(SeenDown, fresh), (Up, fresh)], None, Verdict::Down),
        (SeenDown, vec![(Up, fresh), (Up, fresh)], None, Verdict::Kept),
        (SeenDown, vec![(SeenDown, fresh), (Up, fresh)], Some(3), Verdict::Kept),
        (Up, vec![(SeenDown, fresh), (SeenDown, fresh)], Some(3), Verdict::Up),
        (SeenDown, vec![(SeenDown, fresh), (Up, stale)], Some(3), Verdict::Down),
    ] {
        let all: Vec<_> = seen.iter().map(|(view, age)| (votes(&[*view]), *age)).collect();
        assert_eq!(verdict(own, &all, &rule(down_votes)).0, expected, "{own:?} {seen:?} {down_votes:?}");
        let local = FleetHealth { is_fleet: false, ..rule(down_votes) };
        let alone = verdict(own, &[], &local).0;
        assert_eq!(verdict(own, &all, &local), (alone, None), "{own:?} {seen:?}");
    }
}

#[test]
fn reasons_name_the_members() {
    let fresh =
        |views: &[View]| -> Vec<_> { views.iter().map(|view| (votes(&[*view]), Duration::ZERO)).collect() };
    let words = |own, views: &[View], down_votes| {
        verdict(own, &fresh(views), &rule(down_votes)).1.map(|overruled| overruled.to_string())
    };
    let only = "down only here; kept by the fleet's votes (1 of 3)".to_owned();
    assert_eq!(words(SeenDown, &[Up, Up], None), Some(only));
    let two = "down here and on lb3; kept by the fleet's votes (2 of 3)".to_owned();
    assert_eq!(words(SeenDown, &[Up, SeenDown], Some(3)), Some(two));
    assert_eq!(words(Up, &[SeenDown, SeenDown], None), Some("down for the fleet: lb2, lb3".to_owned()));
    for (own, views) in [(SeenDown, &[SeenDown, SeenDown]), (Up, &[Up, SeenDown]), (Unknown, &[Up, Up])] {
        assert_eq!(words(own, views, None), None);
    }
}

#[test]
fn members_of_other_configurations_vouch_for_nothing() {
    let mut other = votes(&[Up]);
    other.subject = "fedcba9876543210".to_owned();
    assert_eq!(verdict(SeenDown, &[(other.clone(), Duration::ZERO)], &rule(None)).0, Verdict::Down);
    // What they list, they see.
    other.down = Backends::of([backend(0)].into());
    let all = [(other.clone(), Duration::ZERO), (other, Duration::ZERO)];
    assert_eq!(verdict(Up, &all, &rule(None)).0, Verdict::Down);
}

#[test]
fn a_vote_against_everything_is_one_vote() {
    let all = Votes { down: Backends::Everything, ..votes(&[]) };
    assert_eq!(verdict(Up, &[(all.clone(), Duration::ZERO)], &rule(None)).0, Verdict::Up);
    assert_eq!(verdict(SeenDown, &[(all, Duration::ZERO)], &rule(None)).0, Verdict::Down);
}

/// Each state, and for how long; what is voted, and after what time another vote follows.
#[test]
fn only_settled_failures_are_votes() {
    let short = SETTLED - Duration::from_millis(1);
    let states = [
        ("up", State::Up, Some(Duration::ZERO)),
        ("down", State::Down, Some(SETTLED)),
        ("fell", State::Down, Some(short)),
        ("always-down", State::Down, None),
        ("new", State::Unknown, None),
        ("paused", State::Paused, Some(SETTLED)),
        ("disabled", State::Disabled, Some(SETTLED)),
    ];
    let now = now();
    let since = |ago: Duration| now.checked_sub(ago).unwrap();
    let states = states.map(|(name, state, ago)| (name, state, ago.map(since)));
    let (cast, next) = Votes::cast(SUBJECT, states, now);
    let listed = |names: &[&str]| Backends::of(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(cast.down, listed(&["down", "always-down"]));
    assert_eq!(cast.unknown, listed(&["fell", "new", "paused", "disabled"]));
    assert_eq!(next, Some(now + Duration::from_millis(1)));
}

#[test]
fn a_member_is_cut_off_by_more_than_half_until_at_most_a_quarter() {
    for (kept, up, enters, stays) in [
        (0, 0, false, false),
        (0, 4, false, false),
        (1, 0, true, true),
        (1, 3, false, false),
        (2, 2, false, true),
        (2, 1, true, true),
        (2, 6, false, false),
        (3, 8, false, true),
    ] {
        assert_eq!((is_cut_off(kept, up, false), is_cut_off(kept, up, true)), (enters, stays), "{kept} {up}");
    }
}

/// The views of members, each of six backends.
fn views() -> impl Strategy<Value = Vec<Vec<View>>> {
    vec(views_of_one(), 1..8)
}

fn views_of_one() -> impl Strategy<Value = Vec<View>> {
    vec(prop::sample::select(vec![Up, SeenDown, Unknown]), 6)
}

fn own(views: &[View]) -> BTreeMap<String, View> {
    views.iter().enumerate().map(|(number, view)| (backend(number), *view)).collect()
}

fn verdicts(
    view: &BTreeMap<String, View>,
    all: &[(Votes, Duration)],
    rule: &FleetHealth,
) -> BTreeMap<String, Verdict> {
    let others = others(all, now());
    Poll::new(&others, SUBJECT, rule, now()).verdicts(view)
}

proptest! {
    /// Members that know a backend come to the same verdict; one that does not is no quicker.
    #[test]
    fn members_with_the_same_votes_agree(views in views(), down_votes in prop::option::of(1..9_u32)) {
        let all: Vec<_> = views.iter().map(|views| (votes(views), Duration::ZERO)).collect();
        let mut agreed: BTreeMap<String, bool> = BTreeMap::new();
        let mut slower = BTreeSet::new();
        for (me, views) in views.iter().enumerate() {
            let others: Vec<_> = all.iter().enumerate().filter(|(at, _)| *at != me).map(|(_, votes)| votes.clone()).collect();
            let seen = own(views);
            for (backend, verdict) in verdicts(&seen, &others, &rule(down_votes)) {
                // Nothing is called up, down or kept that is not seen or voted so.
                prop_assert!(verdict != Verdict::Up || seen[&backend] == Up);
                let is_vouched = others.iter().any(|(votes, _)| votes.view(&backend, SUBJECT) == Up);
                prop_assert!(verdict != Verdict::Kept || seen[&backend] == SeenDown && is_vouched);
                let is_down = verdict == Verdict::Down;
                prop_assert!(!is_down || all.iter().any(|(votes, _)| votes.down.contains(&backend)));
                match seen[&backend] {
                    Unknown if is_down => drop(slower.insert(backend)),
                    Unknown => {}
                    Up | SeenDown => prop_assert_eq!(*agreed.entry(backend).or_insert(is_down), is_down, "members differ"),
                }
            }
        }
        for backend in slower {
            prop_assert!(agreed[&backend], "{backend} is down only where it is not known");
        }
    }

    #[test]
    fn no_single_liar_takes_a_backend_down(
        views in views(), down_votes in prop::option::of(2..9_u32), which in any::<prop::sample::Index>(),
    ) {
        let liar = Votes { down: Backends::Everything, ..votes(&[]) };
        let honest: Vec<_> = views.iter().map(|views| (votes(views), Duration::ZERO)).collect();
        let me = which.index(views.len());
        let view = own(&views[me]);
        let mut all = honest.clone();
        all[me].0 = liar;
        for (backend, verdict) in verdicts(&view, &all, &rule(down_votes)) {
            let honestly = honest.iter().filter(|(votes, _)| votes.down.contains(&backend)).count();
            prop_assert!(verdict != Verdict::Down || honestly > 0, "{backend}");
        }
    }

    #[test]
    fn stale_votes_never_count(
        views in views(), stale in vec(views_of_one(), 0..5), down_votes in prop::option::of(1..9_u32),
    ) {
        let fresh: Vec<_> = views.iter().map(|views| (votes(views), Duration::ZERO)).collect();
        let old = stale.iter().map(|views| (votes(views), TTL));
        let with: Vec<_> = fresh.iter().cloned().chain(old).collect();
        let view = own(&views[0]);
        prop_assert_eq!(
            verdicts(&view, &fresh, &rule(down_votes)),
            verdicts(&view, &with, &rule(down_votes))
        );
    }

    /// The shortcut by which most backends are left out leaves none out that matters.
    #[test]
    fn only_backends_that_a_vote_concerns_are_overruled(views in views(), down_votes in prop::option::of(1..9_u32)) {
        let all: Vec<_> = views.iter().skip(1).map(|views| (votes(views), Duration::ZERO)).collect();
        let others = others(&all, now());
        let rule = rule(down_votes);
        let poll = Poll::new(&others, SUBJECT, &rule, now());
        for (backend, view) in own(&views[0]) {
            let overruled = poll.verdict(&backend, view).1;
            prop_assert!(overruled.is_none() || view == SeenDown || poll.concerns(&backend));
        }
    }
}
