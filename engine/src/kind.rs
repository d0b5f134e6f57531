//! Kinds of recorded events, by which webhooks are filtered too.

use serde::{Deserialize, Serialize};

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A backend's change of state.
    Backend,
    /// A frontend's change.
    Frontend,
    /// An operator's command.
    Command,
    /// An override that is about to end, or has ended by itself.
    Override,
    /// A reload of the configuration, a way back from it, or its confirmation.
    Reload,
    /// A sync that failed, or the first that did not after one that did.
    Sync,
    /// The connection to the agent.
    Agent,
    /// The agent's connection to VPP.
    Vpp,
    /// A VIP's route, or the router.
    Route,
    /// The brain itself: starts, ends, records that were lost.
    Brain,
    /// The fleet: rollouts, tables that differ, machines with one name.
    Fleet,
    /// A backend's state when a file began; not an event.
    State,
}

impl Kind {
    /// Those of events: all but [`Kind::State`].
    pub const EVENTS: [Self; 11] = [
        Self::Backend,
        Self::Frontend,
        Self::Command,
        Self::Override,
        Self::Reload,
        Self::Sync,
        Self::Agent,
        Self::Vpp,
        Self::Route,
        Self::Brain,
        Self::Fleet,
    ];

    /// The kind's word, in lower case.
    pub fn word(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Frontend => "frontend",
            Self::Command => "command",
            Self::Override => "override",
            Self::Reload => "reload",
            Self::Sync => "sync",
            Self::Agent => "agent",
            Self::Vpp => "vpp",
            Self::Route => "route",
            Self::Brain => "brain",
            Self::Fleet => "fleet",
            Self::State => "state",
        }
    }
}
