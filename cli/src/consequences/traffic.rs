//! Which pool takes a frontend's new flows, by maglev-brain's own rules, before and after a change. Pure.

use maglev_proto::{BackendState, Frontend, Pool, PoolBackend};

use crate::style::printable;

/// Who takes new flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Serving {
    Nobody,
    /// The first pool with a backend that serves.
    Pool(String),
    /// So few of it are up that all of it serves, other than what was taken out on purpose.
    Panic(String),
}

/// What is about to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed<'c> {
    Paused(&'c str),
    Disabled(&'c str),
    /// Absent weight: the configured one.
    Weight {
        pool: &'c str,
        backend: &'c str,
        weight: Option<u32>,
        flush: bool,
    },
}

/// What becomes of the flows of the backend that is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FlowsOf {
    backend: String,
    /// Absent if not known.
    count: Option<u64>,
    is_cut: bool,
}

impl Changed<'_> {
    fn backend(&self) -> &str {
        match self {
            Self::Paused(backend) | Self::Disabled(backend) | Self::Weight { backend, .. } => backend,
        }
    }

    /// Whether the backend is to take no more new flows. Otherwise nothing becomes of those that it has.
    pub(super) fn takes_out(&self, frontend: &Frontend) -> bool {
        let rows = frontend.pools.iter().flat_map(|pool| pool.backends.iter().map(move |row| (pool, row)));
        match self {
            Self::Paused(_) | Self::Disabled(_) | Self::Weight { flush: true, .. } => true,
            Self::Weight { weight, .. } => rows
                .filter(|(pool, row)| self.concerns(pool, row))
                .all(|(_, row)| weight.unwrap_or(row.configured_weight) == 0),
        }
    }

    fn concerns(&self, pool: &Pool, row: &PoolBackend) -> bool {
        let is_pool = match self {
            Self::Weight { pool: meant, .. } => *meant == pool.name,
            Self::Paused(_) | Self::Disabled(_) => true,
        };
        is_pool && row.backend == self.backend()
    }

    /// A backend has the same pinned flows in every pool that it stands in: VPP knows no pools.
    pub(super) fn flows(&self, frontend: &Frontend) -> FlowsOf {
        let rows = frontend.pools.iter().flat_map(|pool| &pool.backends);
        let count = rows.filter(|row| row.backend == self.backend()).find_map(|row| row.flows);
        let is_cut = matches!(self, Self::Disabled(_) | Self::Weight { flush: true, .. });
        FlowsOf { backend: self.backend().to_owned(), count, is_cut }
    }
}

impl FlowsOf {
    /// In words. `nobody_left`: no backend can take them over.
    pub(super) fn fate(&self, nobody_left: bool) -> String {
        let backend = printable(&self.backend);
        let flows = match self.count {
            Some(0) => return format!("{backend} has no flows"),
            Some(1) => "1 flow".to_owned(),
            Some(count) => format!("{} flows", grouped(count)),
            None => "flows".to_owned(),
        };
        let (verb, end) =
            if self.count == Some(1) { ("is", "ends by itself") } else { ("are", "end by themselves") };
        match (self.is_cut, nobody_left) {
            (true, true) => format!("{flows} that {backend} has {verb} cut at once"),
            (true, false) => format!("{flows} that {backend} has {verb} moved to others at once"),
            (false, _) => format!("{flows} that {backend} has {end}"),
        }
    }
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The frontend as it will be.
pub(super) fn after(frontend: &Frontend, change: &Changed<'_>) -> Frontend {
    let mut frontend = frontend.clone();
    for pool in &mut frontend.pools {
        let Pool { name, backends } = std::mem::take(pool);
        let mut pool_after = Pool { name, backends: Vec::new() };
        for mut row in backends {
            if change.concerns(&pool_after, &row) {
                match change {
                    Changed::Paused(_) => row.set_state(BackendState::Paused),
                    Changed::Disabled(_) => row.set_state(BackendState::Disabled),
                    Changed::Weight { weight, .. } => row.operator_weight = *weight,
                }
            }
            pool_after.backends.push(row);
        }
        *pool = pool_after;
    }
    frontend
}

/// Whoever takes new flows by the weights in force, the states and the panic threshold.
pub(super) fn serving(frontend: &Frontend) -> Serving {
    let active = frontend.pools.iter().position(|pool| pool.backends.iter().any(serves));
    let doubtful = active.or_else(|| frontend.pools.iter().position(|pool| counted(pool).1 > 0));
    let panicking = doubtful.and_then(|index| frontend.pools.get(index)).filter(|pool| {
        let (up, known) = counted(pool);
        up * 100 < u64::from(frontend.panic_threshold) * known
    });
    match (panicking, active.and_then(|index| frontend.pools.get(index))) {
        (Some(pool), _) => Serving::Panic(pool.name.clone()),
        (None, Some(pool)) => Serving::Pool(pool.name.clone()),
        (None, None) => Serving::Nobody,
    }
}

fn weight(row: &PoolBackend) -> u32 {
    row.operator_weight.unwrap_or(row.configured_weight)
}

/// One of which nothing is known serves while VPP has a weight for it, which it keeps.
fn serves(row: &PoolBackend) -> bool {
    weight(row) > 0
        && match row.state() {
            BackendState::Up => true,
            BackendState::Unknown => row.programmed_weight > 0,
            BackendState::Unspecified
            | BackendState::Down
            | BackendState::Paused
            | BackendState::Disabled
            | BackendState::Removed => false,
        }
}

/// How many of a pool's backends with a weight are up, and of how many it is known whether they are.
fn counted(pool: &Pool) -> (u64, u64) {
    let rows = pool.backends.iter().filter(|row| weight(row) > 0);
    rows.fold((0, 0), |(up, known), row| match row.state() {
        BackendState::Up => (up + 1, known + 1),
        BackendState::Down => (up, known + 1),
        BackendState::Unspecified
        | BackendState::Unknown
        | BackendState::Paused
        | BackendState::Disabled
        | BackendState::Removed => (up, known),
    })
}

#[cfg(test)]
mod tests;
