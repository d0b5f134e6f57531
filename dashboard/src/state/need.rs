//! What must be asked of a brain.

use std::collections::BTreeSet;

/// More than so many frontends or backends are asked for together with all others.
const ONE_BY_ONE: usize = 64;

/// What must be asked of a brain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Need {
    /// Everything.
    pub all: bool,
    /// The brain itself, its agent and its VPP.
    pub info: bool,
    /// What operators have set.
    pub overrides: bool,
    /// What VPP counts.
    pub counters: bool,
    /// Of these frontends.
    pub frontends: BTreeSet<String>,
    /// Of these backends.
    pub backends: BTreeSet<String>,
}

impl Need {
    /// Everything.
    pub fn all() -> Self {
        Self { all: true, info: true, overrides: true, ..Self::default() }
    }

    /// What operators have set, and what follows from that.
    pub fn overrides() -> Self {
        Self { overrides: true, info: true, ..Self::default() }
    }

    /// Whether there is nothing to ask for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what somebody else needs.
    pub fn add(&mut self, more: Self) {
        self.all |= more.all;
        self.info |= more.info;
        self.overrides |= more.overrides;
        self.counters |= more.counters;
        self.frontends.extend(more.frontends);
        self.backends.extend(more.backends);
    }

    /// The same, with everything in place of very many.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.all |= self.frontends.len() > ONE_BY_ONE || self.backends.len() > ONE_BY_ONE;
        self
    }
}
