use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

const SPEC: LbConfSpec = LbConfSpec {
    ip4_src_address: None,
    ip6_src_address: Some(Ipv6Addr::LOCALHOST),
    sticky_buckets_per_core: 65_536,
    flow_timeout: 40,
};

#[test]
fn what_is_not_wanted_stays() {
    let now = LbConf {
        ip4_src_address: Ipv4Addr::LOCALHOST,
        ip6_src_address: Ipv6Addr::from(u128::MAX),
        sticky_buckets_per_core: 1024,
        flow_timeout: 7,
    };
    let then = merged(&SPEC, &now);
    assert_eq!(then.ip4_src_address, Ipv4Addr::LOCALHOST);
    assert_eq!(then.ip6_src_address, Ipv6Addr::LOCALHOST);
    assert_eq!((then.sticky_buckets_per_core, then.flow_timeout), (65_536, 40));
    assert_eq!(merged(&SPEC, &then), then);
}

#[test]
fn what_would_harm_vpp_is_refused() {
    assert_eq!(check(&SPEC), Ok(()));
    for (sticky_buckets_per_core, flow_timeout, said) in [
        (0, 40, "sticky_buckets_per_core 0: must be a power of two, at most 16777216"),
        (1000, 40, "sticky_buckets_per_core 1000: must be a power of two, at most 16777216"),
        (u32::MAX, 40, "sticky_buckets_per_core 4294967295: must be a power of two, at most 16777216"),
        (1 << 25, 40, "sticky_buckets_per_core 33554432: must be a power of two, at most 16777216"),
        (1024, 0, "flow_timeout 0: must be 1 to 120 seconds"),
        (1024, 121, "flow_timeout 121: must be 1 to 120 seconds"),
    ] {
        let spec = LbConfSpec { sticky_buckets_per_core, flow_timeout, ..SPEC };
        assert_eq!(check(&spec).unwrap_err().to_string(), said);
    }
}

#[test]
fn tunnels_begin_at_a_host() {
    for (ip4, said) in [
        ([0, 0, 0, 0], "ip4_src_address 0.0.0.0: must be the address of a host"),
        ([239, 1, 1, 1], "ip4_src_address 239.1.1.1: must be the address of a host"),
        ([255, 255, 255, 255], "ip4_src_address 255.255.255.255: must be the address of a host"),
    ] {
        let spec = LbConfSpec { ip4_src_address: Some(ip4.into()), ..SPEC };
        assert_eq!(check(&spec).unwrap_err().to_string(), said);
    }
    for ip6 in ["::", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
        let spec = LbConfSpec { ip6_src_address: Some(ip6.parse().unwrap()), ..SPEC };
        assert!(check(&spec).is_err(), "{ip6}");
    }
}
