use std::time::Duration;

use maglev_engine::config::{CheckKind, HealthCheck};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic_health::ServingStatus;

use super::*;
use crate::tests::{LOCAL, check, probe};

const TIMEOUT: Duration = Duration::from_secs(1);
const TARGET: SocketAddr = SocketAddr::new(LOCAL, 50051);

fn grpc(port: u16, service: &str) -> HealthCheck {
    let grpc = GrpcCheck { service: service.to_owned(), host: None };
    check(CheckKind::Grpc { port, grpc, tls: None })
}

/// tonic with its health service, or without.
async fn tonic(with_health: bool) -> u16 {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("", ServingStatus::Serving).await;
    reporter.set_service_status("shop.Cart", ServingStatus::NotServing).await;
    let server = Server::builder().add_optional_service(with_health.then_some(health));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    port
}

#[tokio::test]
async fn tonics_health_service_is_understood() {
    let port = tonic(true).await;
    for (service, code, words) in [
        ("", ProbeCode::L7Ok, "gRPC SERVING"),
        ("shop.Cart", ProbeCode::L7Sts, "gRPC NOT_SERVING"),
        ("shop.None", ProbeCode::L7Sts, "gRPC status 5, NOT_FOUND: \"service%20not%20registered\""),
    ] {
        let outcome = probe(LOCAL, &grpc(port, service)).await;
        assert_eq!((outcome.code, outcome.detail.as_str()), (code, words));
    }
    let outcome = probe(LOCAL, &grpc(tonic(false).await, "")).await;
    assert_eq!((outcome.code, outcome.detail.as_str()), (ProbeCode::L7Sts, "gRPC status 12, UNIMPLEMENTED"));
}

/// Asks a server of this behaviour, which ignores errors: the probe hangs up.
async fn asked<F: Future<Output = std::io::Result<()>> + Send + 'static>(
    server: impl FnOnce(DuplexStream) -> F,
) -> (ProbeCode, String) {
    let (ours, theirs) = duplex(1 << 16);
    let server = tokio::spawn(server(theirs));
    let started = Instant::now();
    let (code, words) = ask(ours, TARGET, false, &GrpcCheck::default(), started + TIMEOUT).await;
    assert!(started.elapsed() <= TIMEOUT + Duration::from_millis(1), "took {:?}", started.elapsed());
    server.abort();
    (code, words.into())
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const HEADERS: u8 = 1;
const DATA: u8 = 0;
/// Indexed `:status: 200` of HPACK's static table.
const STATUS_200: u8 = 0x88;

async fn floods(start: Vec<u8>, again: Vec<u8>) -> (ProbeCode, String) {
    asked(async move |mut stream| {
        stream.write_all(&[frame(SETTINGS, 0, 0, &[]), start].concat()).await?;
        let (mut reader, mut writer) = tokio::io::split(stream);
        // What the probe answers shall not hold up the flood.
        let reading = async {
            while reader.read(&mut [0; 1024]).await? > 0 {}
            Ok(())
        };
        let flooding = async {
            loop {
                writer.write_all(&again).await?;
            }
        };
        tokio::select! {
            ended = reading => ended,
            ended = flooding => ended,
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn floods_end_at_a_limit() {
    let head = frame(HEADERS, 4, 1, &[STATUS_200]);
    for (start, again) in [
        (vec![], frame(PING, 0, 0, &[0; 8])),
        (vec![], frame(SETTINGS, 0, 0, &[])),
        (head.clone(), frame(DATA, 0, 1, &[0; 1000])),
        (head.clone(), frame(DATA, 0, 1, &[])),
        // Headers that never end.
        (frame(HEADERS, 0, 1, &[STATUS_200]), frame(9, 0, 1, &[0x40, 1, b'x', 1, b'y'])),
        (vec![], b"HTTP/1.1 200 OK\r\n".to_vec()),
    ] {
        let (code, words) = floods(start, again).await;
        assert_eq!(code, ProbeCode::L7Rsp, "{words}");
        assert!(words.len() <= 400 && !words.chars().any(char::is_control), "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_timeout_and_closing_at_once() {
    let late = (ProbeCode::L7Tout, "connected, but no complete answer in time".to_owned());
    let silent = asked(async |mut stream| {
        while stream.read(&mut [0; 1024]).await? > 0 {}
        Ok(())
    });
    assert_eq!(silent.await, late);
    let slow = asked(async |mut stream| {
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
        for byte in frame(HEADERS, 4, 1, &[STATUS_200]) {
            stream.write_all(&[byte]).await?;
            sleep(TIMEOUT / 5).await;
        }
        Ok(())
    });
    assert_eq!(slow.await, late);
    for start in [vec![], frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, 0, 0, &[])[..5].to_vec()] {
        let (code, words) = asked(async move |mut stream| stream.write_all(&start).await).await;
        assert_eq!(code, ProbeCode::L7Rsp, "{words}");
    }
}
