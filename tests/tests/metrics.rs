//! Metrics of running processes, checked with Prometheus' own tools. Without them (Debian's package
//! `prometheus`), the tests report that they were skipped.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use maglev_tests::stack::{Stack, free_port};
use maglev_tests::{skipped, wait};
use serde_json::Value;

fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.exists())
}

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring")
}

fn run(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The tool reads all of it before it writes.
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

async fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client.get(format!("http://{address}{path}")).send().await?.error_for_status()?;
    Ok(answer.text().await?)
}

/// Every series with its value, its labels as they stand.
fn series(text: &str) -> BTreeMap<String, f64> {
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let pair =
        |line: &str| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
    rows.filter_map(pair).collect()
}

async fn scrape(stack: &Stack) -> anyhow::Result<BTreeMap<String, f64>> {
    Ok(series(&get(stack.metrics(), "/metrics").await?))
}

async fn wait_for(stack: &Stack, what: &str, is: impl Fn(&BTreeMap<String, f64>) -> bool) {
    let look = || async { Ok(is(&scrape(stack).await?).then_some(())) };
    wait::until(what, look).await.map_err(|error| stack.explain(&error)).unwrap();
}

fn has(series: &BTreeMap<String, f64>, name: &str, value: f64) -> bool {
    series.get(name).is_some_and(|found| (found - value).abs() < f64::EPSILON)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_follows_what_happens() {
    let mut stack = Stack::start().await.unwrap();
    stack.wait_serving(&["web1", "web2", "web3"]).await.unwrap();
    if stack.simulated() {
        let tally = stack.asker().unwrap().ask_times(20).await;
        assert_eq!(tally.answered(), 20, "{tally:?}");
        let first = "maglev_vip_packets_total{frontend=\"www\",kind=\"first_session\"}";
        wait_for(&stack, "VPP's counters to show the questions", |found| {
            found.get(first).is_some_and(|packets| *packets >= 20.0)
        })
        .await;
    }
    // A first look may have been shared that was from before VPP had the VIP.
    wait_for(&stack, "VPP's buckets", |found| {
        found.contains_key("maglev_frontend_backend_buckets{frontend=\"www\",backend=\"web1\"}")
    })
    .await;
    let before = scrape(&stack).await.unwrap();
    let buckets: f64 = ["web1", "web2", "web3"]
        .map(|backend| {
            before[&format!("maglev_frontend_backend_buckets{{frontend=\"www\",backend=\"{backend}\"}}")]
        })
        .iter()
        .sum();
    assert!(buckets >= 1024.0, "{buckets}");
    assert!(has(&before, "maglev_agent_up", 1.0) && has(&before, "maglev_vpp_up", 1.0));
    assert!(before["maglev_sync_steps_total{kind=\"vip_added\"}"] >= 1.0);
    assert!(before["maglev_event_to_vpp_seconds_count"] >= 1.0);
    assert!(before["process_resident_memory_bytes"] > 1e6);

    stack.kill("web1").unwrap();
    wait_for(&stack, "web1 to be told down", |found| {
        has(found, "maglev_backend_state{backend=\"web1\",state=\"down\"}", 1.0)
            && has(found, "maglev_backend_transitions_total{backend=\"web1\",to=\"down\"}", 1.0)
            && has(found, "maglev_frontend_backend_effective_weight{frontend=\"www\",pool=\"primary\",backend=\"web1\"}", 0.0)
    })
    .await;
    stack.kill("dpagent").unwrap();
    wait_for(&stack, "the agent to be told away, and VPP's counters with it", |found| {
        has(found, "maglev_agent_up", 0.0)
            && has(found, "maglev_vpp_counters_up", 0.0)
            && !found.keys().any(|name| name.starts_with("maglev_vip_packets_total"))
    })
    .await;
    stack.start_agent().unwrap();
    wait_for(&stack, "the agent to be told again", |found| {
        has(found, "maglev_agent_connections_total", 2.0)
            && has(found, "maglev_vpp_restarts_total", 0.0)
            && has(found, "maglev_vpp_counters_up", 1.0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_to_complain_about_in_a_scrape() {
    let Some(promtool) = tool("promtool") else {
        return skipped("the check of a scrape by promtool, which is not installed");
    };
    let stack = Stack::start().await.unwrap();
    wait_for(&stack, "VPP's counters", |found| has(found, "maglev_vpp_counters_up", 1.0)).await;
    stack.operate(&["set", "backend", "spare1", "pause"]).await.unwrap();
    let text = get(stack.metrics(), "/metrics").await.unwrap();
    assert!(text.contains("maglev_override_set_timestamp_seconds{kind=\"paused\""), "{text}");
    let checked = run(Command::new(&promtool).args(["check", "metrics"]), &text);
    assert!(checked.status.success() && said(&checked).trim().is_empty(), "{}", said(&checked));
    // It does reject invalid metrics.
    let wrong =
        run(Command::new(&promtool).args(["check", "metrics"]), "# TYPE maglev_x counter\nmaglev_x 1\n");
    assert!(said(&wrong).contains("_total"), "{}", said(&wrong));
}

#[test]
fn alerts_fire_when_they_shall_and_not_else() {
    let Some(promtool) = tool("promtool") else {
        return skipped("the tests of the alerts by promtool, which is not installed");
    };
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts-test.yml"],
        ["check", "rules", "vpp-maglev.yml"],
        ["test", "rules", "vpp-maglev-test.yml"],
    ] {
        let output = run(Command::new(&promtool).args(arguments).current_dir(monitoring()), "");
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn every_alert_has_a_test_in_which_it_fires() {
    let read = |file: &str| std::fs::read_to_string(monitoring().join(file)).unwrap();
    let (alerts, tests) = (read("alerts.yml"), read("alerts-test.yml"));
    let names: Vec<_> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 20, "{names:?}");
    for name in names {
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} fires in no test");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_the_brain_and_takes_its_rules() {
    let Some(prometheus) = tool("prometheus") else {
        return skipped("a scrape by Prometheus, which is not installed");
    };
    let mut stack = Stack::start().await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
    let configuration = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
         rule_files: [\"{}\", \"{}\"]\n\
         scrape_configs:\n- job_name: maglev\n  static_configs: [ {{ targets: [\"{}\"] }} ]\n",
        monitoring().join("alerts.yml").display(),
        monitoring().join("vpp-maglev.yml").display(),
        stack.metrics()
    );
    let file = stack.directory().join("prometheus.yml");
    std::fs::write(&file, configuration).unwrap();
    let mut command = Command::new(prometheus);
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", stack.directory().join("prometheus").display()))
        .arg(format!("--web.listen-address={address}"))
        .current_dir(stack.directory());
    stack.spawn("prometheus", command).unwrap();

    let expect = async |query: &str, value: &str| {
        let look = || async {
            let answer = get(address, &format!("/api/v1/query?query={query}")).await?;
            let answer: Value = serde_json::from_str(&answer)?;
            let found = &answer["data"]["result"][0]["value"][1];
            if found == value { Ok(Some(())) } else { anyhow::bail!("{query} is {answer}") }
        };
        let found = wait::until(&format!("Prometheus to have {value} for {query}"), look).await;
        found.map_err(|error| stack.explain(&error)).unwrap();
    };
    expect("up", "1").await;
    expect("sum(maglev_backend_state)", "5").await;
    expect("maglev_vpp_up", "1").await;
    // The names of vpp-maglev, by the rules.
    expect("count(maglev_backend_health)", "5").await;
    expect("sum(maglev_frontend_pool_backend_weight)", "450").await;
    expect("count(maglev_vip_packets_total{prefix!=\"\",protocol=\"tcp\"})", "4").await;
    expect("count(maglev_vip_route_bytes_total{protocol=\"tcp\"})", "1").await;
    expect("count(count(maglev_probe_total{result=\"success\"})by(backend))", "5").await;
    let rules: Value = serde_json::from_str(&get(address, "/api/v1/rules").await.unwrap()).unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() >= 20 && rules.iter().all(|rule| rule["health"] != "err"), "{rules:?}");
}
