//! Handshakes with clients that are not known yet, of whom anybody may send as many as it likes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Time for finding out who has connected, and until it begins to speak HTTP/2: a look at the user database, or a TLS
/// handshake.
pub(super) const GREETING: Duration = Duration::from_secs(5);
/// Bytes that are read of a client which is hung up on: what one sends before it has the answer.
const MOST_LEFT_OVER: u64 = 256 << 10;

/// Bytes that every HTTP/2 client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("the client hung up")]
    HungUp,
    #[error("{0}")]
    Refused(io::Error),
    #[error("not complete within {} s", GREETING.as_secs())]
    Late,
    #[error("too many clients that say nothing, of which this was the oldest")]
    Displaced,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Self::HungUp,
            _ => Self::Refused(error),
        }
    }
}

/// What a client says first, up to the end of HTTP/2's preface, or up to where it is another protocol's.
pub(super) async fn first_words(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Failed> {
    let mut words = Vec::with_capacity(PREFACE.len());
    while words.len() < PREFACE.len() && PREFACE.starts_with(&words) {
        let missing = PREFACE.len() - words.len();
        if (&mut *stream).take(missing as u64).read_buf(&mut words).await? == 0 {
            return Err(Failed::HungUp);
        }
    }
    Ok(words)
}

/// The client's certificate is valid when this succeeds.
pub(super) async fn shake_hands(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> Result<TlsStream<TcpStream>, Failed> {
    match TlsAcceptor::from(config).accept(stream).into_fallible().await {
        Ok(stream) => Ok(stream),
        Err((error, mut stream)) => {
            // What the client has sent already is read before the connection is closed: else the kernel resets it, and
            // the client may lose the alert that says why.
            if stream.shutdown().await.is_ok() {
                copy(&mut stream.take(MOST_LEFT_OVER), &mut sink()).await.ok();
            }
            Err(error.into())
        }
    }
}

#[cfg(test)]
mod tests;
