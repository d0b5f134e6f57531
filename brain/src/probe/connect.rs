//! Opening and closing the connection of a probe.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use super::ProbeCode;

/// Connects, from `source` if given.
pub(super) async fn connect(
    target: SocketAddr,
    source: Option<IpAddr>,
    deadline: Instant,
) -> Result<TcpStream, (ProbeCode, String)> {
    match timeout_at(deadline, try_connect(target, source)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
            Err((ProbeCode::L4Tout, in_words(&error)))
        }
        Ok(Err(error)) => Err((ProbeCode::L4Con, in_words(&error))),
        Err(_) => Err((ProbeCode::L4Tout, "no answer to the connection attempt".to_owned())),
    }
}

async fn try_connect(target: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0)).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot probe from {source}: {}", in_words(&error)))
        })?;
    }
    socket.connect(target).await
}

/// Closes with a reset: neither side keeps the connection in TIME_WAIT, of which thousands of probes a second
/// would leave too many.
pub(super) fn reset(stream: TcpStream) {
    // Without it the connection is closed in the ordinary way, which does no harm.
    drop(stream.set_zero_linger());
}

/// An operating system's error without its number.
pub(super) fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
