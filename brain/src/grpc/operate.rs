//! Operators' commands: converts requests for the controller, and its results to answers.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use maglev_engine::config::is_name;
use maglev_engine::core::{BackendWish, Command, CommandError, Done, Selector};
use maglev_engine::overrides::{Override, PoolMember, Remark};
use maglev_engine::revisions::CONFIRM_WITHIN;
use maglev_engine::routes::Drain;
use maglev_engine::snapshot::{Snapshot, SyncStatus};
use maglev_proto::{
    ChangeBackendRequest, ChangeBackendResponse, CheckConfigResponse, ClearOverrideRequest,
    ClearOverrideResponse, ConfirmConfigRequest, ConfirmConfigResponse, DrainLbRequest, DrainLbResponse,
    InVpp, LbDrainKind, Outcome, RecreateVipRequest, RecreateVipResponse, ReloadConfigRequest,
    ReloadConfigResponse, RollbackConfigRequest, SelectedBackend, SetFrontendPoolBackendWeightRequest,
    SetFrontendPoolBackendWeightResponse, SyncVpplbStateRequest, SyncVpplbStateResponse, UndrainLbRequest,
};
use maglev_protocol::Change;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use tracing::info;

use super::caller::Caller;
use super::intent::Carried;
use super::{Answer, Service, configuration, refusal, view};
use crate::controller::Terms;
use crate::paced::Cause;
use crate::reload::{ReloadError, Reloaded};

impl Service {
    pub(super) async fn change_backend(
        &self,
        request: Request<ChangeBackendRequest>,
        wish: BackendWish,
    ) -> Answer<ChangeBackendResponse> {
        let who = Caller::of(request.extensions());
        let ChangeBackendRequest { name, state, no_wait, until_unix_ms, label, host } = request.into_inner();
        let command = backends(name.clone(), &label, &host, wish)?;
        let terms = Terms { state, no_wait, remark: until(until_unix_ms) };
        let done = self.carry_out(who, terms, command).await?;
        let snapshot = self.snapshot();
        let selected = done.done.backends.iter().map(|(name, result)| SelectedBackend {
            backend: view::backend(&snapshot, name, Instant::now().into_std()),
            refused: result.as_ref().err().map(ToString::to_string).unwrap_or_default(),
        });
        let (backend, backends) =
            (view::backend(&snapshot, &name, Instant::now().into_std()), selected.collect());
        Ok(Response::new(ChangeBackendResponse { backend, backends, outcome: outcome(&snapshot, done) }))
    }

    pub(super) async fn set_weight(
        &self,
        request: Request<SetFrontendPoolBackendWeightRequest>,
    ) -> Answer<SetFrontendPoolBackendWeightResponse> {
        let who = Caller::of(request.extensions());
        let request = request.into_inner();
        let remark = until(request.until_unix_ms);
        let terms = Terms { state: request.state, no_wait: request.no_wait, remark };
        let (member, command) = set_weight(request)?;
        let done = self.carry_out(who, terms, command).await?;
        let snapshot = self.snapshot();
        let frontend = view::frontend(&snapshot, &member.frontend);
        let outcome = outcome(&snapshot, done);
        let mut pools = frontend.into_iter().flat_map(|frontend| frontend.pools);
        let pool = pools.find(|pool| pool.name == member.pool);
        let backend =
            pool.and_then(|pool| pool.backends.into_iter().find(|row| row.backend == member.backend));
        let PoolMember { frontend, pool, .. } = member;
        Ok(Response::new(SetFrontendPoolBackendWeightResponse { backend, outcome, frontend, pool }))
    }

    pub(super) async fn clear(
        &self,
        request: Request<ClearOverrideRequest>,
    ) -> Answer<ClearOverrideResponse> {
        let who = Caller::of(request.extensions());
        let request = request.into_inner();
        let backend = request.backend.clone();
        let terms = Terms { state: request.state, no_wait: request.no_wait, ..Terms::default() };
        let before = self.snapshot();
        let command = clear(request)?;
        let set = before.overrides.iter().find(|set| match (set, &command) {
            (Override::Weight { member, .. }, Command::ClearWeight { member: cleared }) => member == cleared,
            (Override::Backend { name, .. }, Command::Backend { .. }) => *name == backend,
            _ => false,
        });
        let done = self.carry_out(who, terms, command).await?;
        let now = self.snapshot();
        Ok(Response::new(ClearOverrideResponse {
            cleared: set.map(|set| view::overrides::entry(&now.config, &set)),
            backend: view::backend(&now, &backend, Instant::now().into_std()),
            outcome: outcome(&now, done),
        }))
    }

    pub(super) async fn recreate(&self, request: Request<RecreateVipRequest>) -> Answer<RecreateVipResponse> {
        let who = Caller::of(request.extensions());
        let RecreateVipRequest { frontend, state, no_wait } = request.into_inner();
        let name = refusal::name("frontend", frontend)?;
        let command = Command::Recreate { frontend: name.clone() };
        let done = self.carry_out(who, Terms { state, no_wait, ..Terms::default() }, command).await?;
        let snapshot = self.snapshot();
        let frontend = view::frontend(&snapshot, &name);
        let mut changes =
            done.done.report.iter().flat_map(|report| &report.vips).flat_map(|vip| &vip.changes);
        let recreated = changes.any(|change| matches!(change, Change::VipRecreated { .. }));
        let outcome = outcome(&snapshot, done);
        Ok(Response::new(RecreateVipResponse { frontend, outcome, recreated }))
    }

    pub(super) async fn sync(
        &self,
        request: Request<SyncVpplbStateRequest>,
    ) -> Answer<SyncVpplbStateResponse> {
        let who = Caller::of(request.extensions());
        let frontend = Some(request.into_inner().frontend).filter(|name| !name.is_empty());
        let frontend = frontend.map(|name| refusal::name("frontend", name)).transpose()?;
        let done =
            self.carry_out(who, Terms::default(), Command::Sync { frontend: frontend.clone() }).await?;
        let Carried { done, .. } = done;
        let Some(report) = &done.report else { return Err(refusal::sync(done.in_vpp())) };
        Ok(Response::new(view::vpp::sync_report(&self.snapshot(), report, frontend.as_deref())))
    }

    pub(super) async fn drain(&self, request: Request<DrainLbRequest>) -> Answer<DrainLbResponse> {
        let who = Caller::of(request.extensions());
        let request = request.into_inner();
        let drain = match request.kind() {
            LbDrainKind::Withdraw => Drain::Withdraw,
            LbDrainKind::Gshut => Drain::Gshut,
            LbDrainKind::Unspecified => {
                return Err(Status::invalid_argument("kind: must be 1 (withdraw) or 2 (gshut)"));
            }
        };
        let terms = Terms { remark: until(request.until_unix_ms), ..Terms::default() };
        let done = self.carry_out(who, terms, Command::DrainLb(Some(drain))).await?;
        Ok(Response::new(self.drained(done.done)))
    }

    pub(super) async fn undrain(&self, request: Request<UndrainLbRequest>) -> Answer<DrainLbResponse> {
        let who = Caller::of(request.extensions());
        let done = self.carry_out(who, Terms::default(), Command::DrainLb(None)).await?;
        Ok(Response::new(self.drained(done.done)))
    }

    fn drained(&self, done: Done) -> DrainLbResponse {
        let drain = view::routes::drain(&self.snapshot().overrides);
        DrainLbResponse { drain, not_kept: done.not_kept.unwrap_or_default() }
    }

    pub(super) async fn check(&self, caller: &Caller) -> Answer<CheckConfigResponse> {
        let _place = self.place(Cause::Check, &self.checks.places, caller)?;
        let _turn = self.checks.turn(caller).await;
        let (reloader, snapshot, text) = (self.reloader.clone(), self.snapshot(), self.reloader.text().await);
        let check = move || {
            let policy = snapshot.agent.process.as_ref().map(|process| &process.policy);
            configuration::check(reloader.path(), (&snapshot.config, &text), policy)
        };
        let checked = self.checks.blocking.run(check).await;
        let (mut checked, config) = checked.map_err(|error| Status::unavailable(error.to_string()))?;
        if let Some(config) = config {
            checked.preview = Some(self.preview_of(Command::Reload(Arc::new(config).into())).await?);
        }
        Ok(Response::new(checked))
    }

    pub(super) async fn reload(&self, request: Request<ReloadConfigRequest>) -> Answer<ReloadConfigResponse> {
        let ReloadConfigRequest { state, no_wait, confirm_within_ms } = *request.get_ref();
        let confirm = (confirm_within_ms > 0).then(|| Duration::from_millis(confirm_within_ms));
        let [shortest, longest] = CONFIRM_WITHIN;
        if confirm.is_some_and(|within| within < shortest || within > longest) {
            return Err(Status::invalid_argument("the time for a confirmation must be 10 s to 24 h"));
        }
        let terms = self.terms_of(&request, state, no_wait, "config reload")?;
        let reloader = self.reloader.clone();
        let file = reloader.path().display().to_string();
        let reloaded = to_its_end(async move { reloader.reload_on(terms, confirm).await }).await?;
        Ok(Response::new(self.reloaded(file, reloaded)))
    }

    pub(super) async fn rollback(
        &self,
        request: Request<RollbackConfigRequest>,
    ) -> Answer<ReloadConfigResponse> {
        let RollbackConfigRequest { number, state, no_wait } = *request.get_ref();
        let number = Some(number).filter(|number| *number > 0);
        let terms = self.terms_of(&request, state, no_wait, "config rollback")?;
        let reloader = self.reloader.clone();
        let reloaded = to_its_end(async move { reloader.rollback(number, terms).await }).await?;
        let origin = reloaded.revision.as_ref().map(|revision| revision.origin.to_string());
        Ok(Response::new(self.reloaded(origin.unwrap_or_default(), reloaded)))
    }

    pub(super) async fn confirm(
        &self,
        request: Request<ConfirmConfigRequest>,
    ) -> Answer<ConfirmConfigResponse> {
        let terms = self.terms_of(&request, None, true, "config confirm")?;
        let reloader = self.reloader.clone();
        let standing = to_its_end(async move { reloader.confirm(terms).await }).await?;
        let config = standing.current.as_ref().map(|revision| view::revision(revision, true));
        Ok(Response::new(ConfirmConfigResponse { config, not_kept: standing.unsaved.unwrap_or_default() }))
    }

    /// Logs an operator's command about the configuration before it is executed.
    pub(super) fn terms_of<T>(
        &self,
        request: &Request<T>,
        state: Option<u64>,
        no_wait: bool,
        what: &str,
    ) -> Result<Terms, Status> {
        let who = Caller::of(request.extensions());
        let (by, reason) = (who.responsible(), who.reason()?);
        info!(who = %by, from = %who.from(), what, "operator command");
        Ok(Terms { state, no_wait, remark: Remark { who: Some(by), reason, until: None } })
    }

    fn reloaded(&self, file: String, reloaded: Reloaded) -> ReloadConfigResponse {
        let Reloaded { mut done, warnings, revision, not_kept } = reloaded;
        let changes = done.changes.as_ref().map(ToString::to_string).unwrap_or_default();
        done.not_kept = done.not_kept.or(not_kept);
        let snapshot = self.snapshot();
        let unmatched = snapshot.overrides.unmatched(&snapshot.config);
        ReloadConfigResponse {
            file,
            changes,
            warnings: configuration::texts(&warnings),
            unmatched: unmatched
                .iter()
                .map(|entry| view::overrides::entry(&snapshot.config, entry))
                .collect(),
            outcome: outcome(&snapshot, done.into()),
            config: revision.map(|revision| view::revision(&revision, true)),
        }
    }

    async fn carry_out(&self, who: Caller, terms: Terms, command: Command) -> Result<Carried, Status> {
        let is_local = who.is_local();
        let (what, from, reason, who) = (command.to_string(), who.from(), who.reason()?, who.responsible());
        let remark = Remark { who: Some(Arc::clone(&who)), reason: reason.clone(), ..terms.remark };
        let terms = Terms { remark, ..terms };
        // Logged first: if the client hangs up, this future is dropped, but the command still runs.
        let why = Some(reason).filter(|reason| !reason.is_empty());
        info!(%who, %from, %what, reason = why, "operator command");
        let refused = |error: CommandError| {
            info!(%who, %from, %what, %error, "operator command was refused");
            refusal::command(&self.snapshot(), &error)
        };
        if is_local {
            return self.carry_out_here(terms, command).await.map(Carried::from).map_err(refused);
        }
        if let Some(carried) = self.intend(&terms, &command).await? {
            return Ok(carried);
        }
        self.operator.command(terms, command).await.map(Carried::from).map_err(refused)
    }
}

/// A command on one backend, or on those with a label or at an address.
pub(super) fn backends(name: String, label: &str, host: &str, wish: BackendWish) -> Result<Command, Status> {
    let invalid = |words: String| Err(Status::invalid_argument(words));
    let selector = match (name.is_empty(), label, host) {
        (_, "", "") => return Ok(Command::Backend { backend: refusal::name("backend", name)?, wish }),
        (true, label, "") => match label.split_once('=') {
            Some((key, value)) if is_name(key) && is_name(value) => {
                Selector::Label { key: key.to_owned(), value: value.to_owned() }
            }
            _ => return invalid(format!("label {label:?}: must be a key and a value, such as rack=r1")),
        },
        (true, "", host) => match host.parse() {
            Ok(address) => Selector::Host(address),
            Err(_) => return invalid(format!("host {host:?}: must be an IPv4 or IPv6 address")),
        },
        _ => return invalid("exactly one of name, label and host must be given".to_owned()),
    };
    Ok(Command::Backends { selector, wish })
}

/// Runs a change of the configuration to its end, even if the client hangs up: it has several steps.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, ReloadError>> + Send + 'static,
) -> Result<T, Status> {
    match tokio::spawn(change).await {
        Ok(done) => done.map_err(|error| refusal::reload(&error)),
        Err(_) => Err(Status::internal("changing the configuration failed: it panicked")),
    }
}

/// The time at which a request wants its override cleared.
fn until(unix_ms: u64) -> Remark {
    let until = (unix_ms > 0).then(|| UNIX_EPOCH + Duration::from_millis(unix_ms));
    Remark { until, ..Remark::default() }
}

/// Progress of a change. If VPP did not answer in time, the snapshot may know why.
fn outcome(snapshot: &Snapshot, Carried { done, members }: Carried) -> Option<Outcome> {
    let mut outcome = view::overrides::outcome(done);
    outcome.members = members;
    for asked in outcome.frontends.iter_mut().filter(|asked| asked.in_vpp() == InVpp::Late) {
        if let Some(SyncStatus::Failed(reason)) =
            snapshot.frontends.get(asked.frontend.as_str()).map(|view| &view.sync)
        {
            asked.vpp_error.clone_from(reason);
            outcome.vpp_error.clone_from(reason);
        }
    }
    Some(outcome)
}

/// The weight that a request sets, and the pool's member.
pub(super) fn set_weight(
    request: SetFrontendPoolBackendWeightRequest,
) -> Result<(PoolMember, Command), Status> {
    let SetFrontendPoolBackendWeightRequest {
        frontend,
        pool,
        backend,
        weight,
        flush,
        state: _,
        no_wait: _,
        until_unix_ms: _,
    } = request;
    let member = member(frontend, pool, backend)?;
    // A number beyond a byte is refused like any other beyond 100, and quoted.
    let weight = u8::try_from(weight)
        .map_err(|_| Status::invalid_argument(format!("weight {weight}: must be 0 to 100")))?;
    Ok((member.clone(), Command::SetWeight { member, weight, flush }))
}

/// The override that a request removes.
pub(super) fn clear(request: ClearOverrideRequest) -> Result<Command, Status> {
    let ClearOverrideRequest { backend, frontend, pool, state: _, no_wait: _ } = request;
    if frontend.is_empty() && pool.is_empty() {
        let backend = refusal::name("backend", backend)?;
        return Ok(Command::Backend { backend, wish: BackendWish::Clear });
    }
    Ok(Command::ClearWeight { member: member(frontend, pool, backend)? })
}

fn member(frontend: String, pool: String, backend: String) -> Result<PoolMember, Status> {
    Ok(PoolMember {
        frontend: refusal::name("frontend", frontend)?,
        pool: refusal::name("pool", pool)?,
        backend: refusal::name("backend", backend)?,
    })
}
