//! From health to weights: failover between pools, the weight and flush of every backend, and the scale at
//! which VPP is told.
//!
//! VPP's table honours weights only while their sum stays well below its length, and rebuilding it costs in
//! proportion to their sum (measured on VPP 26.10: one backend of 50 among nineteen of 100 gets 4.9 % of
//! 1024 buckets instead of 2.6 %). So weights are divided by a common divisor before they are programmed.
//! The divisor is that of all *configured* weights: were it that of the effective ones, a failing backend
//! would change everybody's scale, and with it move 66-97 % of the buckets.

use std::collections::BTreeMap;

use crate::config::Frontend;
use crate::health::State;

/// Shortest table that is asked for.
pub const MIN_TABLE_LENGTH: u32 = 1024;
/// Longest table that VPP can have.
pub const MAX_TABLE_LENGTH: u32 = 65_536;
/// A table this many times as long as the sum of weights gives each backend its share within 1 %, or within
/// one bucket.
const BUCKETS_PER_WEIGHT: u32 = 8;

/// State of a frontend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrontendState {
    /// Nothing is known of its backends yet.
    Unknown,
    /// A backend takes new flows.
    Up,
    /// No backend takes new flows.
    Down,
}

impl FrontendState {
    /// Lower-case word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What one backend shall have in one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendWeight {
    /// Weight on the configuration's scale, 0 to 100.
    pub effective: u8,
    /// Weight on the scale of VPP's table.
    pub programmed: u8,
    /// Whether a step to 0 moves the flows that the backend has.
    pub flush: bool,
}

/// The weights of a frontend for one state of its backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveWeights {
    /// State of the frontend as a whole.
    pub state: FrontendState,
    /// Index of the pool that takes new flows, if one does.
    pub active_pool: Option<usize>,
    /// Weights by backend, for each pool in the order of the configuration.
    pub pools: Vec<BTreeMap<String, BackendWeight>>,
}

/// Computes the weights of a frontend. The active pool is the first that has a backend which is up and has a
/// configured weight above 0.
pub fn effective(frontend: &Frontend, state_of: impl Fn(&str) -> State) -> EffectiveWeights {
    let active_pool = frontend.pools.iter().position(|pool| {
        pool.backends.iter().any(|(name, &weight)| weight > 0 && state_of(name) == State::Up)
    });
    let divisor = common_divisor(frontend);
    let pools = frontend.pools.iter().enumerate().map(|(index, pool)| {
        let active = active_pool == Some(index);
        let weigh = |(name, &configured): (&String, &u8)| {
            let (effective, flush) = rule(state_of(name), active, configured, frontend.flush_on_down);
            (name.clone(), BackendWeight { effective, programmed: effective / divisor, flush })
        };
        pool.backends.iter().map(weigh).collect()
    });
    let pools = pools.collect();
    let is = |wanted: &[State]| {
        let mut names = frontend.pools.iter().flat_map(|pool| pool.backends.keys());
        names.any(|name| wanted.contains(&state_of(name)))
    };
    let state = match active_pool {
        Some(_) => FrontendState::Up,
        None if is(&[State::Unknown]) && !is(&[State::Up, State::Down]) => FrontendState::Unknown,
        None => FrontendState::Down,
    };
    EffectiveWeights { state, active_pool, pools }
}

/// The whole truth table of one backend in one pool: its weight, and whether a step to 0 flushes. Down
/// flushes if the frontend says so, disabled always; unknown, paused and standby never do.
pub fn rule(state: State, in_active_pool: bool, configured: u8, flush_on_down: bool) -> (u8, bool) {
    match state {
        State::Up if in_active_pool => (configured, false),
        State::Up | State::Unknown | State::Paused => (0, false),
        State::Down => (0, flush_on_down),
        State::Disabled | State::Removed => (0, true),
    }
}

/// The greatest common divisor of a frontend's configured weights, at least 1.
pub fn common_divisor(frontend: &Frontend) -> u8 {
    let weights = frontend.pools.iter().flat_map(|pool| pool.backends.values());
    weights.fold(0, |divisor, &weight| gcd(divisor, weight)).max(1)
}

fn gcd(a: u8, b: u8) -> u8 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The length of the table to ask for when the VIP is made: the configured one, or the power of two that is
/// at least eight times the largest sum of reduced weights that can be active at once.
pub fn table_length(frontend: &Frontend) -> u32 {
    if let Some(length) = frontend.new_flows_table_length {
        return length;
    }
    let divisor = u32::from(common_divisor(frontend));
    let sums =
        frontend.pools.iter().map(|pool| pool.backends.values().map(|&weight| u32::from(weight)).sum());
    let largest: u32 = sums.max().unwrap_or(0);
    let wanted = (largest / divisor).saturating_mul(BUCKETS_PER_WEIGHT);
    wanted.clamp(MIN_TABLE_LENGTH, MAX_TABLE_LENGTH).next_power_of_two()
}

#[cfg(test)]
mod tests;
