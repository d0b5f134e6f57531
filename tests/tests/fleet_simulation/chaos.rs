//! What goes wrong, and what operators do.

use std::collections::BTreeSet;

use maglev_engine::core::{BackendWish, Command, Now};
use maglev_engine::fleet::records::{
    Aim, Intent, IntentKey, Key, Name, Order, Plan, Revision, encode, unix_ms,
};
use maglev_engine::fleet::rollout::{self, Request};
use maglev_engine::overrides::BackendOverride;

use super::configs::{self, BACKENDS, weight_of};
use super::store::Transaction;
use super::world::{Violation, World};

impl World {
    /// Something happens to a member, to the store or to a backend.
    pub(crate) fn disturb(&mut self) -> Result<(), Violation> {
        let at = self.rng.usize(..self.members.len());
        let name = self.members[at].name.clone();
        match self.rng.u32(..100) {
            0..8 => match self.members[at].process.take() {
                Some(_) => self.tell(|| format!("{name} is killed")),
                None => self.start(at),
            },
            8..16 => {
                self.members[at].is_linked ^= true;
                let is_linked = self.members[at].is_linked;
                self.tell(|| format!("{name} can reach the store: {is_linked}"));
            }
            16..19 => {
                self.has_store ^= true;
                let (has_store, now) = (self.has_store, self.now);
                if has_store {
                    self.store.prolong_all(now);
                }
                self.tell(|| format!("the store is up: {has_store}"));
            }
            19..27 => {
                self.store.compact();
                self.tell(|| "the store is compacted".to_owned());
            }
            27..33 => {
                self.members[at].has_vpp ^= true;
                if !self.members[at].has_vpp {
                    self.members[at].vpp.clear();
                }
            }
            33..37 => {
                // Somebody else writes to VPP, which a sync finds and corrects.
                if let Some(process) = &mut self.members[at].process {
                    process.problems.drift += 1;
                    self.tell(|| format!("drift on {name}"));
                }
            }
            37..57 => {
                // One backend fails, or returns, for one member or for all.
                let address = [10, 0, 0, self.rng.u8(1..=4)].into();
                let (for_all, is_down) = (self.rng.bool(), self.rng.bool());
                for (index, member) in self.members.iter_mut().enumerate() {
                    if !for_all && index != at {
                        continue;
                    }
                    let changes = match is_down {
                        true => member.sees_down.insert(address),
                        false => member.sees_down.remove(&address),
                    };
                    if let Some(process) = member.process.as_mut().filter(|_| changes && is_down) {
                        process.problems.downs += 1;
                    }
                }
                self.tell(|| {
                    format!(
                        "{address} is down: {is_down}, for {}",
                        if for_all { "all" } else { name.as_str() }
                    )
                });
            }
            57..63 => {
                // It is cut off from most of them, as many are at once when a link fails.
                let down: BTreeSet<_> = (1..=4).map(|last| [10, 0, 0, last].into()).collect();
                let member = &mut self.members[at];
                member.sees_down = if member.sees_down.is_empty() { down } else { BTreeSet::new() };
                self.tell(|| format!("{name} is cut off, or no longer"));
            }
            63..65 => {
                // Each cannot reach three of four: all of them may be cut off at once.
                for at in 0..self.members.len() {
                    let reached = self.rng.u8(1..=4);
                    let down = (1..=4).filter(|last| *last != reached).map(|last| [10, 0, 0, last].into());
                    self.members[at].sees_down = down.collect();
                }
                self.tell(|| "everybody is cut off from something".to_owned());
            }
            65..66 => self.members[at].clock = self.rng.u64(..3_600_000),
            66..72 => {
                let path = match self.rng.u32(..3) {
                    0 => Key::State(name).path(&self.fleet),
                    1 => Key::Votes(name).path(&self.fleet),
                    _ => Key::Intent(IntentKey::Backend("a".to_owned())).path(&self.fleet),
                };
                self.damage(&path);
                self.tell(|| format!("{path} is damaged"));
            }
            72..84 => self.begin(at)?,
            84..86 => self.stop_or_confirm(at)?,
            86..96 => self.intend(at)?,
            _ => self.set_local(at),
        }
        Ok(())
    }

    /// An operator writes a revision, or goes back to one, and begins its rollout.
    pub(crate) fn begin(&mut self, at: usize) -> Result<(), Violation> {
        if !self.can_reach(at) {
            return Ok(());
        }
        let process = self.members[at].process.as_ref().unwrap();
        let view = process.view.clone();
        let members: Vec<Name> = view.infos.iter().cloned().collect();
        let current = view.rollout.as_ref().map(|(_, rollout)| rollout);
        let mut puts = Vec::new();
        let mut conditions =
            vec![(Key::Rollout.path(&self.fleet), view.rollout.as_ref().map_or(0, |(seen, _)| *seen))];
        let revision = match view.configs.keys().next_back() {
            Some(_) if self.rng.u32(..4) == 0 => {
                let kept: Vec<_> = view.configs.keys().copied().collect();
                let chosen = kept[self.rng.usize(..kept.len())];
                // Somebody may trim it meanwhile.
                let entry = self.store.entries.get(&Key::Config(chosen).path(&self.fleet));
                conditions.push((
                    Key::Config(chosen).path(&self.fleet),
                    entry.map_or(u64::MAX, |entry| entry.revision),
                ));
                chosen
            }
            newest => {
                let number = newest.unwrap_or(&0) + 1;
                let refused_by = (self.rng.u32(..5) == 0)
                    .then(|| self.members[self.rng.usize(..self.members.len())].name.clone());
                let text = configs::text(self.rng.usize(..20), refused_by.as_ref());
                let config = Revision::new(number, &text, None, self.now, String::new()).unwrap();
                let path = Key::Config(number).path(&self.fleet);
                conditions.push((path.clone(), 0));
                puts.push((path, encode(&config).unwrap()));
                number
            }
        };
        let canaries = if members.is_empty() { 0 } else { self.rng.usize(..3) };
        let canary: BTreeSet<_> =
            (0..canaries).map(|_| members[self.rng.usize(..members.len())].clone()).collect();
        let soak_ms = if canary.is_empty() { 0 } else { self.rng.u64(..120_000) };
        let order = if self.rng.bool() { Order::OneByOne } else { Order::Halves };
        let plan = Plan { canary, soak_ms, order };
        let request = Request { revision, plan, who: None, comment: String::new() };
        let now_ms = unix_ms(self.members[at].wall(self.now));
        let Ok(next) = rollout::begin(request, current, members.into_iter().collect(), now_ms) else {
            return Ok(());
        };
        puts.push((Key::Rollout.path(&self.fleet), encode(&next).unwrap()));
        let running =
            view.states.values().filter_map(|(_, state)| Some(state.running.as_ref()?.revision)).collect();
        let unused = rollout::unused(&view.configs.keys().copied().collect(), Some(&next), &running);
        let deletes = unused.into_iter().map(|number| Key::Config(number).path(&self.fleet)).collect();
        self.transact(at, Transaction { conditions, puts, deletes, lease: None }).map(drop)
    }

    fn stop_or_confirm(&mut self, at: usize) -> Result<(), Violation> {
        if !self.can_reach(at) {
            return Ok(());
        }
        let process = self.members[at].process.as_ref().unwrap();
        let Some((seen, current)) = process.view.rollout.clone() else { return Ok(()) };
        let next = match self.rng.bool() {
            true => rollout::confirm(&current, self.now),
            false => rollout::abort(&current, Some("anna"), "", self.now),
        };
        let Ok(next) = next else { return Ok(()) };
        let path = Key::Rollout.path(&self.fleet);
        let puts = vec![(path.clone(), encode(&next).unwrap())];
        self.judge.is_operator = true;
        let done =
            self.transact(at, Transaction { conditions: vec![(path, seen)], puts, ..Transaction::default() });
        self.judge.is_operator = false;
        done.map(drop)
    }

    /// An operator sets or clears an intent.
    fn intend(&mut self, at: usize) -> Result<(), Violation> {
        if !self.can_reach(at) {
            return Ok(());
        }
        let (key, aim) = self.some_intent();
        let view = &self.members[at].process.as_ref().unwrap().view;
        let path = Key::Intent(key.clone()).path(&self.fleet);
        let conditions = vec![(path.clone(), view.intents.get(&key).map_or(0, |dated| dated.revision))];
        let since_ms = unix_ms(self.members[at].wall(self.now));
        let intent = Intent { aim, who: None, why: String::new(), since_ms, until_ms: None };
        let transaction = match self.rng.u32(..3) {
            0 => Transaction { conditions, deletes: vec![path], ..Transaction::default() },
            _ => Transaction {
                conditions,
                puts: vec![(path, encode(&intent).unwrap())],
                ..Transaction::default()
            },
        };
        let done = self.transact(at, transaction)?;
        self.tell(|| format!("an operator intends {key}: {aim:?}: {done:?}"));
        Ok(())
    }

    fn some_intent(&mut self) -> (IntentKey, Aim) {
        let backend = BACKENDS[self.rng.usize(..BACKENDS.len())];
        match self.rng.u32(..5) {
            0 => (weight_of(backend), Aim::Weight { weight: self.rng.u8(..=100), flush: self.rng.bool() }),
            1 | 2 => (IntentKey::Backend(backend.to_owned()), Aim::Backend(BackendOverride::Paused)),
            3 => (IntentKey::Backend(backend.to_owned()), Aim::Backend(BackendOverride::Disabled)),
            _ => (IntentKey::Backend(backend.to_owned()), Aim::Backend(BackendOverride::Enabled)),
        }
    }

    /// An operator pauses a backend on one member only.
    fn set_local(&mut self, at: usize) {
        let now = Now { wall: self.members[at].wall(self.now), mono: self.mono() };
        let backend = BACKENDS[self.rng.usize(..BACKENDS.len())].to_owned();
        let Some(process) = &mut self.members[at].process else { return };
        let command = Command::Backend { backend: backend.clone(), wish: BackendWish::Pause };
        if process.core.command(command, now).is_ok() {
            process.memory.local.insert(IntentKey::Backend(backend), process.view.revision);
        }
    }
}
