//! Operators' intents for the whole fleet, and how they become overrides of one member.
//!
//! The store's revision of an intent decides: a newer one replaces what was set before, here or there. What an operator set
//! only on this member stays until the fleet has a newer intent for the same thing, or the operator clears it.

mod lifetimes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::records::{Aim, Intent, IntentKey, system_time};
use crate::config::Config;
use crate::core::{BackendWish, Command};
use crate::overrides::{BackendOverride, Overrides, Remark};

pub use lifetimes::Lifetimes;

/// Reason of an override for which the operator gave none: a remark without news would leave the one before in place.
const NO_REASON: &str = "set for the fleet";

/// An intent, and the store's revision in which it was written last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dated {
    /// The intent.
    pub intent: Intent,
    /// The revision.
    pub revision: u64,
}

/// What this member has done about an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The intent's revision.
    pub revision: u64,
    /// What it was.
    pub aim: Aim,
    /// When it was set, as its author's clock says. Recognizes an intent that was lost and written back, at another revision.
    #[serde(default)]
    pub since_ms: u64,
}

impl Mark {
    /// True if it is about this intent, whatever its revision is now.
    fn is_of(&self, intent: &Intent) -> bool {
        (self.aim, self.since_ms) == (intent.aim, intent.since_ms)
    }
}

/// What a member remembers of intents, in its copy of the store: by it, it recognizes overrides that came from the fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// The intents that were applied.
    pub applied: BTreeMap<IntentKey, Mark>,
    /// What an operator set only here, each with the store's revision that was known then.
    pub local: BTreeMap<IntentKey, u64>,
}

/// A step towards the fleet's intents.
#[derive(Debug, Clone)]
pub struct Change {
    /// What it is about.
    pub key: IntentKey,
    /// Commands in this order; none if nothing but the memory changes. That nothing is set is no failure of one that clears.
    pub commands: Vec<(Command, Remark)>,
    /// What to remember once all commands are carried out; `None` to forget.
    pub mark: Option<Mark>,
}

impl Memory {
    /// Remembers a change that has been carried out.
    pub fn note(&mut self, change: &Change) {
        self.local.remove(&change.key);
        match change.mark {
            Some(mark) => drop(self.applied.insert(change.key.clone(), mark)),
            None => drop(self.applied.remove(&change.key)),
        }
    }
}

/// What this member has to do about the fleet's intents; nothing once all are applied. Each change concerns another key, so
/// that their order does not matter.
pub fn changes(
    wanted: &BTreeMap<IntentKey, Dated>,
    memory: &Memory,
    overrides: &Overrides,
    config: &Config,
    now: SystemTime,
) -> Vec<Change> {
    let keys: BTreeSet<_> = wanted.keys().chain(memory.applied.keys()).collect();
    let change = |key: &IntentKey| {
        let wanted = wanted.get(key).filter(|dated| is_in_force(&dated.intent, now));
        change(key, wanted, memory, overrides, config)
    };
    keys.into_iter().filter_map(change).collect()
}

/// The intents that have no target in this member's configuration. They wait for one.
pub fn unmatched<'w>(
    wanted: &'w BTreeMap<IntentKey, Dated>,
    config: &'w Config,
    now: SystemTime,
) -> impl Iterator<Item = &'w IntentKey> {
    let in_force = wanted.iter().filter(move |(_, dated)| is_in_force(&dated.intent, now));
    in_force.filter(|(key, dated)| expected(key, dated.intent.aim, config).is_none()).map(|(key, _)| key)
}

/// The overrides that are set only here, because an operator said so or because nothing in the fleet is the reason for them.
pub fn local_only(memory: &Memory, overrides: &Overrides) -> BTreeSet<IntentKey> {
    let backends = overrides.backends.keys().cloned().map(IntentKey::Backend);
    let weights = overrides.weights.keys().cloned().map(IntentKey::Weight);
    let is_local = |key: &IntentKey| {
        memory.applied.get(key).is_none_or(|mark| current(key, overrides) != Some(Value::of(mark.aim)))
    };
    backends.chain(weights).filter(is_local).chain(memory.local.keys().cloned()).collect()
}

/// Whether it has not ended by itself.
fn is_in_force(intent: &Intent, now: SystemTime) -> bool {
    intent.until_ms.is_none_or(|until| system_time(until) > now)
}

/// The value of an override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Backend(BackendOverride),
    Weight(u8),
}

impl Value {
    fn of(aim: Aim) -> Self {
        match aim {
            Aim::Backend(state) => Self::Backend(state),
            Aim::Weight { weight, .. } => Self::Weight(weight),
        }
    }
}

fn current(key: &IntentKey, overrides: &Overrides) -> Option<Value> {
    match key {
        IntentKey::Backend(name) => overrides.backends.get(name).map(|set| Value::Backend(set.value)),
        IntentKey::Weight(member) => overrides.weights.get(member).map(|set| Value::Weight(set.value)),
    }
}

/// The override that an intent becomes: none, if the configuration says the same. `None` if it has no target.
fn expected(key: &IntentKey, aim: Aim, config: &Config) -> Option<Option<Value>> {
    match (key, aim) {
        (IntentKey::Backend(name), Aim::Backend(state)) => {
            let enabled = config.backends.get(name)?.enabled;
            let says_the_same = match state {
                BackendOverride::Paused => false,
                BackendOverride::Disabled => !enabled,
                BackendOverride::Enabled => enabled,
            };
            Some((!says_the_same).then_some(Value::Backend(state)))
        }
        (IntentKey::Weight(member), Aim::Weight { weight, .. }) => {
            let configured = member.configured_weight(config)?;
            Some((configured != weight).then_some(Value::Weight(weight)))
        }
        _ => None,
    }
}

fn change(
    key: &IntentKey,
    wanted: Option<&Dated>,
    memory: &Memory,
    overrides: &Overrides,
    config: &Config,
) -> Option<Change> {
    let mark = memory.applied.get(key);
    if let Some(base) = memory.local.get(key)
        && wanted.is_none_or(|dated| dated.revision <= *base)
    {
        return None;
    }
    let current = current(key, overrides);
    let Some(Dated { intent, revision }) = wanted else {
        let is_of_fleet = current == Some(Value::of(mark?.aim));
        let commands = if is_of_fleet { vec![(clear(key), Remark::default())] } else { Vec::new() };
        return Some(Change { key: key.clone(), commands, mark: None });
    };
    let expected = expected(key, intent.aim, config)?;
    let is_new = mark.is_none_or(|mark| mark.revision != *revision);
    // The override may be older than a configuration that now says the same.
    let is_set = current == expected || current == Some(Value::of(intent.aim));
    if is_set && !is_new {
        return None;
    }
    let mut remark = intent.remark();
    if remark.reason.is_empty() {
        NO_REASON.clone_into(&mut remark.reason);
    }
    let steps = match (key, intent.aim) {
        (IntentKey::Backend(name), Aim::Backend(state)) => {
            let command = |wish| Command::Backend { backend: name.clone(), wish };
            wishes(state, current, config.backends.get(name).is_some_and(|found| found.enabled))
                .iter()
                .map(|wish| command(*wish))
                .collect()
        }
        (IntentKey::Weight(member), Aim::Weight { weight, flush }) => {
            // Flows are flushed once for each time that an operator asks.
            let flush = flush && !mark.is_some_and(|mark| mark.is_of(intent));
            vec![Command::SetWeight { member: member.clone(), weight, flush }]
        }
        _ => Vec::new(),
    };
    // Only the last one sets the override, and one that needs none has nothing that could end.
    let last = steps.len().saturating_sub(1);
    let commands = steps.into_iter().enumerate().map(|(index, command)| {
        let until = remark.until.filter(|_| index == last && expected.is_some());
        (command, Remark { until, ..remark.clone() })
    });
    let mark = Some(Mark { revision: *revision, aim: intent.aim, since_ms: intent.since_ms });
    Some(Change { key: key.clone(), commands: commands.collect(), mark })
}

/// The commands that lead from an override to a state: one that is disabled cannot be paused, and one that is paused cannot
/// be enabled.
fn wishes(state: BackendOverride, current: Option<Value>, enabled: bool) -> &'static [BackendWish] {
    use BackendOverride::{Disabled, Enabled, Paused};
    let is_disabled = match current {
        Some(Value::Backend(state)) => state == Disabled,
        _ => !enabled,
    };
    match state {
        Paused if is_disabled => &[BackendWish::Enable, BackendWish::Pause],
        Paused => &[BackendWish::Pause],
        Disabled => &[BackendWish::Disable],
        Enabled if current == Some(Value::Backend(Paused)) => &[BackendWish::Resume],
        Enabled => &[BackendWish::Enable],
    }
}

fn clear(key: &IntentKey) -> Command {
    match key {
        IntentKey::Backend(name) => Command::Backend { backend: name.clone(), wish: BackendWish::Clear },
        IntentKey::Weight(member) => Command::ClearWeight { member: member.clone() },
    }
}

#[cfg(test)]
mod tests;
