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

#[tokio::test(flavor = "multi_thread")]
async fn override_says_who_why_and_until_when_and_ends_although_the_brain_was_killed() {
    let mut stack = Stack::start().await.unwrap();
    stack.wait_serving(&PRIMARY).await.unwrap();
    stack.operate(&["set", "backend", "web1", "pause", "reason", "RAM swap", "for", "2h"]).await.unwrap();
    stack.wait_serving(&["web2", "web3"]).await.unwrap();
    stack.kill("brain").unwrap();
    stack.start_brain().unwrap();
    stack.wait_synced().await.unwrap();
    let set = &stack.show(&["overrides"]).await.unwrap()["overrides"][0];
    assert_eq!((&set["backend"], &set["reason"]), (&"web1".into(), &"RAM swap".into()), "{set}");
    assert!(set["set_by"].as_str().unwrap().contains("uid"), "{set}");
    let [since, until] = ["since_unix_ms", "until_unix_ms"].map(|key| set[key].as_u64().unwrap());
    assert!((7_199_000..=7_201_000).contains(&(until - since)), "{set}");

    // As if two hours had passed while it was away.
    stack.kill("brain").unwrap();
    let file = stack.directory().join("state/overrides");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, _) = text.split_once("until=").unwrap();
    std::fs::write(&file, format!("{before}until=2020-01-01T00:00:00Z\nend\n")).unwrap();
    stack.start_brain().unwrap();
    stack.wait_serving(&PRIMARY).await.unwrap();
    wait_for_log(&stack, "override cleared: its time is over").await;
    assert!(stack.show(&["overrides"]).await.unwrap()["overrides"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_waits_for_flows_and_whatif_changes_nothing() {
    let stack = Stack::start().await.unwrap();
    stack.wait_serving(&PRIMARY).await.unwrap();
    let writes = stack.writes().unwrap();
    let preview = stack.operate(&["whatif", "set", "backend", "web1", "disable"]).await.unwrap();
    assert!(!preview["frontends"].as_array().unwrap().is_empty(), "{preview}");
    assert_eq!(stack.writes().unwrap(), writes, "nothing is done");

    let drained = stack.operate(&["drain", "backend", "web1", "wait", "30s"]).await.unwrap();
    assert_eq!((&drained["flows"], &drained["error"]), (&0.into(), &serde_json::Value::Null), "{drained}");
    assert_eq!(stack.show(&["backends", "web1"]).await.unwrap()["state"], "paused");
    stack.operate(&["undrain", "backend", "web1"]).await.unwrap();
    stack.wait_serving(&PRIMARY).await.unwrap();

    let client = "127.0.0.1:40000".to_owned();
    let flow = stack.show(&["flow", &client, &stack.vip().to_string()]).await.unwrap();
    assert!(PRIMARY.contains(&flow["backend"].as_str().unwrap()), "{flow}");
    assert!(flow["bucket"].as_u64().unwrap() < flow["table_length"].as_u64().unwrap(), "{flow}");
}

/// Descriptions of records of a kind, the oldest first.
async fn recorded(stack: &Stack, kind: &str, words: &[&str]) -> Vec<serde_json::Value> {
    let words: Vec<_> = ["history"].iter().chain(words).copied().collect();
    let mut history = stack.show(&words).await.unwrap();
    assert!(history["not_written"].is_null(), "{history}");
    let serde_json::Value::Array(records) = history["records"].take() else { panic!("{history}") };
    records.into_iter().filter(|record| record["kind"] == kind).collect()
}

async fn is(stack: &Stack, backend: &str, state: &str) -> serde_json::Value {
    let look = || async {
        let shown = stack.show(&["backends", backend]).await?;
        Ok((shown["state"] == state).then_some(shown))
    };
    let found = wait::until(&format!("{backend} to be {state}"), look).await;
    found.map_err(|error| stack.explain(&error)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn history_and_since_survive_the_brain() {
    let mut stack = Stack::start().await.unwrap();
    stack.wait_serving(&PRIMARY).await.unwrap();
    stack.operate(&["set", "backend", "web2", "pause", "reason", "RAM swap"]).await.unwrap();
    let text = std::fs::read_to_string(stack.config()).unwrap();
    stack.configure(&text.replace("rise: 2", "rise: two")).unwrap();
    stack.operate(&["config", "reload"]).await.unwrap_err();
    stack.configure(&text).unwrap();
    stack.operate(&["config", "reload"]).await.unwrap();
    let [up, paused] = [is(&stack, "web1", "up").await, is(&stack, "web2", "paused").await];
    assert!(up["since_unix_ms"].as_u64() > Some(0));
    let before = recorded(&stack, "backend", &["backend", "web1"]).await;

    stack.kill("brain").unwrap();
    // What a crash leaves of a line, and a server that dies meanwhile.
    let file = stack.directory().join("state/history");
    let torn = std::fs::read_to_string(&file).unwrap() + "58e54af3 {\"n\":99,\"at\"";
    std::fs::write(&file, torn).unwrap();
    stack.kill("web3").unwrap();
    stack.start_brain().unwrap();
    stack.wait_synced().await.unwrap();
    assert_eq!(is(&stack, "web1", "up").await["since_unix_ms"], up["since_unix_ms"]);
    assert_eq!(is(&stack, "web2", "paused").await["since_unix_ms"], paused["since_unix_ms"]);
    let down = is(&stack, "web3", "down").await;
    assert!(down["since_unix_ms"].as_u64() > up["since_unix_ms"].as_u64(), "{down}");

    assert_eq!(recorded(&stack, "backend", &["backend", "web1"]).await, before, "nothing happened to it");
    let pauses = recorded(&stack, "command", &["backend", "web2", "since", "1h"]).await;
    assert_eq!(
        (&pauses[0]["what"], &pauses[0]["reason"]),
        (&"set backend web2 pause".into(), &"RAM swap".into())
    );
    assert!(pauses[0]["who"].as_str().unwrap().contains("uid"), "{pauses:?}");
    let reloads = recorded(&stack, "reload", &[]).await;
    assert_eq!(reloads.iter().map(|reload| reload["failed"] == true).collect::<Vec<_>>(), [true, false]);
    assert_eq!(recorded(&stack, "brain", &[]).await.len(), 2, "two starts");
    assert_eq!(stack.show(&["history"]).await.unwrap()["damaged_lines"], 1);
    let last = recorded(&stack, "backend", &["backend", "web3", "num", "1"]).await;
    assert_eq!((last[0]["from"].as_str(), last[0]["to"].as_str()), (Some("unknown"), Some("down")));
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_with_a_label_are_one_change_that_survives_the_brain() {
    let mut stack = Stack::start().await.unwrap();
    stack.wait_serving(&PRIMARY).await.unwrap();
    let text = std::fs::read_to_string(stack.config()).unwrap();
    let labelled = ["web1: {", "web2: {"]
        .iter()
        .fold(text.clone(), |text, name| text.replacen(name, &format!("{name} labels: {{ rack: r1 }},"), 1));
    stack.configure(&labelled).unwrap();
    stack.operate(&["config", "reload"]).await.unwrap();
    let listed = stack.show(&["backends", "label", "rack=r1"]).await.unwrap();
    let names: Vec<_> = listed["backends"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["web1", "web2"]);
    let change =
        stack.operate(&["set", "backends", "label", "rack=r1", "pause", "reason", "move"]).await.unwrap();
    assert_eq!(change["backends"].as_array().unwrap().len(), 2, "{change}");
    stack.wait_serving(&["web3"]).await.unwrap();

    stack.kill("brain").unwrap();
    stack.start_brain().unwrap();
    stack.wait_synced().await.unwrap();
    for name in ["web1", "web2"] {
        let backend = is(&stack, name, "paused").await;
        assert_eq!((&backend["operator_reason"], &backend["labels"][0]), (&"move".into(), &"rack=r1".into()));
        let commands = recorded(&stack, "command", &["backend", name]).await;
        assert_eq!(commands[0]["what"], "set backends label rack=r1 pause");
    }
    // The last servers of all pools at once are not taken without a word.
    let all = ["web3: {", "spare1: {", "spare2: {"]
        .iter()
        .fold(labelled, |text, name| text.replacen(name, &format!("{name} labels: {{ rack: r2 }},"), 1));
    stack.configure(&all).unwrap();
    stack.operate(&["config", "reload"]).await.unwrap();
    let refused = stack.operate(&["drain", "backends", "label", "rack=r2"]).await.unwrap_err().to_string();
    assert!(refused.contains("no backend left") && refused.contains("--yes"), "{refused}");
    stack.operate(&["undrain", "backends", "label", "rack=r1"]).await.unwrap();
    stack.wait_serving(&PRIMARY).await.unwrap();
    let host = stack.operate(&["drain", "host", "127.90.1.1", "wait", "60s"]).await.unwrap();
    assert_eq!(host[0]["backend"], "web1", "{host}");
}
