//! A fleet of three to seven members and its store, under a scheduler that one number decides, in simulated time. Every
//! decision is the product's own code; only etcd, VPP and the tasks around the decisions are modelled.
//!
//! Watches are lost, the log is compacted, replicas are behind, answers are lost, leases end, values are damaged, members
//! die and are cut off from the store or from backends, operators work. Each write is judged by what is in the store at that
//! moment; then everything calms down, and all members must have the same configuration, intents and tables.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]

mod chaos;
mod configs;
mod judge;
mod member;
mod rest;
mod store;
mod view;
mod world;

use std::collections::BTreeMap;
use std::io::Write;

use world::{Violation, World};

/// Replays a single seed with a full trace.
const SEED: &str = "MAGLEV_SIMULATION_SEED";
/// Number of seeds to run, instead of [`SEEDS`].
const COUNT: &str = "MAGLEV_SIMULATION_SEEDS";
/// The first seed to run.
const FIRST: &str = "MAGLEV_SIMULATION_FIRST";
/// Number of histories in a normal test run.
const SEEDS: u64 = 60;
/// Turns of members in a history before everything calms down.
const TURNS: u64 = 1500;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}: must be a number")))
}

#[derive(Default)]
struct Told {
    steps: u64,
    simulated_ms: u64,
    stages: BTreeMap<&'static str, u64>,
    withdrawals: u64,
}

fn history(seed: u64, is_told: bool) -> Result<Told, (Violation, String)> {
    let mut world = World::new(seed, is_told);
    let done = live(&mut world).and_then(|()| world.calm_down());
    match done {
        Ok(()) => Ok(Told {
            steps: world.steps,
            simulated_ms: world.now,
            stages: world.judge.stages.clone(),
            withdrawals: world.judge.withdrawals,
        }),
        Err(violation) => Err((violation, world.last_events())),
    }
}

/// Members take their turns, and things go wrong.
fn live(world: &mut World) -> Result<(), Violation> {
    for _ in 0..TURNS {
        // Sometimes nothing happens for a long time.
        world.now += if world.rng.u32(..200) == 0 { world.rng.u64(..60_000) } else { world.rng.u64(1..250) };
        if world.has_store {
            let now = world.now;
            world.store.expire(now);
        }
        let at = world.rng.usize(..world.members.len());
        world.turn(at)?;
        if world.rng.u32(..25) == 0 {
            world.disturb()?;
        }
    }
    Ok(())
}

#[test]
fn the_rules_hold_in_every_history_of_a_fleet() {
    if let Some(seed) = number(SEED) {
        history(seed, true).unwrap_or_else(|(violation, _)| panic!("{violation}"));
        return;
    }
    let first = number(FIRST).unwrap_or(0);
    let mut total = Told::default();
    for seed in first..first + number(COUNT).unwrap_or(SEEDS) {
        let told = history(seed, false).unwrap_or_else(|(violation, events)| {
            panic!("seed {seed}: {violation}\n{events}\nreplay it with {SEED}={seed}")
        });
        total.steps += told.steps;
        total.simulated_ms += told.simulated_ms;
        total.withdrawals += told.withdrawals;
        for (stage, count) in told.stages {
            *total.stages.entry(stage).or_default() += count;
        }
    }
    let Told { steps, simulated_ms, stages, withdrawals } = total;
    let words = format!(
        "{steps} steps, {} h simulated, {stages:?}, {withdrawals} withdrawals",
        simulated_ms / 3_600_000
    );
    writeln!(std::io::stderr(), "{words}").ok();
    for stage in ["canary", "soaking", "rest", "done", "failed", "aborted", "rolled-back"] {
        assert!(stages.contains_key(stage), "no history reaches the stage {stage}: {words}");
    }
    assert!(withdrawals > 0, "nobody was ever cut off");
}
