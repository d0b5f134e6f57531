//! One history: storm, calm, rest, and the invariants after another start.

use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::world::{Event, World, parsed};

/// Longest time until everything is at rest: the longest call, the warm-up, a slow start, two full syncs.
const PATIENCE: Duration = Duration::from_secs(90);
/// Longest time that a message or a probe takes.
const AFTERMATH: Duration = Duration::from_secs(3);
/// The last lines that a failure shows.
const SHOWN: usize = 60;

/// What happened in a history, or in several.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) steps: u64,
    pub(crate) writes: u64,
    pub(crate) simulated: Duration,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

impl Told {
    pub(crate) fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.writes += other.writes;
        self.simulated += other.simulated;
        for (what, count) in other.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }
}

/// Lives through one history; an error is a broken rule.
pub(crate) fn history(seed: u64, trace: bool) -> Result<Told, String> {
    let mut world = World::new(seed, trace);
    let lived = catch_unwind(AssertUnwindSafe(|| live(&mut world, seed)));
    let result = lived.unwrap_or_else(|_| Err("a panic".to_owned()));
    if trace {
        for line in &world.lines {
            writeln!(std::io::stderr(), "{line}").ok();
        }
    }
    result.map(|()| Told {
        steps: world.steps,
        writes: world.vpp.writes,
        simulated: world.now,
        counts: std::mem::take(&mut world.counts),
    })
}

/// Runs one seed again and shows all that happens.
pub(crate) fn replay(seed: u64) {
    if let Err(violation) = history(seed, true) {
        panic!("seed {seed} {violation}");
    }
}

/// What to say about a seed that failed.
pub(crate) fn failure(seed: u64, violation: &str) -> String {
    let mut world = World::new(seed, true);
    catch_unwind(AssertUnwindSafe(|| live(&mut world, seed))).ok();
    let from = world.lines.len().saturating_sub(SHOWN);
    let lines = world.lines[from..].join("\n");
    format!(
        "{lines}\nseed {seed} {violation}\nto see all of it: \
         MAGLEV_SIMULATION_SEED={seed} cargo test -p maglev-tests --test simulation -- --nocapture"
    )
}

fn live(world: &mut World, seed: u64) -> Result<(), String> {
    let storm = Duration::from_millis(world.rng.u64(1000..20_000));
    world.let_chaos_reign();
    while world.now < storm {
        world.step()?;
    }
    world.calm_down();
    world.flap();
    // Messages and probes from before are still under way.
    let calm = world.now + AFTERMATH;
    while world.now < calm {
        world.step()?;
    }
    world.weather.lost_answers = 0.0;
    rest(world)?;
    if !world.same_file() {
        world.reload_file();
        world.check_brain();
        rest(world)?;
    }
    another_brain(world)?;
    // It costs as much again, so that not everyone is asked.
    if seed.is_multiple_of(4) { another_history(world, seed) } else { Ok(()) }
}

/// Waits for rest, and then for one more full sync, which must find nothing to do.
fn rest(world: &mut World) -> Result<(), String> {
    let until = world.now + PATIENCE;
    loop {
        world.step()?;
        // The first full sync after the last stranger heals what they did.
        if world.unrest().is_none() && world.check_rest().is_ok() {
            break;
        }
        if world.now > until {
            let why = world.unrest().or_else(|| world.check_rest().err()).unwrap_or_default();
            return Err(format!("at {:?}: no rest after {PATIENCE:?}: {why}", world.now));
        }
    }
    if world.rare_syncs {
        return world.check_rest();
    }
    let (writes, settings, syncs) = (world.vpp.writes, world.vpp.settings, world.full_syncs());
    let table = world.vpp.all();
    while world.full_syncs() == syncs || world.unrest().is_some() {
        world.step()?;
        if world.now > until + PATIENCE {
            return Err(format!("at {:?}: no full sync for {PATIENCE:?}", world.now));
        }
    }
    if (world.vpp.writes, world.vpp.settings) != (writes, settings) || world.vpp.all() != table {
        return Err(format!("at {:?}: rule 3, a full sync at rest wrote to VPP", world.now));
    }
    world.check_rest()
}

/// Rule 4: another brain, with the same configuration and health, finds nothing to do.
fn another_brain(world: &mut World) -> Result<(), String> {
    let (writes, settings, routes) = (world.vpp.writes, world.vpp.settings, world.router.writes);
    world.note(|_| "another brain takes over".to_owned());
    world.brain_dies();
    world.draft.warm_up_patiently();
    world.file = parsed(&world.draft)?;
    world.at(world.now, Event::BrainStarts);
    world.step()?;
    rest(world)?;
    if (world.vpp.writes, world.vpp.settings) != (writes, settings) {
        return Err(format!("at {:?}: rules 1 and 4, another brain wrote to VPP", world.now));
    }
    if world.router.writes != routes {
        return Err(format!("at {:?}: rules 1 and 4, another brain changed routes", world.now));
    }
    Ok(())
}

/// Rule 4: the same configuration, operators and health give the same tables to a VPP that has never had others.
fn another_history(world: &World, seed: u64) -> Result<(), String> {
    let mut other = World::new(!seed, false);
    other.vpp = crate::vpp::Vpp::new(world.vpp.dialect);
    (other.stormy, other.rare_syncs) = (false, world.rare_syncs);
    other.weather.calm();
    other.weather.lost_answers = 0.0;
    (other.draft, other.file, other.sick) =
        (world.draft.clone(), Arc::clone(&world.file), world.sick.clone());
    (other.disk, other.operators_on_disk) = (world.disk.clone(), world.operators_on_disk.clone());
    rest(&mut other)?;
    let mut tables = other.vpp.all();
    for (vip, table) in world.vpp.all() {
        // A VIP that stands keeps the table that it was made with.
        let same_length = tables.remove(&vip).filter(|fresh| fresh.table_length == table.table_length);
        let Some(fresh) = same_length else { continue };
        if fresh != table || world.vpp.buckets(&vip) != other.vpp.buckets(&vip) {
            return Err(format!("rule 4: by another way, VIP {vip} is\n{fresh:?}, and not\n{table:?}"));
        }
    }
    match tables.keys().next() {
        Some(vip) if !world.vpp.all().contains_key(vip) => {
            Err(format!("rule 4: by another way, there is {vip}"))
        }
        _ => Ok(()),
    }
}

impl World {
    /// Whether the brain has what is in the file.
    fn same_file(&self) -> bool {
        let same = |brain: &crate::brain::Brain| Arc::ptr_eq(brain.core.config(), &self.file);
        self.brain.as_ref().is_some_and(same)
    }

    fn full_syncs(&self) -> u64 {
        let conn = self.brain.as_ref().and_then(|brain| brain.conn.as_ref());
        conn.map_or(0, |conn| conn.full_syncs)
    }
}
