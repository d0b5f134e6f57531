//! Which servers answered, and how that compares with the buckets that VPP gives them. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::chance::{self, number};

/// Time that the recent share covers, and the time of each of its slots.
const RECENT: Duration = Duration::from_secs(5);
const SLOT: Duration = Duration::from_millis(500);
/// Different names that are counted; further ones are counted together.
const MOST_NAMES: usize = 256;
/// Stands for names beyond those.
const OTHERS: &str = "(others)";
/// Longest part of a name that is kept, in characters.
const LONGEST_NAME: usize = 48;
/// After the buckets change, answers that were under way, or that came before the brain's news of it, are not compared.
const SETTLE: Duration = Duration::from_secs(2);

/// Buckets of one server in VPP's table for new flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    /// The server's address.
    pub address: String,
    /// Its buckets.
    pub buckets: u32,
}

/// What a brain expects of a VIP: every server by the backend's name.
pub type Expected = BTreeMap<String, Portion>;

/// Counts of answers by who gave them.
#[derive(Debug, Clone, Default)]
pub struct Servers {
    run: BTreeMap<String, u64>,
    recent: VecDeque<(Instant, BTreeMap<String, u64>)>,
    /// Since `expected` came into force.
    compared: BTreeMap<String, u64>,
    compared_from: Option<Instant>,
    expected: Option<Expected>,
}

/// A server that answered, or should.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerShare {
    /// As the answers name it, or the backend's name.
    pub server: String,
    /// Answers in the run.
    pub answers: u64,
    /// Part of the answers of the last 5 seconds, 0 to 1.
    pub recent: f64,
    /// Part of the answers of the run, 0 to 1.
    pub run: f64,
    /// Part of those since the buckets last changed, 0 to 1; `None` without a brain.
    pub compared: Option<f64>,
    /// Part that it should have by its buckets, 0 to 1; `None` if that is not known.
    pub expected: Option<f64>,
    /// It answered new flows although VPP gives it no bucket.
    pub unexpected: bool,
}

impl Servers {
    /// Adds an answer.
    pub fn add(&mut self, name: &str, now: Instant) {
        let name = clean(name);
        count(&mut self.run, &name);
        if self.compared_from.is_some_and(|from| now >= from) {
            count(&mut self.compared, &name);
        }
        match self.recent.back_mut() {
            Some((start, slot)) if now.saturating_duration_since(*start) < SLOT => count(slot, &name),
            _ => self.recent.push_back((now, BTreeMap::from([(name, 1)]))),
        }
        self.forget(now);
    }

    /// Takes the buckets that VPP has now. The comparison starts over if they are others than before.
    pub fn expect(&mut self, expected: Option<Expected>, now: Instant) {
        if self.expected != expected {
            let is_first = self.expected.is_none();
            self.compared_from = expected.is_some().then(|| if is_first { now } else { now + SETTLE });
            self.expected = expected;
            self.compared.clear();
        }
    }

    /// Forgets the counts, not the buckets.
    pub fn reset(&mut self, now: Instant) {
        let compared_from = self.compared_from.map(|from| from.max(now));
        *self = Self { expected: self.expected.take(), compared_from, ..Self::default() };
    }

    /// Answers by name, of the run.
    pub fn run(&self) -> &BTreeMap<String, u64> {
        &self.run
    }

    fn forget(&mut self, now: Instant) {
        while self.recent.front().is_some_and(|(start, _)| now.saturating_duration_since(*start) >= RECENT) {
            self.recent.pop_front();
        }
    }

    /// Every server that answered or has buckets, by name.
    pub fn shares(&self, now: Instant) -> Vec<ServerShare> {
        let slots = self.recent.iter().filter(|(start, _)| now.saturating_duration_since(*start) < RECENT);
        let mut recent: BTreeMap<&str, u64> = BTreeMap::new();
        slots.flat_map(|(_, slot)| slot).for_each(|(name, seen)| *recent.entry(name).or_default() += seen);
        let recent_sum: u64 = recent.values().sum();
        let run_sum: u64 = self.run.values().sum();
        let compared_sum: u64 = self.compared.values().sum();
        let buckets = self.buckets_sum();
        let mut rows: BTreeMap<String, ServerShare> = BTreeMap::new();
        for (name, answers) in &self.run {
            let compared = self.compared.get(name).copied().unwrap_or(0);
            let portion = self.portion(name);
            let has_compared = self.expected.is_some() && compared_sum > 0;
            let row = ServerShare {
                server: name.clone(),
                answers: *answers,
                recent: part(recent.get(name.as_str()).copied().unwrap_or(0), recent_sum),
                run: part(*answers, run_sum),
                compared: has_compared.then(|| part(compared, compared_sum)),
                expected: portion.map(|portion| part(portion.buckets.into(), buckets)),
                unexpected: portion.is_some_and(|portion| portion.buckets == 0) && compared > 0,
            };
            rows.insert(name.clone(), row);
        }
        let answered: Vec<&str> = self.run.keys().filter_map(|name| self.backend(name)).collect();
        for (name, portion) in self.expected.iter().flatten() {
            if portion.buckets > 0 && !answered.contains(&name.as_str()) {
                let row = ServerShare {
                    server: name.clone(),
                    answers: 0,
                    recent: 0.0,
                    run: 0.0,
                    compared: (compared_sum > 0).then_some(0.0),
                    expected: Some(part(portion.buckets.into(), buckets)),
                    unexpected: false,
                };
                rows.insert(name.clone(), row);
            }
        }
        rows.into_values().collect()
    }

    /// Probability that a difference as large as that between buckets and answers is chance. `None` if nothing is
    /// expected, answers name no backend, or there are too few.
    pub fn chance(&self) -> Option<f64> {
        let expected = self.expected.as_ref()?;
        let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
        for (name, answers) in &self.compared {
            *seen.entry(self.backend(name)?).or_default() += answers;
        }
        let serving = expected.iter().filter(|(_, portion)| portion.buckets > 0);
        let rows =
            serving.map(|(name, portion)| (seen.get(name.as_str()).copied().unwrap_or(0), portion.buckets));
        chance::p_value(&rows.collect::<Vec<_>>())
    }

    /// Largest difference between a server's expected share and its share of the answers since the buckets changed, 0
    /// to 1. `None` if there is nothing to compare.
    pub fn worst_difference(&self, now: Instant) -> Option<f64> {
        let rows = self.shares(now);
        if !rows.iter().any(|row| row.expected.is_some()) {
            return None;
        }
        // Answers of a stranger are in nobody's share.
        let differences =
            rows.iter().filter_map(|row| Some((row.compared? - row.expected.unwrap_or(0.0)).abs()));
        differences.max_by(f64::total_cmp)
    }

    /// The backend that answers by this name or by its address.
    fn backend(&self, name: &str) -> Option<&str> {
        let expected = self.expected.as_ref()?;
        let found = expected
            .get_key_value(name)
            .or_else(|| expected.iter().find(|(_, portion)| portion.address == name));
        found.map(|(backend, _)| backend.as_str())
    }

    fn portion(&self, name: &str) -> Option<&Portion> {
        self.expected.as_ref()?.get(self.backend(name)?)
    }

    fn buckets_sum(&self) -> u64 {
        self.expected.iter().flatten().map(|(_, portion)| u64::from(portion.buckets)).sum()
    }
}

/// A name without anything that a terminal obeys, and not too long.
pub(crate) fn clean(name: &str) -> String {
    let name = maglev_proto::client::printable(name);
    if name.chars().count() <= LONGEST_NAME {
        return name;
    }
    name.chars().take(LONGEST_NAME).chain(['…']).collect()
}

pub(crate) fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    let name = if counts.len() >= MOST_NAMES && !counts.contains_key(name) { OTHERS } else { name };
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.to_owned(), 1)),
    }
}

/// The part that `one` has of `all`; 0 of nothing.
pub(crate) fn part(one: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { number(one) / number(all) }
}

#[cfg(test)]
mod tests;
