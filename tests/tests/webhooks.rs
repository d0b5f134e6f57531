//! Events delivered to a receiver over HTTP, by whole processes.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::hmac;
use maglev_tests::stack::Stack;
use maglev_tests::wait;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

const SECRET: &str = "a secret of the tests";

/// A request: its head in lower case, and its body.
type Got = (String, String);

async fn read(stream: &mut TcpStream) -> Option<Got> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8(read.clone()).ok()?;
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.split("content-length: ").nth(1)?.lines().next()?.parse::<usize>().ok()?;
            if body.len() >= length {
                return Some((head, body.to_owned()));
            }
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

/// Answers 500 to the first request, and 200 to all others.
async fn receive(listener: TcpListener, got: mpsc::UnboundedSender<Got>) {
    let answered = AtomicUsize::new(0);
    while let Ok((mut stream, _)) = listener.accept().await {
        let Some(request) = read(&mut stream).await else { continue };
        let status = if answered.fetch_add(1, Ordering::Relaxed) == 0 { "500 Oops" } else { "200 OK" };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok();
        got.send(request).ok();
    }
}

fn verified((head, body): Got) -> Value {
    let header = |name: &str| {
        let found = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_else(|| panic!("no {name} in {head}")).to_owned()
    };
    let signed = format!("{}.{body}", header("x-maglev-timestamp"));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), signed.as_bytes());
    let expected: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(header("x-maglev-signature"), format!("sha256={expected}"));
    serde_json::from_str(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn backend_that_goes_down_is_told_though_one_receiver_fails_and_another_hangs() {
    let mut stack = Stack::start().await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    // Connects, and never answers.
    let hanging = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (port, hang) = (listener.local_addr().unwrap().port(), hanging.local_addr().unwrap().port());
    let (sender, got) = mpsc::unbounded_channel();
    let got = Arc::new(Mutex::new(got));
    let receiver = tokio::spawn(receive(listener, sender));

    let secret = stack.directory().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let (text, secret) = (std::fs::read_to_string(stack.config()).unwrap(), secret.display());
    stack
        .configure(&format!(
            "{text}
  webhooks:
    chat: {{ url: 'http://127.0.0.1:{port}/hook', secret-file: {secret}, events: [backend] }}
    hangs: {{ url: 'http://127.0.0.1:{hang}/TOKEN', secret-file: {secret}, timeout: 1s }}
"
        ))
        .unwrap();
    let reloaded = stack.operate(&["--yes", "config", "reload"]).await;
    reloaded.map_err(|error| stack.explain(&error)).unwrap();

    stack.kill("web1").unwrap();
    // Neither receiver delays the failover.
    stack.wait_serving(&["web2", "web3"]).await.unwrap();
    let next = || {
        let got = Arc::clone(&got);
        async move { Ok(got.lock().await.try_recv().ok()) }
    };
    let first = verified(wait::until("the first attempt", next).await.unwrap());
    let again = verified(wait::until("the second attempt", next).await.unwrap());
    assert_eq!(first, again, "the same event, which receivers recognize");
    assert_eq!((&first["kind"], &first["backend"]), (&"backend".into(), &"web1".into()));
    assert_eq!((&first["from"], &first["to"], &first["lost"]), (&"up".into(), &"down".into(), &0.into()));
    assert!(first["id"].as_str().unwrap().ends_with("-1"), "{first}");

    stack.start_backend("web1").unwrap();
    let up = verified(wait::until("its return", next).await.unwrap());
    assert_eq!((&up["to"], &up["sequence"]), (&"up".into(), &2.into()));

    let look = || async {
        let status = stack.show(&["status"]).await?;
        let problems = status["problems"].as_array().cloned().unwrap_or_default();
        Ok(problems.into_iter().find(|problem| problem["kind"] == "webhook"))
    };
    let problem = wait::until("the problem of the one that hangs", look).await.unwrap();
    assert_eq!(problem["name"], "hangs", "{problem}");
    assert!(problem["what"].as_str().unwrap().contains("no answer within 1s"), "{problem}");
    let metrics =
        reqwest::get(format!("http://{}/metrics", stack.metrics())).await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("maglev_webhook_deliveries_total{webhook=\"chat\",result=\"delivered\"} 2"),
        "{metrics}"
    );
    assert!(metrics.contains("maglev_webhook_failing{webhook=\"hangs\"} 1"), "{metrics}");
    let log = std::fs::read_to_string(stack.log("brain")).unwrap();
    assert!(!log.contains(SECRET) && !log.contains("TOKEN"), "{log}");
    receiver.abort();
}
