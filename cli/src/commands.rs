//! From a parsed command to the server's answer.

use maglev_proto::{
    Backend, BrainStatus, ChangeBackendResponse, CheckConfigResponse, ClearOverrideRequest,
    ClearOverrideResponse, ConfigVerdict, Frontend, InVpp, ListBackendsResponse, ListFrontendsResponse,
    ListOverridesResponse, Outcome, RecreateVipResponse, ReloadConfigResponse,
    SetFrontendPoolBackendWeightRequest, SetFrontendPoolBackendWeightResponse, VppInfo, VpplbState,
};
use serde::Serialize;

use crate::args::{Clear, ClearOverride, Command, Config, Recreate, Set, Show, ShowVpp, ShowVppLb};
use crate::client::Client;
use crate::error::Error;

/// What the server said. As JSON, the message itself with the interface's own field names.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Status(BrainStatus),
    Frontends(ListFrontendsResponse),
    Frontend(Frontend),
    Backends(ListBackendsResponse),
    Backend(Backend),
    Overrides(ListOverridesResponse),
    VppInfo(VppInfo),
    VppLbState(VpplbState),
    BackendChanged(ChangeBackendResponse),
    WeightSet(SetFrontendPoolBackendWeightResponse),
    Cleared(ClearOverrideResponse),
    Recreated(RecreateVipResponse),
    Checked(CheckConfigResponse),
    Reloaded(ReloadConfigResponse),
}

impl Answer {
    /// One document, with a line break at its end.
    pub(crate) fn json(&self) -> Result<String, Error> {
        let mut text = serde_json::to_string_pretty(self).map_err(Error::Json)?;
        text.push('\n');
        Ok(text)
    }

    /// 0 if all is as it was wished.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::BackendChanged(answer) => change_exit_code(answer.outcome.as_ref()),
            Self::WeightSet(answer) => change_exit_code(answer.outcome.as_ref()),
            Self::Cleared(answer) => change_exit_code(answer.outcome.as_ref()),
            Self::Recreated(answer) => change_exit_code(answer.outcome.as_ref()),
            Self::Checked(answer) => u8::from(answer.verdict() != ConfigVerdict::Fine),
            Self::Status(_)
            | Self::Frontends(_)
            | Self::Frontend(_)
            | Self::Backends(_)
            | Self::Backend(_)
            | Self::Overrides(_)
            | Self::VppInfo(_)
            | Self::VppLbState(_)
            | Self::Reloaded(_) => 0,
        }
    }
}

/// 4 if the change is made, but not everywhere where it belongs.
fn change_exit_code(outcome: Option<&Outcome>) -> u8 {
    let complete = outcome.is_some_and(|outcome| {
        outcome.not_kept.is_empty() && matches!(outcome.in_vpp(), InVpp::NotAsked | InVpp::Acknowledged)
    });
    if complete { 0 } else { 4 }
}

pub(crate) async fn run(command: &Command, client: &Client) -> Result<Answer, Error> {
    match command {
        Command::Show(show) => run_show(show, client).await,
        Command::Set(set) => run_set(set, client).await,
        Command::Clear(Clear::Override(what)) => {
            let request = match what {
                ClearOverride::Backend { name } => {
                    ClearOverrideRequest { backend: name.clone(), ..ClearOverrideRequest::default() }
                }
                ClearOverride::Frontend(member) => ClearOverrideRequest {
                    backend: member.backend.clone(),
                    frontend: member.frontend.clone(),
                    pool: member.pool.clone(),
                },
            };
            Ok(Answer::Cleared(client.clear_override(request).await?))
        }
        Command::Config(Config::Check) => Ok(Answer::Checked(client.check_config().await?)),
        Command::Config(Config::Reload) => Ok(Answer::Reloaded(client.reload_config().await?)),
        Command::Recreate(Recreate::Frontend { name, .. }) => {
            Ok(Answer::Recreated(client.recreate_vip(name).await?))
        }
    }
}

async fn run_set(set: &Set, client: &Client) -> Result<Answer, Error> {
    match set {
        Set::Backend { name, action } => {
            Ok(Answer::BackendChanged(client.change_backend(name, *action).await?))
        }
        Set::Frontend { member, weight, flush, .. } => {
            let request = SetFrontendPoolBackendWeightRequest {
                frontend: member.frontend.clone(),
                pool: member.pool.clone(),
                backend: member.backend.clone(),
                weight: (*weight).into(),
                flush: flush.is_some(),
            };
            Ok(Answer::WeightSet(client.set_weight(request).await?))
        }
    }
}

async fn run_show(show: &Show, client: &Client) -> Result<Answer, Error> {
    Ok(match show {
        Show::Status => Answer::Status(client.status().await?),
        Show::Overrides => Answer::Overrides(client.overrides().await?),
        Show::Frontends { name: None } => Answer::Frontends(client.frontends().await?),
        Show::Frontends { name: Some(name) } => Answer::Frontend(client.frontend(name).await?),
        Show::Backends { name: None } => Answer::Backends(client.backends().await?),
        Show::Backends { name: Some(name) } => Answer::Backend(client.backend(name).await?),
        Show::Vpp(ShowVpp::Info) => Answer::VppInfo(client.vpp_info().await?),
        Show::Vpp(ShowVpp::Lb(ShowVppLb::State)) => Answer::VppLbState(client.vpp_lb_state().await?),
    })
}

#[cfg(test)]
mod tests;
