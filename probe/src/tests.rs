use std::net::IpAddr;
use std::time::Duration;

use maglev_engine::config::{
    CheckKind, Exchange, Expect, HealthCheck, HttpCheck, HttpMethod, ProxyVersion, StatusCodes, Via,
};
use maglev_engine::outcome::{ProbeCode, ProbeOutcome, Verdict};
use maglev_protocol::{EchoOutcome, EchoRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;

pub(super) const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A `GET` of `/` with the defaults.
pub(super) fn get(regexp: Option<&str>) -> HttpCheck {
    HttpCheck {
        method: HttpMethod::Get,
        path: "/".into(),
        host: None,
        headers: vec![],
        body: String::new(),
        keepalive: false,
        response_codes: StatusCodes(vec![(200, 399)]),
        response_regexp: regexp.map(|regexp| regexp.parse().unwrap()),
        drain_codes: StatusCodes::default(),
        agent_header: None,
    }
}

/// A connection, and nothing else.
pub(super) fn tcp(port: u16) -> CheckKind {
    CheckKind::Tcp { port, exchange: Exchange::default(), tls: None }
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
        send_proxy: None,
        via: Via::Direct,
        agent: None,
    }
}

/// Sends nothing.
#[derive(Debug)]
pub(super) struct NoEcho;

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
    let outcome = probe(LOCAL, &check(tcp(port))).await;
    assert_eq!((outcome.code, outcome.detail.as_str()), (ProbeCode::L4Con, "connection refused"));
}

#[tokio::test]
async fn tcp_connects_from_the_configured_source_and_resets() {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut check = check(tcp(port));
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
    let mut check = check(tcp(listener.local_addr().unwrap().port()));
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

/// Answers every request on each connection with the connection's number and the client's port.
async fn numbered_server() -> u16 {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for number in 1.. {
            let (mut stream, peer) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                while let Ok(length @ 1..) = stream.read(&mut asked).await {
                    let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
                    let close = if asked.contains("/last") { "Connection: close\r\n" } else { "" };
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nX-Server:  web{number}\r\n{close}Content-Length: 12\r\n\r\n{:<11}\n",
                        peer.port()
                    );
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    port
}

fn client(port: u16, path: &str) -> Checker<NoEcho> {
    let http = HttpCheck { path: path.into(), ..get(None) };
    Checker::new(check(CheckKind::Http { port, http, tls: None }), NoEcho)
}

#[tokio::test]
async fn client_is_told_who_answered_and_keeps_its_connection_if_it_wants() {
    let port = numbered_server().await;
    let inquiry = Inquiry { headers: vec!["x-server".into(), "x-lb".into()], first_line: true, keep: true };
    let (asking, mut kept) = (client(port, "/"), None);
    let mut lines = Vec::new();
    for _ in 0..3 {
        let (outcome, details) = asking.ask(LOCAL, None, &inquiry, &mut kept).await;
        assert_eq!((outcome.code, outcome.detail.as_str()), (ProbeCode::L7Ok, "HTTP 200"));
        assert_eq!(details.headers, [Some("web1".to_owned()), None]);
        lines.push(details.first_line.unwrap());
        assert_eq!(lines[0], kept.as_ref().unwrap().tcp().local_addr().unwrap().port().to_string());
    }
    assert!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
    client(port, "/last").ask(LOCAL, None, &inquiry, &mut kept).await;
    assert!(kept.is_none(), "the server closes it");
    let once = Inquiry { keep: false, ..inquiry };
    let (_, details) = asking.ask(LOCAL, None, &once, &mut kept).await;
    assert!(kept.is_none() && details.headers[0].as_deref() == Some("web2"), "{details:?}");
}

#[tokio::test]
async fn client_chooses_its_port_and_may_use_it_again() {
    let port = numbered_server().await;
    let inquiry = Inquiry { first_line: true, ..Inquiry::default() };
    let own = TcpListener::bind((LOCAL, 0)).await.unwrap().local_addr().unwrap();
    for _ in 0..3 {
        let (outcome, details) = client(port, "/").ask(LOCAL, Some(own), &inquiry, &mut None).await;
        assert_eq!(outcome.code, ProbeCode::L7Ok, "{outcome}");
        assert_eq!(details.first_line, Some(own.port().to_string()));
    }
    let _taken = TcpListener::bind(own).await.unwrap();
    let (outcome, _) = client(port, "/").ask(LOCAL, Some(own), &inquiry, &mut None).await;
    assert_eq!(outcome.code, ProbeCode::SockErr);
    assert!(outcome.detail.contains(&format!("cannot probe from {own}")), "{outcome}");
}

/// A client waits for the line that it asks for: an answer that breaks off before it is a failed one.
#[tokio::test]
async fn answer_without_the_line_that_was_asked_for_is_judged_by_its_end() {
    for (answer, code, line) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nweb1", ProbeCode::L7Ok, Some("web1")),
        ("HTTP/1.1 200 OK\r\n\r\nweb1", ProbeCode::L7Ok, Some("web1")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nweb1", ProbeCode::L7Rsp, Some("web1")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ProbeCode::L7Ok, None),
        ("HTTP/1.1 204 No Content\r\n\r\n", ProbeCode::L7Ok, None),
        ("HTTP/1.1 503 Away\r\nX-Server: web1\r\n\r\nno\n", ProbeCode::L7Sts, None),
    ] {
        let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let inquiry = Inquiry { headers: vec!["X-Server".into()], first_line: true, keep: true };
        let (outcome, details) = client(port, "/").ask(LOCAL, None, &inquiry, &mut None).await;
        assert_eq!((outcome.code, details.first_line.as_deref()), (code, line), "{answer}: {outcome}");
    }
}

/// Reads as much as is there after a moment in which nothing more came, and answers.
async fn first_bytes(answer: &'static [u8]) -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n\r\n") && !read.ends_with(b"PING") {
            assert!(stream.read_buf(&mut read).await.unwrap() > 0, "{read:?}");
        }
        stream.write_all(answer).await.unwrap();
        read
    });
    (port, task)
}

#[tokio::test]
async fn proxy_header_goes_before_everything_else() {
    let pong = Expect { key: "expect", text: "PONG".into(), pattern: "PONG".parse().unwrap() };
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let exchange = Exchange { send: Some(b"PING".to_vec()), expect: Some(pong.clone()) };
        let (tcp_port, tcp_read) = first_bytes(b"PONG").await;
        let tcp = CheckKind::Tcp { port: tcp_port, exchange, tls: None };
        let (http_port, http_read) = first_bytes(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let http = CheckKind::Http { port: http_port, http: get(None), tls: None };
        for (kind, read, then) in [(tcp, tcp_read, "PING"), (http, http_read, "GET / HTTP/1.1\r\n")] {
            let check = HealthCheck { send_proxy: Some(version), ..check(kind) };
            let outcome = probe(LOCAL, &check).await;
            assert_eq!(outcome.code, ProbeCode::L7Ok, "{outcome}");
            let read = read.await.unwrap();
            let start: &[u8] = match version {
                ProxyVersion::V1 => b"PROXY TCP4 127.0.0.1 127.0.0.1 ",
                ProxyVersion::V2 => b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01",
            };
            assert!(read.starts_with(start), "{}", read.escape_ascii());
            let request = read.windows(then.len()).position(|part| part == then.as_bytes());
            assert!(request.is_some(), "{}", read.escape_ascii());
        }
    }
}

#[tokio::test]
async fn body_is_sent_with_its_length() {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b"{\"deep\":true}") {
            assert!(stream.read_buf(&mut read).await.unwrap() > 0);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        String::from_utf8(read).unwrap()
    });
    let http = HttpCheck {
        method: HttpMethod::Post,
        headers: vec![("Content-Type".into(), "application/json".into())],
        body: "{\"deep\":true}".into(),
        ..get(None)
    };
    let outcome = probe(LOCAL, &check(CheckKind::Http { port, http, tls: None })).await;
    assert_eq!(outcome.code, ProbeCode::L7Ok, "{outcome}");
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("POST / HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"), "{asked}");
}
