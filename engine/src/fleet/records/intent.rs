//! An operator's intent.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use super::{Record, check_text, system_time};
use crate::overrides::{BackendOverride, LONGEST_REASON, LONGEST_WHO, PoolMember, Remark};

/// What an intent is about, by the configuration's names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IntentKey {
    /// The state of a backend.
    Backend(String),
    /// The weight of a backend in a pool.
    Weight(PoolMember),
}

impl Display for IntentKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend(backend) => write!(f, "backend {backend}"),
            Self::Weight(PoolMember { frontend, pool, backend }) => {
                write!(f, "weight of {backend} in pool {pool} of frontend {frontend}")
            }
        }
    }
}

/// What an operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// A backend's state.
    Backend(#[serde(with = "BackendState")] BackendOverride),
    /// A weight.
    Weight {
        /// 0 to 100.
        weight: u8,
        /// Whether each member flushes the backend's flows once, when it applies the intent.
        #[serde(default)]
        flush: bool,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BackendOverride", rename_all = "kebab-case")]
enum BackendState {
    Paused,
    Disabled,
    Enabled,
}

/// An operator's intent for the whole fleet. It ends when its key is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What.
    pub aim: Aim,
    /// Who.
    pub who: Option<String>,
    /// Why; empty if no reason was given.
    #[serde(default)]
    pub why: String,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
    /// When it ends by itself, in Unix milliseconds.
    pub until_ms: Option<u64>,
}

impl Intent {
    /// Whether it is for this key.
    pub fn fits(&self, key: &IntentKey) -> bool {
        matches!(
            (key, self.aim),
            (IntentKey::Backend(_), Aim::Backend(_)) | (IntentKey::Weight(_), Aim::Weight { .. })
        )
    }

    /// The remark of the override that it becomes.
    pub fn remark(&self) -> Remark {
        let until = self.until_ms.map(system_time);
        Remark { who: self.who.as_deref().map(Into::into), reason: self.why.clone(), until }
    }
}

impl Record for Intent {
    fn check(&self) -> Result<(), String> {
        check_text("`who`", self.who.as_deref().unwrap_or_default(), LONGEST_WHO)?;
        check_text("`why`", &self.why, LONGEST_REASON)?;
        match self.aim {
            Aim::Weight { weight: weight @ 101.., .. } => {
                Err(format!("weight {weight} is not from 0 to 100"))
            }
            _ => Ok(()),
        }
    }
}
