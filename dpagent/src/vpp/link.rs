//! State of the connection, as published.

use maglev_protocol::{AgentError, VppInfo, VppState};
use tokio::time::Instant;

/// The published state.
#[derive(Debug, Clone)]
pub(super) struct Link {
    generation: u64,
    state: VppState,
    since: Instant,
}

impl Default for Link {
    fn default() -> Self {
        let reason = "the agent has only just started".to_owned();
        Self { generation: 0, state: VppState::Disconnected { reason, silent_ms: 0 }, since: Instant::now() }
    }
}

impl Link {
    /// Records a state; false if it is unchanged. A VPP that is still disconnected keeps the start of its
    /// silence.
    pub(super) fn change(&mut self, mut state: VppState, since: Instant) -> bool {
        if let (VppState::Disconnected { silent_ms: found, .. }, VppState::Disconnected { silent_ms, .. }) =
            (&self.state, &mut state)
        {
            *silent_ms = *found;
        }
        if self.state == state {
            return false;
        }
        self.generation += 1;
        (self.state, self.since) = (state, since);
        true
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn info(&self) -> VppInfo {
        let mut state = self.state.clone();
        if let VppState::Connected { connected_for, .. } = &mut state {
            *connected_for = self.since.elapsed().as_secs();
        }
        VppInfo { generation: self.generation, state }
    }

    /// Whether calls are executed.
    pub(super) fn is_usable(&self) -> bool {
        matches!(self.state, VppState::Connected { .. })
    }

    /// The error for calls that are refused.
    pub(super) fn error(&self) -> AgentError {
        match &self.state {
            VppState::Disconnected { reason, .. } => AgentError::NoVpp { reason: reason.clone() },
            VppState::Incompatible { version, missing, needs } => AgentError::Incompatible {
                version: version.clone(),
                missing: missing.clone(),
                needs: needs.clone(),
            },
            VppState::Connected { .. } => AgentError::NoVpp { reason: "reconnecting".to_owned() },
        }
    }
}

#[cfg(test)]
mod tests;
