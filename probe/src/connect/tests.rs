use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};

use maglev_engine::config::CheckKind;
use std::collections::BTreeSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::tests::{LOCAL, check, get, probe};

#[tokio::test]
async fn bound_sockets_reserve_no_port() {
    for source in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let Ok(socket) =
            open(SocketAddr::new(source, 80), Some(SocketAddr::new(source, 0).into()), First::Nobody)
        else {
            assert!(source.is_ipv6(), "a machine without IPv6 has no such source");
            continue;
        };
        assert_eq!(socket.local_addr().unwrap(), SocketAddr::new(source, 0));
    }
}

/// Each layer's code for an errno: of connecting, of a TLS handshake, and of an HTTP exchange.
fn codes(errno: Errno) -> [ProbeCode; 3] {
    let error = io::Error::from(errno);
    [ProbeCode::L4Con, ProbeCode::L6Rsp, ProbeCode::L7Rsp].map(|failed| judge(&error, failed))
}

#[test]
fn errors_that_the_network_reported_are_failures_of_the_backend() {
    for errno in [
        Errno::ENETUNREACH,
        Errno::EHOSTUNREACH,
        Errno::ENOPROTOOPT,
        Errno::ECONNREFUSED,
        Errno::EMSGSIZE,
        Errno::EOPNOTSUPP,
        Errno::EHOSTDOWN,
        Errno::ENONET,
        Errno::EPROTO,
        Errno::EACCES,
        Errno::EINVAL,
        Errno::ECONNRESET,
        Errno::EPIPE,
    ] {
        assert_eq!(codes(errno), [ProbeCode::L4Con, ProbeCode::L6Rsp, ProbeCode::L7Rsp], "{errno}");
    }
    let late = codes(Errno::ETIMEDOUT);
    assert_eq!(late, [ProbeCode::L4Tout, ProbeCode::L6Tout, ProbeCode::L7Tout]);
    let not_the_systems = io::Error::from(ErrorKind::UnexpectedEof);
    assert_eq!(judge(&not_the_systems, ProbeCode::L6Rsp), ProbeCode::L6Rsp);
}

#[test]
fn what_this_machine_lacks_says_nothing_of_the_backend() {
    for errno in [
        Errno::EMFILE,
        Errno::ENFILE,
        Errno::ENOMEM,
        Errno::ENOBUFS,
        Errno::EADDRNOTAVAIL,
        Errno::EADDRINUSE,
        Errno::EAGAIN,
        Errno::EPERM,
        Errno::EAFNOSUPPORT,
    ] {
        assert_eq!(codes(errno), [ProbeCode::SockErr; 3], "{errno}");
    }
}

#[test]
fn refusals_say_what_to_look_for() {
    for (errno, words) in [
        (Errno::EACCES, "permission denied: a firewall or a route on the way prohibits it"),
        (Errno::EINVAL, "invalid argument: its route is a blackhole"),
        (Errno::EHOSTUNREACH, "no route to host"),
        (Errno::EPROTO, "protocol error"),
    ] {
        assert_eq!(refusal(&errno.into()), words);
    }
}

/// Null routes of every kind, in a network namespace of the thread's own. Skipped without the privilege for
/// that.
#[test]
fn routes_that_refuse_make_the_backend_fail() {
    let routes = "ip link set lo up && for kind in blackhole unreachable prohibit throw; do n=$((n+1)); \
                  ip route add $kind 198.18.$n.0/24 && ip route add $kind 2001:db8:0:$n::/64 || exit; done";
    let body = || {
        let made = unshare(CloneFlags::CLONE_NEWNET).is_ok()
            && Command::new("sh").args(["-c", routes]).status().is_ok_and(|status| status.success());
        if !made {
            writeln!(io::stderr(), "skipped: no network namespace with such routes can be made").ok();
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let failure = |target: String| {
            let target = target.parse().unwrap();
            runtime.block_on(connect(target, None, First::Nobody, deadline)).unwrap_err()
        };
        for (number, words) in [
            (1, "invalid argument: its route is a blackhole"),
            (2, "no route to host"),
            (3, "permission denied: a firewall or a route on the way prohibits it"),
            (4, "network is unreachable"),
            (5, "network is unreachable"),
        ] {
            let expected = (ProbeCode::L4Con, words.into());
            assert_eq!(failure(format!("198.18.{number}.1:80")), expected);
            assert_eq!(failure(format!("[2001:db8:0:{number}::1]:80")), expected);
        }
    };
    std::thread::scope(|scope| scope.spawn(body).join().unwrap());
}

/// Answers one request of each of so many connections, which must then be reset; returns the peers' ports.
async fn answer(listener: TcpListener, connections: usize) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for _ in 0..connections {
        let (mut stream, peer) = listener.accept().await.unwrap();
        ports.insert(peer.port());
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    ports
}

#[tokio::test]
async fn a_socket_of_a_probe_that_passed_serves_later_ones() {
    let http = |port| check(CheckKind::Http { port, http: get(None), tls: None });
    let kept = || KEPT.with_borrow(|kept| kept.each_ref().map(Vec::len));
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(answer(listener, 4));
    for _ in 0..3 {
        let outcome = probe(LOCAL, &http(port)).await;
        assert_eq!((outcome.code, outcome.detail.as_str()), (ProbeCode::L7Ok, "HTTP 200"));
        assert_eq!(kept(), [0, 1]);
    }
    let closed = TcpListener::bind((LOCAL, 0)).await.unwrap().local_addr().unwrap().port();
    let outcome = probe(LOCAL, &http(closed)).await;
    assert_eq!((outcome.code, outcome.detail.as_str()), (ProbeCode::L4Con, "connection refused"));
    assert_eq!(kept(), [0, 0], "only a socket of a pass is kept");
    let mut from_source = http(port);
    from_source.probe_ipv4_src = Some(Ipv4Addr::LOCALHOST);
    assert!(probe(LOCAL, &from_source).await.passed());
    assert_eq!(kept(), [0, 0], "nor is one that is bound");
    assert_eq!(server.await.unwrap().len(), 4, "each connection has a port of its own");
}
