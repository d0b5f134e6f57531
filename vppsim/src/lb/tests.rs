mod collect;
mod flows;
mod heap;
mod pins;
mod random;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use vppapi::retval::Retval;
use vppapi::types::Encap;

use super::{Conf, Effect, Lb, MAX_TABLE_LENGTH, NewVip, Refusal, Uptime, VipKey, VipKind};
use crate::address::{Ip46, Ip46Prefix};
use maglev_table::buckets::NO_SERVER;

pub(super) fn at(seconds: u64) -> Uptime {
    Duration::from_secs(seconds)
}

pub(super) fn ip46(text: &str) -> Ip46 {
    text.parse::<IpAddr>().unwrap().into()
}

pub(super) fn key(address: &str, port: u16) -> VipKey {
    let address: IpAddr = address.parse().unwrap();
    let length = if address.is_ipv4() { 32 } else { 128 };
    VipKey::new(Ip46Prefix::new(address, length).unwrap(), 6, port)
}

pub(super) fn new_vip(key: VipKey) -> NewVip {
    NewVip {
        key,
        encap: Encap::Gre4,
        dscp: 0,
        service_type: 0,
        target_port: 0,
        table_length: 1024,
        src_ip_sticky: false,
    }
}

pub(super) fn web() -> VipKey {
    key("203.0.113.10", 80)
}

/// The VIP [`web`] at index 1 with these servers and weights.
pub(super) fn lb_with(servers: &[(&str, u8)]) -> Lb {
    let mut lb = Lb::default();
    assert_eq!(lb.add_vip(&new_vip(web()), at(1)), Ok(1));
    for (address, weight) in servers {
        lb.add_server(&web(), ip46(address), *weight, false, at(1)).unwrap();
    }
    lb
}

/// For each server of a VIP: address, weight, whether in use, and buckets.
fn servers(lb: &Lb, vip: u32) -> Vec<(String, u8, bool, u32)> {
    let vip = lb.vip(vip).unwrap();
    let counts = Lb::bucket_counts(vip);
    lb.servers_of(vip)
        .map(|(index, server)| {
            let buckets = counts.get(&index).copied().unwrap_or(0);
            (server.address.to_string(), server.weight, server.used, buckets)
        })
        .collect()
}

#[test]
fn an_unconfigured_plugin_has_the_measured_defaults() {
    let conf = *Lb::default().conf();
    assert_eq!((conf.sticky_buckets, conf.flow_timeout), (1024, 40));
    assert_eq!(conf.ip4_source, Ipv4Addr::new(255, 255, 255, 255));
    assert_eq!(conf.ip6_source.octets(), [0xff; 16]);
}

#[test]
fn each_refusal_has_the_code_of_vpp() {
    let codes = [
        (Refusal::NoSuchEntry, Some(-6)),
        (Refusal::BadLength(3), Some(-70)),
        (Refusal::OtherEncap, Some(-73)),
        (Refusal::Exists, Some(-81)),
        (Refusal::WrongFamily, Some(-97)),
        (Refusal::Deadly(String::new()), None),
    ];
    for (refusal, code) in codes {
        assert_eq!(refusal.retval(), code.map(Retval), "{refusal}");
    }
}

#[test]
fn a_vip_is_refused_as_vpp_refuses_it() {
    let all_ports = key("203.0.113.20", 0);
    let other_port = key("203.0.113.10", 8080);
    let elsewhere = key("198.51.100.1", 80);
    let ipv6 = key("2001:db8::1", 80);
    let cases = [
        (new_vip(web()), Err(Refusal::Exists)),
        (new_vip(VipKey { protocol: 17, ..web() }), Ok(4)),
        (new_vip(key("203.0.113.10", 0)), Err(Refusal::Exists)),
        (new_vip(all_ports), Err(Refusal::Exists)),
        (new_vip(key("203.0.113.20", 80)), Err(Refusal::Exists)),
        (NewVip { encap: Encap::Gre6, ..new_vip(other_port) }, Err(Refusal::OtherEncap)),
        (NewVip { encap: Encap::Gre6, table_length: 1000, ..new_vip(other_port) }, Err(Refusal::OtherEncap)),
        (NewVip { table_length: 1000, ..new_vip(elsewhere) }, Err(Refusal::BadLength(1000))),
        (
            NewVip { encap: Encap::Nat6, table_length: 1000, ..new_vip(elsewhere) },
            Err(Refusal::BadLength(1000)),
        ),
        (NewVip { encap: Encap::Nat6, ..new_vip(elsewhere) }, Err(Refusal::WrongFamily)),
        (NewVip { encap: Encap::Other(9), ..new_vip(elsewhere) }, Err(Refusal::WrongFamily)),
        (NewVip { encap: Encap::Nat4, ..new_vip(ipv6) }, Ok(4)),
        (NewVip { table_length: 1, ..new_vip(elsewhere) }, Ok(4)),
    ];
    for (new, expected) in cases {
        let mut lb = lb_with(&[]);
        assert_eq!(lb.add_vip(&new_vip(all_ports), at(1)), Ok(2));
        assert_eq!(lb.add_vip(&new_vip(key("203.0.113.10", 443)), at(1)), Ok(3));
        assert_eq!(lb.add_vip(&new, at(1)), expected, "{new:?}");
    }
}

#[test]
fn lengths_of_which_vpp_dies_are_told_from_wrong_ones() {
    for length in [0, MAX_TABLE_LENGTH * 2] {
        let new = NewVip { table_length: length, ..new_vip(web()) };
        let refusal = Lb::default().add_vip(&new, at(1)).unwrap_err();
        assert!(matches!(refusal, Refusal::Deadly(_)), "{refusal}");
        assert_eq!(refusal.retval(), None);
    }
    let refusal = Lb::default().add_vip(&NewVip { table_length: 0, ..new_vip(web()) }, at(1)).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "a real VPP dies of this request: new_flows_table_length is 0, for which it would allocate 17179869184 bytes"
    );
}

#[test]
fn vpp_dies_of_a_server_for_a_nat_vip_of_all_ports() {
    for (encap, port, dies) in [(Encap::Nat4, 0, true), (Encap::Nat4, 80, false), (Encap::L3dsr, 0, false)] {
        let mut lb = Lb::default();
        let key = key("203.0.113.10", port);
        lb.add_vip(&NewVip { encap, ..new_vip(key) }, at(1)).unwrap();
        let added = lb.add_server(&key, ip46("10.0.0.1"), 1, false, at(1));
        assert_eq!(matches!(added, Err(Refusal::Deadly(_))), dies, "{encap} {port}");
    }
}

#[test]
fn an_encap_that_ipv6_has_not_becomes_gre6() {
    assert_eq!(VipKind::of(false, Encap::L3dsr), VipKind::Ip6Gre6);
    assert_eq!(VipKind::of(false, Encap::Other(7)), VipKind::Ip6Gre6);
    assert_eq!(VipKind::of(true, Encap::Gre6), VipKind::Ip4Gre6);
}

#[test]
fn a_port_of_zero_makes_the_protocol_255() {
    assert_eq!(key("203.0.113.20", 0).protocol, 255);
}

#[test]
fn the_bits_behind_a_prefix_do_not_tell_vips_apart() {
    let prefix = |last| Ip46Prefix::new(IpAddr::from([203, 0, 113, last]), 24).unwrap();
    let mut lb = Lb::default();
    lb.add_vip(&new_vip(VipKey::new(prefix(7), 6, 80)), at(1)).unwrap();
    assert_eq!(lb.find(&VipKey::new(prefix(99), 6, 80)), Some(1));
}

#[test]
fn a_server_is_refused_as_vpp_refuses_it() {
    let mut lb = lb_with(&[("10.0.0.1", 100)]);
    let (known, ipv6) = (ip46("10.0.0.1"), ip46("2001:db8::5"));
    let absent = key("203.0.113.99", 80);
    assert_eq!(lb.add_server(&absent, known, 1, false, at(2)), Err(Refusal::NoSuchEntry));
    assert_eq!(lb.add_server(&web(), known, 1, false, at(2)), Err(Refusal::Exists));
    assert_eq!(lb.add_server(&web(), ipv6, 1, false, at(2)), Err(Refusal::WrongFamily));
    assert_eq!(lb.set_weight(&absent, known, 1, false), Err(Refusal::NoSuchEntry));
    assert_eq!(lb.set_weight(&web(), ip46("10.9.9.9"), 1, false), Err(Refusal::NoSuchEntry));
    assert_eq!(lb.remove_server(&web(), ip46("10.9.9.9"), false, at(2)), Err(Refusal::NoSuchEntry));
    assert_eq!(lb.remove_server(&absent, known, false, at(2)), Err(Refusal::NoSuchEntry));
    assert_eq!(lb.remove_vip(&absent, at(2)), Err(Refusal::NoSuchEntry));
    assert_eq!(servers(&lb, 1), [("10.0.0.1".to_owned(), 100, true, 1024)]);
}

#[test]
fn weights_are_not_checked() {
    let mut lb = lb_with(&[("10.0.0.1", 255)]);
    assert_eq!(lb.set_weight(&web(), ip46("10.0.0.1"), 101, false), Ok(()));
    assert_eq!(servers(&lb, 1), [("10.0.0.1".to_owned(), 101, true, 1024)]);
}

#[test]
fn buckets_follow_the_weights_as_recorded() {
    let mut lb = lb_with(&[("10.0.0.1", 100), ("10.0.0.2", 50), ("10.0.0.3", 0)]);
    lb.set_weight(&web(), ip46("10.0.0.3"), 100, false).unwrap();
    lb.set_weight(&web(), ip46("10.0.0.1"), 0, true).unwrap();
    let buckets: Vec<_> = servers(&lb, 1).into_iter().map(|(_, _, _, buckets)| buckets).collect();
    assert_eq!(buckets, [0, 350, 674]);
}

#[test]
fn a_removed_server_leaves_a_ghost_that_can_be_revived() {
    let mut lb = lb_with(&[("10.0.0.1", 30), ("10.0.0.2", 70)]);
    let first = ip46("10.0.0.1");
    assert_eq!(lb.remove_server(&web(), first, false, at(7)), Ok(()));
    assert_eq!(servers(&lb, 1)[0], ("10.0.0.1".to_owned(), 30, false, 0));
    assert_eq!(lb.set_weight(&web(), first, 1, false), Err(Refusal::NoSuchEntry));
    assert_eq!(lb.remove_server(&web(), first, false, at(8)), Ok(()));
    assert_eq!(lb.last_used(1), 8);
    assert_eq!(lb.add_server(&web(), first, 70, false, at(9)), Ok(()));
    let (address, weight, used, buckets) = servers(&lb, 1)[0].clone();
    assert_eq!((address.as_str(), weight, used), ("10.0.0.1", 70, true));
    assert!((500..=524).contains(&buckets), "{buckets}");
    assert_eq!(lb.last_used(1), 8, "a revived server keeps the time of its removal");
}

#[test]
fn a_removed_vip_is_recreated_beside_its_ghost() {
    let mut lb = lb_with(&[("10.0.0.1", 100)]);
    lb.remove_vip(&web(), at(5)).unwrap();
    assert_eq!(lb.find(&web()), None);
    assert_eq!(lb.remove_vip(&web(), at(5)), Err(Refusal::NoSuchEntry));
    assert_eq!(lb.set_weight(&web(), ip46("10.0.0.1"), 1, false), Err(Refusal::NoSuchEntry));
    assert_eq!(lb.add_vip(&new_vip(web()), at(6)), Ok(2));
    lb.add_server(&web(), ip46("10.0.0.1"), 9, false, at(6)).unwrap();
    assert_eq!(servers(&lb, 1), [("10.0.0.1".to_owned(), 100, false, 0)]);
    assert_eq!(servers(&lb, 2), [("10.0.0.1".to_owned(), 9, true, 1024)]);
    assert!(lb.vip(1).unwrap().table.iter().all(|server| *server == NO_SERVER));
    assert_eq!(lb.take_effects(), [Effect::VipAdded(1), Effect::VipRemoved(1), Effect::VipAdded(2)]);
}

#[test]
fn the_route_of_a_prefix_outlives_all_but_its_last_vip() {
    let mut lb = lb_with(&[]);
    let https = key("203.0.113.10", 443);
    lb.add_vip(&new_vip(https), at(1)).unwrap();
    lb.remove_vip(&web(), at(2)).unwrap();
    assert!(lb.fib().exact(web().prefix).is_some());
    lb.remove_vip(&https, at(2)).unwrap();
    assert!(lb.fib().exact(web().prefix).is_none());
}

#[test]
fn conf_is_checked_and_keeps_what_is_not_given() {
    let mut lb = Lb::default();
    let wanted = Conf { sticky_buckets: 65536, flow_timeout: 10, ..Conf::default() };
    assert_eq!(lb.set_conf(wanted), Ok(()));
    assert_eq!(lb.set_conf(Conf { sticky_buckets: 1000, ..wanted }), Err(Refusal::BadLength(1000)));
    assert_eq!(lb.set_conf(Conf { sticky_buckets: 0, ..wanted }), Ok(()));
    assert_eq!(lb.set_conf(wanted), Ok(()));
    let keep =
        Conf { sticky_buckets: u32::MAX, flow_timeout: u32::MAX, ip4_source: Ipv4Addr::LOCALHOST, ..wanted };
    assert_eq!(lb.set_conf(keep), Ok(()));
    assert_eq!(*lb.conf(), Conf { ip4_source: Ipv4Addr::LOCALHOST, ..wanted });
}
