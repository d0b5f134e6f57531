//! A maglev-brain with canned answers, served by tonic in the test's own process.

use std::net::SocketAddr;
use std::path::Path;

use maglev_proto::maglev_server::{Maglev, MaglevServer};
use maglev_proto::{
    Backend, BackendOverride, BackendState, BrainStatus, ChangeBackendRequest, ChangeBackendResponse,
    CheckConfigRequest, CheckConfigResponse, ClearOverrideRequest, ClearOverrideResponse, ConfigVerdict,
    Frontend, GetBackendRequest, GetFrontendRequest, GetStatusRequest, GetVppInfoRequest,
    GetVpplbStateRequest, InVpp, ListBackendsRequest, ListBackendsResponse, ListFrontendsRequest,
    ListFrontendsResponse, ListOverridesRequest, ListOverridesResponse, RecreateVipRequest,
    RecreateVipResponse, ReloadConfigRequest, ReloadConfigResponse, SetFrontendPoolBackendWeightRequest,
    SetFrontendPoolBackendWeightResponse, VppInfo, VpplbState,
};
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic::{Request, Response, Status};

use crate::samples;

/// What it says about VPP's load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vpp {
    Connected,
    Away,
    /// The call is never answered.
    Hanging,
}

struct FakeBrain {
    vpp: Vpp,
    frontends: Vec<Frontend>,
    backends: Vec<Backend>,
}

#[tonic::async_trait]
impl Maglev for FakeBrain {
    async fn list_frontends(
        &self,
        _: Request<ListFrontendsRequest>,
    ) -> Result<Response<ListFrontendsResponse>, Status> {
        Ok(Response::new(ListFrontendsResponse { frontends: self.frontends.clone() }))
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

    async fn get_backend(&self, request: Request<GetBackendRequest>) -> Result<Response<Backend>, Status> {
        let name = request.into_inner().name;
        let found = self.backends.iter().find(|backend| backend.name == name);
        found
            .cloned()
            .map(Response::new)
            .ok_or_else(|| Status::not_found(format!("there is no backend {name:?}")))
    }

    async fn get_vpp_info(&self, _: Request<GetVppInfoRequest>) -> Result<Response<VppInfo>, Status> {
        Ok(Response::new(samples::vpp_info()))
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

    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<BrainStatus>, Status> {
        Ok(Response::new(samples::status()))
    }

    async fn pause_backend(&self, request: Request<ChangeBackendRequest>) -> Changed {
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

    /// Says what it was asked for; VPP is told with `flush` only.
    async fn set_frontend_pool_backend_weight(
        &self,
        request: Request<SetFrontendPoolBackendWeightRequest>,
    ) -> Result<Response<SetFrontendPoolBackendWeightResponse>, Status> {
        let SetFrontendPoolBackendWeightRequest { frontend, pool, backend, weight, flush } =
            request.into_inner();
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

    async fn clear_override(
        &self,
        request: Request<ClearOverrideRequest>,
    ) -> Result<Response<ClearOverrideResponse>, Status> {
        let ClearOverrideRequest { backend, frontend, pool } = request.into_inner();
        let mut set = samples::overrides().overrides.into_iter();
        let cleared =
            set.find(|set| (&set.backend, &set.frontend, &set.pool) == (&backend, &frontend, &pool));
        let nothing = || Status::not_found(format!("no operator has set anything for backend {backend:?}"));
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
            (_, name) => Err(Status::unavailable(format!("the VIP of frontend {name:?} was not made anew"))),
        }
    }

    /// Fine unless VPP is away.
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

    /// Taken unless VPP is away.
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
        _: Request<maglev_proto::ListHealthChecksRequest>,
    ) -> Result<Response<maglev_proto::ListHealthChecksResponse>, Status> {
        Err(Status::unimplemented("WIP"))
    }

    async fn get_health_check(
        &self,
        _: Request<maglev_proto::GetHealthCheckRequest>,
    ) -> Result<Response<maglev_proto::HealthCheck>, Status> {
        Err(Status::unimplemented("WIP"))
    }

    async fn get_agent_info(
        &self,
        _: Request<maglev_proto::GetAgentInfoRequest>,
    ) -> Result<Response<maglev_proto::AgentInfo>, Status> {
        Err(Status::unimplemented("WIP"))
    }

    async fn get_vpplb_counters(
        &self,
        _: Request<maglev_proto::GetVpplbCountersRequest>,
    ) -> Result<Response<maglev_proto::VpplbCounters>, Status> {
        Err(Status::unimplemented("WIP"))
    }

    async fn sync_vpplb_state(
        &self,
        _: Request<maglev_proto::SyncVpplbStateRequest>,
    ) -> Result<Response<maglev_proto::SyncVpplbStateResponse>, Status> {
        Err(Status::unimplemented("WIP"))
    }

    type WatchEventsStream = tokio_stream::Iter<std::vec::IntoIter<Result<maglev_proto::Event, Status>>>;

    async fn watch_events(
        &self,
        _: Request<maglev_proto::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        Err(Status::unimplemented("WIP"))
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
    FakeBrain { vpp, frontends: samples::frontends(), backends: samples::backends() }
}

/// Serves on a port of 127.0.0.1 or ::1 until the test ends.
pub(crate) async fn on_tcp(address: &str, vpp: Vpp) -> SocketAddr {
    serve_tcp(address, site(vpp)).await
}

/// A site with so many backends that a listing of them fills any pipe, and is larger than the 4 MiB to which
/// gRPC libraries limit messages unless told otherwise.
pub(crate) async fn large(count: usize) -> SocketAddr {
    let backend = |number| Backend { name: format!("backend-{number:06}"), ..samples::web2() };
    let backends = (0..count).map(backend).collect();
    serve_tcp("127.0.0.1:0", FakeBrain { vpp: Vpp::Connected, frontends: Vec::new(), backends }).await
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
