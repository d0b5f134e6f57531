//! Routes through real BIRDs, and through the kernel's tables to BIRD and FRR: announced while they work, withdrawn
//! otherwise, drained. Without BIRD 2 or FRR (Debian's packages `bird2` and `frr`), the tests report that they were skipped.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use maglev_tests::bird::{Bird, Namespaces, enter, inside, ip_in, protocols};
use maglev_tests::frr::Frr;
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

/// Configures the router, and a second frontend, which is announced while two of its three backends can serve.
fn configure(stack: &Stack, router: &str) {
    let text = std::fs::read_to_string(stack.config()).unwrap();
    let text = text.replacen("maglev:\n", &format!("maglev:\n  {router}\n"), 1);
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

/// The tables of a policy that allows routes in the kernel.
const TABLES: &str = "routes: { table: 10, gshut-table: 11 }\n";

fn start_agent(stack: &mut Stack, tables: &str, namespace: Option<&str>) {
    std::fs::write(stack.policy(), POLICY.to_owned() + tables).unwrap();
    let mut command = stack.command("maglev-dpagent").unwrap();
    command.arg("--api-socket").arg(stack.vpp_run_dir().join("api.sock"));
    command.arg("--stats-socket").arg(stack.vpp_run_dir().join("stats.sock"));
    command.arg("--listen").arg(stack.agent_socket()).arg("--policy").arg(stack.policy());
    if let Some(namespace) = namespace {
        command = inside(namespace, &command);
    }
    stack.spawn("dpagent", command).unwrap();
}

/// Everything but BIRD, which the caller has configured.
fn start(stack: &mut Stack, bird: &Bird) {
    configure(stack, &format!("bird: {{ socket: {} }}", bird.socket().display()));
    for (name, ..) in BACKENDS {
        stack.start_backend(name).unwrap();
    }
    stack.start_vppsim().unwrap();
    start_agent(stack, "", None);
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

/// Learns the kernel's tables, and announces them; a table of BIRD takes only one protocol `kernel`.
const LEARNING: &str = "
ipv4 table maglev4;
ipv4 table maglev4_gshut;
protocol kernel { kernel table 10; learn; ipv4 { table maglev4; import all; export none; }; }
protocol kernel { kernel table 11; learn; ipv4 { table maglev4_gshut;
    import filter { bgp_community.add((65535, 0)); accept; }; export none; }; }
protocol pipe { table maglev4; peer table maglev4_gshut; import all; export none; }
protocol bgp { local 192.0.2.1 as 64512; neighbor 192.0.2.2 as 64513; connect delay time 1;
    ipv4 { table maglev4; import none; export all; next hop self; }; }
";

/// The second router, whose kernel forwards by what it learns.
const SECOND: &str = "
protocol kernel { ipv4 { import none; export all; }; }
protocol bgp { local 192.0.2.2 as 64513; neighbor 192.0.2.1 as 64512; connect delay time 1;
    ipv4 { import all; export none; }; }
";

/// A stack whose agent has routes in a namespace, with a second router in another one.
struct Kernel {
    stack: Stack,
    second: Bird,
    namespaces: Namespaces,
}

impl Kernel {
    fn make() -> Option<Self> {
        let stack = Stack::empty().unwrap();
        let Some(second) = Bird::find(&stack, "second") else {
            skipped("routes in the kernel, without BIRD");
            return None;
        };
        match Namespaces::make(stack.directory()) {
            Ok(namespaces) => {
                let second = second.inside(&namespaces.names[1]);
                Some(Self { stack, second, namespaces })
            }
            Err(error) => {
                skipped(&format!("routes in the kernel, in network namespaces: {error:#}"));
                None
            }
        }
    }

    fn start(&mut self) {
        self.second.configure("192.0.2.2", SECOND).unwrap();
        self.second.start(&mut self.stack).unwrap();
        configure(&self.stack, "router: kernel");
        for (name, ..) in BACKENDS {
            self.stack.start_backend(name).unwrap();
        }
        self.stack.start_vppsim().unwrap();
        self.start_agent(TABLES);
        self.stack.start_brain().unwrap();
    }

    fn start_agent(&mut self, tables: &str) {
        start_agent(&mut self.stack, tables, Some(&self.namespaces.names[0]));
    }

    fn table(&self, number: u32) -> anyhow::Result<String> {
        ip_in(&self.namespaces.names[0], &format!("route show table {number}"))
    }

    async fn wait_learnt(&self, wanted: bool) {
        let second = self.second.clone();
        let what = if wanted {
            "the second router to learn the route"
        } else {
            "the second router to lose the route"
        };
        wait_for(&self.stack, what, || Ok(second.has_route("master4", PREFIX)? == wanted)).await;
    }

    async fn wait_community(&self) {
        let second = self.second.clone();
        wait_for(&self.stack, "the second router to learn the community", || {
            Ok(second.ask("show route all")?.contains("(65535,0)"))
        })
        .await;
    }

    /// Kills VPP, and counts the packets that a client of the second router loses until its routes are gone.
    async fn packets_lost_without_vpp(&mut self) -> usize {
        let namespace = self.namespaces.names[1].clone();
        let client = std::thread::spawn(move || {
            enter(&namespace).unwrap();
            UdpSocket::bind("0.0.0.0:0").unwrap()
        });
        let client = client.join().unwrap();
        client.send_to(b"x", (ANYCAST, 80)).unwrap();
        self.stack.kill("vppsim").unwrap();
        let mut lost = 0;
        while client.send_to(b"x", (ANYCAST, 80)).is_ok() {
            lost += 1;
            assert!(lost < 200, "{}", self.stack.explain(&anyhow::anyhow!("the route stays without VPP")));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        writeln!(std::io::stderr(), "packets lost without VPP, one every 10 ms: {lost}").ok();
        lost
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_learns_the_kernel_s_routes_from_the_agent() {
    let Some(mut kernel) = Kernel::make() else { return };
    let bird = Bird::find(&kernel.stack, "bird").unwrap().inside(&kernel.namespaces.names[0]);
    bird.configure("192.0.2.1", LEARNING).unwrap();
    bird.start(&mut kernel.stack).unwrap();
    kernel.start();
    kernel.wait_learnt(true).await;
    assert_eq!(kernel.table(10).unwrap().trim(), "blackhole 198.51.100.80 proto 200");
    let shown = maglevc::run(&kernel.stack.brain_socket(), &["show", "routes"]).await.unwrap();
    assert!(shown.contains("Router  kernel table 10, through the agent"), "{shown}");

    // Somebody removes the route, and has one of their own: the one is restored, the other left alone.
    let a = kernel.namespaces.names[0].clone();
    ip_in(&a, "route add blackhole 198.51.100.81/32 table 10 proto static").unwrap();
    ip_in(&a, "route del blackhole 198.51.100.80/32 table 10").unwrap();
    wait_for(&kernel.stack, "the route to be restored", || Ok(kernel.table(10)?.contains("198.51.100.80")))
        .await;
    let restored = || async {
        let history = kernel.stack.show(&["history"]).await?;
        let records = history["records"].as_array().cloned().unwrap_or_default();
        let part = "routes restored that somebody else had changed: 198.51.100.80";
        Ok(records.into_iter().find(|record| record["what"].as_str().is_some_and(|what| what.contains(part))))
    };
    wait::until("the restored route to be told", restored)
        .await
        .map_err(|error| kernel.stack.explain(&error))
        .unwrap();
    assert!(kernel.table(10).unwrap().contains("198.51.100.81 proto static"));

    // Neither brain nor agent takes routes away.
    kernel.stack.kill("brain").unwrap();
    kernel.stack.kill("dpagent").unwrap();
    assert!(kernel.table(10).unwrap().contains("198.51.100.80"));
    kernel.start_agent(TABLES);
    kernel.stack.start_brain().unwrap();
    wait_for_reason(&kernel.stack, "enough backends can serve").await;
    assert!(kernel.second.has_route("master4", PREFIX).unwrap());

    kernel.stack.operate(&["drain", "lb", "gshut"]).await.unwrap();
    kernel.wait_community().await;
    assert!(kernel.table(11).unwrap().contains("198.51.100.80"));
    kernel.stack.operate(&["drain", "lb", "withdraw"]).await.unwrap();
    kernel.wait_learnt(false).await;
    kernel.stack.operate(&["undrain", "lb"]).await.unwrap();
    kernel.wait_learnt(true).await;
    let lost = kernel.packets_lost_without_vpp().await;
    assert!(!kernel.table(10).unwrap().contains("198.51.100.80"), "{lost} packets were lost");

    // A policy without tables is named.
    kernel.stack.kill("dpagent").unwrap();
    kernel.start_agent("");
    let look = || async {
        let status = kernel.stack.show(&["status"]).await?;
        let problems = status["problems"].as_array().cloned().unwrap_or_default();
        Ok(problems
            .into_iter()
            .find(|problem| problem["what"].as_str().is_some_and(|what| what.contains("has no `routes`"))))
    };
    let problem = wait::until("the policy to be named", look)
        .await
        .map_err(|error| kernel.stack.explain(&error))
        .unwrap();
    assert!(problem["what"].as_str().unwrap().starts_with("kernel routes cannot be controlled"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn frr_learns_the_kernel_s_routes_too() {
    let Some(mut kernel) = Kernel::make() else { return };
    let Some(frr) = Frr::find(&kernel.namespaces.names[0]) else {
        return skipped("routes through FRR, which is not installed");
    };
    let bgpd = "\
route-map GSHUT permit 10
 set community graceful-shutdown
router bgp 64512
 bgp router-id 192.0.2.1
 no bgp ebgp-requires-policy
 neighbor 192.0.2.2 remote-as 64513
 neighbor 192.0.2.2 timers connect 1
 address-family ipv4 unicast
  redistribute table 10
  redistribute table 11 route-map GSHUT
";
    frr.start(&mut kernel.stack, "ip import-table 10\nip import-table 11\n", bgpd).unwrap();
    kernel.start();
    kernel.wait_learnt(true).await;
    kernel.stack.operate(&["drain", "lb", "gshut"]).await.unwrap();
    kernel.wait_community().await;
    kernel.stack.operate(&["drain", "lb", "withdraw"]).await.unwrap();
    kernel.wait_learnt(false).await;
    kernel.stack.operate(&["undrain", "lb"]).await.unwrap();
    kernel.wait_learnt(true).await;
    kernel.packets_lost_without_vpp().await;
}
