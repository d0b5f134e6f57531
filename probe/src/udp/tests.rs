use std::time::Duration;

use maglev_engine::config::{CheckKind, Exchange, Expect, HealthCheck};
use maglev_engine::outcome::ProbeOutcome;

use super::*;
use crate::tests::{LOCAL, check, probe};

fn udp(port: u16, expect: Option<&str>) -> HealthCheck {
    let expect = expect.map(|pattern| Expect {
        key: "expect-regexp",
        text: pattern.to_owned(),
        pattern: pattern.parse().unwrap(),
    });
    check(CheckKind::Udp { port, exchange: Exchange { send: Some(b"ping".to_vec()), expect } })
}

/// The same, of a server that is expected to be silent.
fn impatient(check: HealthCheck) -> HealthCheck {
    HealthCheck { timeout: Duration::from_millis(50), ..check }
}

fn told(outcome: &ProbeOutcome) -> (ProbeCode, &str) {
    (outcome.code, &outcome.detail)
}

/// A server that answers one datagram with these, from its own port or from another one.
async fn server(answers: &'static [&'static [u8]], own_port: bool) -> u16 {
    let server = UdpSocket::bind((LOCAL, 0)).await.unwrap();
    let other = UdpSocket::bind((LOCAL, 0)).await.unwrap();
    let port = server.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut asked = [0; 16];
        let (length, client) = server.recv_from(&mut asked).await.unwrap();
        assert_eq!(&asked[..length], b"ping");
        let from = if own_port { &server } else { &other };
        for answer in answers {
            from.send_to(answer, client).await.unwrap();
        }
        // Keeps the port open.
        std::future::pending::<()>().await;
    });
    port
}

const ANSWERS: [&[&[u8]]; 3] = [&[b"pong"], &[b"busy", b"pong"], &[b""]];

#[tokio::test]
async fn first_reply_decides() {
    for (answers, code, words) in [
        (ANSWERS[0], ProbeCode::L7Ok, "expected answer"),
        (ANSWERS[1], ProbeCode::L7Rsp, "answer does not match ^pong$: 4 bytes, \"busy\""),
        (ANSWERS[2], ProbeCode::L7Rsp, "answer does not match ^pong$: it is empty"),
    ] {
        let outcome = probe(LOCAL, &udp(server(answers, true).await, Some("^pong$"))).await;
        assert_eq!(told(&outcome), (code, words));
    }
    let outcome = probe(LOCAL, &udp(server(&[b"anything"], true).await, None)).await;
    assert_eq!(told(&outcome), (ProbeCode::L4Ok, "answer of 8 bytes"));
}

#[tokio::test]
async fn silence_passes_if_nothing_is_expected() {
    let outcome = probe(LOCAL, &impatient(udp(server(&[], true).await, None))).await;
    assert_eq!(told(&outcome), (ProbeCode::L4Ok, "no ICMP error in time"));
    let outcome = probe(LOCAL, &impatient(udp(server(&[], true).await, Some("pong")))).await;
    assert_eq!(told(&outcome), (ProbeCode::L4Tout, "no answer in time"));
}

#[tokio::test]
async fn unreachable_port_fails() {
    let port = UdpSocket::bind((LOCAL, 0)).await.unwrap().local_addr().unwrap().port();
    for expect in [None, Some("pong")] {
        let outcome = probe(LOCAL, &udp(port, expect)).await;
        assert_eq!(told(&outcome), (ProbeCode::L4Con, "connection refused"));
    }
    let v6 = probe("::1".parse().unwrap(), &udp(port, None)).await;
    assert_eq!(v6.code, ProbeCode::L4Con, "{v6}");
}

#[tokio::test]
async fn datagrams_of_others_are_not_replies() {
    let outcome = probe(LOCAL, &impatient(udp(server(&[b"pong"], false).await, Some("pong")))).await;
    assert_eq!(told(&outcome), (ProbeCode::L4Tout, "no answer in time"));
}

#[tokio::test]
async fn source_that_is_not_ours_is_named() {
    let mut check = udp(9, None);
    check.probe_ipv4_src = Some([192, 0, 2, 77].into());
    let outcome = probe(LOCAL, &check).await;
    assert_eq!(outcome.code, ProbeCode::SockErr);
    assert!(outcome.detail.starts_with("cannot probe from 192.0.2.77: "), "{outcome}");
}
