//! From a parsed command to the server's answer.

use maglev_proto::{ClearOverrideRequest, SetFrontendPoolBackendWeightRequest};

use crate::answer::{Answer, Versions};
use crate::args::{
    Clear, ClearOverride, Command, Config, Recreate, Set, Show, ShowVpp, ShowVppLb, Sync, SyncVpp, SyncVppLb,
};
use crate::client::Client;
use crate::error::Error;

/// A command that has one answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question<'c> {
    Show(&'c Show),
    Change(Change<'c>),
}

/// What may have changed something when its answer comes, or is about one brain for another reason.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change<'c> {
    Set(&'c Set),
    Clear(&'c ClearOverride),
    Config(&'c Config),
    Recreate(&'c Recreate),
    Sync(&'c SyncVppLb),
}

impl<'c> Question<'c> {
    /// Nothing for a watch, which has no end of its own.
    pub(crate) fn of(command: &'c Command) -> Option<Self> {
        Some(match command {
            Command::Show(show) => Self::Show(show),
            Command::Set(set) => Self::Change(Change::Set(set)),
            Command::Clear(Clear::Override(what)) => Self::Change(Change::Clear(what)),
            Command::Config(config) => Self::Change(Change::Config(config)),
            Command::Recreate(recreate) => Self::Change(Change::Recreate(recreate)),
            Command::Sync(Sync::Vpp(SyncVpp::Lb(sync))) => Self::Change(Change::Sync(sync)),
            Command::Watch(_) => return None,
        })
    }
}

pub(crate) async fn run(question: Question<'_>, client: &Client) -> Result<Answer, Error> {
    match question {
        Question::Show(show) => run_show(show, client).await,
        Question::Change(change) => run_change(change, client).await,
    }
}

async fn run_change(change: Change<'_>, client: &Client) -> Result<Answer, Error> {
    Ok(match change {
        Change::Set(Set::Backend { name, action }) => {
            Answer::BackendChanged(client.change_backend(name, *action).await?)
        }
        Change::Set(Set::Frontend { member, weight, flush, .. }) => {
            let request = SetFrontendPoolBackendWeightRequest {
                frontend: member.frontend.clone(),
                pool: member.pool.clone(),
                backend: member.backend.clone(),
                weight: (*weight).into(),
                flush: flush.is_some(),
            };
            Answer::WeightSet(client.set_weight(request).await?)
        }
        Change::Clear(what) => Answer::Cleared(client.clear_override(clear_request(what)).await?),
        Change::Config(Config::Check) => Answer::Checked(client.check_config().await?),
        Change::Config(Config::Reload) => Answer::Reloaded(client.reload_config().await?),
        Change::Recreate(Recreate::Frontend { name, .. }) => {
            Answer::Recreated(client.recreate_vip(name).await?)
        }
        Change::Sync(SyncVppLb::State { frontend }) => {
            Answer::Synced(client.sync_vpp_lb_state(frontend.as_deref().unwrap_or_default()).await?)
        }
    })
}

fn clear_request(what: &ClearOverride) -> ClearOverrideRequest {
    match what {
        ClearOverride::Backend { name } => {
            ClearOverrideRequest { backend: name.clone(), ..ClearOverrideRequest::default() }
        }
        ClearOverride::Frontend(member) => ClearOverrideRequest {
            backend: member.backend.clone(),
            frontend: member.frontend.clone(),
            pool: member.pool.clone(),
        },
    }
}

async fn run_show(show: &Show, client: &Client) -> Result<Answer, Error> {
    Ok(match show {
        Show::Version => Answer::Versions(Versions::of(&client.status().await?, &client.vpp_info().await?)),
        Show::Status => Answer::Status(client.status().await?),
        Show::Overrides => Answer::Overrides(client.overrides().await?),
        Show::Frontends { name: None } => Answer::Frontends(client.frontends().await?),
        Show::Frontends { name: Some(name) } => Answer::Frontend(client.frontend(name).await?),
        Show::Backends { name: None } => Answer::Backends(client.backends().await?),
        Show::Backends { name: Some(name) } => Answer::Backend(client.backend(name).await?),
        Show::Healthchecks { name: None } => Answer::HealthChecks(client.health_checks().await?),
        Show::Healthchecks { name: Some(name) } => Answer::HealthCheck(client.health_check(name).await?),
        Show::Agent => Answer::Agent(client.agent_info().await?),
        Show::Vpp(ShowVpp::Info) => Answer::VppInfo(client.vpp_info().await?),
        Show::Vpp(ShowVpp::Lb(ShowVppLb::State)) => Answer::VppLbState(client.vpp_lb_state().await?),
        Show::Vpp(ShowVpp::Lb(ShowVppLb::Counters { frontend })) => {
            Answer::VppLbCounters(client.vpp_lb_counters(frontend.as_deref().unwrap_or_default()).await?)
        }
    })
}
