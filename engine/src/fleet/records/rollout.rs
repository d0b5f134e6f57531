//! The rollout of a revision, and a VIP's table length.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{LONGEST_REASON, Name, Record, check_text};
use crate::config::MOST_BUCKETS;
use crate::overrides::LONGEST_WHO;

/// Maximum number of members of a fleet.
pub const MOST_MEMBERS: usize = 256;
/// Shortest and longest soak.
pub const SOAK: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(7 * 24 * 3600);

/// How the members that are not canaries take a revision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Each only when the one before has programmed it.
    #[default]
    OneByOne,
    /// The first half of them at once, then the others.
    Halves,
}

impl Order {
    /// Both.
    pub const ALL: [Self; 2] = [Self::OneByOne, Self::Halves];

    /// The operators' word.
    pub fn word(self) -> &'static str {
        match self {
            Self::OneByOne => "one-by-one",
            Self::Halves => "halves",
        }
    }
}

/// How a revision is rolled out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The members that take it first; none: there is no soak.
    #[serde(default)]
    pub canary: BTreeSet<Name>,
    /// How long they must have run it without a problem before others take it, in milliseconds.
    #[serde(default)]
    pub soak_ms: u64,
    /// How the others take it.
    #[serde(default)]
    pub order: Order,
}

/// How far a rollout is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "name")]
pub enum Stage {
    /// The canaries are taking it.
    Canary,
    /// The canaries run it; others wait.
    Soaking,
    /// The others are taking it.
    Rest,
    /// Every member runs it, and those that are away will at their return.
    Done,
    /// A problem was found: every member goes back.
    Failed {
        /// The problem.
        reason: String,
    },
    /// An operator stopped it: every member goes back.
    Aborted {
        /// Who, and why.
        reason: String,
    },
    /// Every member has gone back, and those that are away will at their return.
    RolledBack {
        /// Why.
        reason: String,
    },
}

impl Stage {
    /// Its word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Soaking => "soaking",
            Self::Rest => "rest",
            Self::Done => "done",
            Self::Failed { .. } => "failed",
            Self::Aborted { .. } => "aborted",
            Self::RolledBack { .. } => "rolled-back",
        }
    }

    /// Why it stopped, if it did.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Failed { reason } | Self::Aborted { reason } | Self::RolledBack { reason } => Some(reason),
            Self::Canary | Self::Soaking | Self::Rest | Self::Done => None,
        }
    }

    /// Whether it has ended, so that another rollout may begin.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Done | Self::RolledBack { .. })
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.reason() {
            Some(reason) => write!(f, "{}: {reason}", self.word()),
            None => f.write_str(self.word()),
        }
    }
}

/// The current rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The revision to run.
    pub revision: u64,
    /// The revision to go back to; `None`: each member's own file, since the fleet had no configuration before.
    pub back_to: Option<u64>,
    /// How.
    pub plan: Plan,
    /// The members when it began. Others take the revision when it is done.
    pub members: BTreeSet<Name>,
    /// How far it is.
    pub stage: Stage,
    /// The members that may run the revision before the rollout is done.
    pub may: BTreeSet<Name>,
    /// Since when it has been as it is, by the clock of the member that wrote it, in Unix milliseconds. For display.
    pub since_ms: u64,
    /// When it began, likewise.
    pub begun_ms: u64,
    /// Who began it.
    pub who: Option<String>,
    /// Why.
    #[serde(default)]
    pub comment: String,
}

impl Record for Rollout {
    fn check(&self) -> Result<(), String> {
        check_text("`who`", self.who.as_deref().unwrap_or_default(), LONGEST_WHO)?;
        check_text("`comment`", &self.comment, LONGEST_REASON)?;
        check_text("the stage's reason", self.stage.reason().unwrap_or_default(), LONGEST_REASON)?;
        if self.revision == 0 || self.back_to == Some(0) {
            return Err("a revision's number is 0".to_owned());
        }
        if self.members.len() > MOST_MEMBERS {
            return Err(format!("it has {} members, more than {MOST_MEMBERS}", self.members.len()));
        }
        if let Some(stranger) = self.may.union(&self.plan.canary).find(|name| !self.members.contains(name)) {
            return Err(format!("{stranger} is not among its members"));
        }
        if !SOAK.contains(&Duration::from_millis(self.plan.soak_ms)) {
            return Err(format!("its soak of {} ms is out of range", self.plan.soak_ms));
        }
        let wrong = match self.stage {
            Stage::Canary | Stage::Soaking => self.may != self.plan.canary || self.may.is_empty(),
            _ => false,
        };
        if wrong {
            return Err(format!("in the stage {}, exactly the canaries may run it", self.stage.word()));
        }
        Ok(())
    }
}

/// Table length of a VIP, which the member that creates the VIP first writes once for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableLength {
    /// In buckets.
    pub length: u32,
}

impl Record for TableLength {
    fn check(&self) -> Result<(), String> {
        match self.length.is_power_of_two() && self.length <= MOST_BUCKETS {
            true => Ok(()),
            false => Err(format!("{} buckets is not a power of two from 1 to {MOST_BUCKETS}", self.length)),
        }
    }
}
