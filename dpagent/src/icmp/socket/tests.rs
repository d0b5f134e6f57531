use super::*;

const TARGET: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254));

/// Whether a refusal counts as the target's failure, and its reason without the kernel's error.
fn judged(errno: Errno, foreign: Option<IpAddr>) -> (bool, String) {
    let (tells, reason) = match refusal(&errno.into(), TARGET, foreign) {
        EchoOutcome::NoRoute { reason } => (true, reason),
        EchoOutcome::NotSent { reason } => (false, reason),
        other => panic!("{other:?}"),
    };
    assert!(reason.contains("os error"), "{reason}");
    (tells, reason.split(" (").next().unwrap().to_owned())
}

#[test]
fn refusals_of_the_network_tell_of_the_target_and_this_machines_do_not() {
    for (errno, tells, reason) in [
        (Errno::ENETUNREACH, true, "no route to 10.0.0.1"),
        (Errno::EHOSTUNREACH, true, "no route to 10.0.0.1"),
        (Errno::EACCES, true, "10.0.0.1 is a broadcast address, or its route prohibits it"),
        (Errno::EINVAL, true, "the route to 10.0.0.1 is a blackhole"),
        (Errno::EMSGSIZE, true, "too big for the path to 10.0.0.1"),
        (Errno::EHOSTDOWN, true, "the kernel refused to send to 10.0.0.1: Host is down"),
        (Errno::EPROTO, true, "the kernel refused to send to 10.0.0.1: Protocol error"),
        (Errno::ECONNREFUSED, true, "the kernel refused to send to 10.0.0.1: Connection refused"),
        (Errno::EPERM, false, "a packet filter of this machine forbids it"),
        (Errno::EADDRNOTAVAIL, false, "no source address for 10.0.0.1"),
        (Errno::ENOBUFS, false, "the kernel refused to send to 10.0.0.1: No buffer space available"),
        (
            Errno::EAFNOSUPPORT,
            false,
            "the kernel refused to send to 10.0.0.1: Address family not supported by protocol",
        ),
    ] {
        let (found, words) = judged(errno, None);
        assert_eq!((found, words.as_str()), (tells, reason), "{errno}");
        let foreign = judged(errno, Some(SOURCE));
        assert_eq!(foreign, (false, "10.0.0.254 is not an address of this machine".to_owned()), "{errno}");
    }
}
