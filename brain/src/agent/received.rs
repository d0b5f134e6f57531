//! Sanitizes the agent's texts for log, answers and terminal; once, where they are received.
//!
//! The agent has already sanitized VPP's texts, so backslashes are left alone.

use std::net::IpAddr;

use maglev_protocol::{
    AgentError, AgentHello, AgentInfo, AgentPolicy, Change, ConfReport, Counters, EchoOutcome, HostRoutes,
    LbState, Liveness, Programmed, StepError, SyncReport, TunnelReport, VERSION_LENGTH, VipReport, VppInfo,
    VppState, printable_again,
};

/// Maximum length of a reason, in characters.
pub(super) const MOST: usize = 512;
/// Maximum number of missing messages kept; an agent needs some twenty.
const MOST_MISSING: usize = 64;

/// An answer of the agent.
pub(super) trait Received: Sized {
    /// The same answer with short, printable texts.
    fn cleaned(self) -> Self;
}

macro_rules! no_text {
    ($($answer:ty),+) => {
        $(impl Received for $answer {
            fn cleaned(self) -> Self {
                self
            }
        })+
    };
}

no_text!(ConfReport, Counters, LbState, Liveness, Programmed);

fn clean(text: &mut String) {
    *text = printable_again(text, MOST);
}

fn clean_version(text: &mut String) {
    *text = printable_again(text, VERSION_LENGTH);
}

fn clean_messages(missing: &mut Vec<String>) {
    missing.truncate(MOST_MISSING);
    missing.iter_mut().for_each(clean_version);
}

impl Received for AgentHello {
    fn cleaned(mut self) -> Self {
        let Self { protocol: _, version, instance: _, vpp } = &mut self;
        clean_version(version);
        clean_state(&mut vpp.state);
        self
    }
}

impl Received for VppInfo {
    fn cleaned(mut self) -> Self {
        clean_state(&mut self.state);
        self
    }
}

fn clean_state(state: &mut VppState) {
    match state {
        VppState::Disconnected { reason, silent_ms: _ } => clean(reason),
        VppState::Incompatible { version, missing, needs } => {
            clean_version(version);
            clean_messages(missing);
            clean(needs);
        }
        VppState::Connected {
            version,
            build_date,
            build_directory,
            pid: _,
            boot_time: _,
            connected_for: _,
        } => {
            clean_version(version);
            clean_version(build_date);
            clean(build_directory);
        }
    }
}

impl Received for AgentInfo {
    fn cleaned(mut self) -> Self {
        let Self { pid: _, started: _, no_echo, policy } = &mut self;
        let AgentPolicy { source, vips: _, servers: _ } = policy;
        no_echo.iter_mut().for_each(clean);
        clean(source);
        self
    }
}

impl Received for EchoOutcome {
    fn cleaned(mut self) -> Self {
        match &mut self {
            Self::Unreachable { meaning: text, .. }
            | Self::NotSent { reason: text }
            | Self::NoRoute { reason: text } => clean(text),
            Self::Reply { .. } | Self::TimedOut => {}
        }
        self
    }
}

impl Received for TunnelReport {
    fn cleaned(mut self) -> Self {
        let Self { sent: _, refused: _, refusal } = &mut self;
        refusal.iter_mut().for_each(|refusal| clean(&mut refusal.reason));
        self
    }
}

impl Received for Vec<Result<IpAddr, AgentError>> {
    fn cleaned(self) -> Self {
        self.into_iter().map(|given| given.map_err(AgentError::cleaned)).collect()
    }
}

impl Received for SyncReport {
    fn cleaned(mut self) -> Self {
        let Self { vips, drift, read: _, foreign: _, conf: _ } = &mut self;
        for VipReport { key: _, changes, table_length: _, errors } in vips {
            for change in changes {
                if let Change::VipRecreated { reason } = change {
                    clean(reason);
                }
            }
            for StepError { step, code: _, meaning } in errors {
                clean(step);
                clean(meaning);
            }
        }
        drift.iter_mut().for_each(clean);
        self
    }
}

impl Received for HostRoutes {
    fn cleaned(mut self) -> Self {
        let Self { table: _, routes: _, changed: _, refused } = &mut self;
        refused.iter_mut().for_each(clean);
        self
    }
}

impl Received for AgentError {
    fn cleaned(mut self) -> Self {
        match &mut self {
            Self::Protocol { agent_version: version, .. } | Self::AnotherWriter { version, .. } => {
                clean_version(version);
            }
            Self::Incompatible { version, missing, needs } => {
                clean_version(version);
                clean_messages(missing);
                clean(needs);
            }
            Self::NoVpp { reason }
            | Self::VppLost { reason }
            | Self::Contradiction(reason)
            | Self::NoStats { reason }
            | Self::NoRoutes { reason }
            | Self::NoTunnel { reason }
            | Self::Echo { reason, .. } => clean(reason),
            Self::NotAllowed { what, rule } => {
                clean(what);
                clean(rule);
            }
            Self::TooMany { what, .. } => clean(what),
            Self::Refused { step, meaning, .. } => {
                clean(step);
                clean(meaning);
            }
            Self::Invalid { .. } => {}
        }
        self
    }
}

#[cfg(test)]
mod tests;
