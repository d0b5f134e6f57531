use maglev_engine::outcome::ProbeCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::client::Naming;
use crate::run::Options;
use crate::stats::exchange;
use crate::target::{Shape, from_text};

fn tester() -> Tester {
    let options = Options {
        interval: Duration::from_secs(1),
        vip_rate: 1,
        rate: 1,
        keepalive: false,
        flows: 0,
        probes: false,
        shape: Shape::default(),
        naming: Naming::default(),
    };
    Tester::start(vec![from_text("198.51.100.1:80").unwrap()], &options)
}

#[tokio::test(start_paused = true)]
async fn scrape_tells_what_was_counted() {
    let tester = tester();
    let now = Instant::now().into_std();
    {
        let mut stats = locked(&tester.vips()[0].stats);
        stats.add(exchange(ProbeCode::L7Ok, "HTTP 200", "web\"1"), now, now);
        stats.add(exchange(ProbeCode::L7Sts, "HTTP 503", ""), now, now);
        let mut book = locked(&tester.vips()[0].flows);
        book.answered(1, "web1", now);
        book.answered(1, "web2", now);
    }
    let text = text(&tester, now + Duration::from_secs(3)).unwrap();
    let vip = "vip=\"198.51.100.1:80\",address=\"198.51.100.1:80\"";
    for line in [
        format!("maglevt_up{{{vip}}} 0"),
        format!("maglevt_requests_total{{{vip}}} 2"),
        format!("maglevt_failures_total{{{vip},class=\"status\"}} 1"),
        format!("maglevt_failures_total{{{vip},class=\"timeout\"}} 0"),
        format!("maglevt_answers_total{{{vip},server=\"web\\\"1\"}} 1"),
        format!("maglevt_request_duration_seconds_bucket{{{vip},le=\"0.001\"}} 0"),
        format!("maglevt_request_duration_seconds_bucket{{{vip},le=\"0.005\"}} 1"),
        format!("maglevt_request_duration_seconds_count{{{vip}}} 1"),
        format!("maglevt_outage_current_seconds{{{vip}}} 3"),
        format!("maglevt_flow_events_total{{{vip},event=\"moved\"}} 1"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

/// Each family is in the guide, and the guide has no others.
#[test]
fn guide_has_every_metric() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring/README.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let named = guide.lines().filter_map(|line| line.strip_prefix("| `maglevt_")?.split('`').next());
    let mut named: Vec<_> = named.map(|name| format!("maglevt_{name}")).collect();
    let mut own: Vec<_> = FAMILIES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    own.push("maglevt_build_info".to_owned());
    named.sort_unstable();
    own.sort_unstable();
    assert_eq!(named, own);
}

#[tokio::test]
async fn only_metrics_are_served() {
    let listener = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve(listener, Arc::new(tester())));
    for (request, status, word) in [
        ("GET /metrics", "200", "maglevt_build_info{version="),
        ("GET /", "404", "only /metrics"),
        ("POST /metrics", "405", "only GET"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(word), "{answer}");
    }
    serving.abort();
}
