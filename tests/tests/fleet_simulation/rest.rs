//! The end of a history: everything calms down, and all members must be equal.

use std::collections::BTreeSet;

use maglev_engine::fleet::intents;
use maglev_engine::fleet::records::{Intent, Key, decode, encode};
use maglev_engine::fleet::rollout::target;

use super::store::Transaction;
use super::world::{Violation, World};

/// Turns until everything must be at rest, for each member.
const ROUNDS: usize = 250;

impl World {
    /// Repairs everything and waits; then judges.
    pub(crate) fn calm_down(&mut self) -> Result<(), Violation> {
        self.tell(|| "everything calms down".to_owned());
        self.is_rough = false;
        if !self.has_store {
            self.has_store = true;
            self.store.prolong_all(self.now);
        }
        let seen = self.members[0].sees_down.clone();
        for at in 0..self.members.len() {
            if self.members[at].process.is_none() {
                self.start(at);
            }
            let member = &mut self.members[at];
            (member.is_linked, member.has_vpp, member.clock) = (true, true, 0);
            member.sees_down.clone_from(&seen);
            // What an operator set only here is cleared, and with it every override that is not the fleet's.
            let process = member.process.as_mut().unwrap();
            process.memory.local.clear();
            member.save();
            member.disk.memory.applied.clear();
            member.disk.overrides = maglev_engine::overrides::Overrides::default();
            let (now, mono) = (self.now, self.mono());
            self.members[at].start(now, mono);
        }
        self.repair();
        for _ in 0..ROUNDS {
            for at in 0..self.members.len() {
                self.now += 250;
                let now = self.now;
                self.store.expire(now);
                self.turn(at)?;
            }
        }
        self.at_rest()
    }

    /// Whoever set an intent that is damaged sets it again.
    fn repair(&mut self) {
        let fleet = self.fleet.clone();
        let damaged = self.store.entries.iter().filter(|(path, entry)| {
            let is_intent = matches!(Key::parse(&fleet, path.as_bytes()), Some(Key::Intent(_)));
            is_intent && decode::<Intent>(&entry.value).is_err()
        });
        let deletes: Vec<_> = damaged.map(|(path, _)| path.clone()).collect();
        if !deletes.is_empty() {
            self.store.transact(Transaction { deletes, ..Transaction::default() }).unwrap();
        }
    }

    fn at_rest(&mut self) -> Result<(), Violation> {
        let now = self.now;
        let (revision, entries) = self.store.read(u64::MAX);
        let mut tables = BTreeSet::new();
        let (mut effects, mut differing, mut equal) = (BTreeSet::<Vec<String>>::new(), Vec::new(), 0);
        for member in &self.members {
            let name = &member.name;
            let process = member.process.as_ref().unwrap();
            if process.view.revision != revision {
                return Err(format!("{name} knows revision {}, not {revision}", process.view.revision));
            }
            let rollout = process.view.rollout.as_ref().map(|(_, rollout)| rollout);
            if let Some(rollout) = rollout {
                if !rollout.stage.is_final() {
                    return Err(format!("the rollout has not ended: {rollout:?}"));
                }
                let target = target(rollout, name);
                let running = process.running.as_ref().map(|running| running.revision);
                // One that was away when others took it.
                let refused = member.state(now).and_then(|state| state.refused);
                let refuses = refused.is_some_and(|refused| Some(refused.revision) == target);
                if running != target && !refuses {
                    return Err(format!("{name} runs {running:?}, not {target:?}"));
                }
            }
            let stored = entries
                .keys()
                .filter(|path| matches!(Key::parse(&self.fleet, path.as_bytes()), Some(Key::Intent(_))));
            if stored.count() != process.view.intents.len() || !process.view.refused.is_empty() {
                return Err(format!("{name} does not know all intents: {:?}", process.view));
            }
            if !member.has_all_intents(now) {
                return Err(format!("{name} has not applied all intents"));
            }
            let local = intents::local_only(&process.memory, process.core.overrides());
            if !local.is_empty() {
                return Err(format!("{name} has overrides that nobody set: {local:?}"));
            }
            if !member.announces() {
                return Err(format!("{name} does not announce its routes"));
            }
            differing.extend(process.comparison.standing().next().map(|_| name));
            // A member that refuses the revision that is done runs another one, with another table.
            if process.running.as_ref().map(|running| running.revision)
                == rollout.and_then(|rollout| target(rollout, name))
            {
                let (digest, _) = member.tables(self.mono()).unwrap();
                if digest.vips[0].programmed != digest.vips[0].decided {
                    return Err(format!("VPP of {name} does not have what was decided"));
                }
                tables.insert(encode(&digest).unwrap());
                let backends = process.core.snapshot(self.mono()).backends;
                let states =
                    backends.iter().map(|(backend, view)| format!("{backend} {}", view.health.state()));
                effects.insert(states.collect());
                equal += 1;
            }
        }
        if equal == self.members.len() && !differing.is_empty() {
            return Err(format!("differing tables are still seen by {differing:?}"));
        }
        if tables.len() > 1 {
            return Err("tables differ at rest".to_owned());
        }
        if effects.len() > 1 {
            return Err(format!("states of backends differ at rest: {effects:?}"));
        }
        Ok(())
    }
}
