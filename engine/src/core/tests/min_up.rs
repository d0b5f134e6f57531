//! Pools below their `min-up`.

use proptest::prelude::*;

use super::events::{Step, carry_out, steps};
use super::*;
use crate::snapshot::FrontendView;

fn frontends(min_up: &str) -> String {
    format!(
        "
    one:
      address: 203.0.113.1
      pools:
        - {{ name: primary, min-up: {min_up}, backends: {{ a: {{}}, b: {{}}, off: {{}} }} }}
        - {{ name: fallback, min-up: 100%, backends: {{ b: {{}}, c: {{}}, fixed: {{}} }} }}
    two: {{ address: 203.0.113.2, pools: [ {{ name: only, backends: {{ a: {{}} }} }} ] }}
"
    )
}

/// Pool, whether it is below, and its capacity, of each crossing.
fn crossings(effects: &Effects) -> Vec<(String, bool, String)> {
    let crossing = |event: &Event| match event {
        Event::Frontend { change: FrontendChange::MinUp { pool, capacity }, now, .. } => {
            Some((pool.clone(), now.below_min_up.contains(pool), capacity.to_string()))
        }
        _ => None,
    };
    effects.events.iter().filter_map(crossing).collect()
}

fn below(pool: &str, is_below: bool, capacity: &str) -> Vec<(String, bool, String)> {
    vec![(pool.to_owned(), is_below, capacity.to_owned())]
}

fn bench(min_up: &str) -> Bench {
    let mut bench = Bench::with(configuration(AT_ONCE, BACKENDS, &frontends(min_up)), Overrides::default());
    bench.vpp(&[]);
    bench
}

#[test]
fn each_crossing_is_told_once() {
    let mut bench = bench("2");
    assert!(crossings(&bench.probe("a", true)).is_empty());
    assert!(crossings(&bench.probe("b", true)).is_empty());
    assert!(crossings(&bench.probe("c", true)).is_empty());
    assert!(crossings(&bench.probe("a", false)).is_empty());
    assert_eq!(crossings(&bench.probe("a", false)), below("primary", true, "1 of 3 up, min-up 2"));
    // The other pool has `b`, too, and counts although it is not active.
    let paused = bench.wish("b", BackendWish::Pause).unwrap();
    assert_eq!(crossings(&paused), below("fallback", true, "2 of 3 up, min-up 3"));
    // Unknown until a probe has passed.
    let resumed = bench.wish("b", BackendWish::Resume).unwrap();
    assert!(crossings(&resumed).is_empty(), "{:?}", crossings(&resumed));
    assert_eq!(crossings(&bench.probe("b", true)), below("fallback", false, "3 of 3 up, min-up 3"));
    assert_eq!(crossings(&bench.probe("a", true)), below("primary", false, "2 of 3 up, min-up 2"));
    let member = PoolMember { frontend: "one".into(), pool: "primary".into(), backend: "a".into() };
    let weight = |weight| Command::SetWeight { member: member.clone(), weight, flush: false };
    let (set, _) = bench.command(weight(0)).unwrap();
    assert_eq!(crossings(&set), below("primary", true, "1 of 3 up, min-up 2"));
    let (set, _) = bench.command(weight(1)).unwrap();
    assert_eq!(crossings(&set), below("primary", false, "2 of 3 up, min-up 2"));
}

#[test]
fn reload_of_min_up_is_a_crossing_and_of_a_check_is_none() {
    let mut bench = bench("2");
    bench.all_up();
    let reload = |bench: &mut Bench, backends: &str, min_up: &str| {
        let config = configuration(AT_ONCE, backends, &frontends(min_up));
        crossings(&bench.command(Command::Reload(config.into())).unwrap().0)
    };
    assert_eq!(reload(&mut bench, BACKENDS, "3"), below("primary", true, "2 of 3 up, min-up 3"));
    assert_eq!(reload(&mut bench, BACKENDS, "50%"), below("primary", false, "2 of 3 up, min-up 2"));
    let other = BACKENDS.replace("1, healthcheck: tcp", "1, healthcheck: other");
    assert!(reload(&mut bench, &other, "50%").is_empty(), "unknown, and serving as before");
}

#[test]
fn warm_up_tells_nothing_until_the_frontend_is_released() {
    let mut bench = Bench::with(configuration(WARMUP, BACKENDS, &frontends("2")), Overrides::default());
    bench.vpp(&[(VipKey::all_ports([203, 0, 113, 1].into()), 1024, &[])]);
    for name in ["a", "a", "b", "b"] {
        assert!(crossings(&bench.probe(name, false)).is_empty());
    }
    bench.probe("c", true);
    let pools: Vec<_> =
        crossings(&bench.seconds(6)).into_iter().map(|(pool, below, _)| (pool, below)).collect();
    assert_eq!(pools, [("primary".to_owned(), true), ("fallback".to_owned(), true)]);
}

/// The number of backends of each pool that are up, counted anew, and the number of unknown ones.
fn recount(snapshot: &Snapshot, view: &FrontendView, pool: usize) -> (u32, u32) {
    let (mut up, mut unknown) = (0, 0);
    for (name, weight) in &view.frontend.pools[pool].backends {
        match snapshot.backends[name.as_str()].health.state() {
            State::Up if *weight > 0 => up += 1,
            State::Unknown if *weight > 0 => unknown += 1,
            _ => {}
        }
    }
    (up, unknown)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn crossings_alternate_and_the_count_is_right(steps in steps(), min_up in 0..=3u32) {
        let config = configuration(WARMUP, BACKENDS, &frontends(&min_up.to_string()));
        let mut bench = Bench::with(Arc::clone(&config), Overrides::default());
        let mut known: BTreeSet<String> = BTreeSet::new();
        for step in steps {
            // A reload of the same one changes nothing.
            let step = if let Step::Reload(_) = step { Step::Reload(0) } else { step };
            let effects = carry_out(&mut bench, step, &[Arc::clone(&config)]);
            for (pool, below, _) in crossings(&effects) {
                prop_assert!(if below { known.insert(pool) } else { known.remove(&pool) }, "each is a change");
            }
            let snapshot = bench.core.snapshot(bench.now.mono);
            let view = &snapshot.frontends["one"];
            for (index, (pool, needed)) in [("primary", min_up), ("fallback", 3)].into_iter().enumerate() {
                let ((up, unknown), is_below) = (recount(&snapshot, view, index), known.contains(pool));
                let capacity = view.weights.capacity[index];
                prop_assert_eq!((capacity.up, capacity.unknown, capacity.min_up), (up, unknown, Some(needed)));
                prop_assert_eq!(is_below, view.below_min_up.iter().any(|name| name == pool));
                if view.sync == SyncStatus::HeldBack || up >= needed {
                    prop_assert!(!is_below);
                } else if up + unknown < needed {
                    prop_assert!(is_below);
                }
            }
        }
    }
}
