//! What must be asked of a brain.

use std::collections::BTreeSet;

/// More than so many frontends or backends are asked for together with all others.
const ONE_BY_ONE: usize = 64;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) all: bool,
    /// The brain itself, its agent and its VPP.
    pub(crate) info: bool,
    pub(crate) overrides: bool,
    pub(crate) counters: bool,
    /// The tables of its fleet's members.
    pub(crate) tables: bool,
    pub(crate) frontends: BTreeSet<String>,
    pub(crate) backends: BTreeSet<String>,
}

impl Need {
    pub(crate) fn all() -> Self {
        Self { all: true, info: true, overrides: true, tables: true, ..Self::default() }
    }

    /// The fleet, of which the brain tells news.
    pub(crate) fn fleet() -> Self {
        Self { info: true, tables: true, ..Self::default() }
    }

    /// What operators have set, and what follows from that.
    pub(crate) fn overrides() -> Self {
        Self { overrides: true, info: true, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what somebody else needs.
    pub(crate) fn add(&mut self, more: Self) {
        self.all |= more.all;
        self.info |= more.info;
        self.overrides |= more.overrides;
        self.counters |= more.counters;
        self.tables |= more.tables;
        self.frontends.extend(more.frontends);
        self.backends.extend(more.backends);
    }

    /// The same, with everything in place of very many.
    #[must_use]
    pub(crate) fn bounded(mut self) -> Self {
        self.all |= self.frontends.len() > ONE_BY_ONE || self.backends.len() > ONE_BY_ONE;
        self
    }
}
