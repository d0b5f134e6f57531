use std::net::SocketAddr;

use super::{Flow, bucket};

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
