use super::{Fib, Found, Source, Traffic};
use crate::address::Ip46Prefix;

fn prefix(text: &str, length: u8) -> Ip46Prefix {
    Ip46Prefix::new(text.parse().unwrap(), length).unwrap()
}

fn found(prefix: Ip46Prefix, index: u32, source: Source) -> Option<Found> {
    let drops = !matches!(source, Source::Vip | Source::LinkLocal);
    Some(Found { prefix, index, source, drops })
}

#[test]
fn every_vpp_has_some_routes() {
    let fib = Fib::default();
    let cases = [
        ("0.0.0.0", 0, 1, Source::Default),
        ("0.0.0.0", 32, 2, Source::Default),
        ("240.0.0.0", 4, 3, Source::Special),
        ("224.0.0.0", 4, 4, Source::Special),
        ("255.255.255.255", 32, 5, Source::Default),
        ("::", 0, 6, Source::Default),
        ("fe80::", 10, 7, Source::LinkLocal),
    ];
    for (address, length, index, source) in cases {
        let prefix = prefix(address, length);
        assert_eq!(fib.exact(prefix), found(prefix, index, source));
    }
    assert_eq!(fib.longest(prefix("fe80::1", 128)).map(|route| route.index), Some(7));
}

#[test]
fn servers_with_one_address_share_a_route() {
    let mut fib = Fib::default();
    fib.add_vip(prefix("203.0.113.10", 32));
    let server = prefix("10.0.0.1", 32);
    assert_eq!((fib.add_server(server), fib.add_server(server)), (9, 9));
    fib.remove_server(server);
    assert_eq!(fib.exact(server), found(server, 9, Source::Server));
    fib.remove_server(server);
    assert_eq!(fib.exact(server), None);
    assert_eq!(fib.add_server(prefix("10.0.0.2", 32)), 9, "the freed index comes back");
}

#[test]
fn a_route_of_vip_and_server_lives_until_both_are_gone() {
    let mut fib = Fib::default();
    let both = prefix("203.0.113.10", 32);
    fib.add_vip(both);
    fib.add_server(both);
    fib.remove_vip(both);
    assert_eq!(fib.exact(both), found(both, 8, Source::Server));
    fib.remove_server(both);
    assert_eq!(fib.exact(both), None);
}

#[test]
fn the_longest_route_wins() {
    let mut fib = Fib::default();
    let (wide, narrow) = (prefix("203.0.113.0", 24), prefix("203.0.113.10", 32));
    fib.add_vip(wide);
    fib.add_vip(narrow);
    assert_eq!(fib.longest(narrow), found(narrow, 9, Source::Vip));
    assert_eq!(fib.longest(prefix("203.0.113.11", 32)), found(wide, 8, Source::Vip));
    assert_eq!(fib.longest(prefix("198.51.100.1", 32)), found(prefix("0.0.0.0", 0), 1, Source::Default));
}

#[test]
fn a_server_inside_the_prefix_of_a_vip_is_reached_through_it() {
    let mut fib = Fib::default();
    fib.add_server(prefix("203.0.113.10", 32));
    fib.add_server(prefix("203.0.113.11", 32));
    let drops = |fib: &Fib| fib.exact(prefix("203.0.113.10", 32)).unwrap().drops;
    assert!(drops(&fib));
    fib.add_vip(prefix("203.0.113.0", 24));
    assert!(!drops(&fib));
    fib.remove_vip(prefix("203.0.113.0", 24));
    assert!(drops(&fib));
}

#[test]
fn traffic_starts_anew_with_a_route() {
    let mut fib = Fib::default();
    let vip = prefix("203.0.113.10", 32);
    fib.count(vip, 5);
    fib.add_vip(vip);
    fib.count(vip, 40);
    fib.count(vip, 60);
    assert_eq!(fib.traffic().get(8), Some(&Traffic { packets: 2, bytes: 100, ..Traffic::default() }));
    fib.remove_vip(vip);
    fib.add_vip(vip);
    assert_eq!(fib.traffic().get(8), Some(&Traffic::default()));
    assert_eq!(fib.traffic().len(), 9);
}
