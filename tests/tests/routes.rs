//! Routes through real BIRDs: announced while they work, withdrawn otherwise, drained. Without BIRD 2 (Debian's package
//! `bird2`), the tests report that they were skipped.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::time::Duration;

use maglev_tests::bird::{Bird, Namespaces, protocols};
use maglev_tests::stack::{BACKENDS, Stack};
use maglev_tests::{maglevc, skipped, wait};
use serde_json::Value;

/// BIRD announces no loopback address.
const ANYCAST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 80);
const PREFIX: &str = "198.51.100.80/32";
const PROTOCOL: &str = "maglev_198_51_100_80";

/// What the agent may program: that address, too.
const POLICY: &str = "\
vips: [127.90.0.0/16, 198.51.100.0/24]
servers: [127.0.0.0/8]
ping: [127.0.0.0/8]
";

/// Configures a second frontend, which is announced while two of its three backends can serve.
fn configure(stack: &Stack, bird: &Bird) {
    let text = std::fs::read_to_string(stack.config()).unwrap();
    let text = text.replacen(
        "maglev:\n",
        &format!("maglev:\n  bird: {{ socket: {} }}\n", bird.socket().display()),
        1,
    );
    let frontend = format!(
        "    anycast:
      address: {ANYCAST}
      protocol: tcp
      port: 80
      announce: {{ min-up: 2, hold-down: 2s }}
      pools:
        - name: only
          backends: {{ web1: {{}}, web2: {{}}, web3: {{}} }}
"
    );
    stack.configure(&(text + &frontend)).unwrap();
}

fn start_agent(stack: &mut Stack) {
    std::fs::write(stack.policy(), POLICY).unwrap();
    let mut command = stack.command("maglev-dpagent").unwrap();
    command.arg("--api-socket").arg(stack.vpp_run_dir().join("api.sock"));
    command.arg("--stats-socket").arg(stack.vpp_run_dir().join("stats.sock"));
    command.arg("--listen").arg(stack.agent_socket()).arg("--policy").arg(stack.policy());
    stack.spawn("dpagent", command).unwrap();
}

/// Everything but BIRD, which the caller has configured.
fn start(stack: &mut Stack, bird: &Bird) {
    configure(stack, bird);
    for (name, ..) in BACKENDS {
        stack.start_backend(name).unwrap();
    }
    stack.start_vppsim().unwrap();
    start_agent(stack);
    stack.start_brain().unwrap();
}

async fn wait_for(stack: &Stack, what: &str, is: impl Fn() -> anyhow::Result<bool>) {
    let found = wait::until(what, || async { Ok(is()?.then_some(())) }).await;
    found.map_err(|error| stack.explain(&error)).unwrap();
}

async fn wait_for_route(stack: &Stack, bird: &Bird, wanted: bool) {
    let what = if wanted { "the route to be announced" } else { "the route to be withdrawn" };
    wait_for(stack, what, || Ok(bird.has_route("maglev4", PREFIX)? == wanted)).await;
}

/// The route as the brain shows it.
async fn route(stack: &Stack) -> anyhow::Result<Value> {
    let list = stack.show(&["routes"]).await?;
    anyhow::ensure!(list["routes"].as_array().is_some_and(|routes| routes.len() == 1), "{list}");
    Ok(list["routes"][0].clone())
}

async fn wait_for_reason(stack: &Stack, part: &str) {
    let look = || async {
        let route = route(stack).await?;
        let reason = route["reason"].as_str().unwrap_or_default();
        if reason.contains(part) { Ok(Some(())) } else { anyhow::bail!("it is {route}") }
    };
    let found = wait::until(&format!("the route's reason to be {part:?}"), look).await;
    found.map_err(|error| stack.explain(&error)).unwrap();
}

/// A stack with BIRD, whose route is announced.
async fn announced() -> Option<(Stack, Bird)> {
    let mut stack = Stack::empty().unwrap();
    let Some(bird) = Bird::find(&stack, "bird") else {
        skipped("routes through BIRD, which is not installed");
        return None;
    };
    bird.configure("192.0.2.1", &protocols(ANYCAST)).unwrap();
    bird.start(&mut stack).unwrap();
    start(&mut stack, &bird);
    wait_for_route(&stack, &bird, true).await;
    Some((stack, bird))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_follows_backends_bird_brain_and_vpp() {
    let Some((mut stack, bird)) = announced().await else { return };
    // Only two backends are left of the three: one more may fail.
    stack.kill("web1").unwrap();
    stack.kill("web2").unwrap();
    wait_for_route(&stack, &bird, false).await;
    wait_for_reason(&stack, "1 backends of frontend anycast can serve, 2 are needed").await;
    stack.start_backend("web1").unwrap();
    wait_for_reason(&stack, "hold-down").await;
    assert!(!bird.has_route("maglev4", PREFIX).unwrap());
    wait_for_route(&stack, &bird, true).await;

    // The brain's end changes nothing, and neither does its start.
    let writes = bird.writes(&stack).unwrap();
    stack.kill("brain").unwrap();
    for _ in 0..40 {
        assert!(bird.has_route("maglev4", PREFIX).unwrap());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stack.start_brain().unwrap();
    wait_for_reason(&stack, "enough backends can serve").await;
    assert_eq!(
        bird.writes(&stack).unwrap(),
        writes,
        "{}",
        stack.explain(&anyhow::anyhow!("BIRD was written to"))
    );

    // A reconfiguration disables everything; a restart, too.
    bird.ask("configure").unwrap();
    wait_for_route(&stack, &bird, true).await;
    stack.kill("bird").unwrap();
    let look = || async {
        let status = stack.show(&["status"]).await?;
        let problems = status["problems"].as_array().cloned().unwrap_or_default();
        Ok(problems.into_iter().find(|problem| problem["kind"] == "router"))
    };
    let problem = wait::until("BIRD's end to be told", look).await.unwrap();
    assert!(problem["what"].as_str().unwrap().contains("BIRD cannot be controlled"), "{problem}");
    bird.start(&mut stack).unwrap();
    wait_for_route(&stack, &bird, true).await;

    // VPP takes its routes with it: within two seconds.
    stack.kill("vppsim").unwrap();
    let mut looks = 0;
    while bird.has_route("maglev4", PREFIX).unwrap() {
        looks += 1;
        assert!(looks < 100, "{}", stack.explain(&anyhow::anyhow!("the route stays without VPP")));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stack.start_vppsim().unwrap();
    wait_for_route(&stack, &bird, true).await;

    let history = stack.show(&["history", "frontend", "anycast"]).await.unwrap();
    let records = history["records"].as_array().unwrap();
    let is_told = |part: &str| {
        records
            .iter()
            .any(|record| record["kind"] == "route" && record["what"].as_str().unwrap().contains(part))
    };
    assert!(is_told("announced -> withdrawn: VPP is disconnected"), "{history}");
    assert!(is_told("withdrawn -> announced: enough backends can serve"), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_load_balancer_is_drained_and_taken_back() {
    let Some((mut stack, bird)) = announced().await else { return };
    let drained = stack.operate(&["drain", "lb", "wait", "50s", "reason", "kernel"]).await.unwrap();
    assert_eq!((&drained["routes"], &drained["packets"]), (&0.into(), &0.into()), "{drained}");
    assert!(!bird.has_route("maglev4", PREFIX).unwrap());
    let shown = maglevc::run(&stack.brain_socket(), &["show", "drain"]).await.unwrap();
    assert!(shown.contains("1 of 1 drained") && shown.contains("kernel"), "{shown}");

    // It survives the brain, and VPP.
    let writes = bird.writes(&stack).unwrap();
    stack.kill("brain").unwrap();
    stack.kill("vppsim").unwrap();
    stack.start_vppsim().unwrap();
    stack.start_brain().unwrap();
    wait_for_reason(&stack, "drained by an operator (withdraw)").await;
    stack.wait_synced().await.unwrap();
    assert_eq!(bird.writes(&stack).unwrap(), writes);

    stack.operate(&["undrain", "lb"]).await.unwrap();
    wait_for_route(&stack, &bird, true).await;
    stack.operate(&["drain", "lb", "gshut"]).await.unwrap();
    wait_for(&stack, "the community", || Ok(bird.ask("show route table maglev4 all")?.contains("(65535,0)")))
        .await;
    stack.operate(&["undrain", "lb"]).await.unwrap();
    wait_for(&stack, "the route without the community", || {
        Ok(!bird.ask("show route table maglev4 all")?.contains("(65535,0)"))
    })
    .await;
    assert!(bird.has_route("maglev4", PREFIX).unwrap());
    let error = stack.operate(&["undrain", "lb"]).await.unwrap_err().to_string();
    assert!(error.contains("there is no override for the load balancer"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_bird_lacks_is_named_and_what_is_generated_has_it() {
    let mut stack = Stack::empty().unwrap();
    let Some(bird) = Bird::find(&stack, "bird") else {
        return skipped("the configuration for BIRD, which is not installed");
    };
    bird.configure("192.0.2.1", "").unwrap();
    bird.start(&mut stack).unwrap();
    start(&mut stack, &bird);
    let look = || async {
        let status = stack.show(&["status"]).await?;
        let problems = status["problems"].as_array().cloned().unwrap_or_default();
        Ok(problems
            .into_iter()
            .find(|problem| problem["what"].as_str().is_some_and(|what| what.contains(PROTOCOL))))
    };
    wait::until("the missing protocol to be named", look)
        .await
        .map_err(|error| stack.explain(&error))
        .unwrap();
    let generated = maglevc::run(&stack.brain_socket(), &["generate", "bird"]).await.unwrap();
    // BIRD itself checks it.
    bird.configure("192.0.2.1", &generated).unwrap();
    bird.ask("configure").unwrap();
    wait_for_route(&stack, &bird, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_router_learns_what_is_announced() {
    let mut stack = Stack::empty().unwrap();
    let (Some(bird), Some(second)) = (Bird::find(&stack, "bird"), Bird::find(&stack, "second")) else {
        return skipped("BGP between two BIRDs, which are not installed");
    };
    let namespaces = match Namespaces::make(stack.directory()) {
        Ok(namespaces) => namespaces,
        Err(error) => return skipped(&format!("BGP between two network namespaces: {error:#}")),
    };
    let [a, b] = &namespaces.names;
    let (bird, second) = (bird.inside(a), second.inside(b));
    let session =
        "protocol bgp { local 192.0.2.1 as 64512; neighbor 192.0.2.2 as 64513; connect delay time 1;
        ipv4 { table maglev4; import none; export all; next hop self; }; }\n";
    bird.configure("192.0.2.1", &(protocols(ANYCAST) + session)).unwrap();
    let session =
        "protocol bgp { local 192.0.2.2 as 64513; neighbor 192.0.2.1 as 64512; connect delay time 1;
        ipv4 { import all; export none; }; }\n";
    second.configure("192.0.2.2", session).unwrap();
    bird.start(&mut stack).unwrap();
    second.start(&mut stack).unwrap();
    start(&mut stack, &bird);
    let learnt = |wanted| {
        let second = second.clone();
        move || Ok(second.has_route("master4", PREFIX)? == wanted)
    };
    wait_for(&stack, "the second router to learn the route", learnt(true)).await;
    stack.operate(&["drain", "lb", "gshut"]).await.unwrap();
    wait_for(&stack, "the second router to learn the community", || {
        Ok(second.ask("show route all")?.contains("(65535,0)"))
    })
    .await;
    stack.operate(&["drain", "lb", "withdraw"]).await.unwrap();
    wait_for(&stack, "the second router to lose the route", learnt(false)).await;
    stack.operate(&["undrain", "lb"]).await.unwrap();
    wait_for(&stack, "the second router to learn the route again", learnt(true)).await;
    stack.kill("vppsim").unwrap();
    wait_for(&stack, "the second router to lose the route of a dead VPP", learnt(false)).await;
}
