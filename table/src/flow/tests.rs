use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use super::{Flow, bucket};
use crate::buckets::{Candidate, buckets};

fn flow(client: &str, vip: &str) -> Flow {
    Flow::new(client.parse::<SocketAddr>().unwrap(), vip.parse::<SocketAddr>().unwrap()).unwrap()
}

#[test]
fn flow_of_two_families_is_refused() {
    let (client, vip) = ("192.0.2.1:1".parse().unwrap(), "[2001:db8::1]:80".parse().unwrap());
    let error = Flow::new(client, vip).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a flow cannot go from 192.0.2.1 to 2001:db8::1: both must be IPv4, or both IPv6"
    );
}

#[test]
fn ports_count_unless_the_source_address_decides() {
    let (one, two) = (flow("192.0.2.1:1000", "203.0.113.1:80"), flow("192.0.2.1:1001", "203.0.113.1:80"));
    assert_ne!(one.hash(false), two.hash(false));
    assert_eq!(one.hash(true), two.hash(true));
    let (one, two) =
        (flow("[2001:db8::1]:1000", "[2001:db8::2]:80"), flow("[2001:db8::1]:1001", "[2001:db8::2]:80"));
    assert_ne!(one.hash(false), two.hash(false));
    assert_eq!(one.hash(true), two.hash(true));
}

#[test]
fn direction_of_a_flow_counts() {
    assert_ne!(
        flow("192.0.2.1:80", "203.0.113.1:80").hash(false),
        flow("203.0.113.1:80", "192.0.2.1:80").hash(false)
    );
}

#[test]
fn a_hash_selects_a_bucket_of_any_table() {
    assert_eq!(bucket(0xdead_beef, 1024), 0x2ef);
    assert_eq!(bucket(u32::MAX, 1), 0);
}

/// 2,500 flows through a VPP 26.10, each with the server that got its first packet.
const FLOWS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/flows-26.10.json"));

#[derive(Deserialize)]
struct Measured {
    table_length: u32,
    weight: u8,
    servers: Vec<IpAddr>,
    vips: Vec<MeasuredVip>,
}

#[derive(Deserialize)]
struct MeasuredVip {
    vip: SocketAddr,
    protocol: u8,
    src_ip_sticky: bool,
    client: IpAddr,
    /// The client's port and the server's position.
    flows: Vec<(u16, u32)>,
}

#[test]
fn every_measured_flow_is_in_a_bucket_of_the_server_that_got_it() {
    let measured: Measured = serde_json::from_str(FLOWS).unwrap();
    let servers: Vec<_> = (1..)
        .zip(&measured.servers)
        .map(|(id, address)| Candidate { id, address: *address, weight: measured.weight })
        .collect();
    let table = buckets(measured.table_length, &servers);
    let mut kinds = BTreeMap::<_, usize>::new();
    for vip in &measured.vips {
        for (port, server) in &vip.flows {
            let flow = Flow::new(SocketAddr::new(vip.client, *port), vip.vip).unwrap();
            let bucket = bucket(flow.hash(vip.src_ip_sticky), measured.table_length);
            assert_eq!(table[bucket as usize], server + 1, "{flow:?}, protocol {}", vip.protocol);
        }
        *kinds.entry((vip.protocol, vip.vip.is_ipv4(), vip.src_ip_sticky)).or_default() += vip.flows.len();
    }
    let expected = [
        ((6, false, false), 500),
        ((6, true, false), 500),
        ((17, false, false), 500),
        ((17, true, false), 500),
    ];
    assert_eq!(kinds, expected.into_iter().chain([((17, true, true), 500)]).collect());
}
