//! A large installation, through the real processes and the simulator: `cargo bench -p maglev-tests --bench scale`.
//!
//! *linear* is the factor between both sizes' figures, over the factor between the sizes: 1 means that a figure grows
//! with the number of backends, 0 that it does not depend on it.

#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../../../dpagent/benches/agent/bare.rs"]
#[allow(dead_code)]
mod bare;

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::time::Duration;

use bare::Bare;
use clap::Parser;
use maglev_proto::client::{ServerAddress, TlsFiles, connect, endpoint};
use maglev_proto::maglev_client::MaglevClient;
use maglev_proto::{ChangeBackendRequest, ListFrontendsRequest, ReloadConfigRequest, SyncVpplbStateRequest};
use maglev_protocol::VipKey;
use maglev_tests::stack::Stack;
use maglev_tests::wait::until_every;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;
use tonic::transport::Channel;

#[derive(Debug, Parser)]
struct Arguments {
    /// Frontends of 10 backends each
    #[arg(long, default_value_t = 1_000)]
    small: u32,

    /// The same, of the larger size
    #[arg(long, default_value_t = 5_000)]
    large: u32,

    /// Frontends of one backend that fails
    #[arg(long, default_value_t = 1_000)]
    failing: u32,

    /// Repetitions of what can be repeated; their medians are printed
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Comes from cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// Backends of each frontend.
const BACKENDS: u32 = 10;
/// Time limit of one request.
const REQUEST: Duration = Duration::from_secs(60);
/// How often a process that starts is asked whether it is ready.
const LOOK: Duration = Duration::from_millis(5);

/// A figure with its unit.
type Figure = (&'static str, f64, &'static str);

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let small = measure(&arguments, arguments.small).await.unwrap();
    let large = measure(&arguments, arguments.large).await.unwrap();
    let (one, other) = (arguments.small * BACKENDS, arguments.large * BACKENDS);
    println!("{:<50} {one:>12} {other:>12} {:>7}", "backends:", "linear");
    let sizes = f64::from(other) / f64::from(one);
    for ((what, small, unit), (_, large, _)) in small.into_iter().zip(large) {
        println!("{what:<50} {small:>9.1} {unit:<2} {large:>9.1} {unit:<2} {:>7.2}", large / small / sizes);
    }
}

async fn measure(arguments: &Arguments, frontends: u32) -> anyhow::Result<Vec<Figure>> {
    let mut figures: Vec<Figure> = Vec::new();
    let mut stack = Stack::empty()?;
    stack.configure(&configuration(arguments, frontends, 100))?;
    let mut check = stack.command("maglev-brain")?;
    check.arg("--config").arg(stack.config()).arg("--check").stdout(Stdio::null());
    let start = Instant::now();
    assert!(check.status()?.success());
    figures.push(("maglev-brain --check", milliseconds(start), "ms"));
    stack.start_vppsim()?;
    stack.start_agent()?;
    permit(&stack).await?;
    figures.push(("start, with the first sync of all VIPs", started(&mut stack).await?, "ms"));
    stack.kill("brain")?;
    figures.push(("restart, with VPP in the desired state", started(&mut stack).await?, "ms"));
    let address = ServerAddress::Unix(stack.brain_socket());
    let channel = connect(endpoint(&address, &TlsFiles::default(), REQUEST)?, &address).await?;
    let client = MaglevClient::new(channel).max_decoding_message_size(1 << 28);
    let metrics = format!("http://{}/metrics", stack.metrics());
    let mut rounds = Vec::new();
    for round in 0..arguments.rounds {
        // Alternately, so that each reload changes something.
        let weight = if round % 2 == 0 { 50 } else { 100 };
        stack.configure(&configuration(arguments, frontends, weight))?;
        rounds.push(operate(&client, &metrics).await?);
    }
    figures
        .extend((0..rounds[0].len()).map(|place| median(rounds.iter().map(|round| round[place]).collect())));
    let mut bare = Bare::connect(&stack.vpp_run_dir().join("api.sock"));
    let keys: Vec<_> =
        (0..arguments.failing.min(frontends)).map(|place| VipKey::port(vip(place).into(), 6, 443)).collect();
    let floors = (0..arguments.rounds).map(|round| {
        let weight = u8::try_from(round % 2).unwrap();
        bare.reweight_all(&keys, IpAddr::from(server(0)), weight).as_secs_f64() * 1e3
    });
    let floors: Vec<_> = floors.map(|took| ("... the bare writes", took, "ms")).collect();
    figures.push(median(floors));
    for (process, what) in [("brain", "memory of the brain"), ("dpagent", "memory of the agent")] {
        figures.push((what, memory(stack.pid(process).unwrap()), "MB"));
    }
    Ok(figures)
}

/// What an installation of this size does all day.
async fn operate(client: &MaglevClient<Channel>, metrics: &str) -> anyhow::Result<Vec<Figure>> {
    let mut figures: Vec<Figure> = Vec::new();
    let mut client = client.clone();
    let start = Instant::now();
    let reloaded = client.reload_config(ReloadConfigRequest::default()).await?.into_inner();
    figures.push(("reload that changes one weight", milliseconds(start), "ms"));
    assert!(reloaded.outcome.is_some(), "{reloaded:?}");
    let start = Instant::now();
    let synced = client.sync_vpplb_state(SyncVpplbStateRequest::default()).await?.into_inner();
    figures.push(("full sync that finds nothing", milliseconds(start), "ms"));
    assert!(synced.vips.is_empty() && synced.drift.is_empty(), "{synced:?}");
    let start = Instant::now();
    let listed = client.list_frontends(ListFrontendsRequest::default()).await?.into_inner();
    figures.push(("show frontends", milliseconds(start), "ms"));
    drop(listed);
    let start = Instant::now();
    let text = reqwest::get(metrics).await?.bytes().await?;
    figures.push(("scrape", milliseconds(start), "ms"));
    figures.push(("... its size", text.len() as f64 / 1e6, "MB"));
    let start = Instant::now();
    let http = reqwest::Client::new().get(metrics).header("accept-encoding", "gzip");
    let packed = http.send().await?.bytes().await?;
    figures.push(("scrape with gzip", milliseconds(start), "ms"));
    figures.push(("... its size", packed.len() as f64 / 1e6, "MB"));
    let shared = ChangeBackendRequest { name: "server-00000".to_owned(), ..ChangeBackendRequest::default() };
    let start = Instant::now();
    client.pause_backend(shared.clone()).await?;
    figures.push(("a backend of many frontends fails: last write", milliseconds(start), "ms"));
    client.resume_backend(shared).await?;
    Ok(figures)
}

/// Starts the brain; milliseconds until VPP is as desired.
async fn started(stack: &mut Stack) -> anyhow::Result<f64> {
    let (start, ready) = (Instant::now(), format!("http://{}/readyz", stack.metrics()));
    stack.start_brain()?;
    let look = || async { Ok(reqwest::get(&ready).await?.status().is_success().then_some(())) };
    until_every(LOOK, "VPP to be as desired", look).await?;
    Ok(milliseconds(start))
}

/// Raises the limits that the agent has by default, once it takes a SIGHUP.
async fn permit(stack: &Stack) -> anyhow::Result<()> {
    let listens = || async { Ok(stack.agent_socket().exists().then_some(())) };
    until_every(LOOK, "the agent to listen", listens).await?;
    std::fs::write(stack.policy(), "vips: [127.0.0.0/8]\nservers: [127.0.0.0/8]\nlimits:\n  vips: 100000\n")?;
    Ok(kill(Pid::from_raw(i32::try_from(stack.pid("dpagent").unwrap())?), Signal::SIGHUP)?)
}

fn vip(place: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 90, 0, 1).to_bits() + place)
}

fn server(place: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 100, 0, 1).to_bits() + place)
}

/// The first server is in the first `failing` frontends, all others in one each; the second has this weight.
fn configuration(arguments: &Arguments, frontends: u32, weight: u8) -> String {
    let mut text = "maglev:\n  vpp: { lb: { ipv4-src-address: 127.0.0.1, startup-min-delay: 0s, startup-max-delay: 0s } }\n  \
                    backends:\n"
        .to_owned();
    let is_shared =
        |place: &u32| *place > 0 && place.is_multiple_of(BACKENDS) && *place < arguments.failing * BACKENDS;
    for place in (0..frontends * BACKENDS).filter(|place| !is_shared(place)) {
        writeln!(text, "    server-{place:05}: {{ address: {} }}", server(place)).unwrap();
    }
    text.push_str("  frontends:\n");
    for place in 0..frontends {
        let member = |member| match (place * BACKENDS + member, member) {
            (_, 0) if place < arguments.failing => "server-00000: {}".to_owned(),
            (1, _) => format!("server-00001: {{ weight: {weight} }}"),
            (server, _) => format!("server-{server:05}: {{}}"),
        };
        let members: Vec<_> = (0..BACKENDS).map(member).collect();
        let (address, members) = (vip(place), members.join(", "));
        writeln!(
            text,
            "    service-{place:04}: {{ address: {address}, protocol: tcp, port: 443, \
             pools: [ {{ name: primary, backends: {{ {members} }} }} ] }}"
        )
        .unwrap();
    }
    text
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn median(mut figures: Vec<Figure>) -> Figure {
    figures.sort_by(|one, other| one.1.total_cmp(&other.1));
    figures[figures.len() / 2]
}

/// Resident memory in MB.
fn memory(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1e3
}
