//! Changes of the configuration that go back, by themselves or by an operator, in whole processes.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::time::Duration;

use maglev_tests::stack::Stack;
use maglev_tests::traffic::Traffic;
use maglev_tests::{maglevc, wait};
use serde_json::Value;

const PRIMARY: [&str; 3] = ["web1", "web2", "web3"];

/// Replaces the weight of web3 in the file.
fn edit(stack: &Stack, from: &str, to: &str) {
    let text = std::fs::read_to_string(stack.config()).unwrap();
    assert!(text.contains(&format!("web3: {{ weight: {from} }}")), "{text}");
    stack
        .configure(
            &text.replace(&format!("web3: {{ weight: {from} }}"), &format!("web3: {{ weight: {to} }}")),
        )
        .unwrap();
}

async fn run(stack: &Stack, words: &[&str]) -> String {
    maglevc::run(&stack.brain_socket(), words).await.map_err(|error| stack.explain(&error)).unwrap()
}

async fn weight_of_web3(stack: &Stack) -> anyhow::Result<u64> {
    let frontend = stack.show(&["frontends", "www"]).await?;
    let backends = frontend["pools"][0]["backends"].as_array().cloned().unwrap_or_default();
    let web3 = backends.into_iter().find(|backend| backend["backend"] == "web3").unwrap_or_default();
    Ok(web3["configured_weight"].as_u64().unwrap_or_default())
}

/// Problems of the configuration.
async fn problems(stack: &Stack) -> Vec<String> {
    let status = stack.show(&["status"]).await.unwrap();
    let problems = status["problems"].as_array().cloned().unwrap_or_default();
    let of_config = problems.iter().filter(|problem| problem["kind"] == "configuration");
    of_config.map(|problem| problem["what"].as_str().unwrap().to_owned()).collect()
}

async fn wait_for_weight(stack: &Stack, weight: u64) {
    let look = || async {
        let found = weight_of_web3(stack).await?;
        if found == weight { Ok(Some(())) } else { anyhow::bail!("web3 has weight {found}") }
    };
    let found = wait::until(&format!("weight {weight} of web3"), look).await;
    found.map_err(|error| stack.explain(&error)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mistake_that_nobody_confirms_goes_back_though_the_brain_is_killed() {
    let mut stack = Stack::start().await.unwrap();
    let before = stack.wait_serving(&PRIMARY).await.unwrap();
    let traffic = stack.simulated().then(|| Traffic::start(stack.asker().unwrap(), Duration::from_millis(2)));

    edit(&stack, "50", "5");
    let diff = run(&stack, &["config", "diff"]).await;
    assert!(diff.contains("frontends.www.pools.primary.backends.web3.weight  50      5"), "{diff}");
    assert!(diff.contains("buckets"), "the effect on VPP: {diff}");
    let said = run(&stack, &["--yes", "config", "reload", "confirm", "10s"]).await;
    assert!(said.contains("configuration 2 goes back to 1 in "), "{said}");
    let reloaded = stack.show(&["status"]).await.unwrap()["config"].take();
    assert_eq!((reloaded["number"].as_u64(), reloaded["origin"].as_str()), (Some(2), Some("reload")));
    assert!(reloaded["who"].as_str().is_some_and(|who| !who.is_empty()), "{reloaded}");
    stack.kill("brain").unwrap();
    stack.start_brain().unwrap();
    stack.wait_synced().await.unwrap();
    let restarted = stack.show(&["status"]).await.unwrap()["config"].take();
    assert_eq!(restarted, reloaded, "a restart changes nothing");
    wait_for_weight(&stack, 5).await;
    let found = problems(&stack).await;
    assert!(found[0].starts_with("configuration 2 goes back to 1 in "), "{found:?}");

    wait_for_weight(&stack, 50).await;
    stack.wait_synced().await.unwrap();
    let look = || async { Ok((stack.buckets().await? == before).then_some(())) };
    wait::until("the buckets from before", look).await.unwrap();
    let found = problems(&stack).await;
    assert!(
        found[0].contains("configuration 3 is in use (not confirmed, back to 1), not the file"),
        "{found:?}"
    );
    // The rejected file stays out.
    stack.kill("brain").unwrap();
    stack.start_brain().unwrap();
    stack.wait_synced().await.unwrap();
    assert_eq!((weight_of_web3(&stack).await.unwrap(), problems(&stack).await), (50, found));
    if let Some(traffic) = &traffic {
        let tally = traffic.take();
        assert!(tally.sent() > 100 && tally.failed() == 0, "{tally:?}");
    }

    edit(&stack, "5", "40");
    run(&stack, &["--yes", "config", "reload", "confirm", "10s"]).await;
    let confirmed = run(&stack, &["config", "confirm"]).await;
    assert_eq!(confirmed, "configuration 4: confirmed\n");
    assert_eq!((weight_of_web3(&stack).await.unwrap(), problems(&stack).await), (40, Vec::new()));
    let error = maglevc::run(&stack.brain_socket(), &["config", "confirm"]).await.unwrap_err().to_string();
    assert!(error.contains("no configuration waits for a confirmation"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_goes_back_and_survives_a_restart_until_the_file_changes() {
    let mut stack = Stack::start().await.unwrap();
    edit(&stack, "50", "5");
    run(&stack, &["--yes", "config", "reload"]).await;
    let error =
        maglevc::run(&stack.brain_socket(), &["config", "rollback", "9"]).await.unwrap_err().to_string();
    assert!(error.contains("configuration 9 is not kept; kept are: 1, 2"), "{error}");
    let said = run(&stack, &["--yes", "config", "rollback"]).await;
    assert!(said.contains("rollback to 1: reloaded; 1 frontend changed"), "{said}");
    for _ in 0..2 {
        assert_eq!(weight_of_web3(&stack).await.unwrap(), 50);
        assert_eq!(problems(&stack).await.len(), 1);
        stack.kill("brain").unwrap();
        stack.start_brain().unwrap();
        stack.wait_synced().await.unwrap();
    }
    let list = stack.operate(&["config", "history"]).await.unwrap();
    let rows = list["configs"].as_array().unwrap().clone();
    let told = |row: &Value| (row["number"].as_u64().unwrap(), row["origin"].as_str().unwrap().to_owned());
    let rows: Vec<_> = rows.iter().map(told).collect();
    assert_eq!(rows, [(3, "rollback to 1".to_owned()), (2, "reload".to_owned()), (1, "start".to_owned())]);
    // A torn copy costs itself.
    let copy = stack.directory().join("state/config.2");
    std::fs::write(&copy, &std::fs::read(&copy).unwrap()[..20]).unwrap();
    stack.kill("brain").unwrap();
    stack.start_brain().unwrap();
    stack.wait_synced().await.unwrap();
    assert_eq!(weight_of_web3(&stack).await.unwrap(), 50);
    edit(&stack, "5", "30");
    stack.kill("brain").unwrap();
    stack.start_brain().unwrap();
    stack.wait_synced().await.unwrap();
    assert_eq!((weight_of_web3(&stack).await.unwrap(), problems(&stack).await), (30, Vec::new()));
}
