//! Echo requests against this machine's kernel, and against forged replies. Packets stay on loopback or
//! within the tests' own network namespaces. A test without the privileges for that says so and is skipped.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::HashSet;
use std::future::Future;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use futures::future::join_all;
use maglev_dpagent::icmp::packet::{EchoId, TOKEN_LENGTH};
use maglev_dpagent::icmp::{EchoError, Ignored, MOST_IN_FLIGHT, OpenError, Pinger, open};
use maglev_protocol::{EchoOutcome, EchoRequest, MAX_ECHO_SIZE};
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

fn request(target: IpAddr) -> EchoRequest {
    EchoRequest { target, source: None, timeout: LONG, size: 56 }
}

fn skipped(why: &str) {
    writeln!(std::io::stderr(), "skipped: {why}").ok();
}

/// `None` without the privilege.
fn pinger() -> Option<Pinger> {
    match open() {
        Ok(sockets) => Some(Pinger::start(sockets).unwrap().0),
        Err(error @ OpenError::Privilege { .. }) => {
            skipped(&error.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Runs a test in a network namespace of its own, prepared by these commands; loopback is up.
fn in_namespace<F: Future<Output = ()>>(commands: &[&str], test: impl FnOnce(Pinger) -> F + Send) {
    let body = move || {
        if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
            return skipped(&format!("no network namespace can be made: {errno}"));
        }
        for command in ["ip link set lo up"].iter().chain(commands) {
            match Command::new("sh").args(["-c", command]).status() {
                Ok(status) if status.success() => {}
                other => return skipped(&format!("{command}: {other:?}")),
            }
        }
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            if let Some(pinger) = pinger() {
                test(pinger).await;
            }
        });
    };
    // The namespace belongs to the thread and ends with it.
    std::thread::scope(|scope| scope.spawn(body).join().unwrap());
}

const SILENT: [&str; 2] =
    ["echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all", "echo 1 > /proc/sys/net/ipv6/icmp/echo_ignore_all"];

fn is_reply(outcome: &Result<EchoOutcome, EchoError>) -> bool {
    matches!(outcome, Ok(EchoOutcome::Reply { round_trip }) if *round_trip > Duration::ZERO && *round_trip < LONG)
}

#[tokio::test]
async fn loopback_answers_requests_of_all_sizes() {
    let Some(pinger) = pinger() else { return };
    for target in [V4, V6] {
        for size in [16, 17, 56, MAX_ECHO_SIZE] {
            let outcome = pinger.echo(EchoRequest { size, ..request(target) }).await;
            if matches!(outcome, Ok(EchoOutcome::NotSent { .. } | EchoOutcome::NoRoute { .. }))
                && target == V6
            {
                return skipped("no IPv6 here");
            }
            assert!(is_reply(&outcome), "{target}, {size} bytes: {outcome:?}");
        }
    }
    assert_eq!(pinger.in_flight(), 0);
}

#[test]
fn thousands_are_in_flight_at_once() {
    in_namespace(&["ip route add local 2001:db8::/64 dev lo"], |pinger| async move {
        let targets = (0..2000u16).map(|n| {
            let [high, low] = n.to_be_bytes();
            [
                IpAddr::from([127, 1, high, low]),
                IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n + 1)),
            ]
        });
        let outcomes = join_all(targets.flatten().map(|target| pinger.echo(request(target)))).await;
        assert_eq!(outcomes.len(), 4000);
        let lost: Vec<_> = outcomes.iter().filter(|outcome| !is_reply(outcome)).collect();
        assert!(lost.is_empty(), "{} lost, such as {:?}", lost.len(), lost.first());
        assert_eq!((pinger.in_flight(), pinger.ignored()), (0, Ignored::default()));
    });
}

#[test]
fn a_silent_target_times_out_and_one_more_than_may_be_is_refused() {
    in_namespace(&SILENT, |pinger| async move {
        for target in [V4, V6] {
            let outcome = pinger.echo(EchoRequest { timeout: SHORT, ..request(target) }).await;
            assert_eq!(outcome, Ok(EchoOutcome::TimedOut), "{target}");
        }
        let timeout = Duration::from_secs(3);
        let many = (0..=MOST_IN_FLIGHT).map(|_| pinger.echo(EchoRequest { timeout, ..request(V4) }));
        let mut outcomes = join_all(many).await;
        let refused = outcomes.pop().unwrap();
        assert!(matches!(refused, Err(EchoError::TooMany { in_flight: MOST_IN_FLIGHT, .. })), "{refused:?}");
        assert!(outcomes.iter().all(|outcome| *outcome == Ok(EchoOutcome::TimedOut)));
        assert_eq!(pinger.in_flight(), 0);
    });
}

#[test]
fn a_future_that_is_dropped_frees_its_place() {
    in_namespace(&SILENT, |pinger| async move {
        let waiting: Vec<_> = (0..100).map(|_| pinger.clone()).collect();
        let mut echoes: Vec<_> = waiting.iter().map(|pinger| Box::pin(pinger.echo(request(V4)))).collect();
        for echo in &mut echoes {
            assert!(futures::poll!(echo).is_pending());
        }
        assert_eq!(pinger.in_flight(), 100);
        drop(echoes);
        assert_eq!(pinger.in_flight(), 0);
    });
}

#[test]
fn the_source_is_chosen_for_each_request() {
    in_namespace(&["ip addr add 2001:db8::1/128 dev lo nodad"], |pinger| async move {
        let sniffer = raw(Domain::IPV4, Protocol::ICMPV4);
        for source in [[127, 0, 0, 7], [127, 9, 9, 9]] {
            let source = IpAddr::from(source);
            let outcome = pinger.echo(EchoRequest { source: Some(source), ..request(V4) }).await;
            assert!(is_reply(&outcome), "{outcome:?}");
            assert_eq!(next_request(&sniffer).await.from, source);
        }
        let source = Some("2001:db8::1".parse().unwrap());
        let mut outcome = pinger.echo(EchoRequest { source, ..request(V6) }).await;
        // The kernel's queue of received packets is the whole machine's, and other tests fill it.
        for _ in 0..9 {
            if is_reply(&outcome) {
                break;
            }
            outcome = pinger.echo(EchoRequest { source, ..request(V6) }).await;
        }
        assert!(is_reply(&outcome), "{outcome:?}");
    });
}

#[test]
fn what_the_kernel_refuses_is_not_sent_and_says_why() {
    let routes = [
        "ip link add here type veth peer name there",
        "ip addr add 198.18.0.1/24 dev here",
        "ip addr add 2001:db8::1/64 dev here nodad",
        "ip link set here up",
        "for kind in blackhole unreachable prohibit throw; do n=$((n+1)); \
         ip route add $kind 198.18.$n.0/24; ip route add $kind 2001:db8:0:$n::/64; done",
    ];
    in_namespace(&routes, |pinger| async move {
        // A route of each kind, by number, and the expected outcome.
        let kinds = [
            (1, "is a blackhole"),
            (2, "no route to "),
            (3, "or its route prohibits it"),
            (4, "no route to "),
            (5, "no route to "),
        ];
        let mut cases = vec![("198.18.0.255".to_owned(), None, "198.18.0.255 is a broadcast address", true)];
        for (number, expected) in kinds {
            for (target, own, foreign) in [
                (format!("198.18.{number}.1"), "198.18.0.1", "198.18.7.7"),
                (format!("2001:db8:0:{number}::1"), "2001:db8::1", "2001:db8::7"),
            ] {
                cases.push((target.clone(), None, expected, true));
                cases.push((target.clone(), Some(own), expected, true));
                cases.push((target, Some(foreign), "is not an address of this machine", false));
            }
        }
        for (target, source, expected, tells) in cases {
            let source = source.map(|source| source.parse().unwrap());
            let outcome = pinger.echo(EchoRequest { source, ..request(target.parse().unwrap()) }).await;
            let (found, reason) = match outcome {
                Ok(EchoOutcome::NoRoute { reason }) => (true, reason),
                Ok(EchoOutcome::NotSent { reason }) => (false, reason),
                other => panic!("{target}: {other:?}"),
            };
            assert!(found == tells && reason.contains(expected), "{target} from {source:?}: {reason}");
        }
        assert_eq!((pinger.in_flight(), pinger.ignored()), (0, Ignored::default()));
    });
}

#[test]
fn an_unreachable_target_is_told_by_the_kernel_of_this_machine() {
    let neighbours = [
        "ip link add here type veth peer name there",
        "ip addr add 198.18.0.1/24 dev here",
        "ip addr add 2001:db8::1/64 dev here nodad",
        "ip link set here up; ip link set there up",
        "echo 100 > /proc/sys/net/ipv4/neigh/here/retrans_time_ms",
        "echo 100 > /proc/sys/net/ipv6/neigh/here/retrans_time_ms",
    ];
    in_namespace(&neighbours, |pinger| async move {
        let cases = [
            ("198.18.0.9", "198.18.0.1", 3, 1, "host unreachable"),
            ("2001:db8::9", "2001:db8::1", 1, 3, "address unreachable"),
        ];
        for (target, from, kind, code, meaning) in cases {
            let outcome = pinger.echo(request(target.parse().unwrap())).await;
            let (from, meaning) = (from.parse().unwrap(), meaning.to_owned());
            assert_eq!(outcome, Ok(EchoOutcome::Unreachable { from, kind, code, meaning }));
        }
    });
}

/// A request captured in transit.
struct Seen {
    from: IpAddr,
    id: EchoId,
    payload: Vec<u8>,
}

fn raw(domain: Domain, protocol: Protocol) -> UdpSocket {
    let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol)).unwrap();
    UdpSocket::from_std(socket.into()).unwrap()
}

async fn next_request(sniffer: &UdpSocket) -> Seen {
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = sniffer.recv_from(&mut buffer).await.unwrap();
        let message = &buffer[20..length];
        if message[0] == 8 {
            let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
            let id = EchoId { identifier: word(4), sequence: word(6) };
            return Seen { from: from.ip(), id, payload: message[8..].to_vec() };
        }
    }
}

fn message(kind: u8, code: u8, word: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend(word);
    message.extend(body);
    let sum = message.chunks(2).fold(0u32, |sum, word| {
        sum + u32::from(word[0]) * 256 + u32::from(word.get(1).copied().unwrap_or(0))
    });
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message
}

fn reply(id: EchoId, payload: &[u8]) -> Vec<u8> {
    let ([a, b], [c, d]) = (id.identifier.to_be_bytes(), id.sequence.to_be_bytes());
    message(0, 0, [a, b, c, d], payload)
}

/// Destination unreachable, quoting as much of the request to a target as a router would.
fn unreachable(target: [u8; 4], seen: &Seen, quoted: usize) -> Vec<u8> {
    let mut quote = vec![0x45, 0, 0, 84, 0, 0, 0x40, 0, 64, 1, 0, 0, 127, 0, 0, 1];
    quote.extend(target);
    let mut request = reply(seen.id, &seen.payload);
    request[0] = 8;
    quote.extend(&request[..quoted]);
    message(3, 1, [0; 4], &quote)
}

async fn send(packet: &[u8], from: [u8; 4]) {
    let socket = raw(Domain::IPV4, Protocol::ICMPV4);
    let socket = Socket::from(socket.into_std().unwrap());
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    assert_eq!(socket.send_to(packet, &SocketAddr::new(V4, 0).into()).unwrap(), packet.len());
}

#[test]
fn forged_changed_and_repeated_answers_are_not_taken() {
    in_namespace(&SILENT, |pinger| async move {
        let sniffer = raw(Domain::IPV4, Protocol::ICMPV4);
        let forger = async {
            let seen = next_request(&sniffer).await;
            assert_eq!(seen.payload.len(), 56);
            let local = [127, 0, 0, 1];
            let mut wrong_token = seen.payload.clone();
            wrong_token[TOKEN_LENGTH - 1] ^= 1;
            let mut wrong_end = seen.payload.clone();
            wrong_end[55] ^= 1;
            let other_id = EchoId { sequence: seen.id.sequence ^ 1, ..seen.id };
            let mut damaged = reply(seen.id, &seen.payload);
            damaged[20] ^= 1;

            send(&reply(seen.id, &wrong_token), local).await;
            send(&reply(seen.id, &wrong_end), local).await;
            send(&reply(seen.id, &seen.payload[..55]), local).await;
            send(&reply(seen.id, &seen.payload), [127, 0, 0, 9]).await;
            send(&unreachable([127, 0, 0, 2], &seen, 8 + 56), local).await;
            send(&reply(other_id, &seen.payload), local).await;
            send(&unreachable([127, 0, 0, 1], &seen, 8), local).await;
            send(&unreachable([127, 0, 0, 1], &seen, 8 + TOKEN_LENGTH - 1), local).await;
            send(&damaged, local).await;
            // The other family's socket receives the same id and payload in an ICMPv6 reply.
            let mut reply_v6 = reply(seen.id, &seen.payload);
            reply_v6[0] = 129;
            let v6 = raw(Domain::IPV6, Protocol::ICMPV6);
            v6.send_to(&reply_v6, SocketAddr::new(V6, 0)).await.unwrap();
            seen
        };
        let asked = request(V4);
        let echo = pinger.echo(asked);
        tokio::pin!(echo);
        let seen = tokio::select! {
            outcome = &mut echo => panic!("taken: {outcome:?}"),
            seen = forger => seen,
        };
        let genuine = reply(seen.id, &seen.payload);
        send(&genuine, [127, 0, 0, 1]).await;
        assert!(is_reply(&echo.await));
        send(&genuine, [127, 0, 0, 1]).await;

        // After the duplicate, the next request is answered, and by an error that proves itself.
        let (outcome, ()) = tokio::join!(pinger.echo(request(V4)), async {
            let seen = next_request(&sniffer).await;
            send(&unreachable([127, 0, 0, 1], &seen, 8 + TOKEN_LENGTH), [127, 0, 0, 3]).await;
        });
        let expected = EchoOutcome::Unreachable {
            from: [127, 0, 0, 3].into(),
            kind: 3,
            code: 1,
            meaning: "host unreachable".to_owned(),
        };
        assert_eq!(outcome, Ok(expected));
        // Unknown: the wrong id, the duplicate, and the reply of the other family.
        assert_eq!(pinger.ignored(), Ignored { malformed: 1, unknown: 3, mismatched: 5, unproven: 2 });
    });
}

#[test]
fn the_kernel_filters_what_says_nothing_about_requests() {
    in_namespace(&[], |pinger| async move {
        // Other processes' echo requests, with the kernel's replies, and types that do not matter here.
        for kind in [5, 8, 9, 13, 17] {
            send(&message(kind, 0, [1, 2, 3, 4], &[0; 40]), [127, 0, 0, 1]).await;
        }
        let v6 = raw(Domain::IPV6, Protocol::ICMPV6);
        for kind in [128, 135, 200] {
            let packet = message(kind, 0, [1, 2, 3, 4], &[0; 40]);
            v6.send_to(&packet, SocketAddr::new(V6, 0)).await.unwrap();
        }
        assert!(is_reply(&pinger.echo(request(V4)).await));
        assert!(is_reply(&pinger.echo(request(V6)).await));
        // The kernel's two replies to the requests of type 8 and 128, and nothing else.
        assert_eq!(pinger.ignored(), Ignored { unknown: 2, ..Ignored::default() });
    });
}

#[tokio::test]
async fn the_end_of_the_task_is_told_to_those_who_wait() {
    let Ok(sockets) = open() else { return skipped("no raw sockets can be opened") };
    let (pinger, task) = Pinger::start(sockets).unwrap();
    let echo = pinger.echo(request(V4));
    tokio::pin!(echo);
    assert!(futures::poll!(&mut echo).is_pending());
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(echo.await, Err(EchoError::Ended));
    assert_eq!(pinger.echo(request(V4)).await, Err(EchoError::Ended));
}

#[tokio::test]
async fn the_task_ends_with_the_last_handle() {
    let Ok(sockets) = open() else { return skipped("no raw sockets can be opened") };
    let (pinger, task) = Pinger::start(sockets).unwrap();
    let second = pinger.clone();
    drop(pinger);
    assert!(is_reply(&second.echo(request(V4)).await));
    drop(second);
    task.await.unwrap();
}

#[test]
fn ids_and_tokens_on_the_wire_are_random() {
    in_namespace(&SILENT, |pinger| async move {
        let sniffer = raw(Domain::IPV4, Protocol::ICMPV4);
        let timeout = SHORT;
        join_all((0..64).map(|_| pinger.echo(EchoRequest { timeout, ..request(V4) }))).await;
        let mut seen = Vec::new();
        for _ in 0..64 {
            seen.push(next_request(&sniffer).await);
        }
        let different = |part: fn(&Seen) -> Vec<u8>| seen.iter().map(part).collect::<HashSet<_>>().len();
        assert_eq!(different(|seen| seen.payload[..TOKEN_LENGTH].to_vec()), 64);
        // A few of 64 random 16-bit values may be equal, but not many; counters would be in order.
        assert!(different(|seen| seen.id.identifier.to_be_bytes().to_vec()) > 56);
        assert!(different(|seen| seen.id.sequence.to_be_bytes().to_vec()) > 56);
        assert!(!seen.is_sorted_by_key(|seen| seen.id.identifier));
        assert!(!seen.is_sorted_by_key(|seen| seen.id.sequence));
    });
}
