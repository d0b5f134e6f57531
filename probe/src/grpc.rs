//! One request of the gRPC health checking protocol (`grpc.health.v1`), over HTTP/2.
//!
//! Limits on a hostile server, besides the deadline: a number of bytes that are read of a connection, whatever they
//! are, and with that the work and the memory that they cost; of the message, [`answer`] has its own.

mod answer;
mod capped;

use std::net::SocketAddr;
use std::pin::pin;

use ::http::{HeaderMap, HeaderValue, Method, Request, Uri};
use bytes::Bytes;
use compact_str::{CompactString, format_compact};
use h2::client::{Builder, SendRequest};
use maglev_engine::config::GrpcCheck;
use maglev_engine::outcome::{Finding, ProbeCode};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

pub use answer::GrpcAnswer;
use answer::{LONGEST_MESSAGE, PREFIX};
use capped::Capped;

use super::connect;
use super::http::{Quote, USER_AGENT, in_words};

/// Maximum number of bytes read of a connection. A health service's answer, with the server's settings, takes some
/// hundred.
const MOST_READ: usize = 64 << 10;
/// Bytes of an answer that may be under way.
const WINDOW: u32 = 16 << 10;
/// Maximum size of the answer's headers and trailers, in bytes.
const MOST_HEADERS: u32 = 16 << 10;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// Asks over an open connection, and judges the answer.
pub(super) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    target: SocketAddr,
    tls: bool,
    check: &GrpcCheck,
    deadline: Instant,
) -> Finding {
    let uri = match uri(target, tls, check) {
        Ok(uri) => uri,
        Err(error) => {
            return (ProbeCode::SockErr, format_compact!("the request cannot be made: {error}"));
        }
    };
    let conversation = async {
        let (requests, connection) =
            builder().handshake::<_, Bytes>(Capped::new(stream, MOST_READ)).await.map_err(broken)?;
        let mut exchange = pin!(exchange(requests, uri, message(check)));
        // The connection moves the frames of the exchange; after its end, what came of them decides.
        let found = tokio::select! {
            biased;
            found = &mut exchange => found,
            ended = connection => match exchange.await {
                // The cause says more than that the connection is gone.
                Err(error) => Err(ended.err().unwrap_or(error)),
                found => found,
            },
        };
        found.map_err(broken)
    };
    match timeout_at(deadline, conversation).await {
        Ok(Ok(finding) | Err(finding)) => finding,
        Err(_) => (ProbeCode::L7Tout, CompactString::const_new("connected, but no complete answer in time")),
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(WINDOW)
        .max_header_list_size(MOST_HEADERS)
        .max_concurrent_reset_streams(1)
        .max_send_buffer_size(LONGEST_MESSAGE);
    builder
}

fn uri(target: SocketAddr, tls: bool, check: &GrpcCheck) -> Result<Uri, ::http::Error> {
    let authority = check.host.clone().unwrap_or_else(|| target.to_string());
    Uri::builder()
        .scheme(if tls { "https" } else { "http" })
        .authority(authority)
        .path_and_query("/grpc.health.v1.Health/Check")
        .build()
}

/// The request with gRPC's prefix: not compressed, and its length.
fn message(check: &GrpcCheck) -> Bytes {
    let request = HealthCheckRequest { service: check.service.clone() }.encode_to_vec();
    let length = u32::try_from(request.len()).unwrap_or_default();
    [&[0][..], &length.to_be_bytes(), &request].concat().into()
}

async fn exchange(requests: SendRequest<Bytes>, uri: Uri, message: Bytes) -> Result<Finding, h2::Error> {
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut()) = (Method::POST, uri);
    for (name, value) in
        [("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", USER_AGENT)]
    {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let (response, mut body) = requests.ready().await?.send_request(request, false)?;
    body.send_data(message, true)?;
    let (head, mut body) = response.await?.into_parts();
    let mut answer = GrpcAnswer::new(head.status.as_u16(), |name| header(&head.headers, name));
    while let Some(data) = body.data().await {
        let data = data?;
        // Room for as much again.
        body.flow_control().release_capacity(data.len())?;
        if !answer.add(&data) {
            return Ok((
                ProbeCode::L7Rsp,
                format_compact!("a message of more than {} bytes", LONGEST_MESSAGE - PREFIX),
            ));
        }
    }
    if let Some(trailers) = body.trailers().await? {
        answer.end(|name| header(&trailers, name));
    }
    Ok(answer.verdict())
}

fn header(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    headers.get(name).map(|value| value.as_bytes().to_vec())
}

/// The verdict on a connection that broke, or broke the rules of HTTP/2.
fn broken(error: h2::Error) -> Finding {
    if let Some(io) = error.get_io() {
        return (
            connect::judge(io, ProbeCode::L7Rsp),
            format_compact!("{} before a complete answer", in_words(io)),
        );
    }
    // Its text may have a server's own words.
    let words = error.to_string();
    (ProbeCode::L7Rsp, format_compact!("not HTTP/2, or broken: {}", Quote::new(words.as_bytes())))
}

#[cfg(test)]
mod tests;
