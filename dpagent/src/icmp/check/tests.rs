use super::*;

fn request(target: &str) -> EchoRequest {
    let (timeout, size) = (Duration::from_secs(1), 56);
    EchoRequest { target: target.parse().unwrap(), source: None, timeout, size }
}

fn error(request: EchoRequest) -> String {
    check(&request).unwrap_err().to_string()
}

#[test]
fn what_can_be_sent_passes() {
    for target in ["192.0.2.1", "127.0.0.1", "169.254.1.1", "10.0.0.255", "2001:db8::1", "::1", "fd00::1"] {
        assert_eq!(check(&request(target)), Ok(()), "{target}");
    }
    for size in [MIN_ECHO_SIZE, MAX_ECHO_SIZE] {
        assert_eq!(check(&EchoRequest { size, ..request("::1") }), Ok(()));
    }
    for timeout in [Duration::from_nanos(1), MAX_ECHO_TIMEOUT] {
        assert_eq!(check(&EchoRequest { timeout, ..request("::1") }), Ok(()));
    }
    for (target, source) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
        assert_eq!(check(&EchoRequest { source: source.parse().ok(), ..request(target) }), Ok(()));
    }
}

#[test]
fn sizes_and_times_have_bounds() {
    for size in [0, MIN_ECHO_SIZE - 1, MAX_ECHO_SIZE + 1, u16::MAX] {
        assert_eq!(check(&EchoRequest { size, ..request("::1") }), Err(EchoError::Size { size }));
    }
    for timeout in [Duration::ZERO, MAX_ECHO_TIMEOUT + Duration::from_nanos(1), Duration::MAX] {
        let found = check(&EchoRequest { timeout, ..request("::1") });
        assert_eq!(found, Err(EchoError::Timeout { timeout }));
    }
    assert_eq!(
        error(EchoRequest { size: 15, ..request("::1") }),
        "an echo request of 15 bytes: it must be 16 to 1472"
    );
    assert_eq!(
        error(EchoRequest { timeout: Duration::from_secs(61), ..request("::1") }),
        "an echo request with a timeout of 61s: the timeout must be above 0 and at most 60s"
    );
}

#[test]
fn only_addresses_of_one_host_are_asked() {
    let cases = [
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("224.0.0.1", "a multicast address"),
        ("239.255.255.255", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("255.255.255.255", "the broadcast address"),
        ("fe80::1", "a link-local address, which means nothing without an interface"),
        ("febf::1", "a link-local address, which means nothing without an interface"),
        ("::ffff:192.0.2.1", "an IPv4 address mapped into IPv6, which must be written as IPv4"),
    ];
    for (address, what) in cases {
        let target = address.parse().unwrap();
        assert_eq!(check(&request(address)), Err(EchoError::Target { target, what }));
        let other = if target.is_ipv4() { "192.0.2.1" } else { "2001:db8::1" };
        let from = check(&EchoRequest { source: Some(target), ..request(other) });
        assert_eq!(from, Err(EchoError::Source { from: target, what }));
    }
    assert_eq!(
        error(request("ff02::1")),
        "an echo request to ff02::1, which is a multicast address: it must be the address of one host"
    );
}

#[test]
fn source_and_target_are_of_one_family() {
    for (target, source) in [("192.0.2.1", "::1"), ("2001:db8::1", "127.0.0.1")] {
        assert_eq!(
            error(EchoRequest { source: source.parse().ok(), ..request(target) }),
            format!("an echo request from {source} to {target}: both must be IPv4, or both IPv6")
        );
    }
}
