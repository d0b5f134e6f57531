use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::config::MinUp;

const HOLD_DOWN: Duration = Duration::from_secs(10);

fn announce() -> Announce {
    Announce {
        min_up: MinUp::Count(2),
        hysteresis: 1,
        hold_down: HOLD_DOWN,
        ports: Ports::All,
        last: Last::Keep,
        when_vpp_away: WhenVppAway::Withdraw,
    }
}

const CONNECTED: Scene = Scene { vpp: Vpp::Connected, all_down: false, drain: None, cut_off: false };

fn able(up: u32) -> Capacity {
    Capacity { up, unknown: 0, total: 4, min_up: None }
}

/// A route with its clock, of one frontend or more.
struct Bench {
    route: Route,
    now: Instant,
    announce: Announce,
    scene: Scene,
}

impl Bench {
    fn new(has: Announcement) -> Self {
        let now = crate::tests::moment();
        let mut route = Route::new(UNIX_EPOCH);
        route.adopt(has, now);
        Self { route, now, announce: announce(), scene: CONNECTED }
    }

    fn decide(&mut self, frontends: &[(Capacity, InVpp)]) -> (Announcement, &'static str) {
        let names: Vec<Arc<str>> = ["www", "tls", "dns"].map(Into::into).into();
        let facts: Vec<_> = names
            .iter()
            .zip(frontends)
            .map(|(name, &(capacity, in_vpp))| Facts {
                name,
                announce: &self.announce,
                capacity,
                released: true,
                in_vpp,
            })
            .collect();
        self.route.decide(&facts, &self.scene, UNIX_EPOCH, self.now);
        (self.route.announcement.unwrap(), self.route.reason.word())
    }

    fn one(&mut self, capacity: Capacity, in_vpp: InVpp) -> (Announcement, &'static str) {
        self.decide(&[(capacity, in_vpp)])
    }
}

use Announcement::{Announced, Deprioritised, Withdrawn};
use InVpp::{Absent, Present, Serving};

#[test]
fn nothing_is_decided_before_the_router_was_read() {
    let mut route = Route::new(UNIX_EPOCH);
    route.decide(&[], &CONNECTED, UNIX_EPOCH, crate::tests::moment());
    assert_eq!((route.announcement, route.reason), (None, Reason::Unread));
}

#[test]
fn routes_are_kept_while_vpp_is_away_if_configured() {
    let away = Scene { vpp: Vpp::Away, ..CONNECTED };
    let mut bench = Bench::new(Announced);
    bench.announce.when_vpp_away = WhenVppAway::Keep;
    assert_eq!(bench.one(able(3), Serving), (Announced, "serving"));
    bench.scene = away;
    assert_eq!(bench.one(able(3), Absent), (Announced, "vpp_away_kept"));
    bench.scene = Scene { drain: Some(Drain::Withdraw), ..away };
    assert_eq!(bench.one(able(3), Absent), (Withdrawn, "drained"));
    bench.scene = away;
    assert_eq!(bench.one(able(3), Absent), (Withdrawn, "vpp_away_kept"), "left as it is");
    bench.scene = CONNECTED;
    assert_eq!(bench.one(able(3), Absent), (Withdrawn, "not_in_vpp"));
    bench.scene = away;
    assert_eq!(bench.one(able(3), Absent), (Withdrawn, "vpp_away_kept"), "it does not come back meanwhile");
}

#[test]
fn a_route_stays_with_min_up_and_comes_back_with_the_hysteresis_after_the_hold_down() {
    let mut bench = Bench::new(Announced);
    assert_eq!(bench.one(able(2), Serving), (Announced, "serving"));
    assert_eq!(bench.one(able(1), Serving), (Withdrawn, "too_few"));
    assert_eq!(bench.one(able(2), Serving), (Withdrawn, "too_few"));
    assert_eq!(bench.one(able(3), Serving), (Withdrawn, "hold_down"));
    assert_eq!(bench.route.again, Some(bench.now + HOLD_DOWN));
    bench.now += HOLD_DOWN - Duration::from_millis(1);
    assert_eq!(bench.one(able(3), Serving), (Withdrawn, "hold_down"));
    bench.now += Duration::from_millis(1);
    assert_eq!(bench.one(able(2), Serving), (Withdrawn, "too_few"));
    assert_eq!(bench.one(able(3), Serving), (Announced, "serving"));
    assert_eq!(bench.one(able(2), Serving), (Announced, "serving"));
}

#[test]
fn a_hysteresis_beyond_the_pool_needs_the_whole_pool() {
    let mut bench = Bench::new(Withdrawn);
    bench.now += HOLD_DOWN;
    bench.announce.hysteresis = 9;
    assert_eq!(bench.one(able(3), Serving), (Withdrawn, "too_few"));
    assert_eq!(bench.one(able(4), Serving), (Announced, "serving"));
}

#[test]
fn a_route_waits_for_vpp_and_goes_with_it() {
    let mut bench = Bench::new(Withdrawn);
    bench.now += HOLD_DOWN;
    for in_vpp in [Absent, Present] {
        assert_eq!(bench.one(able(4), in_vpp), (Withdrawn, "not_in_vpp"));
    }
    assert_eq!(bench.one(able(4), Serving), (Announced, "serving"));
    // The weights may just be changing.
    assert_eq!(bench.one(able(4), Present), (Announced, "serving"));
    assert_eq!(bench.one(able(4), Absent), (Withdrawn, "not_in_vpp"));
    bench.now += HOLD_DOWN;
    assert_eq!(bench.one(able(4), Serving), (Announced, "serving"));
    bench.scene.vpp = Vpp::Away;
    assert_eq!(bench.one(able(4), Serving), (Withdrawn, "vpp_away"));
}

#[test]
fn an_agent_that_is_away_changes_nothing() {
    for has in [Announced, Deprioritised, Withdrawn] {
        let mut bench = Bench::new(has);
        bench.now += HOLD_DOWN;
        bench.scene.vpp = Vpp::Unwatched;
        assert_eq!(bench.one(able(0), Absent), (has, "unwatched"));
        assert_eq!(bench.one(able(4), Serving), (has, "unwatched"));
    }
}

#[test]
fn the_last_route_is_kept_unless_configured_otherwise() {
    let mut bench = Bench::new(Announced);
    bench.scene.all_down = true;
    assert_eq!(bench.one(able(0), Present), (Announced, "kept"));
    bench.scene.all_down = false;
    assert_eq!(bench.one(able(0), Present), (Withdrawn, "too_few"));
    let mut bench = Bench::new(Announced);
    (bench.scene.all_down, bench.announce.last) = (true, Last::Withdraw);
    assert_eq!(bench.one(able(0), Present), (Withdrawn, "too_few"));
    // It does not bring one back.
    let mut bench = Bench::new(Withdrawn);
    (bench.scene.all_down, bench.now) = (true, bench.now + HOLD_DOWN);
    assert_eq!(bench.one(able(0), Present), (Withdrawn, "too_few"));
}

#[test]
fn unknown_backends_are_no_evidence() {
    let unknown = Capacity { up: 1, unknown: 1, total: 4, min_up: None };
    let mut bench = Bench::new(Announced);
    assert_eq!(bench.one(unknown, Serving), (Announced, "serving"));
    assert_eq!(
        bench.one(Capacity { up: 1, unknown: 0, total: 4, min_up: None }, Serving),
        (Withdrawn, "too_few")
    );
    bench.now += HOLD_DOWN;
    let unknown = Capacity { up: 2, unknown: 1, total: 4, min_up: None };
    assert_eq!(bench.one(unknown, Serving), (Withdrawn, "unknown"));
}

#[test]
fn all_ports_or_any_must_be_able_to_serve() {
    let (good, bad) = ((able(4), Serving), (able(0), Present));
    let mut bench = Bench::new(Announced);
    assert_eq!(bench.decide(&[good, bad]), (Withdrawn, "too_few"));
    bench.now += HOLD_DOWN;
    assert_eq!(bench.decide(&[good, bad]), (Withdrawn, "too_few"));
    bench.announce.ports = Ports::Any;
    assert_eq!(bench.decide(&[good, bad]), (Announced, "serving"));
    assert_eq!(bench.decide(&[bad, bad]), (Withdrawn, "too_few"));
}

#[test]
fn a_frontend_that_is_added_does_not_withdraw_the_others() {
    let (good, new) = ((able(4), Serving), (able(0), Absent));
    let mut bench = Bench::new(Announced);
    assert_eq!(bench.decide(&[good, new]), (Announced, "serving"));
    // After VPP was restarted, all of them are needed.
    assert_eq!(bench.decide(&[(able(4), Absent), (able(4), Absent)]), (Withdrawn, "not_in_vpp"));
    bench.now += HOLD_DOWN;
    assert_eq!(bench.decide(&[good, (able(4), Absent)]), (Withdrawn, "not_in_vpp"));
    assert_eq!(bench.decide(&[good, good]), (Announced, "serving"));
}

#[test]
fn a_drain_is_undone_at_once_unless_there_is_evidence_against_it() {
    let mut bench = Bench::new(Announced);
    bench.scene.drain = Some(Drain::Gshut);
    assert_eq!(bench.one(able(2), Serving), (Deprioritised, "drained"));
    bench.scene.drain = Some(Drain::Withdraw);
    assert_eq!(bench.one(able(2), Serving), (Withdrawn, "drained"));
    bench.scene.drain = None;
    // Neither a hold-down nor the hysteresis.
    assert_eq!(bench.one(able(2), Serving), (Announced, "serving"));
    bench.scene.drain = Some(Drain::Withdraw);
    bench.one(able(2), Serving);
    bench.scene.vpp = Vpp::Away;
    bench.one(able(2), Absent);
    (bench.scene.vpp, bench.scene.drain) = (Vpp::Connected, None);
    assert_eq!(bench.one(able(4), Absent), (Withdrawn, "not_in_vpp"));
    assert_eq!(bench.one(able(2), Serving), (Withdrawn, "too_few"));
    assert_eq!(bench.one(able(3), Serving), (Announced, "serving"));
    // A route that cannot serve is not deprioritised either.
    bench.scene.drain = Some(Drain::Gshut);
    assert_eq!(bench.one(able(1), Serving), (Withdrawn, "too_few"));
}

#[test]
fn the_active_pool_counts_or_the_first_that_may_serve() {
    let pool = |up, unknown| Capacity { up, unknown, total: 3, min_up: None };
    let weights = |active_pool, capacity: &[Capacity]| EffectiveWeights {
        state: crate::weights::FrontendState::Up,
        active_pool,
        panic: None,
        next_step: None,
        capacity: capacity.to_vec(),
        pools: Vec::new(),
    };
    let pools = [pool(0, 0), pool(0, 2), pool(3, 0)];
    assert_eq!(serving_capacity(&weights(Some(2), &pools)), Some(pools[2]));
    assert_eq!(serving_capacity(&weights(None, &pools)), Some(pools[1]));
    assert_eq!(serving_capacity(&weights(None, &pools[..1])), Some(pools[0]));
}

/// What happens to two frontends of one address.
#[derive(Debug, Clone)]
enum Happens {
    Capacity(usize, Capacity),
    InVpp(usize, InVpp),
    Released(usize, bool),
    Vpp(Vpp),
    AllDown(bool),
    Drain(Option<Drain>),
    Time(u64),
}

fn happens(drains: bool) -> impl Strategy<Value = Happens> {
    let which = 0..2_usize;
    let capacity = (0..=4_u32, 0..=4_u32).prop_map(|(up, unknown)| Capacity {
        up,
        unknown: unknown.min(4 - up),
        total: 4,
        min_up: None,
    });
    let drain = prop_oneof![Just(None), Just(Some(Drain::Withdraw)), Just(Some(Drain::Gshut))];
    prop_oneof![
        4 => (which.clone(), capacity).prop_map(|(which, capacity)| Happens::Capacity(which, capacity)),
        3 => (which.clone(), prop_oneof![Just(Absent), Just(Present), Just(Serving)])
            .prop_map(|(which, in_vpp)| Happens::InVpp(which, in_vpp)),
        1 => (which, any::<bool>()).prop_map(|(which, released)| Happens::Released(which, released)),
        1 => prop_oneof![Just(Vpp::Unwatched), Just(Vpp::Away), Just(Vpp::Connected), Just(Vpp::Connected)]
            .prop_map(Happens::Vpp),
        1 => any::<bool>().prop_map(Happens::AllDown),
        1 => drain.prop_map(move |drain| Happens::Drain(drain.filter(|_| drains))),
        3 => (0..12_000_u64).prop_map(Happens::Time),
    ]
}

fn any_announce() -> impl Strategy<Value = Announce> {
    let min_up = prop_oneof![(1..=4_u32).prop_map(MinUp::Count), (1..=100_u8).prop_map(MinUp::Percent)];
    let ports = prop_oneof![Just(Ports::All), Just(Ports::Any)];
    let last = prop_oneof![Just(Last::Keep), Just(Last::Withdraw)];
    (min_up, 0..4_u32, ports, last).prop_map(|(min_up, hysteresis, ports, last)| Announce {
        min_up,
        hysteresis,
        hold_down: HOLD_DOWN,
        ports,
        last,
        when_vpp_away: WhenVppAway::Withdraw,
    })
}

/// One decision, and everything that it was made on.
struct Decided<'a> {
    before: Announcement,
    next: Announcement,
    facts: &'a [Facts<'a>],
    scene: Scene,
    now: Instant,
}

fn play(
    has: Announcement,
    announce: &Announce,
    history: &[Happens],
    mut judge: impl FnMut(&Decided<'_>) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let names: [Arc<str>; 2] = ["www", "tls"].map(Into::into);
    let mut bench = Bench::new(has);
    let fresh = |name| Facts { name, announce, capacity: able(0), released: true, in_vpp: Absent };
    let mut facts = [fresh(&names[0]), fresh(&names[1])];
    for happens in history {
        match happens.clone() {
            Happens::Capacity(which, capacity) => facts[which].capacity = capacity,
            Happens::InVpp(which, in_vpp) => facts[which].in_vpp = in_vpp,
            Happens::Released(which, released) => facts[which].released = released,
            Happens::Vpp(vpp) => bench.scene.vpp = vpp,
            Happens::AllDown(all_down) => bench.scene.all_down = all_down,
            Happens::Drain(drain) => bench.scene.drain = drain,
            Happens::Time(ms) => bench.now += Duration::from_millis(ms),
        }
        let before = bench.route.announcement.unwrap();
        bench.route.decide(&facts, &bench.scene, UNIX_EPOCH, bench.now);
        let next = bench.route.announcement.unwrap();
        // Deciding again on the same facts changes nothing.
        bench.route.decide(&facts, &bench.scene, UNIX_EPOCH, bench.now);
        prop_assert_eq!(Some(next), bench.route.announcement);
        judge(&Decided { before, next, facts: &facts, scene: bench.scene, now: bench.now })?;
    }
    Ok(())
}

fn any_start() -> impl Strategy<Value = Announcement> {
    prop_oneof![Just(Announced), Just(Deprioritised), Just(Withdrawn)]
}

proptest! {
    #[test]
    fn never_announced_unless_vpp_acknowledged_a_server(
        has in any_start(), announce in any_announce(),
        history in proptest::collection::vec(happens(true), 1..60),
    ) {
        play(has, &announce, &history, |decided| {
            let Decided { before, next, facts, scene, .. } = decided;
            prop_assert!(scene.vpp != Vpp::Away || *next == Withdrawn);
            if *next == Withdrawn || scene.vpp == Vpp::Unwatched {
                return Ok(());
            }
            prop_assert!(facts.iter().any(|facts| facts.in_vpp != Absent));
            if *before == Withdrawn && scene.drain.is_none() && announce.ports == Ports::All {
                prop_assert!(facts.iter().all(|facts| facts.in_vpp != Absent) || facts.iter().any(|facts| facts.in_vpp == Serving));
            }
            Ok(())
        })?;
    }

    #[test]
    fn never_withdrawn_for_a_reason_that_is_ours_alone(
        announce in any_announce(), history in proptest::collection::vec(happens(false), 1..60),
    ) {
        play(Announced, &announce, &history, |decided| {
            let Decided { before, next, facts, scene, .. } = decided;
            let may_serve = |facts: &&Facts<'_>| {
                let Capacity { up, unknown, total, .. } = facts.capacity;
                !facts.released || up + unknown >= announce.min_up.needed(total).max(1)
            };
            let mut in_vpp = facts.iter().filter(|facts| facts.in_vpp != Absent).peekable();
            let evidence = in_vpp.peek().is_none() || !in_vpp.all(|facts| may_serve(&facts));
            let theirs = scene.vpp == Vpp::Away || scene.vpp == Vpp::Connected && evidence;
            prop_assert!(*before == Withdrawn || *next != Withdrawn || theirs);
            Ok(())
        })?;
    }

    #[test]
    fn hysteresis_and_hold_down_hold_under_any_sequence(
        has in any_start(), announce in any_announce(),
        history in proptest::collection::vec(happens(false), 1..60),
    ) {
        let mut withdrawn = None;
        play(has, &announce, &history, |decided| {
            let Decided { before, next, facts, now, .. } = decided;
            if *before != Withdrawn && *next == Withdrawn {
                withdrawn = Some(*now);
            }
            if *before == Withdrawn && *next != Withdrawn {
                prop_assert!(withdrawn.is_none_or(|at| *now >= at + HOLD_DOWN));
                let enough = |facts: &Facts<'_>| {
                    let needed = announce.min_up.needed(4).max(1);
                    facts.in_vpp == Serving
                        && facts.capacity.up >= (needed + announce.hysteresis).min(needed.max(4))
                };
                let comes_back = match announce.ports {
                    Ports::All => facts.iter().all(enough),
                    Ports::Any => facts.iter().any(enough),
                };
                prop_assert!(comes_back);
            }
            Ok(())
        })?;
    }
}
