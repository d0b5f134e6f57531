//! One DNS query, over UDP or TCP.
//!
//! Limits on a hostile server, besides the deadline: datagrams of other conversations are ignored up to a number,
//! messages are at most 64 KiB long, and [`question`] bounds what is decoded of them.

mod question;

use std::net::SocketAddr;

use compact_str::{CompactString, format_compact};
use maglev_engine::config::DnsTransport;
use maglev_engine::outcome::{Finding, ProbeCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

pub use question::{Question, Reply};

use super::connect::{self, First, Source, connect};
use super::udp;

/// Datagrams that are ignored because they do not answer the question.
const MOST_STRAYS: u32 = 64;

/// Asks, and judges the answer.
pub(super) async fn ask(
    question: &Question,
    target: SocketAddr,
    source: Option<Source>,
    deadline: Instant,
) -> Result<Finding, Finding> {
    if question.transport() == DnsTransport::Udp {
        if let Some(finding) = over_udp(question, target, source, deadline).await? {
            return Ok(finding);
        }
        return over_tcp(question, target, source, deadline).await.map_err(|(code, why)| {
            (code, format_compact!("the answer over UDP is truncated; over TCP: {why}"))
        });
    }
    over_tcp(question, target, source, deadline).await
}

/// A random identifier: whoever does not see the query cannot answer it.
fn identifier() -> Result<u16, Finding> {
    let random = getrandom::u32()
        .map_err(|error| (ProbeCode::SockErr, format_compact!("no random number for the query: {error}")))?;
    let [a, b, ..] = random.to_ne_bytes();
    Ok(u16::from_ne_bytes([a, b]))
}

/// `None` if the answer is truncated.
async fn over_udp(
    question: &Question,
    target: SocketAddr,
    source: Option<Source>,
    deadline: Instant,
) -> Result<Option<Finding>, Finding> {
    let id = identifier()?;
    let query = question.message(id)?;
    let socket = udp::open(target, source)?;
    udp::send(&socket, &query, deadline).await?;
    for strays in 0..MOST_STRAYS {
        let Some(datagram) = udp::receive(&socket, deadline).await? else {
            return Err(match strays {
                0 => (ProbeCode::L4Tout, CompactString::const_new("no answer in time")),
                _ => (
                    ProbeCode::L7Tout,
                    format_compact!("no answer in time, but {strays} datagrams that do not answer the query"),
                ),
            });
        };
        match question.judge(id, &datagram) {
            Reply::Stray => {}
            Reply::Truncated => return Ok(None),
            Reply::Judged(finding) => return Ok(Some(finding)),
        }
    }
    Err((ProbeCode::L7Rsp, format_compact!("{MOST_STRAYS} datagrams, none of which answers the query")))
}

async fn over_tcp(
    question: &Question,
    target: SocketAddr,
    source: Option<Source>,
    deadline: Instant,
) -> Result<Finding, Finding> {
    let id = identifier()?;
    let query = question.message(id)?;
    let mut stream = connect(target, source, First::Nobody, deadline).await?;
    let mut received = Vec::new();
    let conversation = exchange(&mut stream, &query, &mut received);
    let bad = |why: CompactString| (ProbeCode::L7Rsp, why);
    match timeout_at(deadline, conversation).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let words = connect::in_words(&error);
            let why = format_compact!("{words} after {} bytes of the answer", received.len());
            return Err((connect::judge(&error, ProbeCode::L7Rsp), why));
        }
        Err(_) => {
            let late = match received.len() {
                0 => CompactString::const_new("connected, but no answer in time"),
                bytes => format_compact!("connected, but no complete answer in time: {bytes} bytes came"),
            };
            return Err((ProbeCode::L7Tout, late));
        }
    }
    match received.split_first_chunk::<2>() {
        None if received.is_empty() => Err(bad(CompactString::const_new("closed without an answer"))),
        Some((length, message)) if message.len() == usize::from(u16::from_be_bytes(*length)) => {
            match question.judge(id, message) {
                Reply::Judged(finding) => Ok(finding),
                Reply::Truncated => Err(bad(CompactString::const_new("the answer is truncated, over TCP"))),
                Reply::Stray => Err(bad(CompactString::const_new("the answer is to another query"))),
            }
        }
        _ => Err(bad(format_compact!("closed after {} bytes of the answer", received.len()))),
    }
}

/// Sends a message, and receives one with its length before it, or as much of it as comes. Memory is taken as it comes.
async fn exchange(stream: &mut TcpStream, message: &[u8], received: &mut Vec<u8>) -> std::io::Result<()> {
    let length = u16::try_from(message.len()).unwrap_or_default();
    stream.write_all(&[&length.to_be_bytes()[..], message].concat()).await?;
    loop {
        let whole = received.first_chunk().map_or(2, |length| 2 + usize::from(u16::from_be_bytes(*length)));
        let missing = whole.saturating_sub(received.len());
        if missing == 0 {
            return Ok(());
        }
        let room = u64::try_from(missing).unwrap_or_default();
        if (&mut *stream).take(room).read_buf(received).await? == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
