use super::*;

fn held_back(bench: &Bench) -> Vec<&str> {
    let held = bench.core.frontends.views().iter().filter(|(_, view)| view.sync == SyncStatus::HeldBack);
    held.map(|(name, _)| &**name).collect()
}

#[test]
fn nothing_is_written_before_the_minimum_delay() {
    let mut bench = Bench::new(WARMUP);
    let key = bench.key("one");
    bench.vpp(&[(key, 1024, &[(1, 1)])]);
    bench.all_up();
    assert_eq!(held_back(&bench), ["one", "three", "two"]);
    let wanted = bench.core.wanted();
    assert_eq!((wanted.view, wanted.vips.len(), wanted.keep.len()), (None, 0, 3));
    assert_eq!(wanted.sync_interval, Duration::from_secs(7));
    assert_eq!(bench.core.next_tick(), Some(bench.now.mono + Duration::from_secs(5)));

    let effects = bench.seconds(5);
    assert!(effects.wanted);
    let wanted = bench.core.wanted();
    assert_eq!((wanted.view, wanted.vips.len(), wanted.keep.len()), (Some(ViewId(1)), 3, 0));
}

#[test]
fn frontend_is_released_by_the_event_that_makes_its_last_backend_known() {
    let mut bench = Bench::new(WARMUP);
    let key = bench.key("one");
    bench.vpp(&[(key, 1024, &[(1, 1)])]);
    bench.seconds(5);
    assert_eq!(held_back(&bench), ["one", "two"], "static backends are known");
    assert!(bench.probe("a", true).wanted, "releases two");
    assert_eq!(held_back(&bench), ["one"]);
    assert!(!bench.probe("b", true).wanted);
    assert!(bench.probe("c", false).wanted, "a backend that is down is known as well");
    assert!(held_back(&bench).is_empty());
    bench.wish("a", BackendWish::Disable).unwrap();
    bench.wish("a", BackendWish::Enable).unwrap();
    assert_eq!(bench.state("a"), State::Unknown);
    assert!(held_back(&bench).is_empty(), "released is released");
}

#[test]
fn empty_vpp_has_nothing_to_protect() {
    let mut bench = Bench::new(WARMUP);
    bench.vpp(&[]);
    assert_eq!(held_back(&bench), ["one", "two"], "of these nothing is known");
    assert_eq!(bench.core.wanted().view, Some(ViewId(1)));
    bench.probe("a", true);
    assert_eq!(held_back(&bench), ["one"]);
    // The same VPP, seen again after writes: now it has something to lose.
    let key = bench.key("two");
    bench.agent(AgentEvent::Disconnected { reason: "test".into() });
    bench.vpp(&[(key, 1024, &[(1, 1)])]);
    assert_eq!(bench.core.wanted().view, None);
    bench.probe("b", true);
    bench.probe("c", true);
    assert_eq!(held_back(&bench), ["one"], "until the minimum delay");
    bench.seconds(5);
    assert!(held_back(&bench).is_empty());
}

#[test]
fn backend_that_stays_unknown_keeps_the_weight_that_vpp_has() {
    let mut bench = Bench::new(WARMUP);
    let (one, two) = (bench.key("one"), bench.key("two"));
    bench.vpp(&[(one, 1024, &[(1, 1), (2, 0), (3, 0), (4, 0)]), (two, 1024, &[])]);
    bench.probe("b", false);
    bench.probe("c", true);
    bench.seconds(29);
    assert_eq!(held_back(&bench), ["one", "two"]);
    let effects = bench.seconds(1);
    assert!(effects.wanted && held_back(&bench).is_empty());
    assert_eq!(bench.weights("one"), [1, 0, 0, 0], "a serves in VPP, so its pool is not given up");
    assert_eq!(bench.weights("two"), [0], "VPP does not have it there");
    bench.probe("a", false);
    assert_eq!(bench.weights("one"), [0, 0, 1, 0], "an answer at last");
    bench.wish("a", BackendWish::Disable).unwrap();
    bench.wish("a", BackendWish::Enable).unwrap();
    assert_eq!((bench.state("a"), bench.weights("one")), (State::Unknown, vec![0, 0, 1, 0]));
}

#[test]
fn weight_of_another_scale_is_kept_as_far_as_ours_goes() {
    let mut bench = Bench::new(WARMUP);
    let one = bench.key("one");
    // State left by a brain that does not divide weights.
    bench.vpp(&[(one, 1024, &[(1, 100), (2, 100), (3, 0), (4, 0)])]);
    bench.probe("b", true);
    bench.seconds(30);
    assert_eq!(bench.weights("one"), [1, 1, 0, 0]);
}

#[test]
fn vpp_that_was_away_the_whole_time_is_synced_at_its_return() {
    let mut bench = Bench::new(WARMUP);
    bench.probe("b", true);
    bench.seconds(60);
    assert!(held_back(&bench).is_empty());
    assert_eq!(bench.core.wanted().view, None, "there is nobody to tell");
    let one = bench.key("one");
    let effects = bench.vpp(&[(one, 1024, &[(1, 1), (2, 1)])]);
    assert!(effects.wanted);
    assert_eq!(bench.core.wanted().view, Some(ViewId(1)));
    assert_eq!(bench.weights("one"), [1, 1, 0, 0], "a is unknown, and has a weight there");
    // If it had been restarted, there would be nothing to keep.
    let mut bench = Bench::new(WARMUP);
    bench.probe("b", true);
    bench.seconds(60);
    bench.vpp(&[]);
    assert_eq!(bench.weights("one"), [0, 1, 0, 0]);
}

#[test]
fn without_delays_everything_goes_at_once() {
    let mut bench = Bench::new(AT_ONCE);
    assert!(held_back(&bench).is_empty());
    let one = bench.key("one");
    bench.vpp(&[(one, 1024, &[(2, 1)])]);
    assert_eq!(bench.weights("one"), [0, 1, 0, 0], "and takes nothing away that is not known to be dead");
    assert_eq!(bench.core.next_tick(), None);
}

#[test]
fn reconnects_and_reloads_do_not_start_it_again() {
    let mut bench = Bench::new(WARMUP);
    let one = bench.key("one");
    bench.seconds(4);
    bench.command(Command::Reload(configuration(AT_ONCE, BACKENDS, FRONTENDS).into())).unwrap();
    bench.vpp(&[(one, 1024, &[(1, 1)])]);
    assert_eq!(bench.core.wanted().view, None, "new delays are for the next start");
    bench.agent(AgentEvent::Disconnected { reason: "test".into() });
    bench.vpp(&[(one, 1024, &[(1, 1)])]);
    bench.seconds(1);
    assert_eq!(bench.core.wanted().view, Some(ViewId(2)));
    bench.vpp_leaves(Duration::ZERO);
    bench.vpp(&[(one, 1024, &[(1, 1)])]);
    assert!(bench.core.wanted().view.is_some());
}

/// It went down while nobody knew whether VPP answered.
#[test]
fn backend_that_is_in_doubt_when_vpp_is_seen_keeps_its_weight() {
    let mut bench = Bench::new(AT_ONCE);
    bench.probe("a", false);
    bench.probe("a", false);
    assert_eq!(bench.state("a"), State::Down);
    let key = bench.key("two");
    bench.vpp(&[(key, 1024, &[(1, 1)])]);
    assert_eq!(bench.state("a"), State::Unknown);
    let server = bench.core.frontends.views()["two"].spec.servers.first_key_value().unwrap().1;
    assert_eq!(server.weight, 1, "VPP has it, and nothing is known");
    bench.seconds(1);
    bench.probe("a", false);
    assert_eq!(bench.core.frontends.views()["two"].spec.servers.first_key_value().unwrap().1.weight, 0);
}
