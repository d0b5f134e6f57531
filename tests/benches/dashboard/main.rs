//! The dashboard under load: many frontends, viewers and changes, against the simulator.
//!
//! `cargo bench -p maglev-tests --bench dashboard -- [--frontends 1000] [--backends 10] [--viewers 200] [--changes 100]`
//!
//! A change is a weight that an operator sets. Viewers read the stream as browsers do, and one of them notes how long
//! after its time each event was there. Then, with the viewers but without the changes, a browser notes when it had
//! painted the death and the return of a backend.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

mod screen;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use maglev_proto::SetFrontendPoolBackendWeightRequest as Weight;
use maglev_proto::client::{ServerAddress, TlsFiles, connect, endpoint};
use maglev_proto::maglev_client::MaglevClient;
use maglev_tests::dashboard::{Dashboard, NAME, world};
use maglev_tests::stack::Stack;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long, default_value_t = 1000)]
    frontends: usize,
    #[arg(long, default_value_t = 10)]
    backends: usize,
    #[arg(long, default_value_t = 200)]
    viewers: usize,
    /// Each second
    #[arg(long, default_value_t = 100)]
    changes: u32,
    /// Length of each of the two phases
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Deaths and returns of a backend that a browser shows
    #[arg(long, default_value_t = 20)]
    transitions: usize,
    /// What cargo tells every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let mut stack = world(arguments.frontends, arguments.backends).await.unwrap();
    let mut number = 0;
    let without = change(&stack, &arguments, &mut number).await;
    println!("probes late, without a dashboard: {without:.1} ms on average, of the latest in each second");
    let dashboard = Dashboard::start(&mut stack, &[]).await.unwrap();
    let started = Instant::now();
    let state = dashboard.get("/view/api/state").await.unwrap();
    println!(
        "the whole state: {} KiB, in {} ms",
        state.to_string().len() >> 10,
        started.elapsed().as_millis()
    );
    let url = dashboard.url(&format!("/view/api/events?since={}", state["id"].as_str().unwrap()));
    let (bytes, (times, mut noted)) = (Arc::new(AtomicU64::new(0)), unbounded_channel());
    let mut viewers = JoinSet::new();
    for number in 0..arguments.viewers {
        let (url, bytes, times) = (url.clone(), Arc::clone(&bytes), (number == 0).then(|| times.clone()));
        viewers.spawn(async move { view(&url, &bytes, times).await });
    }
    let pid = stack.pid(NAME).unwrap();
    let (started, before) = (Instant::now(), cpu(pid));
    let with = change(&stack, &arguments, &mut number).await;
    let (seconds, used) = (started.elapsed().as_secs_f64(), cpu(pid) - before);
    let each = bytes.load(Ordering::Relaxed) as f64 / arguments.viewers as f64 / seconds;
    println!(
        "probes late, with {} viewers: {with:.1} ms, {:.2} times as much",
        arguments.viewers,
        with / without
    );
    println!("dashboard: {:.0} % of a core, {} MiB", used * 100.0 / seconds, memory(pid) >> 10);
    println!("to each viewer: {:.1} KiB/s", each / 1024.0);
    noted.close();
    let mut times = Vec::new();
    while let Ok(time) = noted.try_recv() {
        times.push(time);
    }
    times.sort_unstable();
    println!("from event to viewer: {}", percentiles(&times));
    match screen::times(&mut stack, &dashboard, arguments.transitions).await.unwrap() {
        Some(times) => println!("from event to screen: {}", percentiles(&times)),
        None => {
            println!("from event to screen: NOT MEASURED, since chromium and chromedriver are not installed")
        }
    }
    viewers.abort_all();
}

/// Of sorted milliseconds.
fn percentiles(times: &[u64]) -> String {
    let at = |percent: usize| times.get(times.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0);
    format!("p50 {} ms, p99 {} ms, of {} events", at(50), at(99), times.len())
}

/// Sets weights at the pace that is asked for; how late the latest probe of each second was on average, in milliseconds.
async fn change(stack: &Stack, arguments: &Arguments, number: &mut usize) -> f64 {
    let address = ServerAddress::Unix(stack.brain_socket());
    let endpoint = endpoint(&address, &TlsFiles::default(), Duration::from_secs(5)).unwrap();
    let client = MaglevClient::new(connect(endpoint, &address).await.unwrap());
    let (started, mut late, mut changes) = (Instant::now(), JoinSet::new(), JoinSet::new());
    let (mut ticks, mut looks) =
        (interval(Duration::from_secs(1) / arguments.changes), interval(Duration::from_secs(1)));
    let before = *number;
    while started.elapsed() < Duration::from_secs(arguments.seconds) {
        tokio::select! {
            _ = ticks.tick() => {
                let (frontend, round) = (*number % arguments.frontends, *number / arguments.frontends);
                let request = Weight {
                    frontend: format!("service-{frontend}"),
                    pool: "primary".into(),
                    backend: format!("s{frontend}-1"),
                    weight: u32::try_from(10 + round % 80).unwrap(),
                    ..Weight::default()
                };
                let mut client = client.clone();
                changes.spawn(async move { client.set_frontend_pool_backend_weight(request).await });
                *number += 1;
            }
            Some(done) = changes.join_next() => drop(done.unwrap().unwrap()),
            // Beside the changes, which a slow answer must not hold up.
            _ = looks.tick() => drop(late.spawn(lateness(format!("http://{}/metrics", stack.metrics())))),
        }
    }
    while let Some(done) = changes.join_next().await {
        done.unwrap().unwrap();
    }
    println!("{:.0} changes a second", (*number - before) as f64 / started.elapsed().as_secs_f64());
    let late = late.join_all().await;
    late.iter().sum::<f64>() / late.len() as f64
}

async fn lateness(url: String) -> f64 {
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix("maglev_probe_lateness_max_seconds "));
    value.unwrap().parse::<f64>().unwrap() * 1e3
}

/// Reads the stream for ever.
async fn view(url: &str, bytes: &AtomicU64, times: Option<UnboundedSender<u64>>) {
    let mut answer = reqwest::get(url).await.unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        let Some(times) = &times else { continue };
        text.extend_from_slice(&chunk);
        while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
            let frame: Vec<u8> = text.drain(..end + 2).collect();
            let now =
                u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
            let data = String::from_utf8(frame).unwrap();
            let Some(data) = data.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
            let frame: Value = serde_json::from_str(data).unwrap();
            for event in
                frame["events"].as_array().into_iter().flatten().filter(|event| event["kind"] == "command")
            {
                // An error means that enough of them are noted.
                times.send(now.saturating_sub(event["at"].as_u64().unwrap())).ok();
            }
        }
    }
}

/// Seconds of a core that a process has used.
fn cpu(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
    [11, 12].iter().map(|field| fields[*field].parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// Its resident memory in KiB.
fn memory(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
