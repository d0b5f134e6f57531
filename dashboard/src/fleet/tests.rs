use maglev_proto::{Pool, PoolBackend};
use serde_json::json;

use super::*;

fn frontend(effective: u32) -> Frontend {
    let row = PoolBackend { backend: "web1".into(), effective_weight: effective, ..PoolBackend::default() };
    Frontend {
        state: FrontendState::Up.into(),
        active_pool: "primary".into(),
        sync: SyncState::Synced.into(),
        pools: vec![Pool { name: "primary".into(), backends: vec![row], ..Pool::default() }],
        ..Frontend::default()
    }
}

fn of(frontends: &[(&str, &Frontend)]) -> Document {
    row("shop", frontends, |_, _| Some(BackendState::Up)).unwrap()
}

#[test]
fn the_worst_comes_first() {
    let fine = frontend(100);
    let down = Frontend { state: FrontendState::Down.into(), active_pool: String::new(), ..fine.clone() };
    let refused = Frontend { sync: SyncState::Failed.into(), ..fine.clone() };
    let rank = |frontends: &[(&str, &Frontend)]| of(frontends)["rank"].as_u64().unwrap();
    assert_eq!(rank(&[("a", &down)]), 0);
    assert!(rank(&[("a", &down)]) < rank(&[("a", &refused)]));
    assert!(rank(&[("a", &refused)]) < rank(&[("a", &fine)]));
    assert_eq!(rank(&[("a", &fine), ("b", &down)]), 0, "one of them is down");
    assert_eq!(of(&[("a", &fine), ("b", &down)])["differs"], json!(["state", "pool"]));
}

#[test]
fn equal_load_balancers_differ_in_nothing_and_others_in_what_is_named() {
    assert_eq!(of(&[("a", &frontend(100)), ("b", &frontend(100))])["differs"], json!(null));
    assert_eq!(of(&[("a", &frontend(100)), ("b", &frontend(40))])["differs"], json!(["weights"]));
    let other = Frontend { new_flows_table_length: 4096, ..frontend(100) };
    assert_eq!(of(&[("a", &frontend(100)), ("b", &other)])["differs"], json!(["table"]));
}

#[test]
fn a_second_pool_that_serves_is_a_failover() {
    let mut frontend = frontend(100);
    frontend.pools.insert(0, Pool { name: "first".into(), ..Pool::default() });
    assert_eq!(of(&[("a", &frontend)])["faults"], json!(["failover"]));
}

#[test]
fn a_pool_below_its_min_up_is_short() {
    let mut frontend = frontend(100);
    frontend.pools[0].below_min_up = true;
    assert_eq!(of(&[("a", &frontend)])["faults"], json!(["short"]));
}

#[test]
fn nothing_is_said_of_a_frontend_that_nobody_has() {
    assert_eq!(row("shop", &[], |_, _| None), None);
}
