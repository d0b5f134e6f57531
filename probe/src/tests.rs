use std::net::IpAddr;
use std::time::Duration;

use maglev_engine::config::{CheckKind, HealthCheck, HttpCheck, HttpMethod, StatusCodes};
use maglev_engine::outcome::{ProbeCode, ProbeOutcome, Verdict};
use maglev_protocol::{EchoOutcome, EchoRequest};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A `GET` of `/` with the defaults.
pub(super) fn get(regexp: Option<&str>) -> HttpCheck {
    HttpCheck {
        method: HttpMethod::Get,
        path: "/".into(),
        host: None,
        headers: vec![],
        response_codes: StatusCodes(vec![(200, 399)]),
        response_regexp: regexp.map(|regexp| regexp.parse().unwrap()),
    }
}

/// Once a second, with a timeout of as much.
pub(super) fn check(kind: CheckKind) -> HealthCheck {
    let second = Duration::from_secs(1);
    HealthCheck {
        kind,
        interval: second,
        fast_interval: second,
        down_interval: second,
        timeout: second,
        rise: 2,
        fall: 3,
        probe_ipv4_src: None,
        probe_ipv6_src: None,
    }
}

/// Sends nothing.
#[derive(Debug)]
struct NoEcho;

impl Echo for NoEcho {
    async fn echo(&self, _: EchoRequest, _: Instant) -> Result<EchoOutcome, EchoFailure> {
        Err(EchoFailure::Silent)
    }
}

pub(super) async fn probe(target: IpAddr, check: &HealthCheck) -> ProbeOutcome {
    Checker::new(check.clone(), NoEcho).probe(target).await
}

#[tokio::test]
async fn refused_connections_are_told_in_words() {
    let port = TcpListener::bind((LOCAL, 0)).await.unwrap().local_addr().unwrap().port();
    let outcome = probe(LOCAL, &check(CheckKind::Tcp { port, tls: None })).await;
    assert_eq!((outcome.code, outcome.detail.as_str()), (ProbeCode::L4Con, "connection refused"));
}

#[tokio::test]
async fn tcp_connects_from_the_configured_source_and_resets() {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut check = check(CheckKind::Tcp { port, tls: None });
    check.probe_ipv4_src = Some([127, 0, 0, 9].into());
    let accepted = tokio::spawn(async move {
        let (mut stream, peer) = listener.accept().await.unwrap();
        (peer.ip(), stream.read_u8().await.unwrap_err().kind())
    });
    let outcome = probe(LOCAL, &check).await;
    assert_eq!((outcome.code, outcome.detail.as_str()), (ProbeCode::L4Ok, "connected"));
    let (peer, end) = accepted.await.unwrap();
    assert_eq!(peer, IpAddr::from([127, 0, 0, 9]));
    assert_eq!(end, std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn source_that_is_not_ours_is_named() {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let mut check = check(CheckKind::Tcp { port: listener.local_addr().unwrap().port(), tls: None });
    check.probe_ipv4_src = Some([192, 0, 2, 77].into());
    let outcome = probe(LOCAL, &check).await;
    assert_eq!(outcome.code, ProbeCode::SockErr, "it says nothing of the backend");
    assert!(outcome.detail.contains("cannot probe from 192.0.2.77"), "{}", outcome.detail);
}

/// The guide's table has each code with what it says of the backend.
#[test]
fn every_code_is_in_the_guide() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/healthchecks.md");
    let guide = std::fs::read_to_string(path).unwrap();
    for code in ProbeCode::ALL {
        let verdict = match code.verdict() {
            Verdict::Passed => "pass",
            Verdict::Failed => "fail",
            Verdict::NotKnown => "**none**",
        };
        let row = format!("| {code} | {verdict} | ");
        assert!(guide.contains(&row), "{row}");
    }
}
