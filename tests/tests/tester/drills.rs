//! The drills of operations, as a client sees them.

use maglev_tests::stack::Stack;
use serde_json::Value;

use crate::program::{EXCEEDED, Maglevt, NOT_TESTED, number, run};

const PRIMARY: [&str; 3] = ["web1", "web2", "web3"];

async fn stack() -> (Stack, String) {
    let stack = Stack::start_with(None).await.unwrap();
    stack.wait_serving(&PRIMARY).await.unwrap();
    let server = format!("unix:{}", stack.brain_socket().display());
    (stack, server)
}

fn row<'v>(vip: &'v Value, server: &str) -> &'v Value {
    let rows = vip["servers"].as_array().unwrap();
    rows.iter().find(|row| row["server"] == server).unwrap_or(&Value::Null)
}

fn flows_on(vip: &Value, server: &str) -> u64 {
    vip["flows"]["servers"][server].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_server_is_an_outage_of_at_most_what_its_check_allows() {
    let (mut stack, server) = stack().await;
    let mut test = Maglevt::start(&["--server", &server, "--interval", "5ms", "--max-fail", "0"]);
    test.until("answers of all servers", |vip| PRIMARY.iter().all(|name| row(vip, name)["answers"].is_u64()))
        .await;
    let before =
        test.until("a comparison", |vip| vip["chance"].is_f64() && number(&vip["sent"]) > 1000).await;
    assert_eq!(before["failed"], 0, "{before}");
    assert!(before["chance"].as_f64().unwrap() > 1e-4, "the shares are those of the buckets: {before}");

    stack.kill("web1").unwrap();
    stack.wait_serving(&["web2", "web3"]).await.unwrap();
    let is_over = |vip: &Value| {
        row(vip, "web1")["recent"] == 0.0
            && vip["state"] == "up"
            && row(vip, "web2")["expected"].as_f64() > Some(0.5)
    };
    test.until("web1 to be gone", is_over).await;
    let (code, vip, summary) = test.stop().await;
    assert_eq!(code, EXCEEDED, "{summary}");
    assert!(summary["exceeded"][0].as_str().unwrap().contains("--max-fail"), "{summary}");
    let disturbance = &vip["outages"]["longest_disturbance"];
    assert_eq!(disturbance["failed"], vip["failed"], "nothing else failed: {vip}");
    // The check: every 500 ms, twice, the second time after 100 ms, within 400 ms. The rest is for a busy machine.
    let length = number(&disturbance["ms"]);
    assert!((1..5000).contains(&length), "{length} ms");
    let classes = vip["failures"].as_object().unwrap();
    assert!(classes.keys().all(|class| ["reset", "refused", "timeout"].contains(&class.as_str())), "{vip}");
    assert_eq!(row(&vip, "web1")["unexpected"], false, "{vip}");
}

#[tokio::test(flavor = "multi_thread")]
async fn drained_server_keeps_its_flows_and_a_flush_moves_them() {
    let (stack, server) = stack().await;
    let mut test = Maglevt::start(&["--server", &server, "--flows", "30", "--interval", "20ms"]);
    let ready = |vip: &Value| vip["flows"]["open"] == 30 && flows_on(vip, "web2") > 0;
    let before = flows_on(&test.until("30 flows", ready).await, "web2");
    stack.operate(&["--yes", "set", "backend", "web2", "pause"]).await.unwrap();
    stack.wait_serving(&["web1", "web3"]).await.unwrap();
    let drained = test.until("the drain", |vip| row(vip, "web2")["recent"] == 0.0).await;
    assert_eq!(flows_on(&drained, "web2"), before, "its flows stay: {drained}");
    let flows = &drained["flows"];
    assert_eq!(
        (&flows["broke"], &flows["moved"], &flows["stalled"]),
        (&0.into(), &0.into(), &0.into()),
        "{flows}"
    );
    assert_eq!(drained["failed"], 0, "{drained}");

    stack.operate(&["--yes", "set", "backend", "web2", "resume"]).await.unwrap();
    stack.wait_serving(&PRIMARY).await.unwrap();
    let flush = ["set", "frontend", "www", "pool", "primary", "backend", "web2", "weight", "0", "flush"];
    stack.operate(&[&["--yes"], &flush[..]].concat()).await.unwrap();
    let is_moved = |vip: &Value| flows_on(vip, "web2") == 0 && vip["flows"]["open"] == 30;
    let flushed = test.until("the flush", is_moved).await;
    assert_eq!(
        (number(&flushed["flows"]["broke"]), number(&flushed["flows"]["moved"])),
        (before, before),
        "{flushed}"
    );
    let (_, vip, _) = test.stop().await;
    let events = vip["flows"]["events"].as_array().unwrap();
    let moved = |event: &&Value| {
        event["event"] == "moved" && event["words"].as_str().unwrap().starts_with("web2 -> ")
    };
    assert_eq!(events.iter().filter(moved).count() as u64, before, "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_brains_break_no_flow_and_no_request() {
    let (mut stack, server) = stack().await;
    let words = [
        "--server",
        &server,
        "--flows",
        "30",
        "--interval",
        "20ms",
        "--max-fail",
        "0",
        "--max-lost-flows",
        "0",
    ];
    let mut test = Maglevt::start(&words);
    test.until("30 flows", |vip| vip["flows"]["open"] == 30).await;
    for _ in 0..5 {
        stack.kill("brain").unwrap();
        test.next().await;
        stack.start_brain().unwrap();
        stack.wait_synced().await.unwrap();
    }
    test.next().await;
    let (code, vip, summary) = test.stop().await;
    assert_eq!(code, 0, "{summary}");
    assert_eq!((&vip["failed"], &vip["flows"]["broke"]), (&0.into(), &0.into()), "{vip}");
    assert!(number(&vip["flows"]["exchanged"]) > 100 && number(&vip["sent"]) > 100, "{vip}");
}

#[tokio::test(flavor = "multi_thread")]
async fn vpp_that_is_gone_is_an_outage_of_a_tcp_service_until_it_is_back() {
    let (mut stack, _) = stack().await;
    let vip = format!("tcp://{}", stack.vip());
    let mut test = Maglevt::start(&[&vip, "--interval", "10ms", "--max-outage", "1ms"]);
    test.until("a connection", |vip| vip["state"] == "up").await;
    stack.kill("vppsim").unwrap();
    test.until("the outage", |vip| vip["outages"]["current"].is_object()).await;
    stack.start_vppsim().unwrap();
    stack.wait_serving(&PRIMARY).await.unwrap();
    test.until("the service", |vip| vip["state"] == "up").await;
    let (code, vip, summary) = test.stop().await;
    assert_eq!(code, EXCEEDED, "{summary}");
    assert_eq!((&vip["request"], &vip["outages"]["current"]), (&"tcp".into(), &Value::Null));
    let longest = &vip["outages"]["longest"];
    assert!(number(&longest["ms"]) > 0 && number(&longest["failed"]) > 0, "{vip}");
    assert!(number(&vip["failures"]["refused"]) > 0, "{vip}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_goes_through_every_bucket_of_the_active_pool() {
    let (_stack, server) = stack().await;
    let words = ["--server", &server, "--sweep", "--json", "--max-fail", "0"];
    let (code, out, errors) = run(&words).await;
    assert_eq!(code, 0, "{out}{errors}");
    let summary: Value = serde_json::from_str(&out).unwrap();
    let swept = &summary["sweeps"][0]["sweep"];
    assert_eq!((&swept["buckets"], &swept["failed"]), (&1024.into(), &0.into()), "{swept}");
    assert_eq!(number(&swept["probed"]) + number(&swept["unreached"]), 1024);
    assert!(number(&swept["unreached"]) < 10, "{swept}");
    assert_eq!(swept["servers"].as_object().unwrap().len(), 3, "those of the active pool: {swept}");

    let (code, out, errors) = run(&["--server", "unix:/nonexistent", "--sweep"]).await;
    assert_eq!((code, out.as_str()), (NOT_TESTED, ""), "{errors}");
}
