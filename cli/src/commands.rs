//! Executes a parsed command.

use std::time::{Duration, SystemTime};

use maglev_proto::words::Word;
use maglev_proto::{
    BackendState, ChangeBackendRequest, CheckBackendRequest, ClearOverrideRequest, DrainLbRequest,
    FrontendState, RollbackConfigRequest, SetFrontendPoolBackendWeightRequest, SyncState,
};

use crate::answer::{Answer, Versions};
use crate::args::remark::Remark;
use crate::args::words::{Protocol, SelectBy, only_one};
use crate::args::{
    Action, Check, Clear, ClearOverride, Command, Config, DrainWhat, Generate, Member, Recreate, Set, Show,
    ShowVpp, ShowVppLb, Sync, SyncVpp, SyncVppLb, Undrain, Which,
};
use crate::client::Client;
use crate::error::Error;
use crate::{fleet, flow, preview};

/// Time for the confirmation of a reload, unless one is given.
const CONFIRM_WITHIN: Duration = Duration::from_secs(300);

/// Conditions of a change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// The state of the preview that the operator consented to.
    pub(crate) state: Option<u64>,
    /// Whether to return without waiting for VPP.
    pub(crate) no_wait: bool,
    /// Whether it is only for the load balancer that is asked, and not for its fleet.
    pub(crate) local: bool,
}

/// Which backends a change is about: those with one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) host: String,
}

impl Target {
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    pub(crate) fn of(Which { by, value }: &Which) -> Self {
        match by {
            SelectBy::Label => Self { label: value.clone(), ..Self::default() },
            SelectBy::Host => Self::at(value),
        }
    }

    fn at(host: &str) -> Self {
        Self { host: host.to_owned(), ..Self::default() }
    }

    pub(crate) fn drained(what: &DrainWhat) -> Self {
        match what {
            DrainWhat::Backend { name, .. } => Self::named(name),
            DrainWhat::Backends { which, .. } => Self::of(which),
            DrainWhat::Host { address, .. } => Self::at(address),
            DrainWhat::Lb { .. } => Self::default(),
        }
    }

    pub(crate) fn undrained(what: &Undrain) -> Self {
        match what {
            Undrain::Backend { name } => Self::named(name),
            Undrain::Backends(which) => Self::of(which),
            Undrain::Host { address } => Self::at(address),
            Undrain::Lb => Self::default(),
        }
    }
}

/// Executes a command with a single answer; for watches, see `watch`.
pub(crate) async fn run(command: &Command, client: &Client, terms: Terms) -> Result<Answer, Error> {
    let Terms { state, no_wait, local } = terms;
    Ok(match command {
        Command::Show(show) => show_it(show, client).await?,
        Command::Check(Check::Backend { name, way }) => {
            let frontend = way.frontend.clone().unwrap_or_default();
            let request = CheckBackendRequest { name: name.clone(), via_tunnel: way.via_tunnel, frontend };
            Answer::BackendProbed(client.check_backend(request).await?)
        }
        Command::Set(set) => set_it(set, client, terms).await?,
        Command::Clear(Clear::Override(what)) => Answer::Cleared(
            client
                .clear_override(ClearOverrideRequest { state, no_wait, ..clear_request(what) }, local)
                .await?,
        ),
        Command::Config(Config::Check) => Answer::Checked(client.check_config().await?),
        Command::Config(Config::Diff) => Answer::Compared(client.check_config().await?),
        Command::Config(Config::Reload { confirm, within }) => {
            Answer::Reloaded(client.reload_config(terms, within.or(confirm.map(|_| CONFIRM_WITHIN))).await?)
        }
        Command::Config(Config::Confirm) => Answer::Confirmed(client.confirm_config().await?),
        Command::Config(Config::Rollback { number }) => {
            let request = RollbackConfigRequest { number: number.unwrap_or_default(), state, no_wait };
            Answer::Reloaded(client.rollback_config(request).await?)
        }
        Command::Config(Config::History) => Answer::Configs(client.configs().await?),
        Command::Fleet(fleet) => fleet::run(fleet, client, state).await?,
        Command::Recreate(Recreate::Frontend { name, .. }) => {
            Answer::Recreated(client.recreate_vip(name, no_wait).await?)
        }
        Command::Sync(Sync::Vpp(SyncVpp::Lb(SyncVppLb::State { frontend }))) => {
            Answer::Synced(client.sync_vpp_lb_state(frontend.as_deref().unwrap_or_default()).await?)
        }
        Command::Drain(DrainWhat::Lb { drain }) => {
            let remark = &drain.drain.remark;
            let until_unix_ms = remark.until_unix_ms(SystemTime::now());
            let request = DrainLbRequest { kind: drain.kind.into(), until_unix_ms };
            Answer::LbDrainChanged(client.drain_lb(request, remark.reason.as_deref()).await?)
        }
        Command::Undrain(Undrain::Lb) => Answer::LbDrainChanged(client.undrain_lb().await?),
        Command::Generate(Generate::Bird) => Answer::Bird(client.routes().await?),
        Command::Drain(what) => {
            change_backend(client, Target::drained(what), Action::Pause, &what.drain().remark, terms).await?
        }
        Command::Undrain(what) => {
            change_backend(client, Target::undrained(what), Action::Resume, &Remark::default(), terms).await?
        }
        Command::Whatif(whatif) => Answer::Previewed(client.preview(preview::of_whatif(whatif)).await?),
        Command::Watch(_) | Command::Top(_) => return Err(Error::NoSingleAnswer),
    })
}

async fn set_it(set: &Set, client: &Client, terms: Terms) -> Result<Answer, Error> {
    Ok(match set {
        Set::Backend { name, action, remark } => {
            change_backend(client, Target::named(name), *action, remark, terms).await?
        }
        Set::Backends { which, action, remark } => {
            change_backend(client, Target::of(which), *action, remark, terms).await?
        }
        Set::Frontend { member, weight, remark, .. } => {
            let request = weight_request(member, *weight, remark.flush);
            let Terms { state, no_wait, local } = terms;
            let until_unix_ms = remark.until_unix_ms(SystemTime::now());
            let request = SetFrontendPoolBackendWeightRequest { state, no_wait, until_unix_ms, ..request };
            Answer::WeightSet(client.set_weight(request, remark.reason.as_deref(), local).await?)
        }
    })
}

async fn change_backend(
    client: &Client,
    Target { name, label, host }: Target,
    action: Action,
    remark: &Remark<false>,
    Terms { state, no_wait, local }: Terms,
) -> Result<Answer, Error> {
    let until_unix_ms = remark.until_unix_ms(SystemTime::now());
    let request = ChangeBackendRequest { name, state, no_wait, until_unix_ms, label, host };
    let reason = remark.reason.as_deref();
    Ok(Answer::BackendChanged(client.change_backend(request, action, reason, local).await?))
}

pub(crate) fn weight_request(
    member: &Member,
    weight: u8,
    flush: bool,
) -> SetFrontendPoolBackendWeightRequest {
    SetFrontendPoolBackendWeightRequest {
        frontend: member.frontend.clone(),
        pool: member.pool.clone(),
        backend: member.backend.clone(),
        weight: weight.into(),
        flush,
        ..SetFrontendPoolBackendWeightRequest::default()
    }
}

pub(crate) fn clear_request(what: &ClearOverride) -> ClearOverrideRequest {
    match what {
        ClearOverride::Backend { name } => {
            ClearOverrideRequest { backend: name.clone(), ..ClearOverrideRequest::default() }
        }
        ClearOverride::Frontend(member) => ClearOverrideRequest {
            backend: member.backend.clone(),
            frontend: member.frontend.clone(),
            pool: member.pool.clone(),
            ..ClearOverrideRequest::default()
        },
    }
}

/// Whether a name contains the search text, or the state equals it. States take precedence.
fn fits(name: &str, state: &str, asked: &str) -> bool {
    if names_a_state::<BackendState>(asked) { state == asked } else { name.contains(asked) }
}

/// Whether the text is one of these states.
fn names_a_state<E: Word>(asked: &str) -> bool {
    (1..).map_while(|value| E::try_from(value).ok()).any(|state| state.word() == asked)
}

/// Executes a read-only command.
pub(crate) async fn show_it(show: &Show, client: &Client) -> Result<Answer, Error> {
    Ok(match show {
        Show::Version => Answer::Versions(Versions::of(&client.status().await?, &client.vpp_info().await?)),
        Show::Status { .. } => Answer::Status(client.status().await?),
        Show::Flow { client: from, vip, protocol } => {
            let is_udp = *protocol == Some(Protocol::Udp);
            Answer::Flow(
                flow::choose(&client.vpp_lb_state().await?, *from, *vip, is_udp).map_err(Error::Usage)?,
            )
        }
        Show::Routes => Answer::Routes(client.routes().await?),
        Show::Drain => Answer::LbDrain(client.routes().await?),
        Show::Overrides => Answer::Overrides(client.overrides().await?),
        Show::History { of } => Answer::History(client.history(of.request(SystemTime::now())).await?),
        Show::Frontends { name: None } => Answer::Frontends(client.frontends().await?),
        Show::Frontends { name: Some(name) } => match client.frontend(name).await {
            Err(unknown) if unknown.is_unknown_name() => {
                let mut list = client.frontends().await?;
                list.frontends.retain(|one| match one.state() {
                    // As displayed: up only once programmed in VPP.
                    FrontendState::Up if one.sync() != SyncState::Synced => fits(&one.name, "healthy", name),
                    state => fits(&one.name, state.word(), name),
                });
                if list.frontends.is_empty() && !names_a_state::<FrontendState>(name) {
                    return Err(unknown);
                }
                // They concern all frontends.
                list.problems.clear();
                Answer::Frontends(list)
            }
            found => Answer::Frontend(found?),
        },
        Show::Backends { name: None, .. } => Answer::Backends(client.backends().await?),
        Show::Backends { name: Some(word), label: Some(label) } => {
            if only_one(word, &["label"]).is_none() {
                return Err(Error::Usage(format!("unexpected `{label}` after the name of a backend")));
            }
            let mut list = client.backends().await?;
            list.backends.retain(|one| one.labels.contains(label));
            Answer::Backends(list)
        }
        Show::Backends { name: Some(name), label: None } => match client.backend(name).await {
            Err(unknown) if unknown.is_unknown_name() => {
                let mut list = client.backends().await?;
                list.backends.retain(|one| fits(&one.name, one.state().word(), name));
                if list.backends.is_empty() && !names_a_state::<BackendState>(name) {
                    return Err(unknown);
                }
                Answer::Backends(list)
            }
            found => Answer::Backend(found?),
        },
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
