//! Capacity of a pool: its backends that can take new flows, and its `min-up`.

use std::fmt;

use super::{EffectiveWeights, Standing, weighty};
use crate::config::{Frontend, Pool};
use crate::health::State;

/// The backends of a pool, active or not, by whether they can take new flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Those that are up and have a weight above 0.
    pub up: u32,
    /// Those that are unknown and have a weight above 0: they may be up.
    pub unknown: u32,
    /// All of them, whatever their weights are.
    pub total: u32,
    /// How many should be up; `None` without `min-up`.
    pub min_up: Option<u32>,
}

impl Capacity {
    /// The capacity of a pool with its backends in these states.
    pub(super) fn of(pool: &Pool, standing_of: &impl Fn(&str) -> Standing) -> Self {
        let total = u32::try_from(pool.backends.len()).unwrap_or(u32::MAX);
        let min_up = pool.min_up.map(|min_up| min_up.needed(total));
        let none = Self { up: 0, unknown: 0, total, min_up };
        weighty(pool).fold(none, |known, name| match standing_of(name).state {
            State::Up => Self { up: known.up + 1, ..known },
            State::Unknown => Self { unknown: known.unknown + 1, ..known },
            State::Down | State::Paused | State::Disabled | State::Removed => known,
        })
    }

    /// Number of backends that `min-up` requires and that are not up, even if all unknown ones are.
    pub fn missing(&self) -> u32 {
        self.min_up.unwrap_or(0).saturating_sub(self.up.saturating_add(self.unknown))
    }

    /// Whether the pool is below its `min-up`. While this depends on unknown backends, it stays as `before`.
    pub fn is_below(&self, before: bool) -> bool {
        self.missing() > 0 || (before && self.min_up.is_some_and(|min_up| self.up < min_up))
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} up", self.up, self.total)?;
        match self.min_up {
            Some(min_up) => write!(f, ", min-up {min_up}"),
            None => Ok(()),
        }
    }
}

impl EffectiveWeights {
    /// Names of the pools below their `min-up`, in order; `before` has those that were.
    pub fn below_min_up(&self, frontend: &Frontend, before: &[String]) -> Vec<String> {
        let pools = frontend.pools.iter().zip(&self.capacity);
        let below = pools.filter(|(pool, capacity)| capacity.is_below(before.contains(&pool.name)));
        below.map(|(pool, _)| pool.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
