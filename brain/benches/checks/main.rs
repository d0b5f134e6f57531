//! Cost of health checks, compared with HAProxy: `cargo bench -p maglev-brain --bench checks`.
//!
//! A process that is not measured simulates all backends. HAProxy and the brain check them alternately, each
//! pinned to the same core, with the same addresses, path and interval: one request a second to each. Their
//! CPU time includes the kernel's part, which on loopback delivers packets in both directions. Nothing else
//! should run on the machine; each row shows the load average.

#![allow(clippy::cast_precision_loss, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod bare;
mod checkers;
mod cores;
mod inside;
mod measurement;
mod schedule;
mod server;
mod usage;

use std::path::PathBuf;
use std::time::Duration;

use checkers::Program;
use clap::{Parser, ValueEnum};
use cores::Cores;
use measurement::{Bench, Row, bytes_per_backend};

/// Numbers of backends that show whether the cost grows linearly.
const SCALE: [u32; 4] = [100, 1_000, 10_000, 20_000];

#[derive(Debug, Parser)]
struct Arguments {
    /// Of all but the rows that show how the cost grows
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    backends: u32,

    /// How long each row is measured, after a warm-up
    #[arg(long, default_value_t = 20)]
    seconds: u64,

    /// How often HAProxy and the brain take turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// The brain's program
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_maglev-brain"))]
    brain: PathBuf,

    /// Only this part
    #[arg(long)]
    only: Option<Part>,

    /// Plays the backends
    #[arg(long, hide = true)]
    serve: bool,

    /// Is the bare loop, which checks backends with this port
    #[arg(long, hide = true)]
    bare: Option<u16>,

    /// Comes from cargo
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// HAProxy, not in turns with the brain
    Haproxy,
    /// The brain, not in turns with HAProxy
    Brain,
    /// A bare loop of a check's system calls, not in turns with the others
    Bare,
    /// The brain with more and more backends
    Scale,
    /// The brain's own part, in simulated time, with up to 50,000 backends
    Schedule,
    /// Within the brain: how late probes start, how soon a change is seen
    Inside,
}

fn main() {
    let arguments = Arguments::parse();
    if arguments.serve {
        return server::serve();
    }
    if let Some(port) = arguments.bare {
        return bare::check(port, arguments.backends);
    }
    cores::raise_open_files();
    let cores = Cores::find();
    println!("{cores}; rows of {} s", arguments.seconds);
    let mut bench = Bench::new(cores, Duration::from_secs(arguments.seconds));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        side_by_side(&arguments, &mut bench).await;
        if arguments.wants(Part::Scale) {
            grow(&arguments, &mut bench).await;
        }
    });
    if arguments.wants(Part::Schedule) {
        schedule::measure();
    }
    if arguments.wants(Part::Inside) {
        inside::measure(&mut bench, arguments.backends);
    }
}

async fn side_by_side(arguments: &Arguments, bench: &mut Bench) {
    let mut programs = Vec::new();
    if arguments.wants(Part::Haproxy) {
        match Program::haproxy() {
            Some(haproxy) => programs.push(haproxy),
            None => println!("haproxy is not installed: the brain's figures stand alone"),
        }
    }
    if arguments.wants(Part::Brain) {
        programs.push(Program::Brain(arguments.brain.clone()));
    }
    if arguments.wants(Part::Bare) {
        programs.push(Program::Bare);
    }
    if programs.is_empty() {
        return;
    }
    println!("\n{} backends, checked once a second\n{}", arguments.backends, Row::HEAD);
    let mut rows: Vec<Vec<Row>> = programs.iter().map(|_| Vec::new()).collect();
    for _ in 0..arguments.rounds {
        for (program, rows) in programs.iter().zip(&mut rows) {
            let row = bench.measure(program, arguments.backends).await;
            println!("{row}");
            rows.push(row);
        }
    }
    println!(
        "\n{:<10}{:>18}{:>22}{:>20}",
        "medians", "CPU of a check", "memory of a backend", "of the program"
    );
    let mut per_backend = Vec::new();
    for (program, rows) in programs.iter().zip(&rows) {
        let least = bench.resident(program, 1).await;
        let resident = median(rows.iter().map(|row| row.memory.resident));
        let bytes = bytes_per_backend(least.resident, resident, arguments.backends);
        let micros = median(rows.iter().map(|row| row.micros_per_check));
        println!(
            "{:<10}{micros:>15.1} us{bytes:>16.0} bytes{:>16.1} MiB",
            program.name(),
            least.resident / MIB
        );
        per_backend.push(bytes);
    }
    let ratio = |brain: &[Row], other: &[Row]| {
        let pairs = brain.iter().zip(other);
        geometric_mean(pairs.map(|(brain, other)| brain.micros_per_check / other.micros_per_check))
    };
    if let ([haproxy, brain, bare], [of_haproxy, of_brain, _]) = (rows.as_slice(), per_backend.as_slice()) {
        println!("brain to haproxy{:>12.2}{:>22.2}", ratio(brain, haproxy), of_brain / of_haproxy);
        println!("brain to bare{:>15.2}", ratio(brain, bare));
    }
}

async fn grow(arguments: &Arguments, bench: &mut Bench) {
    let brain = Program::Brain(arguments.brain.clone());
    println!("\nthe brain with more and more backends, checked once a second\n{}", Row::HEAD);
    for backends in SCALE {
        println!("{}", bench.measure(&brain, backends).await);
    }
}

const MIB: f64 = 1024.0 * 1024.0;

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}

/// Geometric mean of ratios: one round at twice the cost and one at half average to 1.
fn geometric_mean(ratios: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = ratios.len() as f64;
    (ratios.map(f64::ln).sum::<f64>() / count).exp()
}
