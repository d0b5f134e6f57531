//! The enums of the interface as operators read and write them.

use serde::Serializer;

use crate::{
    BackendOverride, BackendState, ConfigVerdict, FrontendState, InVpp, LogLevel, SyncState, WarmupPhase,
};

/// An enum with a word for each value.
pub trait Word: TryFrom<i32> {
    /// Lower-case word, with dashes.
    fn word(&self) -> &'static str;
}

impl Word for BackendState {
    fn word(&self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
            Self::Removed => "removed",
        }
    }
}

impl Word for FrontendState {
    fn word(&self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl Word for SyncState {
    fn word(&self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::HeldBack => "held-back",
            Self::Pending => "pending",
            Self::Synced => "synced",
            Self::Failed => "failed",
        }
    }
}

impl Word for BackendOverride {
    fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
        }
    }
}

impl Word for InVpp {
    fn word(&self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::NotAsked => "not-asked",
            Self::Acknowledged => "acknowledged",
            Self::HeldBack => "held-back",
            Self::Away => "away",
            Self::Refused => "refused",
            Self::Late => "late",
        }
    }
}

impl Word for ConfigVerdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Fine => "fine",
            Self::NotParseable => "not-parseable",
            Self::NotValid => "not-valid",
        }
    }
}

impl Word for WarmupPhase {
    fn word(&self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Waiting => "waiting",
            Self::Releasing => "releasing",
            Self::Over => "over",
        }
    }
}

impl Word for LogLevel {
    fn word(&self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The word of a value as it came over the wire. A value that this version does not know, sent by a newer
/// peer, is shown as what it is: unspecified.
pub fn of<E: Word>(value: i32) -> &'static str {
    E::try_from(value).map_or("unspecified", |known| known.word())
}

pub(crate) fn serialize<E: Word, S: Serializer>(value: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(of::<E>(*value))
}

#[cfg(test)]
mod tests;
