//! One view of health on several load balancers: whole processes, with a real etcd and BIRD. Without etcd (Debian's packages
//! `etcd-server` and `etcd-client`) or BIRD (`bird2`), the tests report that they were skipped.
//!
//! Each member probes the backends at a port of its own, which the test opens and closes: so a backend can be down for one
//! member only.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use maglev_engine::fleet::records::{Key, Name, TableLength, encode};
use maglev_protocol::VipKey;
use maglev_tests::bird::{Bird, protocols};
use maglev_tests::etcd::Etcd;
use maglev_tests::stack::{BACKENDS, Stack, free_port};
use maglev_tests::{maglevc, skipped, wait};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const NAMES: [&str; 3] = ["lb1", "lb2", "lb3"];
/// BIRD announces no loopback address.
const ANYCAST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 80);
const PREFIX: &str = "198.51.100.80/32";
/// What the agents may program: that address, too.
const POLICY: &str = "vips: [127.90.0.0/16, 198.51.100.0/24]\nservers: [127.0.0.0/8]\n";

struct Member {
    stack: Stack,
    /// Where it probes the backends.
    port: u16,
    /// The backends that answer it.
    open: BTreeMap<&'static str, JoinHandle<()>>,
}

impl Member {
    /// A member with this section `fleet` and further frontends, none of whose processes runs.
    fn new(name: &str, etcd: Option<&Etcd>, fleet: &str, stack: Stack, more: &str) -> Self {
        let port = free_port().unwrap();
        let text = std::fs::read_to_string(stack.config()).unwrap();
        let (before, rest) = text.split_once("      type: http\n").unwrap();
        let (_, after) = rest.split_once("        response-code: 200\n").unwrap();
        let text = format!("{before}      type: tcp\n      port: {port}\n{after}{more}");
        let text = text.replacen("maglev:\n", &format!("maglev:\n{fleet}"), 1);
        stack.configure(&text).unwrap();
        let mut member = Self { stack, port, open: BTreeMap::new() };
        if let Some(etcd) = etcd {
            let endpoint = etcd.endpoint();
            let settings = format!(
                "fleet:\n  name: edge\n  member: {name}\n  etcd: {{ endpoints: ['{endpoint}'], timeout: 2s }}\n"
            );
            member.stack.join_fleet(&settings).unwrap();
        }
        member
    }

    fn start(&mut self) {
        self.stack.start_vppsim().unwrap();
        self.stack.start_agent().unwrap();
        self.stack.start_brain().unwrap();
    }

    async fn open(&mut self, names: &[&str]) {
        for (name, address, ..) in BACKENDS.into_iter().filter(|(name, ..)| names.contains(name)) {
            let listener = TcpListener::bind(SocketAddr::from((address, self.port))).await.unwrap();
            let answering = async move { while listener.accept().await.is_ok() {} };
            self.open.insert(name, tokio::spawn(answering));
        }
    }

    async fn close(&mut self, names: &[&str]) {
        for name in names {
            let answering = self.open.remove::<str>(name).unwrap();
            answering.abort();
            assert!(answering.await.unwrap_err().is_cancelled());
        }
    }

    async fn serves(&self, names: &[&str]) {
        self.stack.wait_serving(names).await.unwrap();
    }

    /// Waits until a backend has this state here, with this detail.
    async fn sees(&self, backend: &str, state: &str, detail: &str) {
        let look = || async {
            let backends = self.stack.backends().await?;
            let row = &backends[backend];
            if row["state"] == state && row["state_detail"].as_str().unwrap_or_default() == detail {
                return Ok(Some(()));
            }
            anyhow::bail!("it is {row:#}")
        };
        let found = wait::until(&format!("{backend} to be {state} ({detail})"), look).await;
        found.map_err(|error| self.stack.explain(&error)).unwrap();
    }

    async fn status(&self) -> anyhow::Result<Value> {
        maglevc::json(&self.stack.brain_socket(), &["fleet", "status"]).await
    }
}

async fn wait_for_members(members: &[Member]) {
    for member in members {
        let look = || async {
            let status = member.status().await?;
            let rows = status["members"].as_array().cloned().unwrap_or_default();
            let is_well = |row: &Value| row["connected"] == true && row["not_programmed"].is_null();
            if rows.len() == members.len() && rows.iter().all(is_well) {
                return Ok(Some(()));
            }
            anyhow::bail!("{status:#}")
        };
        let found = wait::until("all members to see each other", look).await;
        found.map_err(|error| member.stack.explain(&error)).unwrap();
    }
}

/// Three members, which see everything up, with this section `fleet`.
async fn started(fleet: &str) -> Option<(Vec<Member>, Etcd)> {
    let mut first = Stack::empty().unwrap();
    let Some(etcd) = Etcd::find(&first).unwrap() else {
        skipped("votes of a fleet, for there is no etcd");
        return None;
    };
    etcd.start(&mut first).await.unwrap();
    let mut stacks = vec![first, Stack::empty().unwrap(), Stack::empty().unwrap()];
    let text = std::fs::read_to_string(stacks[0].config()).unwrap();
    let mut members = Vec::new();
    for (name, stack) in NAMES.into_iter().zip(stacks.drain(..)) {
        // The VIP's port is that of the first one's.
        stack.configure(&text).unwrap();
        let mut member = Member::new(name, Some(&etcd), fleet, stack, "");
        member.open(&BACKENDS.map(|(name, ..)| name)).await;
        member.start();
        members.push(member);
    }
    for member in &members {
        member.serves(&["web1", "web2", "web3"]).await;
    }
    wait_for_members(&members).await;
    Some((members, etcd))
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_of_the_members_decide_and_without_etcd_each_decides_alone() {
    let fleet = "  fleet: { health: fleet, vote-ttl: 3s }\n";
    let Some((mut members, etcd)) = started(fleet).await else { return };
    let all = ["web1", "web2", "web3"];
    let writes: Vec<_> = members.iter().map(|member| member.stack.writes().unwrap()).collect();
    members[0].close(&["web1"]).await;
    members[0].sees("web1", "down", "down only here; kept by the fleet's votes (1 of 3)").await;
    for (member, writes) in members.iter().zip(writes) {
        member.serves(&all).await;
        assert_eq!(member.stack.writes().unwrap(), writes, "VPP has nothing to do");
    }
    let history = members[0].stack.show(&["history", "backend", "web1"]).await.unwrap().to_string();
    assert!(history.contains("down only here; kept by the fleet's votes (1 of 3)"), "{history}");

    members[1].close(&["web1"]).await;
    for member in &members {
        member.serves(&["web2", "web3"]).await;
    }
    members[2].sees("web1", "up", "down for the fleet: lb1, lb2").await;
    let look = || async {
        let tables = maglevc::run(&members[2].stack.brain_socket(), &["fleet", "tables"]).await?;
        if tables.contains("equal on 3 of 3") { Ok(Some(())) } else { anyhow::bail!("{tables}") }
    };
    wait::until("equal tables", look).await.unwrap();

    // Without etcd the votes become stale, and each goes by what it sees.
    members[0].stack.kill("etcd").unwrap();
    members[2].serves(&all).await;
    members[2].sees("web1", "up", "").await;
    members[0].serves(&["web2", "web3"]).await;
    etcd.start(&mut members[0].stack).await.unwrap();
    members[2].serves(&["web2", "web3"]).await;
    members[1].open(&["web1"]).await;
    for member in &members {
        member.serves(&all).await;
    }
    // A member that goes takes its vote with it.
    members[1].close(&["web1"]).await;
    members[2].serves(&["web2", "web3"]).await;
    members[1].stack.kill("brain").unwrap();
    members[2].serves(&all).await;
    members[0].sees("web1", "down", "down only here; kept by the fleet's votes (1 of 2)").await;
}

/// A member with BIRD, which announces an address while two of three backends can serve.
async fn announcing(name: &str, etcd: &Etcd, mut stack: Stack) -> Option<(Member, Bird)> {
    let Some(bird) = Bird::find(&stack, "bird") else {
        skipped("routes of a fleet through BIRD, which is not installed");
        return None;
    };
    bird.configure("192.0.2.1", &protocols(ANYCAST)).unwrap();
    bird.start(&mut stack).unwrap();
    let section = format!(
        "  fleet: {{ health: fleet, vote-ttl: 3s }}\n  bird: {{ socket: {} }}\n",
        bird.socket().display()
    );
    let frontend = format!(
        "    anycast:
      address: {ANYCAST}
      protocol: tcp
      port: 80
      announce: {{ min-up: 2, hold-down: 1s }}
      pools: [ {{ name: only, backends: {{ web1: {{}}, web2: {{}}, web3: {{}} }} }} ]
"
    );
    let mut member = Member::new(name, Some(etcd), &section, stack, &frontend);
    member.open(&BACKENDS.map(|(name, ..)| name)).await;
    let stack = &mut member.stack;
    stack.start_vppsim().unwrap();
    std::fs::write(stack.policy(), POLICY).unwrap();
    let mut command = stack.command("maglev-dpagent").unwrap();
    command.arg("--api-socket").arg(stack.vpp_run_dir().join("api.sock"));
    command.arg("--stats-socket").arg(stack.vpp_run_dir().join("stats.sock"));
    command.arg("--listen").arg(stack.agent_socket()).arg("--policy").arg(stack.policy());
    stack.spawn("dpagent", command).unwrap();
    stack.start_brain().unwrap();
    Some((member, bird))
}

async fn wait_for_route(member: &Member, bird: &Bird, wanted: bool) {
    let what = if wanted { "the route to be announced" } else { "the route to be withdrawn" };
    let look = || async { Ok((bird.has_route("maglev4", PREFIX)? == wanted).then_some(())) };
    let found = wait::until(what, look).await;
    found.map_err(|error| member.stack.explain(&error)).unwrap();
}

/// Waits for a problem of the fleet on a member.
async fn wait_for_problem(member: &Member, part: &str) {
    let look = || async {
        let problems = member.stack.show(&["status"]).await?["problems"].to_string();
        if problems.contains(part) { Ok(Some(())) } else { anyhow::bail!("{problems}") }
    };
    let found = wait::until(&format!("the problem {part:?}"), look).await;
    found.map_err(|error| member.stack.explain(&error)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn member_that_is_cut_off_withdraws_its_routes_unless_it_is_the_last() {
    let mut first = Stack::empty().unwrap();
    let Some(etcd) = Etcd::find(&first).unwrap() else {
        return skipped("routes of a fleet, for there is no etcd");
    };
    etcd.start(&mut first).await.unwrap();
    let Some((mut lb1, bird1)) = announcing("lb1", &etcd, first).await else { return };
    let Some((lb2, bird2)) = announcing("lb2", &etcd, Stack::empty().unwrap()).await else { return };
    wait_for_route(&lb1, &bird1, true).await;
    wait_for_route(&lb2, &bird2, true).await;
    let all = BACKENDS.map(|(name, ..)| name);

    lb1.close(&all).await;
    wait_for_route(&lb1, &bird1, false).await;
    wait_for_problem(&lb1, "unreachable only from this load balancer: its routes are withdrawn").await;
    lb1.serves(&["web1", "web2", "web3"]).await;
    let members = maglevc::run(&lb2.stack.brain_socket(), &["fleet", "members"]).await.unwrap();
    assert!(members.contains("cut off from the backends"), "{members}");
    let history = lb1.stack.show(&["history", "frontend", "anycast"]).await.unwrap().to_string();
    assert!(history.contains("most backends are unreachable only from this load balancer"), "{history}");
    assert!(bird2.has_route("maglev4", PREFIX).unwrap());

    lb1.open(&all).await;
    wait_for_route(&lb1, &bird1, true).await;
    // The other one does not announce any more: this one is the last.
    lb2.stack.operate(&["drain", "lb", "reason", "as a test"]).await.unwrap();
    wait_for_route(&lb2, &bird2, false).await;
    lb1.close(&all).await;
    wait_for_problem(&lb1, "no other member is known to announce routes, so it withdraws none").await;
    assert!(bird1.has_route("maglev4", PREFIX).unwrap());
    // Once the other one announces again, this one withdraws.
    lb2.stack.operate(&["undrain", "lb"]).await.unwrap();
    wait_for_route(&lb2, &bird2, true).await;
    wait_for_route(&lb1, &bird1, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_member_gives_its_vips_the_table_lengths_of_the_fleet() {
    let mut stack = Stack::empty().unwrap();
    let Some(etcd) = Etcd::find(&stack).unwrap() else {
        return skipped("table lengths of a fleet, for there is no etcd");
    };
    etcd.start(&mut stack).await.unwrap();
    let vip = stack.vip();
    let key = Key::Length(VipKey::port(vip.ip(), 6, vip.port())).path(&Name::new("edge").unwrap());
    let length = String::from_utf8(encode(&TableLength { length: 16_384 }).unwrap()).unwrap();
    etcd.ctl(&["put", &key, &length]).await.unwrap();
    // Its warm-up is longer than it takes to read etcd.
    let mut member = Member::new("lb1", Some(&etcd), "", stack, "");
    member.open(&BACKENDS.map(|(name, ..)| name)).await;
    member.start();
    let buckets = member.stack.wait_serving(&["web1", "web2", "web3"]).await.unwrap();
    assert_eq!(buckets.values().sum::<u64>(), 16_384);
    // Whoever has the VIP writes its length, if the fleet does not have it.
    etcd.ctl(&["del", &key]).await.unwrap();
    let look = || async {
        let found = etcd.ctl(&["get", &key, "--print-value-only"]).await?;
        Ok((found.trim() == length).then_some(()))
    };
    wait::until("the length to be written", look).await.unwrap();
}
