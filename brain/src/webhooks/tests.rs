use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use maglev_engine::config::{Config, parse};
use maglev_engine::history::Kind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// RFC 4231's key, with the line break that editors add.
const SECRET: &str = "Jefe and his dog\n";

struct Bench {
    listener: TcpListener,
    secret: tempfile::NamedTempFile,
    webhooks: Webhooks,
    /// Number of the next record.
    next: AtomicU64,
}

/// What the receiver got: the head in lower case, and the body.
struct Got {
    head: String,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        let found = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    fn field(&self, name: &str) -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(&self.body).unwrap()[name].take()
    }
}

impl Bench {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), SECRET).unwrap();
        Self { listener, secret, webhooks: Webhooks::new(Handle::current()), next: AtomicU64::new(0) }
    }

    fn config(&self, more: &str) -> Config {
        let (port, secret) = (self.listener.local_addr().unwrap().port(), self.secret.path().display());
        let text = format!(
            "maglev: {{ webhooks: {{ chat: {{ url: 'http://127.0.0.1:{port}/hook?x=1', secret-file: {secret}{more} }} }} }}"
        );
        parse("test.yaml", &text).unwrap().config
    }

    fn apply(&self, more: &str) {
        self.webhooks.apply(&self.config(more).webhooks);
    }

    fn record(&self, kind: Kind, what: &str) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.webhooks.record(&Arc::new(Record { number, ..Record::new(SystemTime::now(), kind, what) }));
    }

    fn waiting(&self) -> usize {
        self.webhooks.readings()[0].waiting
    }

    async fn answer(&self, status: &str) -> Got {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut read = Vec::new();
        let (head, body) = loop {
            let text = String::from_utf8(read.clone()).unwrap();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_lowercase();
                let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
                if body.len() == length.parse::<usize>().unwrap() {
                    break (head, body.to_owned());
                }
            }
            assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
        };
        let answer = format!("HTTP/1.1 {status}\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        Got { head, body }
    }
}

#[tokio::test]
async fn only_records_of_the_kinds_asked_for_wait_and_a_reload_keeps_them() {
    let bench = Bench::start().await;
    bench.apply(", events: [backend]");
    bench.record(Kind::Backend, "up");
    bench.record(Kind::Vpp, "connected");
    assert_eq!(bench.waiting(), 1);
    bench.apply(", events: [backend]");
    bench.apply(", events: [vpp], timeout: 1s");
    assert_eq!(bench.waiting(), 1, "neither the same settings nor others lose it");
    bench.record(Kind::Vpp, "connected");
    assert_eq!(bench.waiting(), 2);
    bench.webhooks.apply(&BTreeMap::new());
    assert_eq!(bench.webhooks.readings(), []);
}

#[tokio::test]
async fn delivery_is_one_signed_post() {
    let bench = Bench::start().await;
    bench.apply("");
    bench.record(Kind::Reload, "reloaded: nothing changed");
    bench.record(Kind::Brain, "stopped");
    let got = bench.answer("204 No Content").await;
    assert_eq!(got.head.lines().next(), Some("post /hook?x=1 http/1.1"));
    assert_eq!(got.header("content-type"), "application/json");
    let time: u64 = got.header("x-maglev-timestamp").parse().unwrap();
    assert_eq!(got.header("x-maglev-signature"), signature(SECRET.trim_end().as_bytes(), time, &got.body));
    assert_eq!((got.field("kind"), got.field("sequence")), ("reload".into(), 1.into()));
    let next = bench.answer("200 OK").await;
    assert_eq!((next.field("what"), next.field("lost")), ("stopped".into(), 0.into()));
    let reading = &bench.webhooks.readings()[0];
    assert_eq!((reading.attempts[0], reading.failing.clone()), (("delivered", 1), None));
}

#[tokio::test]
async fn refused_event_and_redirect_are_not_repeated_but_told() {
    let bench = Bench::start().await;
    bench.apply("");
    for (what, status) in [("one", "404 Not Found"), ("two", "302 Found")] {
        bench.record(Kind::Brain, what);
        assert_eq!(bench.answer(status).await.field("what"), what);
    }
    bench.record(Kind::Brain, "three");
    let got = bench.answer("200 OK").await;
    assert_eq!((got.field("what"), got.field("lost")), ("three".into(), 2.into()));
    assert!(got.head.starts_with("post /hook"), "not where the redirect says: {}", got.head);
    let reading = &bench.webhooks.readings()[0];
    assert_eq!(reading.attempts[2], ("refused", 2));
    assert_eq!(reading.failing.as_ref().unwrap().reason, "the receiver answered 302");
}

#[tokio::test]
async fn failures_are_told_without_the_secret_and_end_in_time() {
    let bench = Bench::start().await;
    let client = |more: &str| {
        let config = bench.config(more);
        Client::new(&config.webhooks["chat"])
    };
    let sign = |_: &[u8]| Request { timestamp: 0, signature: String::new(), body: String::new() };
    let late = client(", timeout: 100ms").post(sign).await.unwrap_err();
    assert_eq!(late, "no answer within 100ms");
    let garbage = async {
        let (mut stream, _) = bench.listener.accept().await.unwrap();
        stream.write_all(b"SMTP ready\r\n\r\n").await.unwrap();
        // Dropped with bytes unread, which resets the connection.
    };
    // The connection of the attempt before.
    drop(bench.listener.accept().await.unwrap());
    let (found, ()) = tokio::join!(async { client("").post(sign).await }, garbage);
    assert!(found.unwrap_err().starts_with("no valid answer: "));
    std::fs::write(bench.secret.path(), "\n").unwrap();
    let empty = client("").post(sign).await.unwrap_err();
    assert!(empty.ends_with("is empty"), "{empty}");
    std::fs::remove_file(bench.secret.path()).unwrap();
    let missing = client(", timeout: 1s").post(sign).await.unwrap_err();
    assert!(missing.contains("cannot be read"), "{missing}");
    assert_eq!(Duration::from_secs(1), bench.config(", timeout: 1s").webhooks["chat"].timeout);
}
