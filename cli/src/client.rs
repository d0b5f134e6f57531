//! Calls to maglev-brain, with their timeouts.

use std::future::Future;
use std::time::Duration;

use maglev_proto::client::{self, ServerAddress, TlsFiles};
use maglev_proto::maglev_client::MaglevClient;
use maglev_proto::preview_change_request::Change;
use maglev_proto::{
    AbortFleetRolloutRequest, AgentInfo, Backend, BrainStatus, ChangeBackendRequest, ChangeBackendResponse,
    CheckBackendRequest, CheckBackendResponse, CheckConfigRequest, CheckConfigResponse, ClearOverrideRequest,
    ClearOverrideResponse, ConfirmConfigRequest, ConfirmConfigResponse, ConfirmFleetRolloutRequest,
    DrainLbRequest, DrainLbResponse, Event, FleetConfig, FleetStatus, FleetTables, Frontend,
    GetAgentInfoRequest, GetBackendRequest, GetFleetConfigRequest, GetFleetStatusRequest,
    GetFleetTablesRequest, GetFrontendRequest, GetHealthCheckRequest, GetHistoryRequest, GetHistoryResponse,
    GetStatusRequest, GetVppInfoRequest, GetVpplbCountersRequest, GetVpplbStateRequest, HealthCheck,
    ListBackendsRequest, ListBackendsResponse, ListConfigsRequest, ListConfigsResponse,
    ListFleetConfigsRequest, ListFleetConfigsResponse, ListFrontendsRequest, ListFrontendsResponse,
    ListHealthChecksRequest, ListHealthChecksResponse, ListOverridesRequest, ListOverridesResponse,
    ListRoutesRequest, ListRoutesResponse, PreviewChangeRequest, PreviewChangeResponse,
    PutFleetConfigRequest, RecreateVipRequest, RecreateVipResponse, ReloadConfigRequest,
    ReloadConfigResponse, RemoveFleetMemberRequest, RollbackConfigRequest, RollbackFleetConfigRequest,
    SetFrontendPoolBackendWeightRequest, SetFrontendPoolBackendWeightResponse, SyncVpplbStateRequest,
    SyncVpplbStateResponse, UndrainLbRequest, VppInfo, VpplbCounters, VpplbState, WatchEventsRequest,
};
use tokio::time;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use crate::args::Action;
use crate::commands::Terms;
use crate::error::Error;

/// Maximum size of an answer, in bytes. 50,000 backends with their history take some 50 MB; the library's
/// default of 4 MiB is too small for a large site.
const MAX_ANSWER: usize = 256 << 20;

/// Additional time for a change: maglev-brain waits this long for VPP before it answers.
const CHANGE: Duration = Duration::from_secs(10);

/// The same for a full sync.
const SYNC: Duration = Duration::from_secs(30);

/// The same for probes of a backend.
const PROBES: Duration = Duration::from_secs(25);

/// A connection to maglev-brain.
#[derive(Debug)]
pub(crate) struct Client {
    stub: MaglevClient<Channel>,
    server: ServerAddress,
    timeout: Duration,
}

impl Client {
    /// `timeout` applies to the connection, and separately to each call.
    pub(crate) async fn connect(
        server: &ServerAddress,
        tls: &TlsFiles,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let endpoint = client::endpoint(server, tls, timeout).map_err(|error| Error::setup(server, error))?;
        let channel = time::timeout(timeout, client::connect(endpoint, server))
            .await
            .map_err(|_| Error::ConnectTimeout { server: server.clone(), timeout })?
            .map_err(|error| Error::connect(server, &error))?;
        let stub = MaglevClient::new(channel).max_decoding_message_size(MAX_ANSWER);
        Ok(Self { stub, server: server.clone(), timeout })
    }

    pub(crate) async fn frontends(&self) -> Result<ListFrontendsResponse, Error> {
        self.answer(self.stub.clone().list_frontends(ListFrontendsRequest {})).await
    }

    pub(crate) async fn frontend(&self, name: &str) -> Result<Frontend, Error> {
        self.answer(self.stub.clone().get_frontend(GetFrontendRequest { name: name.to_owned() })).await
    }

    pub(crate) async fn backends(&self) -> Result<ListBackendsResponse, Error> {
        self.answer(self.stub.clone().list_backends(ListBackendsRequest {})).await
    }

    pub(crate) async fn backend(&self, name: &str) -> Result<Backend, Error> {
        self.answer(self.stub.clone().get_backend(GetBackendRequest { name: name.to_owned() })).await
    }

    pub(crate) async fn vpp_info(&self) -> Result<VppInfo, Error> {
        self.answer(self.stub.clone().get_vpp_info(GetVppInfoRequest {})).await
    }

    pub(crate) async fn vpp_lb_state(&self) -> Result<VpplbState, Error> {
        self.answer(self.stub.clone().get_vpplb_state(GetVpplbStateRequest {})).await
    }

    pub(crate) async fn status(&self) -> Result<BrainStatus, Error> {
        self.answer(self.stub.clone().get_status(GetStatusRequest {})).await
    }

    pub(crate) async fn overrides(&self) -> Result<ListOverridesResponse, Error> {
        self.answer(self.stub.clone().list_overrides(ListOverridesRequest {})).await
    }

    /// The disk may be slow.
    pub(crate) async fn history(&self, request: GetHistoryRequest) -> Result<GetHistoryResponse, Error> {
        self.changed(self.stub.clone().get_history(request)).await
    }

    pub(crate) async fn health_checks(&self) -> Result<ListHealthChecksResponse, Error> {
        self.answer(self.stub.clone().list_health_checks(ListHealthChecksRequest {})).await
    }

    pub(crate) async fn health_check(&self, name: &str) -> Result<HealthCheck, Error> {
        let request = GetHealthCheckRequest { name: name.to_owned() };
        self.answer(self.stub.clone().get_health_check(request)).await
    }

    pub(crate) async fn agent_info(&self) -> Result<AgentInfo, Error> {
        self.answer(self.stub.clone().get_agent_info(GetAgentInfoRequest {})).await
    }

    /// An empty `frontend` means all VIPs.
    pub(crate) async fn vpp_lb_counters(&self, frontend: &str) -> Result<VpplbCounters, Error> {
        let request = GetVpplbCountersRequest { frontend: frontend.to_owned() };
        self.answer(self.stub.clone().get_vpplb_counters(request)).await
    }

    /// An empty `frontend` means all.
    pub(crate) async fn sync_vpp_lb_state(&self, frontend: &str) -> Result<SyncVpplbStateResponse, Error> {
        let request = SyncVpplbStateRequest { frontend: frontend.to_owned() };
        let call = async move { self.stub.clone().sync_vpplb_state(request).await };
        self.answer_within(self.timeout.saturating_add(SYNC), call).await
    }

    pub(crate) async fn check_backend(
        &self,
        request: CheckBackendRequest,
    ) -> Result<CheckBackendResponse, Error> {
        let call = async move { self.stub.clone().check_backend(request).await };
        self.answer_within(self.timeout.saturating_add(PROBES), call).await
    }

    /// The timeout applies to the start of the stream. After that, a server that is gone is noticed by its
    /// missing answers to pings.
    pub(crate) async fn watch_events(&self, wanted: WatchEventsRequest) -> Result<Streaming<Event>, Error> {
        let call = async move { self.stub.clone().watch_events(wanted).await };
        self.answer(call).await
    }

    pub(crate) fn server(&self) -> &ServerAddress {
        &self.server
    }

    pub(crate) async fn change_backend(
        &self,
        request: ChangeBackendRequest,
        action: Action,
        reason: Option<&str>,
        local: bool,
    ) -> Result<ChangeBackendResponse, Error> {
        let request = only_here(with_reason(request, reason), local);
        let mut stub = self.stub.clone();
        let call = async move {
            match action {
                Action::Pause => stub.pause_backend(request).await,
                Action::Resume => stub.resume_backend(request).await,
                Action::Enable => stub.enable_backend(request).await,
                Action::Disable => stub.disable_backend(request).await,
            }
        };
        self.changed(call).await
    }

    pub(crate) async fn set_weight(
        &self,
        request: SetFrontendPoolBackendWeightRequest,
        reason: Option<&str>,
        local: bool,
    ) -> Result<SetFrontendPoolBackendWeightResponse, Error> {
        let request = only_here(with_reason(request, reason), local);
        self.changed(self.stub.clone().set_frontend_pool_backend_weight(request)).await
    }

    pub(crate) async fn clear_override(
        &self,
        request: ClearOverrideRequest,
        local: bool,
    ) -> Result<ClearOverrideResponse, Error> {
        let request = only_here(Request::new(request), local);
        self.changed(self.stub.clone().clear_override(request)).await
    }

    pub(crate) async fn routes(&self) -> Result<ListRoutesResponse, Error> {
        self.answer(self.stub.clone().list_routes(ListRoutesRequest {})).await
    }

    pub(crate) async fn drain_lb(
        &self,
        request: DrainLbRequest,
        reason: Option<&str>,
    ) -> Result<DrainLbResponse, Error> {
        self.changed(self.stub.clone().drain_lb(with_reason(request, reason))).await
    }

    pub(crate) async fn undrain_lb(&self) -> Result<DrainLbResponse, Error> {
        self.changed(self.stub.clone().undrain_lb(UndrainLbRequest {})).await
    }

    pub(crate) async fn recreate_vip(
        &self,
        frontend: &str,
        no_wait: bool,
    ) -> Result<RecreateVipResponse, Error> {
        let request =
            RecreateVipRequest { frontend: frontend.to_owned(), no_wait, ..RecreateVipRequest::default() };
        self.changed(self.stub.clone().recreate_vip(request)).await
    }

    /// May take long, when it validates a file of many megabytes.
    pub(crate) async fn preview(&self, change: Change) -> Result<PreviewChangeResponse, Error> {
        let request = PreviewChangeRequest { change: Some(change) };
        self.changed(self.stub.clone().preview_change(request)).await
    }

    /// May take long with a file of many megabytes, like a reload.
    pub(crate) async fn check_config(&self) -> Result<CheckConfigResponse, Error> {
        self.changed(self.stub.clone().check_config(CheckConfigRequest {})).await
    }

    pub(crate) async fn reload_config(
        &self,
        Terms { state, no_wait, .. }: Terms,
        confirm: Option<Duration>,
    ) -> Result<ReloadConfigResponse, Error> {
        let confirm = confirm.unwrap_or_default().as_millis();
        let confirm_within_ms = u64::try_from(confirm).unwrap_or(u64::MAX);
        let request = ReloadConfigRequest { state, no_wait, confirm_within_ms };
        self.changed(self.stub.clone().reload_config(request)).await
    }

    pub(crate) async fn confirm_config(&self) -> Result<ConfirmConfigResponse, Error> {
        self.changed(self.stub.clone().confirm_config(ConfirmConfigRequest {})).await
    }

    pub(crate) async fn rollback_config(
        &self,
        request: RollbackConfigRequest,
    ) -> Result<ReloadConfigResponse, Error> {
        self.changed(self.stub.clone().rollback_config(request)).await
    }

    pub(crate) async fn configs(&self) -> Result<ListConfigsResponse, Error> {
        self.answer(self.stub.clone().list_configs(ListConfigsRequest {})).await
    }

    pub(crate) async fn fleet_status(&self) -> Result<FleetStatus, Error> {
        self.answer(self.stub.clone().get_fleet_status(GetFleetStatusRequest {})).await
    }

    pub(crate) async fn fleet_tables(&self, only: &str) -> Result<FleetTables, Error> {
        let request = GetFleetTablesRequest { only: only.to_owned() };
        self.answer(self.stub.clone().get_fleet_tables(request)).await
    }

    pub(crate) async fn put_fleet_config(
        &self,
        request: PutFleetConfigRequest,
        reason: Option<&str>,
    ) -> Result<FleetStatus, Error> {
        self.changed(self.stub.clone().put_fleet_config(with_reason(request, reason))).await
    }

    pub(crate) async fn fleet_configs(&self) -> Result<ListFleetConfigsResponse, Error> {
        self.answer(self.stub.clone().list_fleet_configs(ListFleetConfigsRequest {})).await
    }

    pub(crate) async fn fleet_config(&self, request: GetFleetConfigRequest) -> Result<FleetConfig, Error> {
        self.changed(self.stub.clone().get_fleet_config(request)).await
    }

    pub(crate) async fn rollback_fleet_config(
        &self,
        request: RollbackFleetConfigRequest,
        reason: Option<&str>,
    ) -> Result<FleetStatus, Error> {
        self.changed(self.stub.clone().rollback_fleet_config(with_reason(request, reason))).await
    }

    pub(crate) async fn confirm_fleet_rollout(&self) -> Result<FleetStatus, Error> {
        self.changed(self.stub.clone().confirm_fleet_rollout(ConfirmFleetRolloutRequest {})).await
    }

    pub(crate) async fn abort_fleet_rollout(&self, reason: Option<&str>) -> Result<FleetStatus, Error> {
        let request = with_reason(AbortFleetRolloutRequest {}, reason);
        self.changed(self.stub.clone().abort_fleet_rollout(request)).await
    }

    pub(crate) async fn remove_fleet_member(&self, name: &str) -> Result<FleetStatus, Error> {
        let request = RemoveFleetMemberRequest { name: name.to_owned() };
        self.changed(self.stub.clone().remove_fleet_member(request)).await
    }

    async fn answer<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Error> {
        self.answer_within(self.timeout, call).await
    }

    async fn changed<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Error> {
        self.answer_within(self.timeout.saturating_add(CHANGE), call).await
    }

    async fn answer_within<T>(
        &self,
        timeout: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Error> {
        match time::timeout(timeout, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(Error::status(&self.server, &status)),
            Err(_) => Err(Error::AnswerTimeout { server: self.server.clone(), timeout }),
        }
    }
}

/// The same for a change that is only for the load balancer that is asked.
fn only_here<T>(mut request: Request<T>, local: bool) -> Request<T> {
    if local {
        request.metadata_mut().insert(maglev_proto::LOCAL_HEADER, MetadataValue::from_static("1"));
    }
    request
}

/// The reason travels beside the request, for every kind of change alike.
fn with_reason<T>(request: T, reason: Option<&str>) -> Request<T> {
    let mut request = Request::new(request);
    if let Some(reason) = reason {
        request
            .metadata_mut()
            .insert_bin(maglev_proto::REASON_HEADER, MetadataValue::from_bytes(reason.as_bytes()));
    }
    request
}
