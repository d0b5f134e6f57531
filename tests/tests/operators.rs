//! Operators' changes to a running brain, and what remains of them after the brain is killed. Uses the VPP
//! that `MAGLEV_VPP_RUN_DIR` names, or the simulator.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use maglev_tests::stack::Stack;
use maglev_tests::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PRIMARY: [&str; 3] = ["web1", "web2", "web3"];

/// Tells the brain to read its configuration, as `systemctl reload` does.
fn hang_up(stack: &Stack) {
    let pid = stack.pid("brain").unwrap().try_into().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
}

async fn wait_for_log(stack: &Stack, text: &str) {
    let look = || async {
        let log = std::fs::read_to_string(stack.log("brain"))?;
        Ok(log.contains(text).then_some(()))
    };
    let found = wait::until(&format!("the brain to say {text:?}"), look).await;
    found.map_err(|error| stack.explain(&error)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_set_survives_the_brain() {
    let mut stack = Stack::start().await.unwrap();
    stack.wait_serving(&PRIMARY).await.unwrap();
    stack.operate(&["set", "backend", "web1", "pause"]).await.unwrap();
    let weight = ["set", "frontend", "www", "pool", "primary", "backend", "web2", "weight", "50"];
    stack.operate(&weight).await.unwrap();
    let buckets = stack.wait_serving(&["web2", "web3"]).await.unwrap();
    assert_eq!(buckets["web2"], buckets["web3"], "50 each");

    let writes = stack.writes().unwrap();
    stack.kill("brain").unwrap();
    stack.start_brain().unwrap();
    stack.wait_synced().await.unwrap();
    assert_eq!(stack.show(&["backends", "web1"]).await.unwrap()["state"], "paused");
    assert_eq!(stack.show(&["overrides"]).await.unwrap()["overrides"].as_array().unwrap().len(), 2);
    assert_eq!(stack.buckets().await.unwrap(), buckets);
    assert_eq!(stack.writes().unwrap(), writes, "VPP has it all");

    stack.operate(&["clear", "override", "backend", "web1"]).await.unwrap();
    let weight = ["clear", "override", "frontend", "www", "pool", "primary", "backend", "web2"];
    stack.operate(&weight).await.unwrap();
    let buckets = stack.wait_serving(&PRIMARY).await.unwrap();
    let third = stack.show(&["overrides"]).await.unwrap();
    assert!(third["overrides"].as_array().unwrap().is_empty(), "{third}");
    assert!(buckets["web2"].abs_diff(2 * buckets["web3"]) <= 2, "{buckets:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_brings_what_differs_and_refuses_what_is_wrong() {
    let stack = Stack::start().await.unwrap();
    stack.wait_serving(&PRIMARY).await.unwrap();
    let history = |backend: &serde_json::Value| backend["transitions"].as_array().unwrap().len();
    let before = history(&stack.show(&["backends", "web1"]).await.unwrap());
    let text = std::fs::read_to_string(stack.config()).unwrap();
    let without = text.replace("            web3: { weight: 50 }\n", "");
    assert_ne!(without, text);
    stack.configure(&without).unwrap();
    hang_up(&stack);
    let buckets = stack.wait_serving(&["web1", "web2"]).await.unwrap();
    assert_eq!(buckets["web1"], buckets["web2"]);
    let after = stack.show(&["backends", "web1"]).await.unwrap();
    assert_eq!((history(&after), after["state"].as_str()), (before, Some("up")), "it went on as it was");

    let writes = stack.writes().unwrap();
    stack.configure(&without.replace("rise: 2", "rise: two")).unwrap();
    hang_up(&stack);
    wait_for_log(&stack, "the current one stays in use").await;
    let refused = stack.operate(&["config", "reload"]).await.unwrap_err().to_string();
    assert!(refused.contains("rise") && refused.contains("two"), "{refused}");
    assert_eq!(stack.writes().unwrap(), writes);
    assert_eq!(stack.buckets().await.unwrap(), buckets);

    stack.configure(&text).unwrap();
    stack.operate(&["config", "reload"]).await.unwrap();
    stack.wait_serving(&PRIMARY).await.unwrap();
}
