use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use serde::Deserialize;

use super::{Candidate, NO_SERVER, buckets, count};

const CASES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/buckets-26.10.json"));

#[derive(Deserialize)]
struct Case {
    table_length: u32,
    weights: BTreeMap<IpAddr, u8>,
    buckets: BTreeMap<IpAddr, u32>,
}

fn candidates(weights: &BTreeMap<IpAddr, u8>) -> Vec<Candidate> {
    (1..)
        .zip(weights)
        .map(|(id, (address, weight))| Candidate { id, address: *address, weight: *weight })
        .collect()
}

#[test]
fn every_measured_table_is_met_exactly() {
    let cases: Vec<Case> = serde_json::from_str(CASES).unwrap();
    assert_eq!(cases.len(), 30);
    let mut servers = 0;
    for (number, case) in cases.iter().enumerate() {
        let table = buckets(case.table_length, &candidates(&case.weights));
        for (id, (address, _)) in (1..).zip(&case.weights) {
            let expected = case.buckets.get(address).copied().unwrap_or(0);
            assert_eq!(count(&table, id), expected, "case {number}, server {address}");
            servers += 1;
        }
    }
    assert_eq!(servers, 440);
}

#[test]
fn a_table_without_weight_is_empty() {
    let idle = Candidate { id: 1, address: Ipv4Addr::LOCALHOST.into(), weight: 0 };
    assert_eq!(buckets(8, &[idle]), [NO_SERVER; 8]);
    assert_eq!(buckets(8, &[]), [NO_SERVER; 8]);
}

#[test]
fn a_table_of_one_bucket_goes_to_the_lowest_address() {
    let server = |id, last| Candidate { id, address: [10, 0, 0, last].into(), weight: 3 };
    assert_eq!(buckets(1, &[server(1, 9), server(2, 4)]), [2]);
}

prop_compose! {
    fn any_weights()(
        servers in prop::collection::btree_map(any::<u16>(), any::<u8>(), 0..12),
        ipv6: bool,
    ) -> BTreeMap<IpAddr, u8> {
        servers
            .into_iter()
            .map(|(number, weight)| {
                let [high, low] = number.to_be_bytes();
                let address: IpAddr = match ipv6 {
                    true => [0x2001, 0xdb8, 0, 0, 0, 0, 0, number].into(),
                    false => [10, 0, high, low].into(),
                };
                (address, weight)
            })
            .collect()
    }
}

proptest! {
    #[test]
    fn the_order_of_servers_does_not_matter(
        weights in any_weights(), bits in 0_u32..12, seed in any::<prop::sample::Index>(),
    ) {
        let servers = candidates(&weights);
        let mut turned = servers.clone();
        turned.rotate_left(if servers.is_empty() { 0 } else { seed.index(servers.len()) });
        turned.reverse();
        prop_assert_eq!(buckets(1 << bits, &servers), buckets(1 << bits, &turned));
    }

    #[test]
    fn all_buckets_are_taken_by_servers_with_weight(weights in any_weights(), bits in 0_u32..12) {
        let servers = candidates(&weights);
        let table = buckets(1 << bits, &servers);
        prop_assert_eq!(table.len(), 1_usize << bits);
        let any_weight = servers.iter().any(|server| server.weight > 0);
        for bucket in table {
            let weight = servers.iter().find(|server| server.id == bucket).map(|server| server.weight);
            prop_assert_eq!(any_weight, weight.is_some_and(|weight| weight > 0));
        }
    }

    #[test]
    fn shares_follow_the_weights_while_their_sum_is_small(weights in any_weights()) {
        let weights: BTreeMap<_, _> = weights.into_iter().map(|(address, weight)| (address, weight % 4)).collect();
        let servers = candidates(&weights);
        let table = buckets(4096, &servers);
        let total: u32 = servers.iter().map(|server| u32::from(server.weight)).sum();
        for server in servers.iter().filter(|server| server.weight > 0) {
            let whole_rounds = 4096 / total;
            let got = count(&table, server.id);
            let weight = u32::from(server.weight);
            prop_assert!(got >= whole_rounds * weight && got <= (whole_rounds + 1) * weight);
        }
    }
}
