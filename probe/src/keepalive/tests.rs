use std::time::Duration;

use maglev_engine::config::{CheckKind, HttpCheck};
use maglev_engine::outcome::ProbeCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::tests::{LOCAL, NoEcho, check, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

/// What a server does with the requests of one connection, one after the other; then it closes it.
type Script = &'static [&'static str];

/// Plays a script for each connection, and tells when it is over.
async fn server(scripts: &'static [Script]) -> (u16, mpsc::UnboundedReceiver<usize>) {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (ended, ends) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for (number, script) in scripts.iter().enumerate() {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in *script {
                assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0, "connection {number}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            drop(stream);
            ended.send(number).unwrap();
        }
    });
    (port, ends)
}

fn keeping(port: u16) -> Checker<NoEcho> {
    let http = HttpCheck { keepalive: true, ..get(None) };
    Checker::new(check(CheckKind::Http { port, http, tls: None }), NoEcho)
}

async fn probed(checker: &Checker<NoEcho>, kept: &KeptConnection) -> ProbeCode {
    checker.probe_over(LOCAL, kept).await.code
}

#[tokio::test]
async fn connection_is_reused_until_the_server_closes_it() {
    let (port, mut ends) = server(&[&[OK, OK, OK], &[OK]]).await;
    let checker = keeping(port);
    let kept = checker.kept_connection().unwrap();
    for _ in 0..3 {
        assert_eq!(probed(&checker, &kept).await, ProbeCode::L7Ok);
    }
    assert_eq!(ends.recv().await, Some(0));
    assert_eq!(probed(&checker, &kept).await, ProbeCode::L7Ok, "over a new connection");
}

/// The server closes it when the request is already on its way.
#[tokio::test]
async fn request_is_repeated_if_the_connection_breaks_before_an_answer() {
    let (port, _ends) = server(&[&[OK, ""], &[OK]]).await;
    let checker = keeping(port);
    let kept = checker.kept_connection().unwrap();
    assert_eq!(probed(&checker, &kept).await, ProbeCode::L7Ok);
    assert_eq!(probed(&checker, &kept).await, ProbeCode::L7Ok);
}

#[tokio::test]
async fn new_connection_that_breaks_fails() {
    let (port, _ends) = server(&[&[""]]).await;
    let checker = keeping(port);
    assert_eq!(probed(&checker, &KeptConnection::default()).await, ProbeCode::L7Rsp);
}

#[tokio::test]
async fn connection_is_kept_only_where_the_next_answer_is_sure_to_begin() {
    for (first, is_kept) in [
        (OK, true),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\n\r\n", false),
        ("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ngood", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\ngood", false),
        ("HTTP/1.1 503 Away\r\nContent-Length: 4\r\n\r\ngood", false),
    ] {
        let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
        let checker = keeping(listener.local_addr().unwrap().port());
        let kept = KeptConnection::default();
        let served = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            stream.write_all(first.as_bytes()).await.unwrap();
            stream
        };
        let _ = tokio::join!(served, probed(&checker, &kept));
        assert_eq!(kept.replace(None).is_some(), is_kept, "{first:?}");
    }
}

/// As a server sends it that closes an idle connection.
#[tokio::test]
async fn answer_that_nobody_asked_for_is_not_the_next_one() {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let checker = keeping(listener.local_addr().unwrap().port());
    let kept = checker.kept_connection().unwrap();
    let (sent, mut early) = mpsc::channel(1);
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        first.set_nodelay(true).unwrap();
        assert!(first.read(&mut [0; 1024]).await.unwrap() > 0);
        first.write_all(OK.as_bytes()).await.unwrap();
        first.write_all(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        sent.send(()).await.unwrap();
        let (mut second, _) = listener.accept().await.unwrap();
        assert!(second.read(&mut [0; 1024]).await.unwrap() > 0);
        second.write_all(OK.as_bytes()).await.unwrap();
    });
    assert_eq!(probed(&checker, &kept).await, ProbeCode::L7Ok);
    early.recv().await.unwrap();
    assert_eq!(probed(&checker, &kept).await, ProbeCode::L7Ok);
}

#[tokio::test]
async fn closing_gives_the_connection_up() {
    let (port, _ends) = server(&[&[OK], &[OK]]).await;
    let checker = keeping(port);
    let kept = checker.kept_connection().unwrap();
    assert_eq!(probed(&checker, &kept).await, ProbeCode::L7Ok);
    kept.close();
    assert!(kept.replace(None).is_none());
    let other = Checker::new(check(CheckKind::Http { port, http: get(None), tls: None }), NoEcho);
    assert!(other.kept_connection().is_none(), "without `keepalive`");
    assert_eq!(other.check().timeout, Duration::from_secs(1));
}
