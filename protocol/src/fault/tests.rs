use super::*;

/// Linux's errno for each ICMP error (`icmp_err_convert`), ICMPv6 error (`icmpv6_err_convert`) and kind of
/// route (`fib_props`), as of 6.18.
#[test]
fn what_the_network_reports_is_no_fault_of_this_machine() {
    for (errno, reported_by) in [
        (
            Errno::ENETUNREACH,
            "ICMP 3/0, 3/6, 3/9, 3/11; ICMPv6 1/0; no route; a throw route; an unreachable rule",
        ),
        (
            Errno::EHOSTUNREACH,
            "ICMP 3/1, 3/10, 3/12 to 3/15, 11/0; ICMPv6 1/2, 1/3, 3/0; an unreachable route",
        ),
        (Errno::ENOPROTOOPT, "ICMP 3/2"),
        (Errno::ECONNREFUSED, "ICMP 3/3; ICMPv6 1/4; a reset"),
        (Errno::EMSGSIZE, "ICMP 3/4; ICMPv6 2/0"),
        (Errno::EOPNOTSUPP, "ICMP 3/5"),
        (Errno::EHOSTDOWN, "ICMP 3/7"),
        (Errno::ENONET, "ICMP 3/8"),
        (Errno::EPROTO, "ICMP 12; ICMPv6 1/7 and above, 4, 100 to 127"),
        (Errno::EACCES, "ICMPv6 1/1, 1/5, 1/6; a prohibit route or rule"),
        (Errno::EINVAL, "a blackhole route or rule"),
        (Errno::ENETDOWN, "an interface that is down"),
        (Errno::ECONNRESET, "a reset"),
        (Errno::ECONNABORTED, "a reset"),
        (Errno::EPIPE, "a reset"),
        (Errno::ETIMEDOUT, "nobody"),
    ] {
        assert!(!is_local(errno as i32), "{errno}, from {reported_by}");
    }
}

#[test]
fn what_this_machine_lacks_or_forbids_says_nothing_of_the_target() {
    for errno in [
        Errno::EMFILE,
        Errno::ENFILE,
        Errno::ENOMEM,
        Errno::ENOBUFS,
        Errno::ENOSPC,
        Errno::EAGAIN,
        Errno::EADDRINUSE,
        Errno::EADDRNOTAVAIL,
        Errno::ENODEV,
        Errno::EAFNOSUPPORT,
        Errno::EPROTONOSUPPORT,
        Errno::ESOCKTNOSUPPORT,
        Errno::EPERM,
        Errno::ENOSYS,
        Errno::EINTR,
    ] {
        assert!(is_local(errno as i32), "{errno}");
    }
    // An errno unknown to this kernel counts as the target's failure, so that a dead server does not stay up.
    assert!(!is_local(4095) && !is_local(0) && !is_local(-1) && !is_local(i32::MIN));
}
