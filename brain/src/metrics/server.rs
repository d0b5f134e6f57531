//! The exporter's HTTP server.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tracing::{debug, error, info};

use super::Exporter;
use crate::paced::{self, Cause, Paced};
use crate::seats::{Seat, Seats};
use crate::tcp;

/// Maximum number of connections, each of which may hold a text of 20 MB. A further one replaces another.
const CONNECTIONS: usize = 16;
/// Maximum lifetime of a connection, which carries one request.
const CONNECTION: Duration = Duration::from_secs(30);
/// Maximum size of a request's head, in bytes.
const HEAD: usize = 16 << 10;
/// Time limit for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// Pause after accepting failed for lack of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const PAGE: &str = "<!doctype html>\n<html lang=\"en\"><head><title>maglev-brain</title></head>\n\
<body><h1>maglev-brain</h1><p>For Prometheus: <a href=\"/metrics\">/metrics</a></p></body></html>\n";

/// Address of the exporter: `127.0.0.1:17091`, `[::1]:17091`, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsAddress {
    /// No exporter.
    Off,
    /// This address. Metrics are not secret; there is neither encryption nor authentication.
    At(SocketAddr),
}

impl FromStr for MetricsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let wrong = |_| format!("{text:?} is not a listening address: use ADDRESS:PORT, [IPV6]:PORT or off");
        text.parse().map(Self::At).map_err(wrong)
    }
}

impl fmt::Display for MetricsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

/// Why the exporter cannot listen.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot serve Prometheus on {address}: {error}; free the address, or choose another with \
     --metrics (from a socket unit: ListenStream=), or --metrics off"
)]
pub struct BindError {
    address: SocketAddr,
    error: std::io::Error,
}

/// Uses the service manager's socket, otherwise listens, unless it is off.
///
/// # Errors
/// If the system refuses, most often because the port is in use.
pub fn open(
    address: MetricsAddress,
    inherited: Option<std::net::TcpListener>,
) -> Result<Option<TcpListener>, BindError> {
    let (address, listener) = match (inherited, address) {
        (Some(inherited), _) => {
            let unnamed = SocketAddr::from(([0, 0, 0, 0], 0));
            (inherited.local_addr().unwrap_or(unnamed), TcpListener::from_std(inherited))
        }
        (None, MetricsAddress::At(address)) => (address, tcp::listen(address)),
        (None, MetricsAddress::Off) => return Ok(None),
    };
    listener.map(Some).map_err(|error| BindError { address, error })
}

/// Serves until `shutdown` ends.
pub async fn serve(listener: TcpListener, exporter: Exporter, shutdown: impl Future<Output = ()>) {
    if let Ok(address) = listener.local_addr() {
        info!(%address, "serving Prometheus");
    }
    let (seats, refusals) = (Seats::new(CONNECTIONS), Paced::default());
    let mut ticks = interval(paced::TICK);
    // Dropping it aborts the connections.
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => {}
            _ = ticks.tick() => refusals.write_due(),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let (seat, exporter, refusals) = (Arc::new(seats.take()), exporter.clone(), refusals.clone());
                    connections.spawn(async move {
                        let answered = timeout(CONNECTION, answer(stream, exporter, Arc::clone(&seat)));
                        let why = tokio::select! {
                            answered = answered => match answered {
                                Ok(Ok(())) => return,
                                Ok(Err(error)) if error.is_timeout() => "no request within 5 s".to_owned(),
                                Ok(Err(error)) => return debug!(%peer, %error, "a scrape broke off"),
                                Err(_) => "not finished within 30 s".to_owned(),
                            },
                            () = seat.displaced() => format!("all {CONNECTIONS} are taken, and it was the oldest"),
                        };
                        refusals.refused(Cause::Scrape, peer.ip().to_canonical(), peer, why);
                    });
                }
                Err(error) => {
                    refusals.refused(Cause::ScrapeAccept, "this machine", "nowhere", error);
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn answer(stream: TcpStream, exporter: Exporter, seat: Arc<Seat>) -> hyper::Result<()> {
    let service = service_fn(move |request| {
        seat.has_asked();
        let exporter = exporter.clone();
        async move { Ok::<_, Infallible>(respond(&request, &exporter).await) }
    });
    http1::Builder::new()
        .keep_alive(false)
        // A client may close its sending side after its request.
        .half_close(true)
        .max_buf_size(HEAD)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn respond(request: &Request<Incoming>, exporter: &Exporter) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused =
            response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET and HEAD are answered here\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/metrics" => {
            let gzip = accepts_gzip(request.headers());
            let scraped = match gzip {
                true => exporter.scrape_gzip().await,
                false => exporter.scrape().await.map(|scrape| scrape.text.into_bytes()),
            };
            match scraped {
                Ok(body) => {
                    let mut scrape = response(StatusCode::OK, METRICS, body);
                    scrape.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
                    if gzip {
                        scrape.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                    }
                    scrape
                }
                Err(error) => {
                    error!(%error, "a scrape failed");
                    response(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("{error}\n"))
                }
            }
        }
        "/healthz" if exporter.is_alive().await => response(StatusCode::OK, PLAIN, "ok\n"),
        "/healthz" => response(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "the controller does not answer\n"),
        "/readyz" => match exporter.not_ready() {
            None => response(StatusCode::OK, PLAIN, "ready\n"),
            Some(reason) => response(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{reason}\n")),
        },
        "/" => response(StatusCode::OK, HTML, PAGE),
        _ => response(
            StatusCode::NOT_FOUND,
            PLAIN,
            "not found: only /metrics, /healthz and /readyz are served here\n",
        ),
    }
}

/// Returns whether a client accepts gzip (RFC 9110, section 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let is_refused = |part: &str| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0))
        };
        is_gzip && !parts.any(is_refused)
    })
}

fn response(status: StatusCode, content: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    response
}
