//! A TCP stream that reports its end only when read.
//!
//! With TLS 1.3, a server that refuses a client's certificate says so only after the client has begun to
//! send. Sending then fails, and that failure would hide the server's alert, which waits to be read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Writes to a peer that is gone succeed and are lost; reading returns the peer's last data, then the end.
#[derive(Debug)]
pub(super) struct LastWord(pub(super) TcpStream);

fn heed<T>(written: Poll<io::Result<T>>, lost: T) -> Poll<io::Result<T>> {
    match written {
        Poll::Ready(Err(error))
            if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
        {
            Poll::Ready(Ok(lost))
        }
        other => other,
    }
}

impl AsyncRead for LastWord {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(context, buffer)
    }
}

impl AsyncWrite for LastWord {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        heed(Pin::new(&mut self.get_mut().0).poll_write(context, bytes), bytes.len())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        heed(Pin::new(&mut self.get_mut().0).poll_flush(context), ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
