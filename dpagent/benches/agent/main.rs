//! Cost of the agent on top of VPP's own: `cargo bench -p maglev-dpagent --bench agent`.
//!
//! Drives a real agent process over its socket, as the brain does. The baseline is a bare loop that sends VPP
//! the same messages over a connection of its own, measured alternately in the same run. VPP is the
//! simulator, in a thread of this process, or the VPP whose sockets are in `MAGLEV_VPP_RUN_DIR`, which must
//! have no VIPs.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod bare;
mod processes;

use std::time::Duration;

use bare::Bare;
use maglev_protocol::{
    AgentClient, BrainHello, Demands, Encap, PROTOCOL_VERSION, ServerSpec, SyncReport, VipKey, VipSpec,
};
use processes::{Agent, Vpp, within};
use tokio::time::Instant;

const VIPS: u32 = 1_000;
const SERVERS: u8 = 20;
const ROUNDS: usize = 5;
const CALLS: usize = 2_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let directory = tempfile::tempdir().unwrap();
    let vpp = Vpp::find_or_start(directory.path());
    println!("VPP: {}", vpp.name);
    println!(
        "{VIPS} VIPs with {SERVERS} servers each; medians of {ROUNDS} rounds, floor and agent in turns\n"
    );
    println!("{:<44} {:>12} {:>12} {:>16}", "", "floor", "agent", "agent / floor");
    let agent = Agent::start(directory.path(), &vpp);
    let client = agent.client().await;
    let mut bare = Bare::connect(&vpp.run_dir.join("api.sock"));
    assert_eq!(bare.vips(), 0, "VPP has VIPs: this would remove them");
    let specs: Vec<_> = (0..VIPS).map(spec).collect();

    // Reads are measured before removals: VPP takes a minute to reclaim what was removed.
    let without = agent.resident();
    sync_all(&client, &specs).await;
    let mut counters = Vec::new();
    for _ in 0..1 + 2 * ROUNDS {
        // The agent reuses counters for a second.
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        let start = Instant::now();
        let answer = client.counters(within(10), false).await.unwrap().unwrap();
        counters.push(start.elapsed());
        assert_eq!(answer.vips.len(), specs.len());
    }
    let counters_first = counters.remove(0);
    sync_all(&client, &specs).await;
    let with = agent.resident();

    let (mut floors, mut syncs) = (Vec::new(), Vec::new());
    for _ in 0..4 * ROUNDS {
        floors.push(bare.dumps());
        let (took, report) = sync_all(&client, &specs).await;
        assert_eq!((report.changes(), report.drift.len()), (0, 0));
        syncs.push(took);
    }
    row("sync_all that finds nothing (floor: dumps)", median(floors), median(syncs));

    let (mut floors, mut syncs) = (Vec::new(), Vec::new());
    for call in 0..CALLS {
        let mut spec = specs[0].clone();
        let (server, first) = spec.servers.iter_mut().next().unwrap();
        first.weight = if call % 2 == 0 { 2 } else { 1 };
        floors.push(bare.reweight(&spec.key, *server, first.weight));
        first.weight = 3 - first.weight;
        let start = Instant::now();
        let report = client.sync_vip(within(10), spec, Demands::default()).await.unwrap().unwrap();
        syncs.push(start.elapsed());
        // Each call sets another weight than the one before.
        assert!(call == 0 || report.changes() == 1, "{report:?}");
    }
    let (floor, sync) = (median(floors), median(syncs));
    row("one weight, p50", floor, sync);
    println!("{:<44} {:>12} {:>12}", "    above the floor", "", words(sync.saturating_sub(floor)));

    sync_all(&client, &[]).await;
    let (mut floors, mut syncs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // The same number of removed servers for both, so that both read equally many.
        let start = Instant::now();
        bare.dumps();
        bare.program(&specs);
        floors.push(start.elapsed());
        bare.remove(&specs);
        // So that the sync does not start by finding its mirror outdated.
        sync_all(&client, &[]).await;
        let (took, report) = sync_all(&client, &specs).await;
        assert_eq!(report.changes(), specs.len() * (1 + usize::from(SERVERS)));
        syncs.push(took);
        sync_all(&client, &[]).await;
    }
    row("first sync", median(floors), median(syncs));

    let figure = |what: &str, figure: String| println!("{what:<44} {:>12} {figure:>12}", "");
    figure("counters, the first time", words(counters_first));
    figure("counters", words(median(counters)));
    figure("resident memory without a VIP", without);
    figure("resident memory with them", with);
    figure("... and after all of the above", agent.resident());
    sync_all(&client, &[]).await;
    vpp.end();
}

async fn sync_all(client: &AgentClient, specs: &[VipSpec]) -> (Duration, SyncReport) {
    let specs = specs.to_vec();
    let start = Instant::now();
    let report = client.sync_all(within(60), specs, Vec::new()).await.unwrap().unwrap();
    (start.elapsed(), report)
}

/// Says hello, as a brain does.
async fn hello(client: &AgentClient) {
    let brain = BrainHello { protocol: PROTOCOL_VERSION, version: "bench".to_owned(), instance: 1 };
    client.hello(within(10), brain).await.unwrap().unwrap();
}

/// VIPs of a network reserved for benchmarks, each with its own servers.
fn spec(number: u32) -> VipSpec {
    let [_, _, high, low] = number.to_be_bytes();
    let servers =
        (1..=SERVERS).map(|last| ([10, high, low, last].into(), ServerSpec { weight: 1, flush: true }));
    VipSpec {
        key: VipKey::port([198, 18, high, low].into(), 6, 80),
        encap: Encap::Gre4,
        src_ip_sticky: false,
        new_flows_table_length: 1024,
        servers: servers.collect(),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn row(what: &str, floor: Duration, agent: Duration) {
    let ratio = agent.as_secs_f64() / floor.as_secs_f64();
    println!("{what:<44} {:>12} {:>12} {ratio:>16.2}", words(floor), words(agent));
}

fn words(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 1_000.0 { format!("{micros:.0} us") } else { format!("{:.2} ms", micros / 1e3) }
}
