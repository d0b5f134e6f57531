use maglev_proto::{Pool, PoolBackend, VppApplicationServer, Vppvip};

use super::*;

fn member(backend: &str, buckets: Option<u32>) -> PoolBackend {
    PoolBackend {
        backend: backend.to_owned(),
        address: "192.0.2.1".to_owned(),
        buckets,
        ..PoolBackend::default()
    }
}

fn frontend(name: &str, sticky: bool, backends: Vec<PoolBackend>) -> Frontend {
    Frontend {
        name: name.to_owned(),
        address: "198.51.100.1".to_owned(),
        protocol: "tcp".to_owned(),
        port: 80,
        src_ip_sticky: sticky,
        pools: vec![Pool { name: "p".to_owned(), backends, ..Pool::default() }],
        ..Frontend::default()
    }
}

#[test]
fn buckets_are_known_only_if_all_are_and_flows_are_hashed_one_by_one() {
    let vip = "198.51.100.1:80".parse().unwrap();
    let known = |sticky, backends| Buckets::of(&[frontend("www", sticky, backends)]).get(vip, false);
    let both = || vec![member("web1", Some(1024)), member("web2", Some(0))];
    let expected = known(false, both()).unwrap();
    assert_eq!((expected["web1"].buckets, expected["web2"].buckets), (1024, 0));
    assert_eq!(known(true, both()), None);
    assert_eq!(known(false, vec![member("web1", Some(1024)), member("web2", None)]), None);
    assert_eq!(known(false, vec![member("web1", Some(0))]), None, "VPP has not programmed it yet");
    assert_eq!(Buckets::of(&[frontend("www", false, both())]).get(vip, true), None);
}

#[test]
fn tables_are_those_that_vpp_lays_out() {
    let server = |address: &str, weight| VppApplicationServer {
        address: address.to_owned(),
        backend: String::new(),
        weight,
        ..VppApplicationServer::default()
    };
    let vip = |prefix: &str, port, weight| Vppvip {
        prefix: prefix.to_owned(),
        protocol: "tcp".to_owned(),
        port,
        new_flows_table_length: 1024,
        application_servers: vec![server("192.0.2.1", weight), server("192.0.2.2", 2)],
        ..Vppvip::default()
    };
    let vips = vec![
        vip("198.51.100.1", 80, 1),
        vip("2001:db8::/64", 443, 1),
        vip("198.51.100.2/32", 0, 1),
        vip("198.51.100.3", 80, 999),
    ];
    let tables = tables(&VpplbState { vips, ..VpplbState::default() });
    assert_eq!(tables.len(), 2, "neither all ports nor a weight beyond VPP's make a table");
    assert_eq!(tables[0].vip(), "198.51.100.1:80".parse().unwrap());
    let shares = tables[0].shares();
    assert_eq!(shares.values().sum::<u32>(), 1024);
    assert!(shares["192.0.2.2"] > 670 && shares["192.0.2.1"] > 330, "{shares:?}");
}
