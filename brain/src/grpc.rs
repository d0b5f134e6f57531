//! The operators' gRPC server: answers from snapshots, requests VPP's state through the agent where needed,
//! and passes operators' commands to the controller. Every command is logged with its caller before it is
//! executed.

mod access;
mod arguments;
mod caller;
mod check;
mod configuration;
mod fleet;
mod history;
mod intent;
mod listen;
mod operate;
mod preview;
mod refusal;
mod rights;
mod shares;
mod standard;
mod tls;
mod view;
mod watch;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use maglev_daemon::blocking::Blocking;
use maglev_daemon::vital::vital;
use maglev_proto::maglev_server::{Maglev, MaglevServer};
use maglev_proto::{
    AbortFleetRolloutRequest, AgentInfo, Backend, BrainStatus, CallerInfo, ChangeBackendRequest,
    ChangeBackendResponse, CheckBackendRequest, CheckBackendResponse, CheckConfigRequest,
    CheckConfigResponse, ClearOverrideRequest, ClearOverrideResponse, ConfirmConfigRequest,
    ConfirmConfigResponse, ConfirmFleetRolloutRequest, DrainLbRequest, DrainLbResponse, FleetConfig,
    FleetStatus, FleetTables, Frontend, GetAgentInfoRequest, GetBackendRequest, GetCallerRequest,
    GetFleetConfigRequest, GetFleetStatusRequest, GetFleetTablesRequest, GetFrontendRequest,
    GetHealthCheckRequest, GetHistoryRequest, GetHistoryResponse, GetStatusRequest, GetVppInfoRequest,
    GetVpplbCountersRequest, GetVpplbStateRequest, HealthCheck, ListBackendsRequest, ListBackendsResponse,
    ListConfigsRequest, ListConfigsResponse, ListFleetConfigsRequest, ListFleetConfigsResponse,
    ListFrontendsRequest, ListFrontendsResponse, ListHealthChecksRequest, ListHealthChecksResponse,
    ListOverridesRequest, ListOverridesResponse, ListRoutesRequest, ListRoutesResponse, PreviewChangeRequest,
    PreviewChangeResponse, PutFleetConfigRequest, RecreateVipRequest, RecreateVipResponse,
    ReloadConfigRequest, ReloadConfigResponse, RemoveFleetMemberRequest, RollbackConfigRequest,
    RollbackFleetConfigRequest, SetFrontendPoolBackendWeightRequest, SetFrontendPoolBackendWeightResponse,
    UndrainLbRequest, VppInfo, VpplbCounters, VpplbState, WatchEventsRequest,
};
use maglev_protocol::Counters;
use tokio::sync::{Mutex, MutexGuard, watch as newest};
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tracing::warn;

pub use access::{ADMIN_GROUP, Access, AccessSettings, Loopback, NoSuchGroup, READER_GROUP};
pub use arguments::{Arguments, Missing, OpenError, Opened};
pub use listen::{Gate, ListenAddress, ListenError, Listener, serve};
pub use tls::{Tls, TlsError, TlsFiles, TlsSource};

use crate::coalesced::Timed;
use crate::controller::{Controller, Operator};
use crate::figures::{Figures, States};
use crate::fleet::Fleet;
use crate::logs::LogTap;
use crate::paced::{Cause, Paced};
use crate::prober::OnDemand;
use crate::reload::{READ_WITHIN, Reloader};
use crate::service::Unserved;
use caller::{Caller, Rights};
use maglev_engine::core::{BackendWish, Now};
use maglev_engine::desired::vip_key;
use maglev_engine::snapshot::Snapshot;
use refusal::unknown;
use shares::{Place, Places, Shares};
use standard::Health;
use view::problems::Beside;
use watch::Watching;

/// Timeout for VPP's counters of a frontend. Beyond it, the frontend is shown without them.
const FIGURES_WAIT: Duration = Duration::from_secs(1);

/// Maximum number of configuration checks running or queued.
const CHECKS: Places = Places { admins: 16, readers: 16, strangers: 4 };

/// Maximum number of checks of backends at a time.
const PROBES: Places = Places { admins: 8, readers: 1, strangers: 1 };

/// Maximum number running at once, including those blocked by a disk.
const MOST_CHECKED: usize = 8;

/// Checks of the configuration. Each holds a whole configuration in memory, so only one runs at a time, plus
/// one for admins, who need not wait behind readers.
#[derive(Debug, Clone)]
struct Checks {
    places: Shares,
    of_admins: Arc<Mutex<()>>,
    of_readers: Arc<Mutex<()>>,
    blocking: Blocking,
}

impl Default for Checks {
    fn default() -> Self {
        let places = Shares::new("checks of the configuration", CHECKS);
        let blocking = Blocking::new("checking the configuration", MOST_CHECKED, READ_WITHIN);
        Self { places, of_admins: Arc::default(), of_readers: Arc::default(), blocking }
    }
}

impl Checks {
    async fn turn(&self, caller: &Caller) -> MutexGuard<'_, ()> {
        let turns = if *caller.rights() == Rights::Admin { &self.of_admins } else { &self.of_readers };
        turns.lock().await
    }
}

/// The service for all clients. Clones share everything: one is made for each listener.
#[derive(Debug, Clone)]
pub struct Service {
    snapshots: newest::Receiver<Arc<Snapshot>>,
    figures: Figures,
    states: States,
    operator: Operator,
    reloader: Reloader,
    fleet: Option<Fleet>,
    checks: Checks,
    on_demand: OnDemand,
    /// Places of checks of backends.
    probes: Shares,
    refusals: Paced,
    watching: Watching,
    unserved: Unserved,
    health: Health,
    ending: CancellationToken,
}

impl Service {
    /// A service for this controller.
    pub fn new(controller: &Controller, reloader: Reloader) -> Self {
        Self {
            snapshots: controller.snapshots.clone(),
            figures: controller.figures.clone(),
            states: controller.states.clone(),
            operator: controller.operator.clone(),
            reloader,
            fleet: None,
            checks: Checks::default(),
            on_demand: controller.on_demand.clone(),
            probes: Shares::new("checks of backends", PROBES),
            refusals: Paced::default(),
            watching: Watching::of(controller.activity.clone()),
            unserved: controller.unserved.clone(),
            health: Health::default(),
            ending: CancellationToken::new(),
        }
    }

    /// The same with a log for watchers.
    #[must_use]
    pub fn with_logs(mut self, logs: LogTap) -> Self {
        self.watching.logs = logs;
        self
    }

    /// The same for a member of a fleet.
    #[must_use]
    pub fn with_fleet(self, fleet: Option<Fleet>) -> Self {
        Self { fleet, ..self }
    }

    /// Cancelling this makes the health service report that the server is shutting down.
    pub fn ending(&self) -> &CancellationToken {
        &self.ending
    }

    /// Everything that a listener serves: this service, standard health, and both versions of reflection.
    /// Must be called within the serving runtime.
    pub async fn routes(self) -> Routes {
        self.health.set(ServingStatus::Serving).await;
        let (health, ending, operator) = (self.health.clone(), self.ending.clone(), self.operator.clone());
        let refusals = self.refusals.clone();
        // Ends with the controller at the latest.
        tokio::spawn(vital("gRPC's health", async move {
            let summed_up = async {
                let mut ticks = interval(crate::paced::TICK);
                loop {
                    ticks.tick().await;
                    refusals.write_due();
                }
            };
            tokio::select! {
                () = ending.cancelled() => {}
                () = operator.ended() => {}
                () = summed_up => {}
            }
            health.set(ServingStatus::NotServing).await;
        }));
        let mut routes = Routes::builder();
        routes.add_service(self.health.server());
        // The descriptions are built in, so this cannot fail in practice; clients with the interface file do
        // not need it.
        match (standard::reflection(), standard::older_reflection()) {
            (Ok(newer), Ok(older)) => drop(routes.add_service(newer).add_service(older)),
            (Err(error), _) | (_, Err(error)) => {
                warn!(%error, "the interface cannot be described to clients")
            }
        }
        routes.add_service(MaglevServer::new(self));
        routes.routes()
    }

    /// VPP's counters if they arrive in time, otherwise why not.
    async fn figures_soon(&self) -> Result<Arc<Timed<Counters>>, String> {
        match timeout(FIGURES_WAIT, self.figures.get()).await {
            Ok(figures) => figures.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the agent did not answer within {} s", FIGURES_WAIT.as_secs())),
        }
    }

    /// A place in a quota for this caller.
    fn place(&self, cause: Cause, places: &Shares, caller: &Caller) -> Result<Place, Status> {
        places.take(caller).map_err(|full| {
            self.refusals.refused(cause, caller.who(), caller.from(), &full);
            Status::resource_exhausted(full.to_string())
        })
    }

    fn status(&self, snapshot: &Snapshot) -> BrainStatus {
        let (file, reload) = (self.reloader.path(), self.reloader.newest());
        let now = Now { wall: SystemTime::now(), mono: Instant::now().into_std() };
        let beside = Beside {
            reload: reload.as_ref(),
            config: self.reloader.standing(),
            not_kept: self.operator.not_kept(),
            unwritten: self.operator.history().unwritten(),
            unserved: self.unserved.reasons(),
            webhooks: self.operator.history().webhooks().readings(),
            fleet: self.fleet.as_ref().map(Fleet::status),
        };
        view::status::status(snapshot, file, &beside, now)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Maglev for Service {
    async fn list_frontends(&self, _: Request<ListFrontendsRequest>) -> Answer<ListFrontendsResponse> {
        let figures = self.figures_soon().await;
        let (snapshot, now) = (self.snapshot(), Instant::now());
        let frontends = snapshot.frontends.keys().filter_map(|name| {
            let mut frontend = view::frontend(&snapshot, name)?;
            view::figures::fill(&mut frontend, &snapshot, figures.as_deref().map_err(String::as_str), now);
            Some(frontend)
        });
        let frontends = frontends.collect();
        let problems = self.status(&snapshot).problems;
        Ok(Response::new(ListFrontendsResponse { frontends, problems }))
    }

    async fn get_frontend(&self, request: Request<GetFrontendRequest>) -> Answer<Frontend> {
        let snapshot = self.snapshot();
        let name = refusal::name("frontend", request.into_inner().name)?;
        let no_such = |snapshot: &Snapshot| unknown("frontend", &name, snapshot.frontends.keys());
        if !snapshot.frontends.contains_key(name.as_str()) {
            return Err(no_such(&snapshot));
        }
        let figures = self.figures_soon().await;
        let snapshot = self.snapshot();
        let mut frontend = view::frontend(&snapshot, &name).ok_or_else(|| no_such(&snapshot))?;
        let figures = figures.as_deref().map_err(String::as_str);
        view::figures::fill(&mut frontend, &snapshot, figures, Instant::now());
        Ok(Response::new(frontend))
    }

    async fn list_backends(&self, _: Request<ListBackendsRequest>) -> Answer<ListBackendsResponse> {
        let figures = self.figures_soon().await;
        let (snapshot, now) = (self.snapshot(), Instant::now());
        let figures = figures.as_deref().map_err(String::as_str);
        let backends = snapshot.backends.keys().filter_map(|name| {
            let mut backend = view::backend(&snapshot, name, Instant::now().into_std())?;
            view::figures::fill_backend(&mut backend, &snapshot, figures, now);
            Some(backend)
        });
        Ok(Response::new(ListBackendsResponse { backends: backends.collect() }))
    }

    async fn get_backend(&self, request: Request<GetBackendRequest>) -> Answer<Backend> {
        let snapshot = self.snapshot();
        let name = refusal::name("backend", request.into_inner().name)?;
        let no_such = |snapshot: &Snapshot| unknown("backend", &name, snapshot.backends.keys());
        if !snapshot.backends.contains_key(name.as_str()) {
            return Err(no_such(&snapshot));
        }
        let figures = self.figures_soon().await;
        let (snapshot, now) = (self.snapshot(), Instant::now());
        let figures = figures.as_deref().map_err(String::as_str);
        let mut backend =
            view::backend(&snapshot, &name, Instant::now().into_std()).ok_or_else(|| no_such(&snapshot))?;
        view::figures::fill_backend(&mut backend, &snapshot, figures, now);
        backend.uses = view::uses(&snapshot, &name, figures, now);
        Ok(Response::new(backend))
    }

    async fn get_vpp_info(&self, _: Request<GetVppInfoRequest>) -> Answer<VppInfo> {
        Ok(Response::new(view::vpp::info(&self.snapshot())))
    }

    async fn get_vpplb_state(&self, _: Request<GetVpplbStateRequest>) -> Answer<VpplbState> {
        let state = self.states.get().await.map_err(|error| refusal::call(&error))?;
        Ok(Response::new(view::vpp::lb_state(&self.snapshot(), &state, Instant::now())))
    }

    async fn get_status(&self, _: Request<GetStatusRequest>) -> Answer<BrainStatus> {
        Ok(Response::new(self.status(&self.snapshot())))
    }

    async fn get_caller(&self, request: Request<GetCallerRequest>) -> Answer<CallerInfo> {
        Ok(Response::new(Caller::of(request.extensions()).info()))
    }

    async fn pause_backend(&self, request: Request<ChangeBackendRequest>) -> Answer<ChangeBackendResponse> {
        self.change_backend(request, BackendWish::Pause).await
    }

    async fn resume_backend(&self, request: Request<ChangeBackendRequest>) -> Answer<ChangeBackendResponse> {
        self.change_backend(request, BackendWish::Resume).await
    }

    async fn enable_backend(&self, request: Request<ChangeBackendRequest>) -> Answer<ChangeBackendResponse> {
        self.change_backend(request, BackendWish::Enable).await
    }

    async fn disable_backend(&self, request: Request<ChangeBackendRequest>) -> Answer<ChangeBackendResponse> {
        self.change_backend(request, BackendWish::Disable).await
    }

    async fn set_frontend_pool_backend_weight(
        &self,
        request: Request<SetFrontendPoolBackendWeightRequest>,
    ) -> Answer<SetFrontendPoolBackendWeightResponse> {
        self.set_weight(request).await
    }

    async fn list_overrides(&self, _: Request<ListOverridesRequest>) -> Answer<ListOverridesResponse> {
        let snapshot = self.snapshot();
        let overrides = snapshot.overrides.iter();
        let overrides = overrides.map(|entry| view::overrides::entry(&snapshot.config, &entry)).collect();
        Ok(Response::new(ListOverridesResponse { overrides }))
    }

    async fn clear_override(&self, request: Request<ClearOverrideRequest>) -> Answer<ClearOverrideResponse> {
        self.clear(request).await
    }

    async fn recreate_vip(&self, request: Request<RecreateVipRequest>) -> Answer<RecreateVipResponse> {
        self.recreate(request).await
    }

    async fn list_routes(&self, _: Request<ListRoutesRequest>) -> Answer<ListRoutesResponse> {
        Ok(Response::new(view::routes::routes(&self.snapshot(), Instant::now().into_std())))
    }

    async fn drain_lb(&self, request: Request<DrainLbRequest>) -> Answer<DrainLbResponse> {
        self.drain(request).await
    }

    async fn undrain_lb(&self, request: Request<UndrainLbRequest>) -> Answer<DrainLbResponse> {
        self.undrain(request).await
    }

    async fn preview_change(&self, request: Request<PreviewChangeRequest>) -> Answer<PreviewChangeResponse> {
        self.preview(request).await
    }

    async fn check_backend(&self, request: Request<CheckBackendRequest>) -> Answer<CheckBackendResponse> {
        self.check_one(request).await
    }

    async fn check_config(&self, request: Request<CheckConfigRequest>) -> Answer<CheckConfigResponse> {
        self.check(&Caller::of(request.extensions())).await
    }

    async fn reload_config(&self, request: Request<ReloadConfigRequest>) -> Answer<ReloadConfigResponse> {
        self.reload(request).await
    }

    async fn confirm_config(&self, request: Request<ConfirmConfigRequest>) -> Answer<ConfirmConfigResponse> {
        self.confirm(request).await
    }

    async fn rollback_config(&self, request: Request<RollbackConfigRequest>) -> Answer<ReloadConfigResponse> {
        self.rollback(request).await
    }

    async fn list_configs(&self, _: Request<ListConfigsRequest>) -> Answer<ListConfigsResponse> {
        let revisions = self.reloader.revisions().await;
        let configs =
            revisions.iter().rev().map(|kept| view::revision(&kept.revision, kept.intact)).collect();
        Ok(Response::new(ListConfigsResponse { configs }))
    }

    async fn get_fleet_status(&self, _: Request<GetFleetStatusRequest>) -> Answer<FleetStatus> {
        Ok(Response::new(self.fleet_status()))
    }

    async fn get_fleet_tables(&self, request: Request<GetFleetTablesRequest>) -> Answer<FleetTables> {
        self.fleet_tables(&request.into_inner().only).map(Response::new)
    }

    async fn put_fleet_config(&self, request: Request<PutFleetConfigRequest>) -> Answer<FleetStatus> {
        self.put_fleet(request).await
    }

    async fn list_fleet_configs(
        &self,
        _: Request<ListFleetConfigsRequest>,
    ) -> Answer<ListFleetConfigsResponse> {
        self.fleet_configs().map(Response::new)
    }

    async fn get_fleet_config(&self, request: Request<GetFleetConfigRequest>) -> Answer<FleetConfig> {
        self.fleet_config(request).await
    }

    async fn rollback_fleet_config(
        &self,
        request: Request<RollbackFleetConfigRequest>,
    ) -> Answer<FleetStatus> {
        self.rollback_fleet(request).await
    }

    async fn confirm_fleet_rollout(
        &self,
        request: Request<ConfirmFleetRolloutRequest>,
    ) -> Answer<FleetStatus> {
        self.confirm_fleet(request).await
    }

    async fn abort_fleet_rollout(&self, request: Request<AbortFleetRolloutRequest>) -> Answer<FleetStatus> {
        self.abort_fleet(request).await
    }

    async fn remove_fleet_member(&self, request: Request<RemoveFleetMemberRequest>) -> Answer<FleetStatus> {
        self.remove_member(request).await
    }

    async fn list_health_checks(
        &self,
        _: Request<ListHealthChecksRequest>,
    ) -> Answer<ListHealthChecksResponse> {
        let healthchecks = view::healthchecks::healthchecks(&self.snapshot());
        Ok(Response::new(ListHealthChecksResponse { healthchecks }))
    }

    async fn get_health_check(&self, request: Request<GetHealthCheckRequest>) -> Answer<HealthCheck> {
        let snapshot = self.snapshot();
        let name = refusal::name("healthcheck", request.into_inner().name)?;
        let found = view::healthchecks::healthcheck(&snapshot, &name);
        let known = snapshot.config.healthchecks.keys();
        found.map(Response::new).ok_or_else(|| unknown("healthcheck", &name, known))
    }

    async fn get_agent_info(&self, _: Request<GetAgentInfoRequest>) -> Answer<AgentInfo> {
        Ok(Response::new(view::vpp::agent(&self.snapshot().agent)))
    }

    async fn get_vpplb_counters(&self, request: Request<GetVpplbCountersRequest>) -> Answer<VpplbCounters> {
        let name = request.into_inner().frontend;
        let vip = |snapshot: &Snapshot| match snapshot.config.frontends.get(&name) {
            _ if name.is_empty() => Ok(None),
            Some(frontend) => Ok(Some(vip_key(frontend))),
            None => Err(unknown("frontend", &name, snapshot.frontends.keys())),
        };
        if !name.is_empty() {
            refusal::name("frontend", name.clone())?;
        }
        vip(&self.snapshot())?;
        let figures = self.figures.get().await.map_err(|error| refusal::call(&error))?;
        let snapshot = self.snapshot();
        let vip = vip(&snapshot)?;
        Ok(Response::new(view::figures::counters(&snapshot, &figures, vip.as_ref(), Instant::now())))
    }

    async fn sync_vpplb_state(
        &self,
        request: Request<maglev_proto::SyncVpplbStateRequest>,
    ) -> Answer<maglev_proto::SyncVpplbStateResponse> {
        self.sync(request).await
    }

    async fn get_history(&self, request: Request<GetHistoryRequest>) -> Answer<GetHistoryResponse> {
        self.history(request).await
    }

    type WatchEventsStream = watch::Events;

    async fn watch_events(&self, request: Request<WatchEventsRequest>) -> Answer<watch::Events> {
        let caller = Caller::of(request.extensions());
        self.watch(&caller, request.into_inner()).map(Response::new)
    }
}

#[cfg(test)]
mod tests;
