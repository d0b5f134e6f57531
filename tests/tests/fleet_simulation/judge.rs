//! The rules, judged by what is really in the store at the moment of a write.

use std::collections::BTreeMap;
use std::time::Duration;

use maglev_engine::fleet::records::{
    Key, MemberState, Name, Order, Problems, Rollout, Routes, Stage, decode,
};
use maglev_engine::fleet::rollout::{settled, target};

use super::member::Member;
use super::store::{Entry, Store};
use super::world::Violation;

#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// All that was ever written as the rollout.
    history: Vec<Rollout>,
    /// When the stage was written.
    stage_since: u64,
    /// For how long the writer of the next step has seen the stage.
    pub(crate) age: Duration,
    /// Whether an operator writes next.
    pub(crate) is_operator: bool,
    /// How often each stage was reached.
    pub(crate) stages: BTreeMap<&'static str, u64>,
    pub(crate) withdrawals: u64,
}

fn rank(stage: &Stage) -> u8 {
    match stage {
        Stage::Canary => 0,
        Stage::Soaking => 1,
        Stage::Rest => 2,
        Stage::Done | Stage::Failed { .. } | Stage::Aborted { .. } => 3,
        Stage::RolledBack { .. } => 4,
    }
}

impl Judge {
    /// Judges a change of the rollout, with everything else in the store as it is now. Returns it in words.
    pub(crate) fn rollout(
        &mut self,
        fleet: &Name,
        store: &Store,
        before: Option<&Entry>,
        after: Option<&Entry>,
        now: u64,
    ) -> Result<String, Violation> {
        let read = |entry: &Entry| decode::<Rollout>(&entry.value).map_err(|refusal| refusal.to_string());
        let next = read(after.ok_or("the rollout was deleted")?)?;
        let before = before.map(read).transpose()?;
        let words = format!("{} to {}, may {:?}", next.revision, next.stage, next.may);
        match &before {
            Some(before) if before.begun_ms == next.begun_ms => {
                self.transition(fleet, store, before, &next, now)
                    .map_err(|wrong| format!("{words}: {wrong}"))?;
            }
            _ => {
                let back_to = before.as_ref().and_then(settled);
                if before.as_ref().is_some_and(|before| !before.stage.is_final()) || next.back_to != back_to {
                    return Err(format!("{words}: begun before the one before has ended: {before:?}"));
                }
                let config = Key::Config(next.revision).path(fleet);
                if !store.entries.contains_key(&config) {
                    return Err(format!("{words}: there is no such revision"));
                }
            }
        }
        if before.as_ref().map(|before| &before.stage) != Some(&next.stage) {
            self.stage_since = now;
            *self.stages.entry(next.stage.word()).or_default() += 1;
        }
        for number in [Some(next.revision), next.back_to].into_iter().flatten() {
            if !store.entries.contains_key(&Key::Config(number).path(fleet)) {
                return Err(format!("{words}: revision {number} was trimmed, though it is in use"));
            }
        }
        self.history.push(next);
        self.is_operator = false;
        Ok(words)
    }

    fn transition(
        &self,
        fleet: &Name,
        store: &Store,
        before: &Rollout,
        next: &Rollout,
        now: u64,
    ) -> Result<(), Violation> {
        let (from, to) = (rank(&before.stage), rank(&next.stage));
        let is_legal = match from {
            3 => to == 4 && before.stage != Stage::Done,
            4 => false,
            _ => to >= from && to <= 3,
        };
        if !is_legal || !next.may.is_superset(&before.may) {
            return Err(format!("from {} to {}", before.stage, next.stage));
        }
        let goes_on = matches!(next.stage, Stage::Soaking | Stage::Rest | Stage::Done);
        if !goes_on || self.is_operator {
            return Ok(());
        }
        if before.stage == Stage::Soaking {
            let soak = Duration::from_millis(before.plan.soak_ms);
            if self.age < soak || Duration::from_millis(now - self.stage_since) < soak {
                return Err(format!("the soak of {soak:?} ends after {:?}", self.age));
            }
        }
        for name in &before.may {
            let entry = store.entries.get(&Key::State(name.clone()).path(fleet));
            let state = entry.and_then(|entry| decode::<MemberState>(&entry.value).ok());
            let state = state.ok_or_else(|| format!("others follow, and {name} is not there"))?;
            let runs = state.running.as_ref().is_some_and(|running| running.revision == before.revision);
            if !runs || state.not_programmed.is_some() || state.problems != Problems::default() {
                return Err(format!("others follow, and {name} is not well: {state:?}"));
            }
        }
        let added = next.may.difference(&before.may).count();
        if added > 1 && before.plan.order == Order::OneByOne {
            return Err(format!("{added} members take it at once"));
        }
        Ok(())
    }

    /// A member begins to run a revision.
    pub(crate) fn runs(&self, name: &Name, revision: Option<u64>, begun_ms: u64) -> Result<(), Violation> {
        let mut known = self.history.iter().filter(|rollout| rollout.begun_ms == begun_ms);
        match known.any(|rollout| target(rollout, name) == revision) {
            true => Ok(()),
            false => Err(format!("{name} runs {revision:?}, which nobody has permitted")),
        }
    }

    /// A member withdraws its routes because it is cut off: another one announces its own.
    pub(crate) fn withdraws<'m>(
        &mut self,
        fleet: &Name,
        store: &Store,
        mut others: impl Iterator<Item = &'m Member>,
    ) -> Result<(), Violation> {
        self.withdrawals += 1;
        // One that has just died still has its lease; nobody can know.
        let is_dead = |member: &Member| {
            let entry = store.entries.get(&Key::State(member.name.clone()).path(fleet));
            let state = entry.and_then(|entry| decode::<MemberState>(&entry.value).ok());
            member.process.is_none() && state.is_some_and(|state| state.routes == Routes::Normal)
        };
        match others.any(|member| member.announces() || is_dead(member)) {
            true => Ok(()),
            false => Err("the last member that announces withdraws its routes".to_owned()),
        }
    }
}
