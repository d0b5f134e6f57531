use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

#[tokio::test]
async fn bound_sockets_reserve_no_port() {
    for source in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let Ok(socket) = open(SocketAddr::new(source, 80), Some(source), First::Nobody) else {
            assert!(source.is_ipv6(), "a machine without IPv6 has no such source");
            continue;
        };
        assert_eq!(socket.local_addr().unwrap(), SocketAddr::new(source, 0));
    }
}

#[test]
fn what_this_machine_lacks_says_nothing_of_the_backend() {
    for (code, kinds) in [
        (ProbeCode::L4Con, &[ErrorKind::ConnectionRefused, ErrorKind::NetworkUnreachable][..]),
        (ProbeCode::L4Con, &[ErrorKind::HostUnreachable, ErrorKind::ConnectionReset]),
        (ProbeCode::L4Tout, &[ErrorKind::TimedOut]),
        (ProbeCode::SockErr, &[ErrorKind::AddrInUse, ErrorKind::AddrNotAvailable, ErrorKind::OutOfMemory]),
        (ProbeCode::SockErr, &[ErrorKind::PermissionDenied, ErrorKind::WouldBlock]),
    ] {
        for kind in kinds {
            assert_eq!(judge(*kind), code, "{kind:?}");
        }
    }
}
