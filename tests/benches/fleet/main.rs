//! A large fleet on a real etcd: `cargo bench -p maglev-tests --bench fleet`.
//!
//! One member is a real brain with its VPP. The others are played by a client: each has a lease and a watch of its own, and
//! writes what the real member writes as soon as it sees that, so that sizes and rates are those of real members. Then, with
//! three real members, the time from an intent until all of them have it in VPP.

#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use maglev_brain::fleet::settings::EtcdSettings;
use maglev_brain::fleet::store::{Entry, KeyChange, Lease, Store, Write as StoreWrite};
use maglev_brain::fleet::store_in_etcd;
use maglev_engine::fleet::records::{MemberInfo, Name, encode};
use maglev_proto::client::{ServerAddress, TlsFiles, connect, endpoint};
use maglev_proto::maglev_client::MaglevClient;
use maglev_proto::{ChangeBackendRequest, GetFleetTablesRequest};
use maglev_tests::etcd::Etcd;
use maglev_tests::fleet::Fleet;
use maglev_tests::stack::Stack;
use maglev_tests::wait::until_every;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};
use tonic::transport::Channel;

#[derive(Debug, Parser)]
struct Arguments {
    /// Members
    #[arg(long, default_value_t = 64)]
    members: usize,

    /// Frontends of 10 backends each
    #[arg(long, default_value_t = 1_000)]
    frontends: u32,

    /// Changes of one backend's state by operators, of which the median is printed
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Intents whose time until the last of three members is measured
    #[arg(long, default_value_t = 200)]
    intents: usize,

    /// Seconds at rest
    #[arg(long, default_value_t = 10)]
    seconds: u64,

    /// Comes from cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// Backends of each frontend.
const BACKENDS: u32 = 10;
const PREFIX: &str = "/maglev/edge/";
const TABLES: &str = "/maglev/edge/members/lb001/tables";
/// How often the state of a process is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// Time limit of one request.
const REQUEST: Duration = Duration::from_secs(60);
/// Maximum size of etcd's answers.
const LARGEST_ANSWER: usize = 256 << 20;

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    large(&arguments).await.unwrap();
    intents(&arguments).await.unwrap();
}

fn show(what: &str, figure: f64, unit: &str) {
    println!("{what:<62} {figure:>12.1} {unit}");
}

/// One real member among many.
async fn large(arguments: &Arguments) -> anyhow::Result<()> {
    let mut stack = Stack::empty()?;
    let etcd = Etcd::find(&stack)?.expect("there is etcd");
    stack.configure(&configuration(arguments.frontends))?;
    stack.start_vppsim()?;
    stack.start_agent()?;
    permit(&stack).await?;
    start(&mut stack).await?;
    let alone = rest(&stack, &["brain"], arguments.seconds).await;
    show("brain without a fleet: memory", memory(&stack, "brain"), "MB");
    show("... CPU at rest", alone[0], "%");
    stack.kill("brain")?;
    etcd.start(&mut stack).await?;
    let settings = format!(
        "fleet: {{ name: edge, member: lb001, etcd: {{ endpoints: ['{}'], timeout: 5s }} }}\n",
        etcd.endpoint()
    );
    stack.join_fleet(&settings)?;
    start(&mut stack).await?;
    let store = store(&etcd.endpoint());
    let tables = || async { Ok(store.read(TABLES).await?.entries.pop()) };
    until_every(LOOK, "the member's tables", tables).await?;
    let (mut players, received) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    let began = Instant::now();
    for number in 2..=arguments.members {
        players.spawn(play(
            Name::new(&format!("lb{number:03}")).unwrap(),
            etcd.endpoint(),
            Arc::clone(&received),
        ));
    }
    let mut brain = brain(&stack).await?;
    equal(&mut brain, arguments.members).await?;
    show("all members arrive: until their tables are compared", began.elapsed().as_secs_f64() * 1e3, "ms");

    let all = store.read(PREFIX).await?.entries;
    show("keys", all.len() as f64, "");
    show("... their bytes, with the values", all.iter().map(size).sum::<usize>() as f64 / 1e6, "MB");
    show("etcd's file", file_size(&etcd).await? / 1e6, "MB");
    let tables = tables().await?.context("the member has no tables")?;
    show("... tables of one member", tables.value.len() as f64 / 1e3, "kB");
    let before = received.load(Ordering::Relaxed);
    let resting = rest(&stack, &["brain", "etcd"], arguments.seconds).await;
    let seconds = arguments.seconds as f64;
    let others = (arguments.members - 1) as f64;
    let traffic = (received.load(Ordering::Relaxed) - before) as f64 / others / seconds;
    show("brain in the fleet: memory", memory(&stack, "brain"), "MB");
    show("... CPU at rest", resting[0], "%");
    show("etcd: memory", memory(&stack, "etcd"), "MB");
    show("... CPU at rest", resting[1], "%");
    show("watch traffic at rest, to each member", traffic / 1e3, "kB/s");

    let mut figures = Vec::new();
    for round in 0..arguments.rounds * 2 {
        let request =
            ChangeBackendRequest { name: "server-00007".to_owned(), ..ChangeBackendRequest::default() };
        let cpu = ["brain", "etcd"].map(|process| cpu(&stack, process));
        let (before, start) = (received.load(Ordering::Relaxed), Instant::now());
        let changed = if round % 2 == 0 {
            brain.pause_backend(request).await?
        } else {
            brain.resume_backend(request).await?
        };
        let programmed = start.elapsed().as_secs_f64() * 1e3;
        let members = changed.into_inner().outcome.expect("an outcome").members;
        assert!(members.iter().all(|member| member.programmed), "{members:?}");
        // Tables are written after the answer; the traffic is over once nothing comes any more.
        sleep(Duration::from_secs(2)).await;
        equal(&mut brain, arguments.members).await?;
        let traffic = (received.load(Ordering::Relaxed) - before) as f64 / others / 1e3;
        let used: Vec<_> = ["brain", "etcd"]
            .iter()
            .zip(cpu)
            .map(|(process, before)| self::cpu(&stack, process) - before)
            .collect();
        figures.push([programmed, traffic, used[0] * 1e3, used[1] * 1e3]);
    }
    let names = [
        ("one backend of one VIP: until all have it in VPP", "ms"),
        ("... watch traffic to each member", "kB"),
        ("... CPU time of the brain", "ms"),
        ("... CPU time of etcd", "ms"),
    ];
    for (place, (what, unit)) in names.into_iter().enumerate() {
        show(what, quantile(figures.iter().map(|figures| figures[place]).collect(), 50), unit);
    }
    players.abort_all();
    Ok(())
}

/// Three real members.
async fn intents(arguments: &Arguments) -> anyhow::Result<()> {
    let mut fleet = Fleet::prepare(1)?.expect("there is etcd");
    fleet.begin().await?;
    let mut brain = brain(&fleet.members[0]).await?;
    let mut took = Vec::new();
    for round in 0..arguments.intents {
        let request = ChangeBackendRequest { name: "web1".to_owned(), ..ChangeBackendRequest::default() };
        let start = Instant::now();
        let changed = if round % 2 == 0 {
            brain.pause_backend(request).await?
        } else {
            brain.resume_backend(request).await?
        };
        took.push(start.elapsed().as_secs_f64() * 1e3);
        let members = changed.into_inner().outcome.expect("an outcome").members;
        assert!(members.len() == 3 && members.iter().all(|member| member.programmed), "{members:?}");
    }
    show("three members, an intent until all have it in VPP: median", quantile(took.clone(), 50), "ms");
    show("... 99th percentile", quantile(took, 99), "ms");
    Ok(())
}

fn store(address: &str) -> Arc<dyn Store> {
    let endpoints = vec![address.to_owned()];
    store_in_etcd(EtcdSettings { endpoints, ca_file: None, identity: None, user: None, timeout: REQUEST })
}

fn size(entry: &Entry) -> usize {
    entry.key.len() + entry.value.len()
}

async fn put(store: &dyn Store, key: String, value: &[u8], lease: Option<Lease>) -> anyhow::Result<()> {
    store.transact(Vec::new(), vec![StoreWrite::Put(key, value.to_vec(), lease)]).await?;
    Ok(())
}

/// A member that does what the real one does, as soon as it sees that.
async fn play(name: Name, address: String, received: Arc<AtomicU64>) -> anyhow::Result<()> {
    let store = store(&address);
    let lease = store.grant(20).await?;
    let info = MemberInfo { name: name.clone(), version: "played".to_owned(), first_seen_ms: 0 };
    put(&*store, format!("{PREFIX}members/{name}/info"), &encode(&info)?, None).await?;
    let copy = async |entry: &Entry| {
        let of = entry.key.strip_prefix(&format!("{PREFIX}members/lb001/"));
        match of.filter(|of| *of == "state" || of.starts_with("tables/")) {
            Some(of) => put(&*store, format!("{PREFIX}members/{name}/{of}"), &entry.value, Some(lease)).await,
            None => Ok(()),
        }
    };
    let now = store.read(&format!("{PREFIX}members/lb001/")).await?;
    for entry in &now.entries {
        copy(entry).await?;
    }
    let mut watch = store.watch(PREFIX, now.revision + 1).await?;
    let mut ticks = interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            batch = watch.next() => for change in batch?.changes {
                let KeyChange::Put(entry) = change else { continue };
                received.fetch_add(u64::try_from(size(&entry))?, Ordering::Relaxed);
                copy(&entry).await?;
            },
            _ = ticks.tick() => store.keep_alive(lease).await?,
        }
    }
}

/// Size of etcd's file in bytes.
async fn file_size(etcd: &Etcd) -> anyhow::Result<f64> {
    let text = etcd.ctl(&["endpoint", "status", "--write-out", "json"]).await?;
    let status: serde_json::Value = serde_json::from_str(&text)?;
    status[0]["Status"]["dbSize"].as_f64().with_context(|| format!("no size in {text}"))
}

async fn brain(stack: &Stack) -> anyhow::Result<MaglevClient<Channel>> {
    let address = ServerAddress::Unix(stack.brain_socket());
    let channel = connect(endpoint(&address, &TlsFiles::default(), REQUEST)?, &address).await?;
    Ok(MaglevClient::new(channel).max_decoding_message_size(LARGEST_ANSWER))
}

/// Waits until so many members have the same tables of all VIPs.
async fn equal(brain: &mut MaglevClient<Channel>, members: usize) -> anyhow::Result<()> {
    let look = || {
        let mut brain = brain.clone();
        async move {
            let tables = brain.get_fleet_tables(GetFleetTablesRequest::default()).await?.into_inner().tables;
            let is_equal = |equal: u32| usize::try_from(equal).is_ok_and(|equal| equal == members);
            let equal = tables.iter().filter(|table| is_equal(table.equal)).count();
            Ok((equal > 0 && equal == tables.len()).then_some(()))
        }
    };
    until_every(Duration::from_millis(50), "equal tables", look).await
}

/// Starts the brain, and waits until VPP is as desired.
async fn start(stack: &mut Stack) -> anyhow::Result<()> {
    let ready = format!("http://{}/readyz", stack.metrics());
    stack.start_brain()?;
    let look = || async { Ok(reqwest::get(&ready).await?.status().is_success().then_some(())) };
    until_every(LOOK, "VPP to be as desired", look).await
}

/// Raises the limits that the agent has by default, once it takes a SIGHUP.
async fn permit(stack: &Stack) -> anyhow::Result<()> {
    let listens = || async { Ok(stack.agent_socket().exists().then_some(())) };
    until_every(LOOK, "the agent to listen", listens).await?;
    std::fs::write(stack.policy(), "vips: [127.0.0.0/8]\nservers: [127.0.0.0/8]\nlimits:\n  vips: 100000\n")?;
    Ok(kill(Pid::from_raw(i32::try_from(stack.pid("dpagent").unwrap())?), Signal::SIGHUP)?)
}

/// The first member's configuration: every server in one frontend.
fn configuration(frontends: u32) -> String {
    let mut text = "maglev:\n  vpp: { lb: { ipv4-src-address: 127.0.0.1, startup-min-delay: 0s, startup-max-delay: 0s } }\n  \
                    backends:\n"
        .to_owned();
    let address = |first: [u8; 4], place: u32| Ipv4Addr::from_bits(Ipv4Addr::from(first).to_bits() + place);
    for place in 0..frontends * BACKENDS {
        writeln!(text, "    server-{place:05}: {{ address: {} }}", address([127, 100, 0, 1], place)).unwrap();
    }
    text.push_str("  frontends:\n");
    for place in 0..frontends {
        let servers = (0..BACKENDS).map(|server| format!("server-{:05}: {{}}", place * BACKENDS + server));
        let (vip, servers) = (address([127, 90, 0, 1], place), servers.collect::<Vec<_>>().join(", "));
        writeln!(
            text,
            "    service-{place:04}: {{ address: {vip}, protocol: tcp, port: 443, \
             pools: [ {{ name: primary, backends: {{ {servers} }} }} ] }}"
        )
        .unwrap();
    }
    text
}

/// Percent of a core that processes use while nothing happens.
async fn rest(stack: &Stack, processes: &[&str], seconds: u64) -> Vec<f64> {
    sleep(Duration::from_secs(2)).await;
    let before: Vec<_> = processes.iter().map(|process| cpu(stack, process)).collect();
    sleep(Duration::from_secs(seconds)).await;
    let now = processes.iter().zip(before).map(|(process, before)| cpu(stack, process) - before);
    now.map(|used| used / seconds as f64 * 100.0).collect()
}

/// CPU time of a process in seconds.
fn cpu(stack: &Stack, process: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", stack.pid(process).unwrap())).unwrap();
    let fields: Vec<_> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

/// Resident memory in MB.
fn memory(stack: &Stack, process: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", stack.pid(process).unwrap())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1e3
}

/// The figure below which so many percent of all are.
fn quantile(mut figures: Vec<f64>, percent: usize) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len().saturating_sub(1) * percent / 100]
}
