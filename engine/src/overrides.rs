//! Operators' settings at run time, and their file format, `text`, in which they survive a restart.

mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::Config;
use crate::routes::Drain;

pub use text::{
    Damage, LARGEST_FILE, LONGEST_REASON, LONGEST_WHO, OtherVersion, Parsed, Unwritable, parse, render,
};

/// An override of a backend's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackendOverride {
    /// No new flows; existing ones finish.
    Paused,
    /// Out of service, flows flushed.
    Disabled,
    /// In service, though the configuration disables it.
    Enabled,
}

impl BackendOverride {
    /// The override's word, in lower case.
    pub fn word(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
        }
    }
}

/// A backend in a pool of a frontend, by names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolMember {
    /// Name of the frontend.
    pub frontend: String,
    /// Name of the pool.
    pub pool: String,
    /// Name of the backend.
    pub backend: String,
}

impl PoolMember {
    /// The member's configured weight, if there is such a member.
    pub fn configured_weight(&self, config: &Config) -> Option<u8> {
        let frontend = config.frontends.get(&self.frontend)?;
        let pool = frontend.pools.iter().find(|pool| pool.name == self.pool)?;
        pool.backends.get(&self.backend).copied()
    }
}

/// Origin of a command, and how long its override is to last. An override's file keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remark {
    /// Who gave the command, if known.
    pub who: Option<Arc<str>>,
    /// Why: free text of at most [`LONGEST_REASON`] characters. Empty: no reason was given.
    pub reason: String,
    /// When the override is cleared by itself.
    pub until: Option<SystemTime>,
}

/// When an override was set, by whom, why and until when. Its file keeps times in whole seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// When it was set.
    pub since: SystemTime,
    /// Who set it, why and until when.
    pub remark: Remark,
}

impl Stamp {
    /// The stamp of an override that is set now.
    pub fn new(since: SystemTime, remark: Remark) -> Self {
        Self { since, remark }
    }

    /// The stamp of an override about which no more is known.
    pub fn at(since: SystemTime) -> Self {
        Self::new(since, Remark::default())
    }
}

/// A value that an operator has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped<T> {
    /// The value.
    pub value: T,
    /// When it was set, by whom, why and until when.
    pub stamp: Stamp,
}

/// All overrides, including those that the configuration has no target for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// By backend name.
    pub backends: BTreeMap<String, Stamped<BackendOverride>>,
    /// Weights, 0 to 100.
    pub weights: BTreeMap<PoolMember, Stamped<u8>>,
    /// The drain of the whole load balancer.
    pub lb: Option<Stamped<Drain>>,
}

impl Overrides {
    /// Whether there are no overrides.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.backends.len() + self.weights.len() + usize::from(self.lb.is_some())
    }

    /// All entries: the load balancer first, then backends, then weights, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = Override> {
        let lb = self.lb.iter().cloned().map(Override::lb);
        let backends = self.backends.iter().map(|(name, dated)| Override::backend(name, dated.clone()));
        lb.chain(backends)
            .chain(self.weights.iter().map(|(member, dated)| Override::weight(member, dated.clone())))
    }

    /// Adds an entry; returns the one that it replaces.
    pub fn insert(&mut self, entry: Override) -> Option<Override> {
        match entry {
            Override::Backend { name, state, stamp } => {
                let before = self.backends.insert(name.clone(), Stamped { value: state, stamp })?;
                Some(Override::backend(&name, before))
            }
            Override::Weight { member, weight, stamp } => {
                let before = self.weights.insert(member.clone(), Stamped { value: weight, stamp })?;
                Some(Override::weight(&member, before))
            }
            Override::Lb { drain, stamp } => {
                self.lb.replace(Stamped { value: drain, stamp }).map(Override::lb)
            }
        }
    }

    /// The overridden weight of a pool's member.
    pub fn weight(&self, frontend: &str, pool: &str, backend: &str) -> Option<u8> {
        if self.weights.is_empty() {
            return None;
        }
        let member =
            PoolMember { frontend: frontend.to_owned(), pool: pool.to_owned(), backend: backend.to_owned() };
        self.weights.get(&member).map(|dated| dated.value)
    }

    /// The entries without a target in the configuration. They are kept in case it returns.
    pub fn unmatched(&self, config: &Config) -> Vec<Override> {
        self.iter().filter(|entry| !entry.matches(config)).collect()
    }

    /// Drops the weight overrides that the configuration now equals; returns them.
    pub fn forget_equal(&mut self, config: &Config) -> Vec<Override> {
        let equal = self
            .weights
            .extract_if(.., |member, dated| member.configured_weight(config) == Some(dated.value));
        equal.map(|(member, dated)| Override::weight(&member, dated)).collect()
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Override {
    /// The state of a backend.
    Backend {
        /// Name of the backend.
        name: String,
        /// The override.
        state: BackendOverride,
        /// When it was set, by whom, why and until when.
        stamp: Stamp,
    },
    /// The weight of a member of a pool.
    Weight {
        /// The member.
        member: PoolMember,
        /// 0 to 100.
        weight: u8,
        /// When it was set, by whom, why and until when.
        stamp: Stamp,
    },
    /// The drain of the whole load balancer.
    Lb {
        /// How.
        drain: Drain,
        /// When it was set, by whom, why and until when.
        stamp: Stamp,
    },
}

impl Override {
    fn backend(name: &str, Stamped { value, stamp }: Stamped<BackendOverride>) -> Override {
        Self::Backend { name: name.to_owned(), state: value, stamp }
    }

    fn weight(member: &PoolMember, Stamped { value, stamp }: Stamped<u8>) -> Override {
        Self::Weight { member: member.clone(), weight: value, stamp }
    }

    fn lb(Stamped { value, stamp }: Stamped<Drain>) -> Override {
        Self::Lb { drain: value, stamp }
    }

    /// When it was set, by whom, why and until when.
    pub fn stamp(&self) -> &Stamp {
        match self {
            Self::Backend { stamp, .. } | Self::Weight { stamp, .. } | Self::Lb { stamp, .. } => stamp,
        }
    }

    fn stamp_mut(&mut self) -> &mut Stamp {
        match self {
            Self::Backend { stamp, .. } | Self::Weight { stamp, .. } | Self::Lb { stamp, .. } => stamp,
        }
    }

    /// When it was set.
    pub fn since(&self) -> SystemTime {
        self.stamp().since
    }

    /// Whether the configuration has its target.
    pub fn matches(&self, config: &Config) -> bool {
        match self {
            Self::Backend { name, .. } => config.backends.contains_key(name),
            Self::Weight { member, .. } => member.configured_weight(config).is_some(),
            Self::Lb { .. } => true,
        }
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend { name, state, .. } => write!(f, "backend {name}: {}", state.word()),
            Self::Weight { member: PoolMember { frontend, pool, backend }, weight, .. } => {
                write!(f, "weight of {backend} in pool {pool} of frontend {frontend}: {weight}")
            }
            Self::Lb { drain, .. } => write!(f, "load balancer: drained ({})", drain.word()),
        }
    }
}

#[cfg(test)]
mod tests;
