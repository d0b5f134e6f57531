use std::net::{IpAddr, Ipv6Addr};

use proptest::prelude::*;

use super::{Ip46, Ip46Prefix, ipv6_text};

fn ip46(text: &str) -> Ip46 {
    text.parse::<IpAddr>().unwrap().into()
}

fn prefix(text: &str, length: u8) -> Ip46Prefix {
    Ip46Prefix::new(text.parse().unwrap(), length).unwrap()
}

#[test]
fn ipv4_stands_in_the_last_four_bytes() {
    assert_eq!(ip46("10.0.0.1").octets(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1]);
    assert!(ip46("10.0.0.1").is_ipv4());
    assert!(!ip46("2001:db8::1").is_ipv4());
    assert_eq!(IpAddr::from(ip46("::a00:1")), "10.0.0.1".parse::<IpAddr>().unwrap());
}

#[test]
fn text_is_that_of_vpp() {
    let cases = [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:ffff::1", "2001:db8:ffff::1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("1:0:0:2:0:0:3:4", "1::2:0:0:3:4"),
        ("1::", "1::"),
        ("::ffff:10.0.0.1", "::ffff:a00:1"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ];
    for (given, expected) in cases {
        assert_eq!(ip46(given).to_string(), expected);
    }
    assert_eq!(prefix("203.0.113.10", 32).to_string(), "203.0.113.10/32");
    assert_eq!(prefix("2001:db8:1::1", 128).to_string(), "2001:db8:1::1/128");
    assert_eq!(prefix("::", 0).to_string(), "::/0");
}

#[test]
fn bits_behind_a_prefix_are_cleared() {
    assert_eq!(prefix("203.0.113.77", 24), prefix("203.0.113.0", 24));
    assert_eq!(prefix("203.0.113.77", 0), prefix("0.0.0.0", 0));
    assert_eq!(prefix("2001:db8::1", 0), prefix("::", 0));
    assert_eq!((prefix("10.0.0.0", 8).length, prefix("10.0.0.0", 8).api_length()), (104, 8));
}

#[test]
fn impossible_lengths_are_refused() {
    let error = Ip46Prefix::new("10.0.0.1".parse().unwrap(), 33).unwrap_err();
    assert_eq!(error.to_string(), "prefix length 33 found for 10.0.0.1, at most 32 is possible");
    assert!(Ip46Prefix::new("::1".parse().unwrap(), 129).is_err());
}

#[test]
fn families_do_not_cover_each_other() {
    assert!(prefix("10.0.0.0", 8).covers(prefix("10.1.2.3", 32)));
    assert!(!prefix("10.1.2.3", 32).covers(prefix("10.0.0.0", 8)));
    assert!(!prefix("::", 0).covers(prefix("10.1.2.3", 32)));
    assert!(prefix("0.0.0.0", 0).covers(prefix("10.1.2.3", 32)));
}

proptest! {
    #[test]
    fn printed_addresses_read_back(octets: [u8; 16], zeroed in 0_usize..16, count in 0_usize..16) {
        let mut octets = octets;
        octets.iter_mut().skip(zeroed).take(count).for_each(|octet| *octet = 0);
        let address = Ipv6Addr::from(octets);
        prop_assert_eq!(ipv6_text(address).parse::<Ipv6Addr>().unwrap(), address);
    }
}
