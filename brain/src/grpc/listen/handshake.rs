//! Handshakes with unidentified clients, of which anyone may open any number.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Time limit for identifying a client and receiving the HTTP/2 preface: a user lookup, or a TLS handshake.
pub(super) const GREETING: Duration = Duration::from_secs(5);
/// Bytes read from a client before it is disconnected: what it sends before it receives the reason.
const MOST_LEFT_OVER: u64 = 256 << 10;

/// The bytes that every HTTP/2 client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Why a client was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("the client hung up")]
    HungUp,
    #[error("{0}")]
    Refused(io::Error),
    #[error("not complete within {} s", GREETING.as_secs())]
    Late,
    #[error("too many silent clients, of which this was the oldest")]
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

/// A client's first bytes, up to the end of the HTTP/2 preface, or to the first one that differs from it.
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

/// On success, the client's certificate is valid.
pub(super) async fn shake_hands(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> Result<TlsStream<TcpStream>, Failed> {
    match TlsAcceptor::from(config).accept(stream).into_fallible().await {
        Ok(stream) => Ok(stream),
        Err((error, mut stream)) => {
            // Reads what the client has sent already before closing: otherwise the kernel resets the
            // connection, and the client may lose the alert with the reason.
            if stream.shutdown().await.is_ok() {
                copy(&mut stream.take(MOST_LEFT_OVER), &mut sink()).await.ok();
            }
            Err(error.into())
        }
    }
}

#[cfg(test)]
mod tests;
