//! Handshakes with clients that are not known yet, of whom anybody may send as many as it likes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Time for finding out who has connected: a look at the user database, or a TLS handshake.
pub(super) const GREETING: Duration = Duration::from_secs(5);
/// Handshakes at once on one socket, less than its greetings, so that who has shaken hands has a seat until the server
/// takes it. Another one takes the place of the oldest: an honest client's takes some milliseconds, so that those who
/// keep it from being served would have to connect some thousand times a second.
const MOST_HANDSHAKES: usize = 96;
/// Bytes that are read of a client which is hung up on: what one sends before it has the answer.
const MOST_LEFT_OVER: u64 = 256 << 10;

/// Those under way, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Handshakes(VecDeque<oneshot::Sender<Infallible>>);

/// Holds a handshake's place. Ready once another one has taken it.
pub(super) type Place = oneshot::Receiver<Infallible>;

impl Handshakes {
    /// A place for one more. Its place is free again when it is dropped.
    pub(super) fn begin(&mut self) -> Place {
        self.0.retain(|held| !held.is_closed());
        if self.0.len() >= MOST_HANDSHAKES {
            self.0.pop_front();
        }
        let (held, place) = oneshot::channel();
        self.0.push_back(held);
        place
    }
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("the client hung up")]
    HungUp,
    #[error("{0}")]
    Refused(io::Error),
    #[error("not complete within {} s", GREETING.as_secs())]
    Late,
    #[error("too many handshakes at once, of which this was the oldest")]
    Displaced,
}

/// The client's certificate is valid when this succeeds.
pub(super) async fn shake_hands(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    place: Place,
) -> Result<TlsStream<TcpStream>, Failed> {
    tokio::select! {
        done = timeout(GREETING, accept(stream, config)) => match done {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Failed::HungUp),
            Ok(Err(error)) => Err(Failed::Refused(error)),
            Err(_) => Err(Failed::Late),
        },
        _ = place => Err(Failed::Displaced),
    }
}

async fn accept(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<TlsStream<TcpStream>> {
    match TlsAcceptor::from(config).accept(stream).into_fallible().await {
        Ok(stream) => Ok(stream),
        Err((error, mut stream)) => {
            // What the client has sent already is read before the connection is closed: else the kernel resets it, and
            // the client may lose the alert that says why.
            if stream.shutdown().await.is_ok() {
                copy(&mut stream.take(MOST_LEFT_OVER), &mut sink()).await.ok();
            }
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests;
