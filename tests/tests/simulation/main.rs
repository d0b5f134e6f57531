//! Brain, agent and VPP in one process, under a scheduler that one number decides, in simulated time: the brain's
//! controller and client, the agent's reconciler, and vppsim's model of the lb plugin.
//!
//! Messages are late or lost, processes are killed and started anew, VPP dies or hangs, strangers write to it,
//! backends flap, operators work and configurations are reloaded. After each step the rules hold that always hold; then
//! everything calms down, and VPP must be what configuration, operators and health say.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]

mod agent;
mod brain;
mod chaos;
mod generate;
mod hangs;
mod history;
mod judge;
mod operators;
mod preview;
mod probers;
mod reference;
mod router;
mod vpp;
mod wire;
mod world;

use std::io::Write;
use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use history::{Told, history, replay};

/// Replays a single seed with a full trace.
const SEED: &str = "MAGLEV_SIMULATION_SEED";
/// Number of seeds to run, instead of [`SEEDS`].
const COUNT: &str = "MAGLEV_SIMULATION_SEEDS";
/// The first seed to run.
const FIRST: &str = "MAGLEV_SIMULATION_FIRST";
/// Number of histories in a normal test run.
const SEEDS: u64 = 1500;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}: must be a number")))
}

#[test]
fn the_rules_hold_in_every_history() {
    if let Some(seed) = number(SEED) {
        return replay(seed);
    }
    let first = number(FIRST).unwrap_or(0);
    let seeds = first..first + number(COUNT).unwrap_or(SEEDS);
    let started = tokio::time::Instant::now();
    let next = AtomicU64::new(seeds.start);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let total = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(|| some_of(&seeds, &next))).collect();
        let mut total = Told::default();
        for worker in workers {
            match worker.join().expect("a worker lives") {
                Ok(told) => total.add(told),
                Err((seed, violation)) => panic!("{}", history::failure(seed, &violation)),
            }
        }
        total
    });
    let took = started.elapsed().as_secs_f64();
    let Told { steps, writes, simulated, counts } = total;
    let told = format!(
        "seeds {seeds:?}: {steps} steps, {simulated:?} simulated, {writes} writes to VPP, {counts:?}; {took:.1} s, \
         {:.0} steps/s",
        steps as f64 / took
    );
    writeln!(std::io::stderr(), "{told}").ok();
    assert!(writes > 0, "nothing was written to VPP");
}

/// Runs one seed after the other, until all are done or one fails.
fn some_of(seeds: &Range<u64>, next: &AtomicU64) -> Result<Told, (u64, String)> {
    let mut total = Told::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if !seeds.contains(&seed) {
            return Ok(total);
        }
        match history(seed, false) {
            Ok(told) => total.add(told),
            Err(violation) => {
                // Stops the other threads.
                next.store(seeds.end, Ordering::Relaxed);
                return Err((seed, violation));
            }
        }
    }
}
