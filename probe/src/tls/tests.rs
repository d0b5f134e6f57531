//! Handshakes with real rustls servers and with scripted ones, over an in-memory pipe.

mod chains;
mod faults;
mod hostile;
mod kinds;
mod parties;
mod verified;

use std::net::Ipv4Addr;
use std::time::Duration;

use parties::{Authority, Leaf, Server, check, client};
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

const BACKEND: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// Capacity of the pipe in each direction: less than the largest record, so that both sides meet a full pipe.
const PIPE: usize = 4096;
const TIMEOUT: Duration = Duration::from_secs(5);

fn deadline() -> Instant {
    Instant::now() + TIMEOUT
}

/// One handshake with a server that does as it is told.
async fn meet(client: &Client, server: &Server) -> Result<TlsStream<DuplexStream>, Finding> {
    let (near, far) = duplex(PIPE);
    let serving = tokio::spawn(server.clone().serve(far));
    let result = client.handshake(near, BACKEND, deadline()).await;
    if result.is_err() {
        serving.await.unwrap();
    }
    result
}

/// Why a handshake fails.
async fn failure(client: &Client, server: &Server) -> Finding {
    meet(client, server).await.expect_err("the handshake must fail")
}

/// One handshake with a server that writes these bytes when it has read something, and closes.
async fn failure_with(answer: Vec<u8>) -> Finding {
    let (near, mut far) = duplex(PIPE);
    tokio::spawn(async move {
        far.read_u8().await.unwrap();
        // The client may hang up at any point.
        drop(far.write_all(&answer).await);
    });
    let client = Client::new(&check(false), None);
    client.handshake(near, BACKEND, deadline()).await.expect_err("the handshake must fail")
}
