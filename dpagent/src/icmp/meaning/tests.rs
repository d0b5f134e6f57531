use super::*;

#[test]
fn the_same_numbers_mean_what_they_do_in_the_family() {
    let cases = [
        ("192.0.2.1", 3, 1, "host unreachable"),
        ("2001:db8::1", 3, 1, "time for reassembling fragments exceeded"),
        ("192.0.2.1", 3, 4, "packet too big for the path, and must not be fragmented"),
        ("2001:db8::1", 2, 0, "packet too big for the path"),
        ("192.0.2.1", 11, 0, "hop limit exceeded in transit: perhaps a routing loop"),
        ("2001:db8::1", 1, 3, "address unreachable"),
        ("192.0.2.1", 3, 16, "ICMP type 3, code 16"),
        ("2001:db8::1", 11, 0, "ICMP type 11, code 0"),
    ];
    for (from, kind, code, expected) in cases {
        assert_eq!(meaning(&from.parse().unwrap(), kind, code), expected);
    }
}
