//! A standing test for Prometheus: its metrics, and the small server that tells them.
//!
//! Tasks: [`serve`] accepts until it is aborted; one task a connection, which ends with its answer or after 10 seconds.
//! Each may be aborted at any point.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::TextEncoder;
use prometheus::proto::{self, MetricFamily, MetricType};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::chance::number;
use crate::flows::Fate;
use crate::locked;
use crate::run::{Tester, Vip};
use crate::stats::Stats;

/// Connections at once; one more waits.
const CONNECTIONS: usize = 8;
/// A connection carries one request, and lasts so long at most.
const CONNECTION: Duration = Duration::from_secs(10);
/// Pause after the system had no resources for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Upper bounds of the histogram's buckets, in milliseconds.
const BOUNDS: [u64; 11] = [1, 2, 5, 10, 20, 50, 100, 250, 500, 1000, 5000];

/// Serves Prometheus for ever.
pub async fn serve(listener: TcpListener, tester: Arc<Tester>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Never closed.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let tester = Arc::clone(&tester);
                tokio::spawn(async move {
                    // A scrape that breaks off is made again.
                    timeout(CONNECTION, answer(stream, &tester)).await.ok();
                    drop(permit);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn answer(stream: TcpStream, tester: &Tester) -> hyper::Result<()> {
    let service = service_fn(|request| {
        let response = respond(&request, tester);
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .keep_alive(false)
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(CONNECTION)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn respond(request: &Request<Incoming>, tester: &Tester) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => match text(tester, Instant::now().into_std()) {
            Ok(text) => (StatusCode::OK, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        (&Method::GET | &Method::HEAD, _) => {
            (StatusCode::NOT_FOUND, "not found: only /metrics is served here\n".to_owned())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n".to_owned()),
    };
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let format = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, format);
    response
}

/// Labels and value of one series.
type Series = (Vec<(&'static str, String)>, Value);

enum Value {
    Counter(f64),
    Gauge(f64),
    Histogram { count: u64, sum: f64, buckets: Vec<(f64, u64)> },
}

/// Name, help and series of a metric, by VIP.
type Family = (&'static str, &'static str, fn(&Stats, &Vip, std::time::Instant) -> Vec<Series>);

const FAMILIES: [Family; 14] = [
    (
        "maglevt_up",
        "1 if the newest request was answered, 0 if it failed; absent before the first.",
        |stats, _, _| {
            let up = stats.last().map(|last| Value::Gauge(if last.is_ok() { 1.0 } else { 0.0 }));
            up.into_iter().map(|up| (Vec::new(), up)).collect()
        },
    ),
    ("maglevt_requests_total", "Requests that reached the network.", |stats, _, _| {
        one(Value::Counter(number(stats.sent())))
    }),
    ("maglevt_failures_total", "Failed requests by class; `local` ones were not made.", |stats, _, _| {
        let class = |class: crate::class::Class| {
            let count = stats.failures().get(&class).copied().unwrap_or(0);
            (vec![("class", class.word().to_owned())], Value::Counter(number(count)))
        };
        crate::class::Class::ALL.map(class).into()
    }),
    ("maglevt_request_duration_seconds", "Durations of answered requests.", |stats, _, _| {
        let latency = stats.latency();
        let bucket = |ms: u64| (number(ms) / 1e3, latency.at_most(Duration::from_millis(ms)));
        one(Value::Histogram {
            count: stats.answered(),
            sum: latency.sum().as_secs_f64(),
            buckets: BOUNDS.map(bucket).into(),
        })
    }),
    ("maglevt_answers_total", "Answers by the server that gave them.", |stats, _, _| {
        let servers = stats.servers().run().iter();
        servers
            .map(|(server, count)| (vec![("server", server.clone())], Value::Counter(number(*count))))
            .collect()
    }),
    ("maglevt_balancer_answers_total", "Answers by the load balancer that delivered them.", |stats, _, _| {
        let balancers = stats.balancers().iter();
        balancers
            .map(|(name, count)| (vec![("balancer", name.clone())], Value::Counter(number(*count))))
            .collect()
    }),
    (
        "maglevt_expected_share",
        "Share of answers that a server should have by its buckets.",
        |stats, _, now| {
            let rows = stats.servers().shares(now).into_iter();
            rows.filter_map(|row| Some((vec![("server", row.server)], Value::Gauge(row.expected?)))).collect()
        },
    ),
    (
        "maglevt_unexpected_server",
        "1 if a server answers new flows without having a bucket.",
        |stats, _, now| {
            let rows = stats.servers().shares(now).into_iter().filter(|row| row.expected.is_some());
            let flag = |is| Value::Gauge(if is { 1.0 } else { 0.0 });
            rows.map(|row| (vec![("server", row.server)], flag(row.unexpected))).collect()
        },
    ),
    (
        "maglevt_share_p_value",
        "Probability that the difference between answers and buckets is chance.",
        |stats, _, _| stats.servers().chance().map_or_else(Vec::new, |p| one(Value::Gauge(p))),
    ),
    ("maglevt_outages_total", "Outages: times in which every request failed.", |stats, _, _| {
        one(Value::Counter(number(stats.outages().count())))
    }),
    ("maglevt_outage_seconds_total", "Length of all outages, the current one included.", |stats, _, now| {
        one(Value::Counter(stats.outages().total(now).as_secs_f64()))
    }),
    ("maglevt_outage_current_seconds", "Length of the outage that goes on, or 0.", |stats, _, now| {
        let current = stats.outages().current().map_or(0.0, |outage| outage.length(now).as_secs_f64());
        one(Value::Gauge(current))
    }),
    ("maglevt_flows_open", "Long-lived flows that are open.", |_, vip, _| {
        let open = locked(&vip.flows).open();
        one(Value::Gauge(number(u64::try_from(open).unwrap_or(u64::MAX))))
    }),
    ("maglevt_flow_events_total", "Long-lived flows that broke, moved or stalled.", |_, vip, _| {
        let book = locked(&vip.flows);
        let event =
            |fate: Fate| (vec![("event", fate.word().to_owned())], Value::Counter(number(book.count(fate))));
        [Fate::Broke, Fate::Moved, Fate::Stalled].map(event).into()
    }),
];

fn one(value: Value) -> Vec<Series> {
    vec![(Vec::new(), value)]
}

/// All metrics, in Prometheus' text format.
///
/// # Errors
/// Only if a metric breaks the format's rules, which is a mistake in this program.
pub fn text(tester: &Tester, now: std::time::Instant) -> Result<String, prometheus::Error> {
    let vips: Vec<_> = tester.vips().iter().map(|vip| (vip, locked(&vip.stats).clone())).collect();
    let mut families = vec![family(
        "maglevt_build_info",
        "Always 1.",
        vec![(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], Value::Gauge(1.0))],
    )];
    for (name, help, series) in FAMILIES {
        let of_vip = |(vip, stats): &(&Vip, Stats)| {
            let own = [("vip", vip.target.name.clone()), ("address", vip.target.vip.to_string())];
            let rows = series(stats, vip, now).into_iter();
            rows.map(|(labels, value)| (own.iter().cloned().chain(labels).collect(), value))
                .collect::<Vec<_>>()
        };
        let rows: Vec<_> = vips.iter().flat_map(of_vip).collect();
        if !rows.is_empty() {
            families.push(family(name, help, rows));
        }
    }
    TextEncoder::new().encode_to_string(&families)
}

fn family(name: &str, help: &str, series: Vec<Series>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(match series.first() {
        Some((_, Value::Counter(_))) => MetricType::COUNTER,
        Some((_, Value::Histogram { .. })) => MetricType::HISTOGRAM,
        _ => MetricType::GAUGE,
    });
    family.set_metric(series.into_iter().map(|(labels, value)| row(labels, value)).collect());
    family
}

fn row(labels: Vec<(&'static str, String)>, value: Value) -> proto::Metric {
    let pair = |(name, value): (&str, String)| {
        let mut pair = proto::LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value);
        pair
    };
    let mut row = proto::Metric::from_label(labels.into_iter().map(pair).collect());
    match value {
        Value::Counter(value) => {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            row.set_counter(counter);
        }
        Value::Gauge(value) => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            row.set_gauge(gauge);
        }
        Value::Histogram { count, sum, buckets } => {
            let bucket = |(bound, count)| {
                let mut bucket = proto::Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(count);
                bucket
            };
            let mut histogram = proto::Histogram::default();
            histogram.set_bucket(buckets.into_iter().map(bucket).collect());
            histogram.set_sample_count(count);
            histogram.set_sample_sum(sum);
            row.set_histogram(histogram);
        }
    }
    row
}

/// Listens for Prometheus.
///
/// # Errors
/// If the address is taken, or is not this machine's.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

#[cfg(test)]
mod tests;
