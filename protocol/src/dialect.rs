//! Abilities of VPP's lb plugin, by the version of its API.

use serde::{Deserialize, Serialize};

/// How the lb plugin of the connected VPP is programmed. The agent chooses it by VPP's messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dialect {
    /// lb API 1.2.0, from VPP 26.10 on: every server has a weight.
    #[default]
    Weighted,
    /// lb API 1.1.0, VPP 23.06 to 26.06: a server is in or out, and all that are in have equal shares. The server's
    /// flows can be flushed only as it goes out or while it is out.
    InOut,
}

impl Dialect {
    /// Whether servers may have different shares.
    pub fn has_weights(self) -> bool {
        self == Self::Weighted
    }

    /// Version of the lb plugin's API.
    pub fn lb_api(self) -> &'static str {
        match self {
            Self::Weighted => "1.2.0",
            Self::InOut => "1.1.0",
        }
    }
}
