//! Ages of a rollout's stage and of members' absence, as one member sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{AWAY_AFTER, Decision, Presence, decide};
use crate::fleet::records::{MemberState, Name, Rollout};

/// What a member remembers of a rollout from one look at the store to the next.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// The rollout as it was seen last, and since when it has been like that.
    seen: Option<(Rollout, Instant)>,
    /// Since when members' states have been missing.
    missing: BTreeMap<Name, Instant>,
}

impl Watch {
    /// Takes a look at the store. `known` are all members that have ever been seen.
    pub fn see(
        &mut self,
        rollout: Option<&Rollout>,
        known: &BTreeSet<Name>,
        states: &BTreeMap<Name, MemberState>,
        now: Instant,
    ) {
        if self.seen.as_ref().map(|(seen, _)| seen) != rollout {
            self.seen = rollout.map(|rollout| (rollout.clone(), now));
        }
        let names = known.iter().chain(rollout.iter().flat_map(|rollout| &rollout.members));
        let missing = names.filter(|name| !states.contains_key(*name));
        let since = |name: &Name| self.missing.get(name).copied().unwrap_or(now);
        self.missing = missing.map(|name| (name.clone(), since(name))).collect();
    }

    /// The store cannot be reached. What happens meanwhile is unknown: every absence, and the soak, begin again.
    pub fn lose(&mut self, now: Instant) {
        self.missing.values_mut().for_each(|since| *since = now);
        if let Some((_, since)) = &mut self.seen {
            *since = now;
        }
    }

    /// What the rollout needs, and when this is to be asked again if nothing changes. `None` without a rollout.
    pub fn decide(
        &self,
        states: &BTreeMap<Name, MemberState>,
        now: Instant,
    ) -> Option<(Decision, Option<Instant>)> {
        let (rollout, since) = self.seen.as_ref()?;
        let members = self.members(states, now);
        let decision = decide(rollout, &members, now.saturating_duration_since(*since));
        let ends = self.missing.values().map(|missing| *missing + AWAY_AFTER).filter(|end| *end > now);
        let due = match &decision {
            Decision::Wait(age) => age.map(|age| *since + age),
            Decision::Step(_) => None,
        };
        Some((decision, ends.chain(due).min()))
    }

    /// For how long the rollout has been as it is.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.seen.as_ref().map(|(_, since)| now.saturating_duration_since(*since))
    }

    /// All members that are known, and what is known of them.
    pub fn members<'s>(
        &self,
        states: &'s BTreeMap<Name, MemberState>,
        now: Instant,
    ) -> BTreeMap<Name, Presence<'s>> {
        let here = states.iter().map(|(name, state)| (name.clone(), Presence::Here(state)));
        let missing = self.missing.iter().filter(|(name, _)| !states.contains_key(*name));
        let missing = missing.map(|(name, since)| {
            let is_away = now.saturating_duration_since(*since) >= AWAY_AFTER;
            (name.clone(), if is_away { Presence::Away } else { Presence::Missing })
        });
        here.chain(missing).collect()
    }
}
