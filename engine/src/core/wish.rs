//! What operators want of backends, and of which.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use crate::config::{Backend, is_name};

/// An operator's command on a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendWish {
    /// Stop probing and sending new flows; let existing flows finish.
    Pause,
    /// Probe it again.
    Resume,
    /// Take it out of service and flush its flows.
    Disable,
    /// Put it back into service.
    Enable,
    /// Remove the override.
    Clear,
}

impl BackendWish {
    /// The command's word, in lower case.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Clear => "clear",
        }
    }
}

/// Which backends a command on several is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Those with this label.
    Label {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Those at this address.
    Host(IpAddr),
}

impl Selector {
    /// Whether it selects this backend.
    pub fn selects(&self, backend: &Backend) -> bool {
        match self {
            Self::Label { key, value } => backend.labels.get(key) == Some(value),
            Self::Host(address) => backend.address == *address,
        }
    }
}

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label { key, value } => write!(f, "label {}={}", shown(key), shown(value)),
            Self::Host(address) => write!(f, "host {address}"),
        }
    }
}

/// A name as typed. Names come from clients: an invalid one is quoted.
pub(super) fn shown(name: &str) -> String {
    if is_name(name) { name.to_owned() } else { format!("{name:?}") }
}
