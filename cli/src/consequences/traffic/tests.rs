use proptest::prelude::*;

use super::*;
use crate::samples;

fn row(backend: &str, state: BackendState, weight: u32) -> PoolBackend {
    PoolBackend {
        backend: backend.into(),
        state: state.into(),
        configured_weight: weight,
        ..PoolBackend::default()
    }
}

fn frontend(panic_threshold: u32, pools: &[&[PoolBackend]]) -> Frontend {
    let pool =
        |(index, rows): (usize, &&[PoolBackend])| Pool { name: format!("p{index}"), backends: rows.to_vec() };
    Frontend { panic_threshold, pools: pools.iter().enumerate().map(pool).collect(), ..Frontend::default() }
}

fn pool(index: usize) -> Serving {
    Serving::Pool(format!("p{index}"))
}

use BackendState::{Disabled, Down, Paused, Removed, Unknown, Up};

#[test]
fn first_pool_that_can_serves() {
    let held = PoolBackend { programmed_weight: 1, ..row("b", Unknown, 100) };
    let operator = PoolBackend { operator_weight: Some(0), ..row("b", Up, 100) };
    for (rows, expected) in [
        (vec![row("a", Up, 100)], pool(0)),
        (vec![row("a", Up, 0)], Serving::Nobody),
        (vec![row("a", Down, 100)], Serving::Nobody),
        (vec![row("a", Paused, 100)], Serving::Nobody),
        (vec![row("a", Disabled, 100)], Serving::Nobody),
        (vec![row("a", Removed, 100)], Serving::Nobody),
        (vec![row("a", Unknown, 100)], Serving::Nobody),
        (vec![held], pool(0)),
        (vec![operator], Serving::Nobody),
        (vec![], Serving::Nobody),
    ] {
        assert_eq!(serving(&frontend(0, &[&rows])), expected, "{rows:?}");
        let with_spare = frontend(0, &[&rows, &[row("spare", Up, 1)]]);
        let expected = if expected == Serving::Nobody { pool(1) } else { expected };
        assert_eq!(serving(&with_spare), expected, "{rows:?}");
    }
}

#[test]
fn panic_is_by_the_backends_of_which_something_is_known() {
    let panic = |index: usize| Serving::Panic(format!("p{index}"));
    let pool_of = |rows: &[PoolBackend]| serving(&frontend(50, &[rows]));
    assert_eq!(pool_of(&[row("a", Up, 1), row("b", Down, 1)]), pool(0));
    assert_eq!(pool_of(&[row("a", Up, 1), row("b", Down, 1), row("c", Down, 1)]), panic(0));
    assert_eq!(pool_of(&[row("a", Up, 1), row("b", Down, 1), row("c", Paused, 1)]), pool(0));
    assert_eq!(pool_of(&[row("b", Down, 1), row("c", Disabled, 1)]), panic(0));
    assert_eq!(pool_of(&[row("b", Down, 0), row("c", Disabled, 1)]), Serving::Nobody);
    // Failover goes first.
    assert_eq!(serving(&frontend(50, &[&[row("a", Down, 1)], &[row("b", Up, 1)]])), pool(1));
}

#[test]
fn change_is_made_where_it_belongs() {
    let both = frontend(0, &[&[row("a", Up, 10)], &[row("a", Up, 20), row("b", Up, 30)]]);
    let states = |changed: &Frontend| -> Vec<_> {
        changed.pools.iter().flat_map(|pool| &pool.backends).map(|row| (row.state(), weight(row))).collect()
    };
    assert_eq!(states(&after(&both, &Changed::Paused("a"))), [(Paused, 10), (Paused, 20), (Up, 30)]);
    assert_eq!(states(&after(&both, &Changed::Disabled("b"))), [(Up, 10), (Up, 20), (Disabled, 30)]);
    let mut set = Changed::Weight { pool: "p1", backend: "a", weight: Some(0), flush: false };
    let zero = after(&both, &set);
    assert_eq!(states(&zero), [(Up, 10), (Up, 0), (Up, 30)]);
    if let Changed::Weight { weight, .. } = &mut set {
        *weight = None;
    }
    assert_eq!(states(&after(&zero, &set)), states(&both));
}

#[test]
fn fate_of_flows_has_its_words() {
    let fate =
        |count, is_cut, nobody_left| FlowsOf { backend: "web1".into(), count, is_cut }.fate(nobody_left);
    assert_eq!(fate(Some(1234), false, true), "1,234 flows that web1 has end by themselves");
    assert_eq!(fate(Some(1_234_567), true, true), "1,234,567 flows that web1 has are cut at once");
    assert_eq!(fate(Some(1), true, false), "1 flow that web1 has is moved to others at once");
    assert_eq!(fate(Some(1), false, false), "1 flow that web1 has ends by itself");
    assert_eq!(fate(Some(0), true, true), "web1 has no flows");
    assert_eq!(fate(None, true, true), "flows that web1 has are cut at once");
    assert_eq!([0, 12, 123, 1234, 123_456].map(grouped), ["0", "12", "123", "1,234", "123,456"]);
}

#[test]
fn flows_are_counted_once() {
    let shop = samples::shop();
    let flows = Changed::Paused("web1").flows(&shop);
    assert_eq!(flows, FlowsOf { backend: "web1".into(), count: Some(1204), is_cut: false });
    assert!(Changed::Disabled("web1").flows(&shop).is_cut);
    assert!(
        Changed::Weight { pool: "primary", backend: "web1", weight: Some(0), flush: true }
            .flows(&shop)
            .is_cut
    );
}

fn rows() -> impl Strategy<Value = Vec<PoolBackend>> {
    let states = prop::sample::select(vec![Unknown, Up, Down, Paused, Disabled]);
    let row = ("[a-d]", states, 0..3u32, 0..2u32).prop_map(|(name, state, weight, programmed)| PoolBackend {
        programmed_weight: programmed,
        ..row(&name, state, weight)
    });
    prop::collection::vec(row, 0..4)
}

proptest! {
    /// Taking a backend away never makes an earlier pool serve, and without a panic threshold nobody is left only
    /// if no other backend can serve.
    #[test]
    fn nobody_is_left_if_and_only_if_nobody_else_serves(pools in prop::collection::vec(rows(), 0..3), name in "[a-d]") {
        let pools: Vec<_> = pools.iter().map(Vec::as_slice).collect();
        let frontend = frontend(0, &pools);
        let then = after(&frontend, &Changed::Disabled(&name));
        let others = pools.iter().any(|rows| rows.iter().any(|row| row.backend != name && serves(row)));
        prop_assert_eq!(serving(&then) == Serving::Nobody, !others);
        let place = |serving: &Serving| match serving {
            Serving::Pool(pool) => frontend.pools.iter().position(|found| found.name == *pool),
            Serving::Nobody | Serving::Panic(_) => None,
        };
        if let (Some(before), Some(now)) = (place(&serving(&frontend)), place(&serving(&then))) {
            prop_assert!(now >= before);
        }
    }
}
