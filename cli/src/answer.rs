//! The server's answer, and the exit code that follows from it.

use maglev_proto::{
    AgentInfo, Backend, BrainStatus, ChangeBackendResponse, CheckBackendResponse, CheckConfigResponse,
    ClearOverrideResponse, ConfigVerdict, ConfirmConfigResponse, DrainLbResponse, FleetConfig, FleetStatus,
    FleetTables, Frontend, GetHistoryResponse, HealthCheck, InVpp, ListBackendsResponse, ListConfigsResponse,
    ListFleetConfigsResponse, ListFrontendsResponse, ListHealthChecksResponse, ListOverridesResponse,
    ListRoutesResponse, Outcome, PreviewChangeResponse, RecreateVipResponse, ReloadConfigResponse,
    SetFrontendPoolBackendWeightResponse, SyncVpplbStateResponse, VppInfo, VpplbCounters, VpplbState,
};
use serde::Serialize;

use crate::drain::Drained;
use crate::drain_lb::LbDrained;
use crate::error::Error;
use crate::flow::FlowChoice;
use crate::style::printable_json;

/// The server's answer. As JSON, the message itself with the interface's field names.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Versions(Versions),
    Status(BrainStatus),
    Frontends(ListFrontendsResponse),
    Frontend(Frontend),
    Backends(ListBackendsResponse),
    Backend(Backend),
    HealthChecks(ListHealthChecksResponse),
    HealthCheck(HealthCheck),
    Overrides(ListOverridesResponse),
    History(GetHistoryResponse),
    Agent(AgentInfo),
    VppInfo(VppInfo),
    VppLbState(VpplbState),
    VppLbCounters(VpplbCounters),
    BackendProbed(CheckBackendResponse),
    BackendChanged(ChangeBackendResponse),
    WeightSet(SetFrontendPoolBackendWeightResponse),
    Cleared(ClearOverrideResponse),
    Recreated(RecreateVipResponse),
    Synced(SyncVpplbStateResponse),
    Checked(CheckConfigResponse),
    Compared(CheckConfigResponse),
    Reloaded(ReloadConfigResponse),
    Confirmed(ConfirmConfigResponse),
    Configs(ListConfigsResponse),
    Previewed(PreviewChangeResponse),
    Flow(FlowChoice),
    Drained(Drained),
    AllDrained(Vec<Drained>),
    Routes(ListRoutesResponse),
    LbDrain(ListRoutesResponse),
    Bird(ListRoutesResponse),
    LbDrainChanged(DrainLbResponse),
    LbDrained(LbDrained),
    Fleet(FleetStatus),
    FleetMembers(FleetStatus),
    FleetTables(FleetTables),
    FleetConfigs(ListFleetConfigsResponse),
    FleetCompared(FleetConfig),
}

/// Versions of maglevc, maglev-brain, its agent and VPP.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Versions {
    pub(crate) maglevc: String,
    pub(crate) maglev_brain: Component,
    pub(crate) maglev_dpagent: Component,
    /// Protocol version between brain and agent; absent if the agent is not connected.
    pub(crate) agent_protocol: Option<u32>,
    pub(crate) vpp: Component,
}

/// A version, or why it is unknown.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Component {
    pub(crate) version: Option<String>,
    pub(crate) reason: Option<String>,
}

impl Component {
    fn of(version: &str, reason: &str) -> Self {
        let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        match known(version) {
            Some(version) => Self { version: Some(version), reason: None },
            None => Self { version: None, reason: known(reason).or_else(|| known("not known")) },
        }
    }
}

impl Versions {
    pub(crate) fn of(status: &BrainStatus, vpp: &VppInfo) -> Self {
        let agent = vpp.agent.clone().unwrap_or_default();
        let reason = if vpp.reason.is_empty() { &vpp.state } else { &vpp.reason };
        Self {
            maglev_brain: Component::of(&status.version, ""),
            maglev_dpagent: Component::of(&agent.version, &agent.reason),
            agent_protocol: agent.connected.then_some(agent.protocol),
            vpp: Component::of(&vpp.version, reason),
            ..Self::alone("")
        }
    }

    /// For a server that does not answer.
    pub(crate) fn alone(reason: &str) -> Self {
        Self {
            maglevc: env!("CARGO_PKG_VERSION").to_owned(),
            maglev_brain: Component::of("", reason),
            maglev_dpagent: Component::of("", "not known without maglev-brain"),
            agent_protocol: None,
            vpp: Component::of("", "not known without maglev-brain"),
        }
    }
}

impl Answer {
    /// One JSON document, ending in a line break.
    pub(crate) fn json(&self) -> Result<String, Error> {
        let mut text = printable_json(&serde_json::to_string_pretty(self).map_err(Error::Json)?);
        text.push('\n');
        Ok(text)
    }

    /// Whether it reports no problem.
    pub(crate) fn is_well(&self) -> bool {
        !matches!(self, Self::Status(status) if !status.problems.is_empty())
    }

    /// 0 if everything is as requested.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Versions(versions) if versions.maglev_brain.version.is_none() => 3,
            Self::BackendProbed(answer) => u8::from(!answer.passed),
            Self::BackendChanged(answer) => backends_exit_code(answer),
            Self::WeightSet(answer) => change_exit_code(answer.outcome.as_ref()),
            Self::Cleared(answer) => change_exit_code(answer.outcome.as_ref()),
            Self::Recreated(answer) => change_exit_code(answer.outcome.as_ref()),
            Self::Synced(answer) => {
                let refused = answer.vips.iter().any(|vip| !vip.errors.is_empty());
                if refused || !answer.held_back.is_empty() { 4 } else { 0 }
            }
            Self::Checked(answer) | Self::Compared(answer) => {
                u8::from(answer.verdict() != ConfigVerdict::Fine)
            }
            Self::Versions(_)
            | Self::Status(_)
            | Self::Frontends(_)
            | Self::Frontend(_)
            | Self::Backends(_)
            | Self::Backend(_)
            | Self::HealthChecks(_)
            | Self::HealthCheck(_)
            | Self::Overrides(_)
            | Self::History(_)
            | Self::Agent(_)
            | Self::VppInfo(_)
            | Self::VppLbState(_)
            | Self::VppLbCounters(_)
            | Self::Previewed(_)
            | Self::Configs(_)
            | Self::Routes(_)
            | Self::LbDrain(_)
            | Self::Bird(_)
            | Self::Fleet(_)
            | Self::FleetMembers(_)
            | Self::FleetTables(_)
            | Self::FleetConfigs(_)
            | Self::FleetCompared(_)
            | Self::Flow(_) => 0,
            Self::LbDrainChanged(answer) => kept_exit_code(&answer.not_kept),
            Self::LbDrained(drained) => match kept_exit_code(&drained.change.not_kept) {
                0 if !drained.is_done() => 6,
                code => code,
            },
            Self::Drained(drained) => drain_exit_code(drained),
            Self::AllDrained(all) => {
                let codes: Vec<_> = all.iter().map(drain_exit_code).collect();
                codes.iter().find(|code| **code != 0).copied().unwrap_or(0)
            }
            Self::Confirmed(answer) => kept_exit_code(&answer.not_kept),
            Self::Reloaded(answer) => change_exit_code(answer.outcome.as_ref()),
        }
    }
}

/// 4 if a restart would undo the change.
fn kept_exit_code(not_kept: &str) -> u8 {
    if not_kept.is_empty() { 0 } else { 4 }
}

/// 1 if some of several backends refused it.
fn backends_exit_code(answer: &ChangeBackendResponse) -> u8 {
    let refused = answer.backends.iter().any(|one| !one.refused.is_empty());
    if refused { 1 } else { change_exit_code(answer.outcome.as_ref()) }
}

fn drain_exit_code(drained: &Drained) -> u8 {
    match backends_exit_code(&drained.change) {
        0 if !drained.is_done() => 6,
        code => code,
    }
}

/// 4 if the change is made but not yet effective everywhere.
fn change_exit_code(outcome: Option<&Outcome>) -> u8 {
    let complete = outcome.is_some_and(|outcome| {
        outcome.not_kept.is_empty()
            && outcome.members.iter().all(|member| member.programmed)
            && matches!(outcome.in_vpp(), InVpp::NotAsked | InVpp::Acknowledged)
    });
    if complete { 0 } else { 4 }
}

#[cfg(test)]
mod tests;
