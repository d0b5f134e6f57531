//! The scale of weights, and the table length that it needs.

use std::collections::BTreeSet;

use maglev_protocol::Dialect;

use super::percent::Percent;
use super::rounds::Histogram;
use crate::config::{Frontend, Pool};

/// Minimum length of a new table.
pub const MIN_TABLE_LENGTH: u32 = 1024;
/// VPP's maximum length of a table.
pub const MAX_TABLE_LENGTH: u32 = 65_536;
/// Maximum programmed weight.
const MAX_WEIGHT: u8 = 100;
/// Minimum ratio of a table's length to the sum of weights.
const BUCKETS_PER_WEIGHT: u64 = 8;
/// Desired number of steps up to the smallest weight, for a slow start or the shares that servers ask for.
const SLOW_STEPS: u8 = 10;

/// Conversion of a frontend's configured weights to programmed ones.
///
/// Depends on the configured weights of all its pools, on its slow start, on whether servers may ask for a part of
/// their weight, and on the table's length, never on health. Weights are divided by their greatest common divisor;
/// if the table is too short for exact weights, they are rounded instead, to the scale with the least error. In a VPP
/// without weights, all are 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// Largest configured weight, at least 1.
    configured: u8,
    /// Its programmed value.
    programmed: u8,
    table_length: u32,
    steps: u8,
    exact: bool,
    worst_error: Percent,
}

impl Scale {
    /// The scale of a frontend whose weights include overrides. `standing` is the length of its VIP's
    /// existing table, or `None` if the VIP is to be added.
    pub fn new(frontend: &Frontend, standing: Option<u32>) -> Self {
        Self::of(Dialect::Weighted, frontend, standing)
    }

    /// The same for any VPP.
    pub fn of(dialect: Dialect, frontend: &Frontend, standing: Option<u32>) -> Self {
        let weights = Weights::of(frontend);
        let table_length = standing.unwrap_or_else(|| weights.table_length(frontend));
        let (exact, otherwise) = match dialect {
            Dialect::Weighted => (weights.exact(frontend, table_length), None),
            Dialect::InOut => {
                let fits = unequal(frontend).is_none() && weights.exact_from(1) <= u64::from(table_length);
                (fits.then_some(1), Some(1))
            }
        };
        let programmed = exact.or(otherwise).unwrap_or_else(|| weights.least_error(table_length));
        Self {
            configured: weights.largest,
            programmed,
            table_length,
            steps: scaled(weights.smallest, programmed, weights.largest),
            exact: exact.is_some(),
            worst_error: weights.worst_error(programmed, table_length),
        }
    }

    /// The programmed value of a configured weight: 0 for 0, else 1 to 100.
    pub fn programmed(&self, configured: u8) -> u8 {
        scaled(configured, self.programmed, self.configured)
    }

    /// Length of the table that the scale is made for, in buckets.
    pub fn table_length(&self) -> u32 {
        self.table_length
    }

    /// Maximum relative error of a backend's share of buckets while all of its pool serve; 0 if within 1 % or
    /// one bucket.
    pub fn worst_error(&self) -> Percent {
        self.worst_error
    }

    /// Whether every share is within 1 % or one bucket, whichever backends of a pool are out of service.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// Number of steps in the slow start of the backend with the smallest weight.
    pub fn steps(&self) -> u8 {
        self.steps
    }
}

/// Table length for a newly added VIP: the configured one, or the shortest power of two that is at least
/// eight times the largest sum of a pool's weights and gives every backend its share within 1 % or one
/// bucket, whichever others are out of service; at least 1024, at most 65,536.
pub fn table_length(frontend: &Frontend) -> u32 {
    Weights::of(frontend).table_length(frontend)
}

/// Weights that a table cannot represent exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inexact {
    /// Maximum relative error of a backend's share of buckets while all of its pool serve.
    pub worst_error: Percent,
    /// Length of the table.
    pub table_length: u32,
    /// The shortest exact table, or else the one with the least error, if that is an improvement.
    pub longer: Option<Longer>,
}

/// A table with less error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longer {
    /// Its length.
    pub table_length: u32,
    /// Its remaining maximum error.
    pub worst_error: Percent,
}

/// The error of a frontend's weights in a table of the `standing` length, or in the one that the VIP will be
/// added with; `None` if they are exact.
pub fn doubts(dialect: Dialect, frontend: &Frontend, standing: Option<u32>) -> Option<Inexact> {
    let scale = Scale::of(dialect, frontend, standing);
    let (worst_error, table_length) = (scale.worst_error(), scale.table_length());
    if worst_error == Percent::ZERO {
        return None;
    }
    let lengths = (0..u32::BITS).map(|bit| 1 << bit);
    let longer =
        lengths.filter(|length| (table_length + 1..=MAX_TABLE_LENGTH).contains(length)).map(|length| {
            let worst_error = Scale::of(dialect, frontend, Some(length)).worst_error();
            Longer { table_length: length, worst_error }
        });
    let best = longer.min_by_key(|longer| (longer.worst_error, longer.table_length));
    let longer = best.filter(|longer| longer.worst_error < worst_error);
    Some(Inexact { worst_error, table_length, longer })
}

/// The different weights of the first pool that has any, such as `100:50`: a VPP without weights cannot express them.
fn unequal(frontend: &Frontend) -> Option<String> {
    let different = |pool: &Pool| -> BTreeSet<u8> {
        pool.backends.values().copied().filter(|weight| *weight > 0).collect()
    };
    let weights = frontend.pools.iter().map(different).find(|weights| weights.len() > 1)?;
    Some(weights.iter().rev().map(u8::to_string).collect::<Vec<_>>().join(":"))
}

/// What helps when a VPP cannot express a frontend.
pub const WITHOUT_WEIGHTS: &str = "use VPP 26.10 or newer, or configure equal weights and no slow start";

/// What a VPP cannot express of a frontend, and the effect; `None` if nothing.
pub fn inexpressible(dialect: Dialect, frontend: &Frontend, standing: Option<u32>) -> Option<String> {
    if dialect.has_weights() {
        return None;
    }
    let shares = unequal(frontend).map(|weights| {
        let error = Scale::of(dialect, frontend, standing).worst_error();
        format!("this VPP cannot express {weights}; shares are equal, up to {error} off the weights")
    });
    let slow_start = frontend
        .slow_start
        .map(|_| "this VPP cannot express a slow start; a backend gets its whole share at once".to_owned());
    let parts = frontend.servers_ask.then(|| {
        "this VPP cannot express the part of its weight that a server asks for; it is in unless it drains"
            .to_owned()
    });
    let all: Vec<_> = shares.into_iter().chain(slow_start).chain(parts).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// A frontend's configured weights above 0.
struct Weights {
    pools: Vec<Histogram>,
    /// 1 if there are none.
    largest: u8,
    /// 1 if there are none.
    smallest: u8,
    /// Largest programmed weight after dividing all by their greatest common divisor.
    reduced: u8,
}

impl Weights {
    fn of(frontend: &Frontend) -> Self {
        let pools = frontend.pools.iter().map(|pool| pool.backends.values().copied().collect());
        let pools: Vec<Histogram> = pools.collect();
        let weights = || pools.iter().flat_map(Histogram::weights);
        let largest = weights().max().unwrap_or(1);
        let smallest = weights().min().unwrap_or(1);
        let divisor = weights().fold(0, gcd).max(1);
        Self { largest, smallest, reduced: (largest / divisor).max(1), pools }
    }

    /// Largest programmed weights that keep all ratios, from the best for a slow start down to the smallest.
    /// More steps have a price: larger weights need a longer table, and move more buckets needlessly.
    fn ratios(&self, frontend: &Frontend) -> impl Iterator<Item = u8> {
        let least = scaled(self.smallest, self.reduced, self.largest);
        let has_steps = frontend.slow_start.is_some() || frontend.servers_ask;
        let wish = if has_steps { SLOW_STEPS.div_ceil(least) } else { 1 };
        (1..=wish.min(MAX_WEIGHT / self.reduced).max(1)).rev().map(|factor| factor * self.reduced)
    }

    fn table_length(&self, frontend: &Frontend) -> u32 {
        if let Some(length) = frontend.new_flows_table_length {
            return length;
        }
        let wanted = self.ratios(frontend).map(|programmed| self.generous_length(programmed));
        let fits = |length: &u64| *length <= u64::from(MAX_TABLE_LENGTH);
        let fitting = wanted.into_iter().find(fits).and_then(|length| u32::try_from(length).ok());
        fitting.map_or(MAX_TABLE_LENGTH, |length| length.max(MIN_TABLE_LENGTH).next_power_of_two())
    }

    /// Largest programmed weight of a scale that is exact in a table of this length, if there is one.
    fn exact(&self, frontend: &Frontend, table_length: u32) -> Option<u8> {
        let length = u64::from(table_length);
        let for_steps = |programmed: &u8| self.generous_length(*programmed) <= length;
        let least = Some(self.reduced).filter(|&reduced| self.exact_from(reduced) <= length);
        self.ratios(frontend).find(for_steps).or(least)
    }

    /// Table length from which a scale is exact.
    fn exact_from(&self, programmed: u8) -> u64 {
        self.programmed(programmed).map(|pool| pool.exact_from()).max().unwrap_or(0)
    }

    /// The same, and at least [`BUCKETS_PER_WEIGHT`] times the sum of weights.
    fn generous_length(&self, programmed: u8) -> u64 {
        let sum = self.programmed(programmed).map(|pool| pool.sum()).max().unwrap_or(0);
        self.exact_from(programmed).max(BUCKETS_PER_WEIGHT * sum)
    }

    fn programmed(&self, programmed: u8) -> impl Iterator<Item = Histogram> {
        self.pools.iter().map(move |pool| pool.map(|weight| scaled(weight, programmed, self.largest)))
    }

    fn worst_error(&self, programmed: u8, table_length: u32) -> Percent {
        let scaled = |weight| scaled(weight, programmed, self.largest);
        let errors = self.pools.iter().map(|pool| pool.worst_error(scaled, table_length));
        errors.max().unwrap_or(Percent::ZERO)
    }

    /// Largest programmed weight of the scale with the least error in a table of this length. Among equals,
    /// the one with the smallest weights: it moves the fewest buckets needlessly.
    fn least_error(&self, table_length: u32) -> u8 {
        let key = |programmed: &u8| {
            let sum: u64 = self.programmed(*programmed).map(|pool| pool.sum()).sum();
            (self.worst_error(*programmed, table_length), sum)
        };
        (1..=MAX_WEIGHT).min_by_key(key).unwrap_or(self.reduced)
    }
}

/// Converts a weight to the scale that turns `largest` into `programmed`: rounded half up, and at least 1
/// unless it is 0.
fn scaled(weight: u8, programmed: u8, largest: u8) -> u8 {
    if weight == 0 {
        return 0;
    }
    let (weight, programmed, largest) = (u32::from(weight), u32::from(programmed), u32::from(largest.max(1)));
    let rounded = (2 * weight * programmed + largest) / (2 * largest);
    u8::try_from(rounded).unwrap_or(MAX_WEIGHT).clamp(1, MAX_WEIGHT)
}

fn gcd(a: u8, b: u8) -> u8 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
