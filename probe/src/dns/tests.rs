use std::time::Duration;

use maglev_engine::config::{CheckKind, DnsCheck, HealthCheck};
use maglev_engine::outcome::ProbeOutcome;
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::tests::{LOCAL, check, probe};

fn dns(port: u16, transport: DnsTransport) -> HealthCheck {
    let (name, record_type) = ("www.example.org".to_owned(), 1);
    check(CheckKind::Dns {
        port,
        dns: DnsCheck { name, record_type, rcode: 0, answer_regexp: None, transport },
    })
}

fn impatient(check: HealthCheck) -> HealthCheck {
    HealthCheck { timeout: Duration::from_millis(100), ..check }
}

fn told(outcome: &ProbeOutcome) -> (ProbeCode, &str) {
    (outcome.code, &outcome.detail)
}

/// A response to a query: with these flags, and without records.
fn response(query: &[u8], flags: u16) -> Vec<u8> {
    let mut response = query.to_vec();
    response[2..4].copy_from_slice(&(0x8000 | flags).to_be_bytes());
    response
}

const TRUNCATED: u16 = 0x0200;
const REFUSED: u16 = 5;

/// A name server at one port of UDP and TCP. Over UDP it answers with what `datagrams` makes of the query; over TCP
/// with the flags, in pieces of one byte.
async fn server(datagrams: fn(&[u8]) -> Vec<Vec<u8>>, flags: Option<u16>) -> u16 {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = UdpSocket::bind((LOCAL, port)).await.unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        let (length, client) = socket.recv_from(&mut query).await.unwrap();
        for datagram in datagrams(&query[..length]) {
            socket.send_to(&datagram, client).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut query).await.unwrap();
        let Some(flags) = flags else { return };
        let response = response(&query, flags);
        stream.set_nodelay(true).unwrap();
        for byte in [&u16::try_from(response.len()).unwrap().to_be_bytes()[..], &response].concat() {
            stream.write_all(&[byte]).await.unwrap();
        }
    });
    port
}

#[tokio::test]
async fn answers_are_judged_over_both_transports() {
    let port = server(|query| vec![response(query, 0)], Some(REFUSED)).await;
    assert_eq!(told(&probe(LOCAL, &dns(port, DnsTransport::Udp)).await), (ProbeCode::L7Ok, "DNS NOERROR"));
    assert_eq!(told(&probe(LOCAL, &dns(port, DnsTransport::Tcp)).await), (ProbeCode::L7Sts, "DNS REFUSED"));
}

#[tokio::test]
async fn truncated_answer_is_asked_for_over_tcp() {
    let truncated: fn(&[u8]) -> Vec<Vec<u8>> = |query| vec![response(query, TRUNCATED)];
    let port = server(truncated, Some(0)).await;
    assert_eq!(told(&probe(LOCAL, &dns(port, DnsTransport::Udp)).await), (ProbeCode::L7Ok, "DNS NOERROR"));
    let port = server(truncated, Some(TRUNCATED)).await;
    let words = "the answer over UDP is truncated; over TCP: the answer is truncated, over TCP";
    assert_eq!(told(&probe(LOCAL, &dns(port, DnsTransport::Udp)).await), (ProbeCode::L7Rsp, words));
    let port = server(truncated, None).await;
    let words = "the answer over UDP is truncated; over TCP: closed without an answer";
    assert_eq!(told(&probe(LOCAL, &dns(port, DnsTransport::Udp)).await), (ProbeCode::L7Rsp, words));
}

#[tokio::test]
async fn answers_to_other_queries_are_ignored() {
    let port = server(
        |query| {
            let mut other = response(query, REFUSED);
            other[0] ^= 1;
            vec![b"?".to_vec(), other, response(query, 0)]
        },
        None,
    )
    .await;
    assert_eq!(told(&probe(LOCAL, &dns(port, DnsTransport::Udp)).await), (ProbeCode::L7Ok, "DNS NOERROR"));
    let port = server(|_| vec![vec![0; 100]; 3], None).await;
    let words = "no answer in time, but 3 datagrams that do not answer the query";
    assert_eq!(
        told(&probe(LOCAL, &impatient(dns(port, DnsTransport::Udp))).await),
        (ProbeCode::L7Tout, words)
    );
    let port = server(|_| vec![vec![0; 100]; 100], None).await;
    let words = "64 datagrams, none of which answers the query";
    assert_eq!(told(&probe(LOCAL, &dns(port, DnsTransport::Udp)).await), (ProbeCode::L7Rsp, words));
}

#[tokio::test]
async fn silence_and_refusal_are_told_apart() {
    let port = server(|_| Vec::new(), None).await;
    let outcome = probe(LOCAL, &impatient(dns(port, DnsTransport::Udp))).await;
    assert_eq!(told(&outcome), (ProbeCode::L4Tout, "no answer in time"));
    let port = UdpSocket::bind((LOCAL, 0)).await.unwrap().local_addr().unwrap().port();
    for transport in [DnsTransport::Udp, DnsTransport::Tcp] {
        assert_eq!(
            told(&probe(LOCAL, &dns(port, transport)).await),
            (ProbeCode::L4Con, "connection refused")
        );
    }
}
