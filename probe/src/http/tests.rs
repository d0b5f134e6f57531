use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use compact_str::format_compact;
use maglev_engine::config::{CheckKind, HealthCheck, HttpMethod, StatusCodes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::tests::{check, get, probe};

mod hostile;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn http(port: u16) -> HealthCheck {
    let http = HttpCheck { path: "/health?full=1".into(), ..get(None) };
    check(CheckKind::Http { port, http, tls: None })
}

fn with(mut check: HealthCheck, change: impl FnOnce(&mut HttpCheck)) -> HealthCheck {
    if let CheckKind::Http { http, .. } = &mut check.kind {
        change(http);
    }
    check
}

/// A server that reads one request's head, writes these bytes, and gives the head to whoever asks.
async fn server(answer: impl Into<Vec<u8>>) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = answer.into();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(&answer).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    (port, task)
}

#[tokio::test]
async fn http_asks_as_told() {
    let (port, head) = server("HTTP/1.1 204 No Content\r\n\r\n").await;
    let check = with(http(port), |http| {
        http.method = HttpMethod::Head;
        http.host = Some("www.example.org".into());
        http.headers = vec![("X-Probe".into(), "1".into()), ("User-Agent".into(), "mine".into())];
    });
    let outcome = probe(LOCAL, &check).await;
    assert_eq!((outcome.code, outcome.detail.as_str()), (ProbeCode::L7Ok, "HTTP 204"));
    let head = head.await.unwrap().to_lowercase();
    assert!(head.starts_with("head /health?full=1 http/1.1\r\n"), "{head}");
    for line in ["host: www.example.org", "x-probe: 1", "user-agent: mine", "connection: close"] {
        assert_eq!(head.lines().filter(|found| *found == line).count(), 1, "{line} in {head}");
    }
}

#[tokio::test]
async fn http_introduces_itself_and_names_the_target() {
    let (port, head) = server("HTTP/1.0 200 OK\r\n\r\n").await;
    assert!(probe(LOCAL, &http(port)).await.passed());
    let head = head.await.unwrap().to_lowercase();
    assert!(head.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{head}");
    assert!(head.contains(concat!("user-agent: maglev-brain/", env!("CARGO_PKG_VERSION"))), "{head}");
}

#[tokio::test]
async fn http_judges_the_status() {
    for (status, codes, code) in [
        (200, vec![(200, 399)], ProbeCode::L7Ok),
        (302, vec![(200, 399)], ProbeCode::L7Ok),
        (404, vec![(200, 399)], ProbeCode::L7Sts),
        (503, vec![(200, 399)], ProbeCode::L7Sts),
        (401, vec![(200, 200), (401, 401)], ProbeCode::L7Ok),
    ] {
        let (port, _) = server(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")).await;
        let check = with(http(port), |http| http.response_codes = StatusCodes(codes));
        let outcome = probe(LOCAL, &check).await;
        assert_eq!((outcome.code, outcome.detail), (code, format_compact!("HTTP {status}")));
    }
}

#[tokio::test]
async fn http_judges_the_body() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nstatus: good";
    for (pattern, code) in [("status: (good|fair)", ProbeCode::L7Ok), ("^good", ProbeCode::L7Sts)] {
        let (port, _) = server(answer).await;
        let check = with(http(port), |http| http.response_regexp = Some(pattern.parse().unwrap()));
        assert_eq!(probe(LOCAL, &check).await.code, code, "{pattern}");
    }
}

#[tokio::test]
async fn only_the_first_64_kib_of_a_body_are_looked_at() {
    let mut answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    answer.extend(std::iter::repeat_n(b'x', 70_000));
    answer.extend(b"needle");
    let (port, _) = server(answer).await;
    let check = with(http(port), |http| http.response_regexp = Some("needle".parse().unwrap()));
    assert_eq!(probe(LOCAL, &check).await.code, ProbeCode::L7Sts);
}

#[tokio::test]
async fn what_is_not_http_is_a_bad_response() {
    let header = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    for answer in ["SSH-2.0-OpenSSH_9.2\r\n", "", "HTTP/1.1 2", header.as_str()] {
        let (port, _) = server(answer).await;
        let outcome = probe(LOCAL, &http(port)).await;
        let start: String = answer.chars().take(20).collect();
        assert_eq!(outcome.code, ProbeCode::L7Rsp, "{start}: {}", outcome.detail);
        assert!(!outcome.detail.is_empty());
    }
}

#[tokio::test]
async fn refused_connections_are_told_in_words() {
    let port = TcpListener::bind((LOCAL, 0)).await.unwrap().local_addr().unwrap().port();
    let outcome = probe(LOCAL, &http(port)).await;
    assert_eq!((outcome.code, outcome.detail.as_str()), (ProbeCode::L4Con, "connection refused"));
}

#[tokio::test]
async fn resets_are_told_in_words() {
    for (answer, words) in [
        ("", "connection reset by peer before an answer"),
        ("HTTP/1.1 200 OK\r\n", "connection reset by peer after 17 bytes of the answer"),
    ] {
        let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_buf(&mut Vec::new()).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.set_zero_linger().unwrap();
        });
        let outcome = probe(LOCAL, &http(port)).await;
        assert_eq!((outcome.code, outcome.detail.as_str()), (ProbeCode::L7Rsp, words));
    }
}
