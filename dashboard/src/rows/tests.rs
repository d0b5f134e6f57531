use maglev_proto::{Pool, PoolBackend};

use super::*;

fn row(backend: &str, address: &str, programmed: u32, buckets: u32) -> PoolBackend {
    PoolBackend {
        backend: backend.into(),
        address: address.into(),
        state: BackendState::Up.into(),
        programmed_weight: programmed,
        buckets: Some(buckets),
        ..PoolBackend::default()
    }
}

fn shop() -> Frontend {
    let primary = Pool {
        name: "primary".into(),
        backends: vec![row("web1", "10.0.0.1", 3, 768), row("web2", "10.0.0.2", 1, 256)],
        ..Pool::default()
    };
    // The same server once more: VPP has it once.
    let spare =
        Pool { name: "spare".into(), backends: vec![row("web1", "10.0.0.1", 0, 768)], ..Pool::default() };
    Frontend { name: "shop".into(), pools: vec![primary, spare], ..Frontend::default() }
}

#[test]
fn vips_are_written_as_urls_have_them() {
    let vip_of =
        |address: &str, port| vip(&Frontend { address: address.into(), port, ..Frontend::default() });
    assert_eq!(vip_of("192.0.2.1", 80), "192.0.2.1:80");
    assert_eq!(vip_of("2001:db8::1", 80), "[2001:db8::1]:80");
    assert_eq!(vip_of("2001:db8::1", 0), "2001:db8::1");
}

#[test]
fn shares_are_of_servers_however_many_pools_have_them() {
    let rows = members("lb1", &shop());
    let shares: Vec<_> = rows.values().map(|row| (&row["expected"], &row["measured"])).collect();
    let (three_quarters, one_quarter) = (Value::from(75.0), Value::from(25.0));
    assert_eq!(shares[0], (&three_quarters, &three_quarters));
    assert_eq!(shares[1], (&one_quarter, &one_quarter));
    assert_eq!(shares[2].0, &Value::from(0.0));
}

#[test]
fn backends_that_are_up_count_once_and_by_the_newest_word() {
    let row = frontend("lb1", &shop(), |_| None);
    assert_eq!((&row["up"], &row["total"]), (&2.into(), &2.into()));
    let row = frontend("lb1", &shop(), |name| (name == "web1").then_some(BackendState::Down));
    assert_eq!((&row["up"], &row["total"]), (&1.into(), &2.into()));
}

#[test]
fn keys_of_one_thing_are_not_those_of_another() {
    assert!(!key("lb1", &["shop2"]).starts_with(&prefix(&key("lb1", &["shop"]))));
    assert!(key("lb1", &["shop", "primary"]).starts_with(&prefix(&key("lb1", &["shop"]))));
}

#[test]
fn large_numbers_stay_near() {
    assert_eq!(to_f64(4_294_967_295), 4_294_967_295.0);
    assert!((to_f64(1 << 40) / f64::powi(2.0, 40) - 1.0).abs() < 1e-6);
}
