//! Converts health to weights: failover between pools, weight and flush of every backend, and the scale for
//! VPP.
//!
//! VPP's table honours weights only while their sum stays well below its length, and rebuilding it costs in
//! proportion to their sum (measured on VPP 26.10: one backend of 50 among nineteen of 100 gets 4.9 % of 1024
//! buckets instead of 2.6 %). So weights are converted to a [`Scale`] before they are programmed. It depends
//! on configuration and table alone: if it depended on health, a failing backend would change the scale of
//! all others, and move 66-97 % of the buckets.

mod capacity;
mod percent;
mod ramp;
mod rounds;
mod scale;

use std::collections::BTreeMap;
use std::time::Duration;

pub use capacity::Capacity;
pub use percent::Percent;
pub use ramp::ramp;
pub use scale::{
    Inexact, Longer, MAX_TABLE_LENGTH, MIN_TABLE_LENGTH, Scale, WITHOUT_WEIGHTS, doubts, inexpressible,
    table_length,
};

use serde::{Deserialize, Serialize};

use crate::config::{Frontend, Pool};
use crate::health::State;
use crate::outcome::Share;

/// State of a frontend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FrontendState {
    /// None of its backends is known yet, or only unknown ones hold a weight in its active pool.
    Unknown,
    /// A healthy backend takes new flows.
    Up,
    /// No healthy backend takes new flows. In a panic, unhealthy ones do.
    Down,
}

impl FrontendState {
    /// The state's word, in lower case.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// State of one backend in one frontend, as far as weights depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// For an unknown backend, the programmed weight that it has in VPP and keeps until it is known. Unused
    /// in every other state.
    pub held: Option<u8>,
    /// For a backend in its slow start, the time since it came up.
    pub rising: Option<Duration>,
    /// For a backend that is up, the share of its weight that its server asks for.
    pub share: Share,
}

impl Standing {
    /// A server that drains by its own word is as good as paused. An operator's word and the checks' go first.
    fn by_its_word(self) -> Self {
        match self {
            Self { state: State::Up, share: Share::DRAIN, .. } => Self { state: State::Paused, ..self },
            other => other,
        }
    }
}

impl From<State> for Standing {
    fn from(state: State) -> Self {
        Self { state, held: None, rising: None, share: Share::WHOLE }
    }
}

/// Weight of one backend in one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendWeight {
    /// Weight on the configuration's scale, 0 to 100.
    pub effective: u8,
    /// Weight on the scale of VPP's table.
    pub programmed: u8,
    /// Whether a step to 0 flushes the backend.
    pub flush: bool,
}

/// Weights of a frontend for one combination of its backends' states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveWeights {
    /// State of the frontend as a whole.
    pub state: FrontendState,
    /// Index of the pool that takes new flows in normal operation, if any.
    pub active_pool: Option<usize>,
    /// Index of the pool in a panic, which takes new flows on all backends, if any.
    pub panic: Option<usize>,
    /// Time to the soonest step of a slow start.
    pub next_step: Option<Duration>,
    /// Weights by backend, for each pool in the order of the configuration.
    pub pools: Vec<BTreeMap<String, BackendWeight>>,
    /// Capacity of each pool.
    pub capacity: Vec<Capacity>,
}

/// Role of a pool in its frontend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The first pool that can serve.
    Active,
    /// Another one.
    Standby,
    /// Too few of its backends are up: all of them take new flows.
    Panic,
}

/// Computes the weights of a frontend.
///
/// The active pool is the first one with a backend of a configured weight above 0 that is up, in a slow start
/// or not, or that is unknown and holds a weight in VPP, since it may be serving right now. Such an unknown
/// backend keeps the weight that it holds in every pool, active or not, but never more than its own weight
/// there.
pub fn effective(
    frontend: &Frontend,
    scale: &Scale,
    standing_of: impl Fn(&str) -> Standing,
) -> EffectiveWeights {
    let standing_of = |name: &str| standing_of(name).by_its_word();
    let active_pool = frontend.pools.iter().position(|pool| {
        weighty(pool).map(&standing_of).any(|standing| match standing.state {
            State::Up => true,
            State::Unknown => standing.held.is_some_and(|held| held > 0),
            State::Down | State::Paused | State::Disabled | State::Removed => false,
        })
    });
    let panic = panicking(frontend, active_pool, &standing_of);
    let mut next_step: Option<Duration> = None;
    let mut weigh_pool = |(index, pool): (usize, &Pool)| {
        let role = match index {
            index if panic == Some(index) => Role::Panic,
            index if active_pool == Some(index) => Role::Active,
            _ => Role::Standby,
        };
        let weigh = |(name, &configured): (&String, &u8)| {
            let Standing { state, held, rising, share } = standing_of(name);
            let whole = scale.programmed(configured);
            let mut weight = whole;
            if let (State::Up, Role::Active, Some(rising), Some(time)) =
                (state, role, rising, frontend.slow_start)
            {
                let step;
                (weight, step) = ramp(whole, rising, time);
                next_step = next_step.into_iter().chain(step).min();
            }
            if state == State::Up {
                weight = share.part(weight);
            }
            let (programmed, flush) = rule(state, role, weight, held.unwrap_or(0), frontend.flush_on_down);
            let effective = part(configured, programmed, whole);
            (name.clone(), BackendWeight { effective, programmed, flush })
        };
        pool.backends.iter().map(weigh).collect()
    };
    let pools = frontend.pools.iter().enumerate().map(&mut weigh_pool).collect();
    let state = state_of_all(frontend, active_pool, &standing_of);
    let capacity = frontend.pools.iter().map(|pool| Capacity::of(pool, &standing_of)).collect();
    EffectiveWeights { state, active_pool, panic, next_step, pools, capacity }
}

/// The whole truth table of one backend in one pool: its weight, and whether a step to 0 flushes.
///
/// `weight` applies while it serves; `held` is its weight in VPP while it is unknown. Down flushes if the
/// frontend is configured so, disabled always; unknown, paused and standby never do. In a panic, every
/// backend with a weight serves and keeps its flows, unless it was taken out on purpose.
pub fn rule(state: State, role: Role, weight: u8, held: u8, flush_on_down: bool) -> (u8, bool) {
    match (state, role) {
        (State::Down, Role::Panic) if weight == 0 => (0, flush_on_down),
        (State::Up | State::Down | State::Unknown, Role::Panic) | (State::Up, Role::Active) => {
            (weight, false)
        }
        (State::Unknown, Role::Active | Role::Standby) => (held.min(weight), false),
        (State::Up, Role::Standby) | (State::Paused, _) => (0, false),
        (State::Down, Role::Active | Role::Standby) => (0, flush_on_down),
        (State::Disabled | State::Removed, _) => (0, true),
    }
}

/// Names of the backends that have a weight in a pool.
fn weighty(pool: &Pool) -> impl Iterator<Item = &str> {
    pool.backends.iter().filter(|(_, weight)| **weight > 0).map(|(name, _)| name.as_str())
}

/// The pool in a panic, because too few of its backends are up: the active one, or if none is active the
/// first with a known backend. So failover comes first, and a panic never affects another pool. The price: a
/// pool with one backend up may panic while a later pool is healthy.
fn panicking(
    frontend: &Frontend,
    active_pool: Option<usize>,
    standing_of: &impl Fn(&str) -> Standing,
) -> Option<usize> {
    let threshold = usize::from(frontend.panic_threshold?);
    let counted = |pool: &Pool| {
        let states = weighty(pool).map(|name| standing_of(name).state);
        states.fold((0_usize, 0_usize), |(up, known), state| match state {
            State::Up => (up + 1, known + 1),
            State::Down => (up, known + 1),
            State::Unknown | State::Paused | State::Disabled | State::Removed => (up, known),
        })
    };
    let index = active_pool.or_else(|| frontend.pools.iter().position(|pool| counted(pool).1 > 0))?;
    let (up, known) = frontend.pools.get(index).map(counted)?;
    (up * 100 < threshold * known).then_some(index)
}

fn state_of_all(
    frontend: &Frontend,
    active_pool: Option<usize>,
    standing_of: &impl Fn(&str) -> Standing,
) -> FrontendState {
    if let Some(pool) = active_pool.and_then(|index| frontend.pools.get(index)) {
        let up = Capacity::of(pool, standing_of).up > 0;
        return if up { FrontendState::Up } else { FrontendState::Unknown };
    }
    let is = |wanted: &[State]| {
        let mut names = frontend.pools.iter().flat_map(|pool| pool.backends.keys());
        names.any(|name| wanted.contains(&standing_of(name).state))
    };
    let nothing_known = is(&[State::Unknown]) && !is(&[State::Up, State::Down]);
    if nothing_known { FrontendState::Unknown } else { FrontendState::Down }
}

/// Converts `programmed` out of `whole` to the configuration's scale: above 0 only if `programmed` is.
fn part(configured: u8, programmed: u8, whole: u8) -> u8 {
    if programmed == 0 || whole == 0 {
        return 0;
    }
    let (configured, programmed, whole) = (u32::from(configured), u32::from(programmed), u32::from(whole));
    let rounded = (2 * configured * programmed + whole) / (2 * whole);
    u8::try_from(rounded.max(1)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests;
