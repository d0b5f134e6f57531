//! The brain's scale of weights against the table that VPP really lays out.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use maglev_engine::config::{Frontend, Pool, Service};
use maglev_engine::health::State;
use maglev_engine::weights::{Scale, effective};
use maglev_table::buckets::{Candidate, buckets, count};
use proptest::prelude::*;

fn frontend(weights: &[u8]) -> Frontend {
    let backends: BTreeMap<String, u8> =
        weights.iter().enumerate().map(|(index, &weight)| (index.to_string(), weight)).collect();
    Frontend {
        description: String::new(),
        address: Ipv4Addr::new(192, 0, 2, 1).into(),
        service: Service::Tcp(80),
        src_ip_sticky: false,
        flush_on_down: true,
        new_flows_table_length: None,
        servers_ask: false,
        slow_start: None,
        panic_threshold: None,
        announce: None,
        pools: vec![Pool { name: "only".to_owned(), backends, min_up: None }],
    }
}

/// Worst relative error of a share, in hundredths of a percent rounded up; 0 for one that is within 1 % or one bucket.
fn worst_error(scale: &Scale, weights: &[u8], up: &[bool], addresses: &[u32]) -> u64 {
    let frontend = frontend(weights);
    let is_up = |name: &str| up[name.parse::<usize>().unwrap()];
    let state = |name: &str| if is_up(name) { State::Up } else { State::Down };
    let found = effective(&frontend, scale, |name| state(name).into());
    let servers = found.pools[0].iter().map(|(name, weight)| {
        let index: u32 = name.parse().unwrap();
        let address = Ipv4Addr::from(addresses[index as usize]);
        Candidate { id: index + 1, address: std::net::IpAddr::from(address), weight: weight.programmed }
    });
    let table = buckets(scale.table_length(), &servers.collect::<Vec<_>>());
    let serving = || weights.iter().zip(up).enumerate().filter(|(_, (weight, up))| **up && **weight > 0);
    let sum: u64 = serving().map(|(_, (weight, _))| u64::from(*weight)).sum();
    let errors = serving().map(|(index, (weight, _))| {
        let right = u64::from(scale.table_length()) * u64::from(*weight);
        let given = u64::from(count(&table, u32::try_from(index).unwrap() + 1)) * sum;
        let off = given.abs_diff(right);
        if off <= sum || off * 100 <= right { 0 } else { (off * 10_000).div_ceil(right) }
    });
    errors.max().unwrap_or(0)
}

/// Weights, addresses in any order, and who is up.
fn any_pool(backends: usize) -> impl Strategy<Value = (Vec<u8>, Vec<u32>, Vec<bool>)> {
    let weight = prop_oneof![Just(0u8), Just(50), Just(99), Just(100), 1u8..=4, 1u8..=100];
    proptest::collection::vec(weight, 1..=backends).prop_flat_map(|weights| {
        let count = weights.len();
        let addresses = proptest::collection::btree_set(any::<u32>(), count).prop_map(Vec::from_iter);
        (Just(weights), addresses.prop_shuffle(), proptest::collection::vec(any::<bool>(), count))
    })
}

proptest! {
    // Each case lays out two tables of up to 65,536 buckets.
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn shares_are_exact_whoever_is_up((weights, addresses, up) in any_pool(6)) {
        let scale = Scale::new(&frontend(&weights), None);
        prop_assert!(scale.is_exact(), "65,536 buckets do for six backends");
        prop_assert_eq!(worst_error(&scale, &weights, &vec![true; weights.len()], &addresses), 0);
        prop_assert_eq!(worst_error(&scale, &weights, &up, &addresses), 0);
    }

    #[test]
    fn errors_of_any_pool_are_told(
        (weights, addresses, up) in any_pool(60),
        standing in proptest::option::of((4u32..=16).prop_map(|bit| 1 << bit)),
    ) {
        let scale = Scale::new(&frontend(&weights), standing);
        let told = u64::from(scale.worst_error().hundredths());
        prop_assert!(worst_error(&scale, &weights, &vec![true; weights.len()], &addresses) <= told);
        if scale.is_exact() {
            prop_assert_eq!(told, 0);
            prop_assert_eq!(worst_error(&scale, &weights, &up, &addresses), 0);
        }
    }
}
