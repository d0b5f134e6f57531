//! What health checks cost, side by side with HAProxy: `cargo bench -p maglev-brain --bench checks`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod checkers;
mod cores;
mod server;
mod usage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use checkers::Program;
use clap::Parser;
use cores::Cores;
use server::Backends;
use tokio::time::{Instant, sleep};
use usage::{CpuTime, Memory};

#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long, default_value_t = 10_000)]
    backends: u32,
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long, default_value = env!("CARGO_BIN_EXE_maglev-brain"))]
    brain: PathBuf,
    #[arg(long)]
    only: Option<String>,
    #[arg(long, hide = true)]
    serve: bool,
    /// Which cargo gives.
    #[arg(long, hide = true)]
    bench: bool,
}

const WARM_UP: Duration = Duration::from_secs(8);

fn main() {
    let arguments = Arguments::parse();
    if arguments.serve {
        return server::serve();
    }
    println!("open files {}", cores::raise_open_files());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure(&arguments));
}

async fn measure(arguments: &Arguments) {
    let directory = tempfile::tempdir().unwrap();
    let cores = Cores::find();
    let mut backends = Backends::start(&cores);
    let programs: Vec<_> = [Program::haproxy(), Some(Program::Brain(arguments.brain.clone()))]
        .into_iter()
        .flatten()
        .filter(|program| arguments.only.as_deref().is_none_or(|only| only == program.name()))
        .collect();
    for program in &programs {
        let mut checker = program.start(directory.path(), &cores, backends.port, 1);
        sleep(Duration::from_secs(3)).await;
        checker.assert_alive();
        println!("{} minimal {:?}", program.name(), Memory::of(checker.pid()));
    }
    for _ in 0..arguments.rounds {
        for program in &programs {
            one(arguments, program, directory.path(), &cores, &mut backends).await;
        }
    }
}

async fn one(
    arguments: &Arguments,
    program: &Program,
    directory: &Path,
    cores: &Cores,
    backends: &mut Backends,
) {
    let mut checker = program.start(directory, cores, backends.port, arguments.backends);
    println!("{} pid {}", program.name(), checker.pid());
    sleep(WARM_UP).await;
    checker.assert_alive();
    let (start, before, server, answered) =
        (Instant::now(), CpuTime::of(checker.pid()), CpuTime::of(backends.pid()), backends.answered());
    sleep(Duration::from_secs(arguments.seconds)).await;
    let (wall, after, server_after, answered) = (
        start.elapsed(),
        CpuTime::of(checker.pid()),
        CpuTime::of(backends.pid()),
        backends.answered() - answered,
    );
    checker.assert_alive();
    let (cpu, user) = after.since(&before);
    let (server, _) = server_after.since(&server);
    let per = cpu.as_secs_f64() * 1e6 / answered as f64;
    println!(
        "{:8} {:>8.0} checks/s {:>6.2} us/check (user {:.2} system {:.2}) {:>5.1} % server {:.1} us {:?} load {}",
        program.name(),
        answered as f64 / wall.as_secs_f64(),
        per,
        per * user,
        per * (1.0 - user),
        cpu.as_secs_f64() / wall.as_secs_f64() * 100.0,
        server.as_secs_f64() * 1e6 / answered as f64,
        Memory::of(checker.pid()),
        usage::load_average()
    );
}
