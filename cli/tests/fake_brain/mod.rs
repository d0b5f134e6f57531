//! A maglev-brain with canned answers, served by tonic in the test's own process.

#![allow(dead_code)] // Not every test file needs all of it.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;

use maglev_proto::event::What;
use maglev_proto::maglev_server::{Maglev, MaglevServer};
use maglev_proto::{
    AbortFleetRolloutRequest, AgentInfo, Backend, BackendOverride, BackendState, BrainStatus,
    ChangeBackendRequest, ChangeBackendResponse, CheckBackendRequest, CheckBackendResponse,
    CheckConfigRequest, CheckConfigResponse, ClearOverrideRequest, ClearOverrideResponse, ConfigVerdict,
    ConfirmConfigRequest, ConfirmConfigResponse, ConfirmFleetRolloutRequest, DrainLbRequest, DrainLbResponse,
    Event, FleetConfig, FleetStatus, FleetTables, Frontend, GetAgentInfoRequest, GetBackendRequest,
    GetFleetConfigRequest, GetFleetStatusRequest, GetFleetTablesRequest, GetFrontendRequest,
    GetHealthCheckRequest, GetStatusRequest, GetVppInfoRequest, GetVpplbCountersRequest,
    GetVpplbStateRequest, HealthCheck, InVpp, ListBackendsRequest, ListBackendsResponse, ListConfigsRequest,
    ListConfigsResponse, ListFleetConfigsRequest, ListFleetConfigsResponse, ListFrontendsRequest,
    ListFrontendsResponse, ListHealthChecksRequest, ListHealthChecksResponse, ListOverridesRequest,
    ListOverridesResponse, ListRoutesRequest, ListRoutesResponse, LogLevel, PreviewChangeRequest,
    PreviewChangeResponse, PutFleetConfigRequest, RecreateVipRequest, RecreateVipResponse,
    ReloadConfigRequest, ReloadConfigResponse, RemoveFleetMemberRequest, RollbackConfigRequest,
    RollbackFleetConfigRequest, SetFrontendPoolBackendWeightRequest, SetFrontendPoolBackendWeightResponse,
    SyncVpplbStateRequest, SyncVpplbStateResponse, UndrainLbRequest, VppInfo, VpplbCounters, VpplbState,
    WatchEventsRequest,
};
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Router;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::samples;

/// State of its VPP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vpp {
    Connected,
    Away,
    /// The call is never answered.
    Hanging,
}

struct FakeBrain {
    vpp: Vpp,
    /// The preview of every change; empty if absent. A change with a state must have this one's.
    preview: Option<PreviewChangeResponse>,
    frontends: Vec<Frontend>,
    backends: Vec<Backend>,
}

#[tonic::async_trait]
impl Maglev for FakeBrain {
    async fn list_frontends(
        &self,
        _: Request<ListFrontendsRequest>,
    ) -> Result<Response<ListFrontendsResponse>, Status> {
        Ok(Response::new(ListFrontendsResponse {
            frontends: self.frontends.clone(),
            problems: samples::problems(),
        }))
    }

    async fn get_frontend(&self, request: Request<GetFrontendRequest>) -> Result<Response<Frontend>, Status> {
        let name = request.into_inner().name;
        let found = self.frontends.iter().find(|frontend| frontend.name == name);
        let missing = || Status::not_found(format!("there is no frontend {name:?}; did you mean \"shop\"?"));
        found.cloned().map(Response::new).ok_or_else(missing)
    }

    async fn list_backends(
        &self,
        _: Request<ListBackendsRequest>,
    ) -> Result<Response<ListBackendsResponse>, Status> {
        Ok(Response::new(ListBackendsResponse { backends: self.backends.clone() }))
    }

    async fn get_caller(
        &self,
        _: Request<maglev_proto::GetCallerRequest>,
    ) -> Result<Response<maglev_proto::CallerInfo>, Status> {
        let may_change = true;
        Ok(Response::new(maglev_proto::CallerInfo { may_change, ..maglev_proto::CallerInfo::default() }))
    }

    async fn get_backend(&self, request: Request<GetBackendRequest>) -> Result<Response<Backend>, Status> {
        let name = request.into_inner().name;
        let found = self.backends.iter().find(|backend| backend.name == name);
        found
            .cloned()
            .map(Response::new)
            .ok_or_else(|| Status::not_found(format!("there is no backend {name:?}")))
    }

    async fn get_vpp_info(&self, _: Request<GetVppInfoRequest>) -> Result<Response<VppInfo>, Status> {
        Ok(Response::new(samples::vpp_info_with_agent()))
    }

    async fn get_vpplb_state(
        &self,
        _: Request<GetVpplbStateRequest>,
    ) -> Result<Response<VpplbState>, Status> {
        match self.vpp {
            Vpp::Connected => Ok(Response::new(samples::vpp_lb_state())),
            Vpp::Away => Err(Status::unavailable("VPP is not connected: no such file or directory")),
            Vpp::Hanging => std::future::pending().await,
        }
    }

    async fn get_history(
        &self,
        _: Request<maglev_proto::GetHistoryRequest>,
    ) -> Result<Response<maglev_proto::GetHistoryResponse>, Status> {
        Ok(Response::new(maglev_proto::GetHistoryResponse::default()))
    }

    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<BrainStatus>, Status> {
        Ok(Response::new(samples::status()))
    }

    async fn pause_backend(&self, request: Request<ChangeBackendRequest>) -> Changed {
        self.decided_on(request.get_ref().state)?;
        changed(request, BackendState::Paused, BackendOverride::Paused)
    }

    async fn resume_backend(&self, request: Request<ChangeBackendRequest>) -> Changed {
        changed(request, BackendState::Unknown, BackendOverride::None)
    }

    async fn enable_backend(&self, request: Request<ChangeBackendRequest>) -> Changed {
        changed(request, BackendState::Unknown, BackendOverride::Enabled)
    }

    async fn disable_backend(&self, request: Request<ChangeBackendRequest>) -> Changed {
        changed(request, BackendState::Disabled, BackendOverride::Disabled)
    }

    /// Echoes its request; VPP is only involved with `flush`.
    async fn set_frontend_pool_backend_weight(
        &self,
        request: Request<SetFrontendPoolBackendWeightRequest>,
    ) -> Result<Response<SetFrontendPoolBackendWeightResponse>, Status> {
        let SetFrontendPoolBackendWeightRequest { frontend, pool, backend, weight, flush, state, .. } =
            request.into_inner();
        self.decided_on(state)?;
        let mut answer = SetFrontendPoolBackendWeightResponse { frontend, pool, ..samples::weight_set() };
        if let (Some(row), Some(outcome)) = (&mut answer.backend, &mut answer.outcome) {
            (row.backend, row.operator_weight) = (backend, Some(weight));
            outcome.set_in_vpp(if flush { InVpp::Acknowledged } else { InVpp::Away });
        }
        Ok(Response::new(answer))
    }

    async fn list_overrides(
        &self,
        _: Request<ListOverridesRequest>,
    ) -> Result<Response<ListOverridesResponse>, Status> {
        Ok(Response::new(samples::overrides()))
    }

    async fn list_routes(
        &self,
        _: Request<ListRoutesRequest>,
    ) -> Result<Response<ListRoutesResponse>, Status> {
        Ok(Response::new(samples::routes()))
    }

    async fn check_backend(
        &self,
        request: Request<CheckBackendRequest>,
    ) -> Result<Response<CheckBackendResponse>, Status> {
        let through = request.into_inner().via_tunnel;
        Ok(Response::new(if through { samples::checked_through() } else { samples::checked_now() }))
    }

    async fn drain_lb(&self, _: Request<DrainLbRequest>) -> Result<Response<DrainLbResponse>, Status> {
        Ok(Response::new(DrainLbResponse::default()))
    }

    async fn undrain_lb(&self, _: Request<UndrainLbRequest>) -> Result<Response<DrainLbResponse>, Status> {
        Ok(Response::new(DrainLbResponse::default()))
    }

    async fn clear_override(
        &self,
        request: Request<ClearOverrideRequest>,
    ) -> Result<Response<ClearOverrideResponse>, Status> {
        let ClearOverrideRequest { backend, frontend, pool, state, .. } = request.into_inner();
        self.decided_on(state)?;
        let mut set = samples::overrides().overrides.into_iter();
        let cleared =
            set.find(|set| (&set.backend, &set.frontend, &set.pool) == (&backend, &frontend, &pool));
        let nothing = || Status::not_found(format!("there is no override for backend {backend:?}"));
        let backend = self.backends.iter().find(|found| found.name == backend).cloned();
        let cleared = Some(cleared.ok_or_else(nothing)?);
        Ok(Response::new(ClearOverrideResponse { cleared, backend, ..samples::cleared() }))
    }

    async fn recreate_vip(
        &self,
        request: Request<RecreateVipRequest>,
    ) -> Result<Response<RecreateVipResponse>, Status> {
        match (self.vpp, request.into_inner().frontend.as_str()) {
            (Vpp::Connected, "shop") => Ok(Response::new(samples::recreated())),
            (_, name) => Err(Status::unavailable(format!("the VIP of frontend {name:?} was not re-created"))),
        }
    }

    async fn preview_change(
        &self,
        _: Request<PreviewChangeRequest>,
    ) -> Result<Response<PreviewChangeResponse>, Status> {
        let nothing = PreviewChangeResponse { state: 1, ..PreviewChangeResponse::default() };
        Ok(Response::new(self.preview.clone().unwrap_or(nothing)))
    }

    /// Valid unless VPP is disconnected.
    async fn check_config(
        &self,
        _: Request<CheckConfigRequest>,
    ) -> Result<Response<CheckConfigResponse>, Status> {
        let mut checked = samples::checked();
        if self.vpp == Vpp::Away {
            checked.set_verdict(ConfigVerdict::NotValid);
            checked.errors = 1;
        }
        Ok(Response::new(checked))
    }

    async fn confirm_config(
        &self,
        _: Request<ConfirmConfigRequest>,
    ) -> Result<Response<ConfirmConfigResponse>, Status> {
        Ok(Response::new(ConfirmConfigResponse::default()))
    }

    async fn rollback_config(
        &self,
        _: Request<RollbackConfigRequest>,
    ) -> Result<Response<ReloadConfigResponse>, Status> {
        Ok(Response::new(samples::reloaded()))
    }

    async fn list_configs(
        &self,
        _: Request<ListConfigsRequest>,
    ) -> Result<Response<ListConfigsResponse>, Status> {
        Ok(Response::new(ListConfigsResponse::default()))
    }

    /// Accepted unless VPP is disconnected.
    async fn reload_config(
        &self,
        _: Request<ReloadConfigRequest>,
    ) -> Result<Response<ReloadConfigResponse>, Status> {
        if self.vpp == Vpp::Away {
            return Err(Status::failed_precondition("maglev.yaml:1:1: error: the file is empty\n  |\n1 | "));
        }
        Ok(Response::new(samples::reloaded()))
    }

    async fn list_health_checks(
        &self,
        _: Request<ListHealthChecksRequest>,
    ) -> Result<Response<ListHealthChecksResponse>, Status> {
        Ok(Response::new(ListHealthChecksResponse { healthchecks: samples::health_checks() }))
    }

    async fn get_health_check(
        &self,
        request: Request<GetHealthCheckRequest>,
    ) -> Result<Response<HealthCheck>, Status> {
        let name = request.into_inner().name;
        let found = samples::health_checks().into_iter().find(|check| check.name == name);
        let missing = || Status::not_found(format!("there is no health check {name:?}"));
        found.map(Response::new).ok_or_else(missing)
    }

    async fn get_agent_info(&self, _: Request<GetAgentInfoRequest>) -> Result<Response<AgentInfo>, Status> {
        Ok(Response::new(samples::agent()))
    }

    async fn get_vpplb_counters(
        &self,
        request: Request<GetVpplbCountersRequest>,
    ) -> Result<Response<VpplbCounters>, Status> {
        let name = request.into_inner().frontend;
        let mut counters = samples::vpp_lb_counters();
        counters.vips.retain(|vip| name.is_empty() || vip.frontend == name);
        Ok(Response::new(counters))
    }

    async fn sync_vpplb_state(
        &self,
        request: Request<SyncVpplbStateRequest>,
    ) -> Result<Response<SyncVpplbStateResponse>, Status> {
        let name = request.into_inner().frontend;
        let mut synced = samples::synced();
        if !name.is_empty() {
            synced.vips.retain(|vip| vip.frontend == name);
            synced.held_back.clear();
        }
        Ok(Response::new(synced))
    }

    async fn get_fleet_status(
        &self,
        _: Request<GetFleetStatusRequest>,
    ) -> Result<Response<FleetStatus>, Status> {
        Ok(Response::new(samples::fleet()))
    }

    async fn get_fleet_tables(
        &self,
        _: Request<GetFleetTablesRequest>,
    ) -> Result<Response<FleetTables>, Status> {
        Ok(Response::new(samples::fleet_tables()))
    }

    async fn put_fleet_config(
        &self,
        _: Request<PutFleetConfigRequest>,
    ) -> Result<Response<FleetStatus>, Status> {
        Ok(Response::new(samples::fleet()))
    }

    async fn list_fleet_configs(
        &self,
        _: Request<ListFleetConfigsRequest>,
    ) -> Result<Response<ListFleetConfigsResponse>, Status> {
        Ok(Response::new(samples::fleet_configs()))
    }

    async fn get_fleet_config(
        &self,
        _: Request<GetFleetConfigRequest>,
    ) -> Result<Response<FleetConfig>, Status> {
        Ok(Response::new(samples::fleet_compared()))
    }

    async fn rollback_fleet_config(
        &self,
        _: Request<RollbackFleetConfigRequest>,
    ) -> Result<Response<FleetStatus>, Status> {
        Ok(Response::new(samples::fleet()))
    }

    async fn confirm_fleet_rollout(
        &self,
        _: Request<ConfirmFleetRolloutRequest>,
    ) -> Result<Response<FleetStatus>, Status> {
        Ok(Response::new(samples::fleet()))
    }

    async fn abort_fleet_rollout(
        &self,
        _: Request<AbortFleetRolloutRequest>,
    ) -> Result<Response<FleetStatus>, Status> {
        Ok(Response::new(samples::fleet()))
    }

    async fn remove_fleet_member(
        &self,
        _: Request<RemoveFleetMemberRequest>,
    ) -> Result<Response<FleetStatus>, Status> {
        Ok(Response::new(samples::fleet()))
    }

    type WatchEventsStream = Events;

    /// The matching sample events; then the stream ends, or hangs if VPP does.
    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let wanted = request.into_inner();
        if wanted.backend_names.iter().any(|name| name == "web9") {
            return Err(Status::invalid_argument("there is no backend \"web9\"; did you mean \"web1\"?"));
        }
        let all = !(wanted.backends || wanted.frontends || wanted.connections || wanted.configuration);
        let is_wanted = |event: &Event| match &event.what {
            Some(What::Backend(_) | What::Note(_)) => all || wanted.backends,
            Some(What::Frontend(_) | What::Route(_)) => all || wanted.frontends,
            Some(What::Agent(_) | What::Vpp(_) | What::Router(_)) => all || wanted.connections,
            Some(What::Configuration(_) | What::Fleet(_)) => all || wanted.configuration,
            Some(What::Log(_)) => wanted.log_level() >= LogLevel::Warn,
            Some(What::Probe(_) | What::Weights(_) | What::VppWrite(_)) => false,
            Some(What::Missed(_) | What::InitialStateEnd(_)) | None => true,
        };
        let events: Vec<_> = samples::events().into_iter().filter(is_wanted).map(Ok).collect();
        let told = tokio_stream::iter(events);
        let ending =
            (self.vpp == Vpp::Away).then(|| Err(Status::unavailable("maglev-brain is shutting down")));
        let rest: Events = if self.vpp == Vpp::Hanging {
            Box::pin(tokio_stream::pending())
        } else {
            Box::pin(tokio_stream::iter(ending))
        };
        Ok(Response::new(Box::pin(told.chain(rest))))
    }
}

type Events = Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;

impl FakeBrain {
    fn decided_on(&self, state: Option<u64>) -> Result<(), Status> {
        match (state, &self.preview) {
            (Some(state), Some(preview)) if state == preview.state => Ok(()),
            (None, _) => Ok(()),
            (Some(_), _) => Err(Status::aborted("the state has changed since the preview: preview again")),
        }
    }
}

type Changed = Result<Response<ChangeBackendResponse>, Status>;

fn changed(
    request: Request<ChangeBackendRequest>,
    state: BackendState,
    operator_state: BackendOverride,
) -> Changed {
    let mut change = samples::paused();
    if let Some(backend) = &mut change.backend {
        backend.name = request.into_inner().name;
        backend.set_state(state);
        backend.set_operator_state(operator_state);
    }
    Ok(Response::new(change))
}

fn router(brain: FakeBrain) -> Router {
    Server::builder().add_service(MaglevServer::new(brain))
}

fn site(vpp: Vpp) -> FakeBrain {
    FakeBrain { vpp, preview: None, frontends: samples::frontends(), backends: samples::backends() }
}

/// Serves on a port of 127.0.0.1 or ::1 until the test ends.
pub(crate) async fn on_tcp(address: &str, vpp: Vpp) -> SocketAddr {
    serve_tcp(address, site(vpp)).await
}

/// Another site, as another maglev-brain might report it.
pub(crate) async fn with(frontends: Vec<Frontend>, backends: Vec<Backend>) -> SocketAddr {
    serve_tcp("127.0.0.1:0", FakeBrain { vpp: Vpp::Connected, preview: None, frontends, backends }).await
}

/// The site, with this preview for every change.
pub(crate) async fn that_previews(preview: PreviewChangeResponse) -> SocketAddr {
    serve_tcp("127.0.0.1:0", FakeBrain { preview: Some(preview), ..site(Vpp::Connected) }).await
}

/// The site over TLS, for clients that `tls` admits.
pub(crate) async fn on_tls(tls: ServerTlsConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().tls_config(tls).unwrap();
    let router = { server }.add_service(MaglevServer::new(site(Vpp::Connected)));
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

/// A site with so many backends that their list fills any pipe, and exceeds gRPC libraries' default limit of
/// 4 MiB.
pub(crate) async fn large(count: usize) -> SocketAddr {
    let backend = |number| Backend { name: format!("backend-{number:06}"), ..samples::web2() };
    let backends = (0..count).map(backend).collect();
    serve_tcp(
        "127.0.0.1:0",
        FakeBrain { vpp: Vpp::Connected, preview: None, frontends: Vec::new(), backends },
    )
    .await
}

async fn serve_tcp(address: &str, brain: FakeBrain) -> SocketAddr {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(router(brain).serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

/// Serves on this socket until the test ends.
pub(crate) fn on_unix(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(router(site(Vpp::Connected)).serve_with_incoming(UnixListenerStream::new(listener)));
}
