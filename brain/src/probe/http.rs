//! One HTTP/1.1 request over an open connection.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::ProbeCode;
use crate::config::{HttpCheck, HttpMethod};

/// How much of a body a `response-regexp` sees.
const BODY_LIMIT: usize = 64 << 10;
/// Most header bytes that an answer may have. hyper's least is 8 KiB.
const HEADER_LIMIT: usize = 32 << 10;

/// Asks, and judges the answer.
pub(super) async fn request(
    stream: TcpStream,
    target: SocketAddr,
    check: &HttpCheck,
    deadline: Instant,
) -> (ProbeCode, String) {
    match timeout_at(deadline, exchange(stream, target, check)).await {
        Ok(result) => result,
        Err(_) => (ProbeCode::L7Tout, "connected, but no complete answer in time".to_owned()),
    }
}

async fn exchange(stream: TcpStream, target: SocketAddr, check: &HttpCheck) -> (ProbeCode, String) {
    let request = match build(target, check) {
        Ok(request) => request,
        Err(error) => return (ProbeCode::L7Rsp, format!("cannot ask: {error}")),
    };
    let mut builder = http1::Builder::new();
    let handshake = builder.max_buf_size(HEADER_LIMIT).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = match handshake {
        Ok(parts) => parts,
        Err(error) => return (ProbeCode::L7Rsp, in_words(&error)),
    };
    // The connection makes no progress by itself. It is polled beside the exchange and ends with it.
    let exchange = async {
        match sender.send_request(request).await {
            Ok(response) => judge(response, check).await,
            Err(error) => (ProbeCode::L7Rsp, in_words(&error)),
        }
    };
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        // What arrived before the connection's end is still to be judged.
        _ = connection => exchange.await,
    }
}

fn build(target: SocketAddr, check: &HttpCheck) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    let method = match check.method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
    };
    let host = match &check.host {
        Some(host) => host.clone(),
        None if target.port() == 80 => bracketed(target),
        None => target.to_string(),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(check.path.parse::<Uri>()?)
        .header(HOST, host)
        .header(USER_AGENT, super::USER_AGENT)
        .header(CONNECTION, "close")
        .body(Empty::new())?;
    for (name, value) in &check.headers {
        let (name, value) = (name.parse::<HeaderName>()?, value.parse::<HeaderValue>()?);
        if name == USER_AGENT {
            request.headers_mut().insert(name, value);
        } else {
            request.headers_mut().append(name, value);
        }
    }
    Ok(request)
}

fn bracketed(target: SocketAddr) -> String {
    match target {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}

async fn judge(response: Response<Incoming>, check: &HttpCheck) -> (ProbeCode, String) {
    let status = response.status();
    if !check.response_codes.contains(status.as_u16()) {
        return (ProbeCode::L7Sts, format!("HTTP {}", status.as_u16()));
    }
    if let Some(regexp) = &check.response_regexp {
        let body = match read_body(response.into_body()).await {
            Ok(body) => body,
            Err(error) => return (ProbeCode::L7Rsp, in_words(&error)),
        };
        if !regexp.is_match(&body) {
            return (ProbeCode::L7Sts, format!("HTTP {}, body does not match {regexp}", status.as_u16()));
        }
    }
    (ProbeCode::L7Ok, format!("HTTP {}", status.as_u16()))
}

async fn read_body(mut body: Incoming) -> Result<Bytes, hyper::Error> {
    let mut read = BytesMut::new();
    while read.len() < BODY_LIMIT {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame?.into_data() {
            let room = BODY_LIMIT - read.len();
            read.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(read.freeze())
}

fn in_words(error: &hyper::Error) -> String {
    use std::error::Error;
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
