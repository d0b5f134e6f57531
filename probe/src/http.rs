//! One HTTP/1.1 request over an open connection.
//!
//! All probes of a thread share a buffer. The request is built in it and sent in one write; the response is
//! read into it and judged before anything else runs, so that a response whose head arrives in one piece
//! needs no memory of its own. A probe allocates only for a head that arrives in pieces, and for a body that
//! a `response-regexp` inspects; [`Answer`] says how much.

mod answer;
mod body;
mod head;
mod limits;
mod malformed;
mod request;
mod statement;

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use compact_str::{CompactString, format_compact};
use maglev_engine::config::HttpCheck;
use maglev_engine::outcome::{Finding, ProbeCode, Share};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

pub use answer::Answer;
pub(super) use malformed::Quote;
pub(super) use request::USER_AGENT;

use super::{connect, tls};

/// Maximum number of bytes per read.
const READ_SIZE: usize = 16 << 10;

thread_local! {
    /// Taken out during a poll. Grows to [`READ_SIZE`], or to the longest request.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Why no byte of the request was sent. If nothing had waited for the connection to be established, this may
/// be a failure to connect; otherwise the peer broke the connection at once.
#[derive(Debug)]
pub(super) enum NotSent {
    /// The first write failed.
    Failed(io::Error),
    /// Nothing could be written before the deadline.
    Late,
}

impl NotSent {
    /// The verdict if the connection had been established. HAProxy reports `SOCKERR` here; but since the peer
    /// broke the connection, it counts as a bad response.
    pub(super) fn after_connecting(self) -> Finding {
        match self {
            Self::Failed(error) => {
                let code = connect::judge(&error, ProbeCode::L7Rsp);
                (code, format_compact!("{} before the request", in_words(&error)))
            }
            Self::Late => (
                ProbeCode::L7Tout,
                CompactString::const_new("connected, but the request could not be sent in time"),
            ),
        }
    }
}

/// An error of the connection, or of TLS on top of it.
pub(super) fn in_words(error: &io::Error) -> String {
    tls::fault(error).unwrap_or_else(|| connect::in_words(error))
}

/// Asks, and judges the answer, as [`exchange`] does; also returns the share of its weight that the server asks for.
pub(super) async fn request<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    target: SocketAddr,
    tls: bool,
    check: &HttpCheck,
    deadline: Instant,
    acknowledge: impl Fn(&S),
) -> Result<(Finding, Option<Share>), NotSent> {
    let mut answer = Answer::new(check);
    let finding = exchange(stream, target, tls, &mut answer, deadline, acknowledge).await?;
    Ok(answer.complete(finding))
}

/// Asks, and judges the answer. `tls` says which port is the scheme's own. `acknowledge` is called when the answer
/// comes in pieces, since its next may wait for that. The connection stays open.
pub(super) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    target: SocketAddr,
    tls: bool,
    answer: &mut Answer<'_>,
    deadline: Instant,
    acknowledge: impl Fn(&S),
) -> Result<Finding, NotSent> {
    let mut sent = false;
    let exchange = async {
        let sending = async {
            let rest = poll_fn(|cx| poll_send(stream, cx, target, tls, answer)).await?;
            sent = true;
            finish_sending(stream, &rest).await
        };
        let Err(error) = sending.await else {
            return Ok(poll_fn(|cx| poll_answer(stream, cx, answer, &acknowledge)).await);
        };
        let came = match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                read_what_came(stream, answer).await
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

/// Writes the request, and returns the part not written: usually nothing.
fn poll_send<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    target: SocketAddr,
    tls: bool,
    answer: &Answer<'_>,
) -> Poll<io::Result<Vec<u8>>> {
    let mut scratch = SCRATCH.take();
    scratch.clear();
    request::put(&mut scratch, target, tls, answer.keeps(), answer.check());
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

/// Judges a response that arrived before the connection broke: scripts behind inetd respond without reading
/// the request.
async fn read_what_came<S: AsyncRead + Unpin>(stream: &mut S, answer: &mut Answer<'_>) -> Option<Finding> {
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

/// Reads until the response can be judged.
fn poll_answer<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    answer: &mut Answer<'_>,
    acknowledge: &impl Fn(&S),
) -> Poll<Finding> {
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
) -> Poll<Finding> {
    loop {
        scratch.clear();
        scratch.reserve_exact(READ_SIZE);
        // The read keeps no state between polls, so it may be restarted at each.
        let read = pin!(stream.read_buf(scratch));
        let finding = match ready!(read.poll(cx)) {
            Ok(0) => Some(answer.end()),
            Ok(_) => answer.feed(scratch),
            // How TLS reports a peer that closed the connection without announcing it, as many servers do.
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
