//! One HTTP/1.1 request over an open connection.
//!
//! All probes share a buffer per thread. The request is put together there and goes out in one write; what
//! comes back is read into it and judged before anything else runs, so that an answer whose head comes in one
//! piece is judged without memory of its own. A probe takes some only for a head that comes in pieces, and for
//! a body that a `response-regexp` wants to see; [`Answer`] says how much.

mod answer;
mod body;
mod head;
mod limits;
mod malformed;
mod request;

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use maglev_engine::config::HttpCheck;
use maglev_engine::outcome::ProbeCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

pub use answer::Answer;

use super::{connect, tls};

/// Most bytes that one read takes.
const READ_SIZE: usize = 16 << 10;

thread_local! {
    /// Taken out for the time of one poll. It grows to [`READ_SIZE`], or to what the longest request takes.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Why not a byte of the request was sent. If nobody waited for the connection to be established, this tells
/// of the connection; otherwise of a peer that broke it at once.
#[derive(Debug)]
pub(super) enum NotSent {
    /// The first write failed.
    Failed(io::Error),
    /// Nothing could be written before the deadline.
    Late,
}

impl NotSent {
    /// What it means for a connection that had been established. HAProxy reports an error then as `SOCKERR`;
    /// but it was the peer that broke the connection, so it counts as a bad answer here.
    pub(super) fn after_connecting(self) -> (ProbeCode, String) {
        match self {
            Self::Failed(error) => {
                let code = connect::judge(&error, ProbeCode::L7Rsp);
                (code, format!("{} before the request", in_words(&error)))
            }
            Self::Late => {
                (ProbeCode::L7Tout, "connected, but the request could not be sent in time".to_owned())
            }
        }
    }
}

/// An error of the connection, or of TLS on top of it.
fn in_words(error: &io::Error) -> String {
    tls::fault(error).unwrap_or_else(|| connect::in_words(error))
}

/// Asks, and judges the answer. `tls` says which port is the scheme's own. `acknowledge` is called when the answer
/// comes in pieces, since its next may wait for that. The connection stays open.
pub(super) async fn request<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    target: SocketAddr,
    tls: bool,
    check: &HttpCheck,
    deadline: Instant,
    acknowledge: impl Fn(&S),
) -> Result<(ProbeCode, String), NotSent> {
    let mut answer = Answer::new(check);
    let mut sent = false;
    let exchange = async {
        let sending = async {
            let rest = poll_fn(|cx| poll_send(stream, cx, target, tls, check)).await?;
            sent = true;
            finish_sending(stream, &rest).await
        };
        let Err(error) = sending.await else {
            return Ok(poll_fn(|cx| poll_answer(stream, cx, &mut answer, &acknowledge)).await);
        };
        let came = match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                read_what_came(stream, &mut answer).await
            }
            _ => None,
        };
        match came {
            Some(finding) => Ok(finding),
            None if sent => Ok(answer.broken(&error)),
            None => Err(NotSent::Failed(error)),
        }
    };
    match timeout_at(deadline, exchange).await {
        Ok(result) => result,
        Err(_) if sent => Ok(answer.late()),
        Err(_) => Err(NotSent::Late),
    }
}

/// Writes the request, and returns what of it was not taken: nothing, as a rule.
fn poll_send<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    target: SocketAddr,
    tls: bool,
    check: &HttpCheck,
) -> Poll<io::Result<Vec<u8>>> {
    let mut scratch = SCRATCH.take();
    scratch.clear();
    request::put(&mut scratch, target, tls, check);
    let written = Pin::new(stream).poll_write(cx, &scratch);
    let result = written.map(|written| match written? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        written => Ok(scratch.get(written..).unwrap_or_default().to_vec()),
    });
    SCRATCH.set(scratch);
    result
}

async fn finish_sending<S: AsyncWrite + Unpin>(stream: &mut S, rest: &[u8]) -> io::Result<()> {
    stream.write_all(rest).await?;
    stream.flush().await
}

/// Judges an answer that came before the connection broke: scripts behind inetd answer without reading the request.
async fn read_what_came<S: AsyncRead + Unpin>(
    stream: &mut S,
    answer: &mut Answer<'_>,
) -> Option<(ProbeCode, String)> {
    let mut bytes = Vec::with_capacity(READ_SIZE);
    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        let finding = answer.feed(&bytes);
        if finding.is_some() {
            return finding;
        }
        bytes.clear();
    }
    None
}

/// Reads until the answer can be judged.
fn poll_answer<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    answer: &mut Answer<'_>,
    acknowledge: &impl Fn(&S),
) -> Poll<(ProbeCode, String)> {
    let mut scratch = SCRATCH.take();
    let result = read_on(stream, cx, answer, &mut scratch, acknowledge);
    SCRATCH.set(scratch);
    result
}

fn read_on<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    answer: &mut Answer<'_>,
    scratch: &mut Vec<u8>,
    acknowledge: &impl Fn(&S),
) -> Poll<(ProbeCode, String)> {
    loop {
        scratch.clear();
        scratch.reserve_exact(READ_SIZE);
        // The read keeps nothing between polls, so it may be begun anew at each.
        let read = pin!(stream.read_buf(scratch));
        let finding = match ready!(read.poll(cx)) {
            Ok(0) => Some(answer.end()),
            Ok(_) => answer.feed(scratch),
            // TLS's word for a peer that closed the connection without announcing it, as many servers do.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some(answer.end()),
            Err(error) => Some(answer.broken(&error)),
        };
        if let Some(finding) = finding {
            return Poll::Ready(finding);
        }
        acknowledge(stream);
    }
}

#[cfg(test)]
mod tests;
