//! How many probes a second the tester of VIPs makes on one core, and by how much its latencies differ from those of a
//! bare loop over the same server in the same run: `cargo bench -p maglev-tests --bench tester`.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use clap::Parser;
use maglev_tester::client::{Client, Naming};
use maglev_tester::run::{Options, Tester};
use maglev_tester::target::{Shape, Target, from_text};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tokio::time::{Instant, sleep};

#[derive(Debug, Parser)]
struct Arguments {
    /// VIPs, each probed ten times a second
    #[arg(long, default_value_t = 1000)]
    vips: u32,

    /// Seconds to probe
    #[arg(long, default_value_t = 10)]
    seconds: u64,

    /// Requests of each kind whose latencies are compared
    #[arg(long, default_value_t = 2000)]
    requests: usize,

    /// What cargo tells every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nweb1\n";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
const SERVERS: usize = 4;

/// Answers on threads of their own, which the tester's core has nothing to do with.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for _ in 0..SERVERS {
        let listener = listener.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut asked = [0; 2048];
            while let Ok((mut stream, _)) = listener.accept() {
                // A client that breaks off is its own business.
                if stream.read(&mut asked).is_ok() {
                    stream.write_all(ANSWER).ok();
                }
            }
        });
    }
    address
}

fn target(server: SocketAddr) -> Target {
    from_text(&format!("http://{server}/")).unwrap()
}

fn shape() -> Shape {
    Shape { timeout: Duration::from_secs(2), ..Shape::default() }
}

/// CPU time of this thread, which makes all probes.
fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.try_into().unwrap())
}

async fn throughput(arguments: &Arguments, server: SocketAddr) {
    let options = Options {
        interval: Duration::from_millis(100),
        vip_rate: 1000,
        rate: 1_000_000,
        keepalive: false,
        flows: 0,
        probes: true,
        shape: shape(),
        naming: Naming::default(),
    };
    let (began, before) = (Instant::now(), cpu());
    let tester = Tester::start((0..arguments.vips).map(|_| target(server)).collect(), &options);
    sleep(Duration::from_secs(arguments.seconds)).await;
    let (took, used) = (began.elapsed(), cpu() - before);
    let tallies = tester.vips().iter().map(|vip| vip.stats.lock().unwrap().tally());
    let (sent, failed) = tallies.fold((0, 0), |sum, tally| (sum.0 + tally.sent(), sum.1 + tally.failed()));
    let core = used.as_secs_f64() / took.as_secs_f64();
    println!(
        "{} VIPs every 100 ms: {:.0} probes a second, {failed} failed, {:.0} % of one core, {:.0} us of it a probe",
        arguments.vips,
        sent as f64 / took.as_secs_f64(),
        core * 100.0,
        used.as_secs_f64() * 1e6 / sent.max(1) as f64,
    );
    println!("goal on an idle machine: {} probes a second on one core", arguments.vips * 10);
}

fn bare(server: SocketAddr) -> Duration {
    let began = Instant::now();
    let mut stream = TcpStream::connect(server).unwrap();
    stream.write_all(REQUEST).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, ANSWER);
    began.elapsed()
}

/// Takes turns, so that whatever else the machine does is met by both.
async fn latency(arguments: &Arguments, server: SocketAddr) {
    let mut client = Client::new(&target(server), &shape(), &Naming::default(), false);
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for _ in 0..arguments.requests {
        let exchange = client.ask().await;
        assert_eq!(exchange.server.as_deref(), Some("web1"), "{exchange:?}");
        own.push(exchange.outcome.duration);
        other.push(bare(server));
    }
    own.sort_unstable();
    other.sort_unstable();
    let at =
        |sorted: &[Duration], percent: usize| sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    for percent in [50, 95, 99] {
        let (own, other) = (at(&own, percent), at(&other, percent));
        println!(
            "p{percent}: tester {own:.0} us, bare loop {other:.0} us, difference {:+.0} us",
            own - other
        );
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let server = serve();
    latency(&arguments, server).await;
    throughput(&arguments, server).await;
}
