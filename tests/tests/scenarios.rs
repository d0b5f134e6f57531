//! Scenarios of whole processes. They use the VPP that `MAGLEV_VPP_RUN_DIR` names, or the simulator.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::time::Duration;

use maglev_tests::stack::{BACKENDS, Stack};
use maglev_tests::traffic::{Tally, Traffic};
use maglev_tests::{maglevc, skipped, wait};

const PRIMARY: [&str; 3] = ["web1", "web2", "web3"];
const FALLBACK: [&str; 2] = ["spare1", "spare2"];

/// Requests in the background, if this VPP serves loopback addresses.
fn traffic(stack: &Stack) -> Option<Traffic> {
    if !stack.simulated() {
        skipped("requests to the VIP, since only the simulator serves loopback addresses");
        return None;
    }
    Some(Traffic::start(stack.asker().unwrap(), Duration::from_millis(2)))
}

/// So many requests while nothing changes.
async fn steady(traffic: Option<&Traffic>) -> Tally {
    let Some(traffic) = traffic else {
        return Tally::default();
    };
    traffic.take();
    // The first may have begun before.
    wait::until("a request", || async { Ok((traffic.look().sent() >= 2).then_some(())) }).await.unwrap();
    traffic.take();
    wait::until("200 requests", || async { Ok((traffic.look().sent() >= 200).then_some(())) }).await.unwrap();
    traffic.take()
}

async fn assert_served_by(traffic: Option<&Traffic>, backends: &[&str]) {
    let tally = steady(traffic).await;
    assert_eq!(tally.failed(), 0, "{tally:?}");
    if traffic.is_some() {
        let mut expected = backends.to_vec();
        expected.sort_unstable();
        assert_eq!(tally.who(), expected);
    }
}

/// Messages that change something, as the simulator saw them.
fn writes_seen_by_vpp(stack: &Stack) -> Option<usize> {
    if !stack.simulated() {
        return None;
    }
    let trace = std::fs::read_to_string(stack.api_trace()).unwrap();
    let messages = trace.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let written = messages.filter(|message| {
        let writes = ["lb_conf", "lb_add_del_vip_v2", "lb_add_del_as_v2", "lb_as_set_weight", "lb_flush_vip"];
        message["dir"] == "received" && writes.iter().any(|name| message["name"] == *name)
    });
    Some(written.count())
}

#[tokio::test(flavor = "multi_thread")]
async fn backend_that_dies_gets_no_more_traffic_and_returns() {
    let mut stack = Stack::start().await.unwrap();
    let traffic = traffic(&stack);
    let buckets = stack.wait_serving(&PRIMARY).await.unwrap();
    assert_eq!(buckets.values().sum::<u64>(), 1024);
    // Weights 100, 100, 50 are sent as 2, 2, 1; each has its share within 1 %.
    for (name, share) in [("web1", 0.4), ("web2", 0.4), ("web3", 0.2)] {
        let expected = 1024.0 * share;
        let found = buckets[name] as f64;
        assert!((found - expected).abs() <= expected * 0.01 + 1.0, "{name}: {found} of {expected}");
    }
    assert_served_by(traffic.as_ref(), &PRIMARY).await;

    stack.kill("web1").unwrap();
    let buckets = stack.wait_serving(&["web2", "web3"]).await.unwrap();
    assert_eq!(buckets.values().sum::<u64>(), 1024);
    assert_served_by(traffic.as_ref(), &["web2", "web3"]).await;
    let backend = stack.show(&["backends", "web1"]).await.unwrap();
    assert_eq!(backend["state"], "down");
    assert_eq!(backend["last_probe"]["code"], "L4CON");
    assert_eq!(backend["transitions"][0]["from"], "up");

    stack.start_backend("web1").unwrap();
    stack.wait_serving(&PRIMARY).await.unwrap();
    assert_served_by(traffic.as_ref(), &PRIMARY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pool_that_dies_is_followed_by_the_next_until_it_returns() {
    let mut stack = Stack::start().await.unwrap();
    let traffic = traffic(&stack);
    for name in PRIMARY {
        stack.kill(name).unwrap();
    }
    stack.wait_serving(&FALLBACK).await.unwrap();
    assert_served_by(traffic.as_ref(), &FALLBACK).await;
    let frontend = stack.show(&["frontends", "www"]).await.unwrap();
    assert_eq!(frontend["active_pool"], "fallback");
    assert_eq!(frontend["state"], "up");

    if let Some(traffic) = &traffic {
        traffic.take();
    }
    stack.start_backend("web3").unwrap();
    stack.wait_serving(&["web3"]).await.unwrap();
    for name in ["web1", "web2"] {
        stack.start_backend(name).unwrap();
    }
    stack.wait_serving(&PRIMARY).await.unwrap();
    if let Some(traffic) = &traffic {
        let returning = traffic.take();
        assert_eq!(returning.failed(), 0, "a return must not break anything: {returning:?}");
    }
    assert_served_by(traffic.as_ref(), &PRIMARY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frontend_whose_backends_are_all_gone_refuses_and_recovers() {
    let mut stack = Stack::start().await.unwrap();
    let traffic = traffic(&stack);
    for (name, ..) in BACKENDS {
        stack.kill(name).unwrap();
    }
    stack.wait_serving(&[]).await.unwrap();
    let frontend = stack.show(&["frontends", "www"]).await.unwrap();
    assert_eq!((&frontend["state"], &frontend["active_pool"]), (&"down".into(), &serde_json::Value::Null));
    let tally = steady(traffic.as_ref()).await;
    assert_eq!(tally.answered(), 0, "{tally:?}");
    stack.start_backend("spare2").unwrap();
    stack.wait_serving(&["spare2"]).await.unwrap();
    assert_served_by(traffic.as_ref(), &["spare2"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn brain_that_restarts_sends_vpp_no_write() {
    let mut stack = Stack::start().await.unwrap();
    let traffic = traffic(&stack);
    stack.wait_serving(&PRIMARY).await.unwrap();
    let (told, seen) = (stack.writes().unwrap(), writes_seen_by_vpp(&stack));
    assert!(told >= 6, "a VIP and five servers were written, and the agent told of {told} writes");
    if let Some(seen) = seen {
        assert_eq!(seen, told, "the agent tells of every write");
    }
    if let Some(traffic) = &traffic {
        traffic.take();
    }
    for _ in 0..3 {
        stack.kill("brain").unwrap();
        stack.start_brain().unwrap();
        stack.wait_synced().await.unwrap();
    }
    assert_eq!((stack.writes().unwrap(), writes_seen_by_vpp(&stack)), (told, seen));
    if let Some(traffic) = &traffic {
        let tally = traffic.take();
        assert!(tally.sent() > 0 && tally.failed() == 0, "{tally:?}");
    }
    stack.wait_serving(&PRIMARY).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_that_restarts_changes_nothing() {
    let mut stack = Stack::start().await.unwrap();
    let traffic = traffic(&stack);
    stack.wait_serving(&PRIMARY).await.unwrap();
    let (told, seen) = (stack.writes().unwrap(), writes_seen_by_vpp(&stack));
    if let Some(traffic) = &traffic {
        traffic.take();
    }
    stack.kill("dpagent").unwrap();
    stack.start_agent().unwrap();
    stack.wait_synced().await.unwrap();
    assert_eq!((stack.writes().unwrap(), writes_seen_by_vpp(&stack)), (told, seen));
    if let Some(traffic) = &traffic {
        let tally = traffic.take();
        assert!(tally.sent() > 0 && tally.failed() == 0, "{tally:?}");
    }
    // And it still works.
    stack.kill("web3").unwrap();
    stack.wait_serving(&["web1", "web2"]).await.unwrap();
    assert_served_by(traffic.as_ref(), &["web1", "web2"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vpp_that_restarts_is_filled_again() {
    let mut stack = Stack::start().await.unwrap();
    if !stack.simulated() {
        skipped("a restart of VPP, which is not this test's to restart");
        return;
    }
    let before = stack.wait_serving(&PRIMARY).await.unwrap();
    let info = stack.show(&["vpp", "info"]).await.unwrap();
    assert_eq!(info["state"], "connected");
    stack.kill("vppsim").unwrap();
    stack.start_vppsim().unwrap();
    wait::until("another VPP", || async {
        let now = stack.show(&["vpp", "info"]).await?;
        Ok((now["state"] == "connected" && now["pid"] != info["pid"]).then_some(()))
    })
    .await
    .unwrap();
    let after = stack.wait_serving(&PRIMARY).await.unwrap();
    assert_eq!(before, after, "the same weights make the same table");
    assert_served_by(traffic(&stack).as_ref(), &PRIMARY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_told_what_is_wrong() {
    let mut stack = Stack::start().await.unwrap();
    let socket = stack.brain_socket();
    let error = maglevc::run(&socket, &["show", "frontends", "wwv"]).await.unwrap_err().to_string();
    assert!(error.contains("\"www\""), "{error}");
    let listed = stack.show(&["backends"]).await.unwrap();
    let names =
        listed["backends"].as_array().unwrap().iter().map(|backend| backend["name"].as_str().unwrap());
    let names: Vec<_> = names.collect();
    assert_eq!(names, ["spare1", "spare2", "web1", "web2", "web3"]);

    stack.kill("dpagent").unwrap();
    wait::until("the brain to see that", || async {
        let info = stack.show(&["vpp", "info"]).await?;
        Ok((info["state"] == "unknown" && info["agent"]["connected"] == false).then_some(()))
    })
    .await
    .unwrap();
    let error = maglevc::run(&socket, &["show", "vpp", "lb", "state"]).await.unwrap_err().to_string();
    assert!(error.contains("agent"), "{error}");

    stack.kill("brain").unwrap();
    let error = maglevc::run(&socket, &["show", "frontends"]).await.unwrap_err().to_string();
    assert!(error.contains("brain.sock"), "{error}");
}
