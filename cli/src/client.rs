//! The calls to maglev-brain, with their timeouts, over TCP or a unix socket.

use std::future::Future;
use std::io;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use maglev_proto::maglev_client::MaglevClient;
use maglev_proto::{
    Backend, BrainStatus, ChangeBackendRequest, ChangeBackendResponse, CheckConfigRequest,
    CheckConfigResponse, ClearOverrideRequest, ClearOverrideResponse, Frontend, GetBackendRequest,
    GetFrontendRequest, GetStatusRequest, GetVppInfoRequest, GetVpplbStateRequest, ListBackendsRequest,
    ListBackendsResponse, ListFrontendsRequest, ListFrontendsResponse, ListOverridesRequest,
    ListOverridesResponse, RecreateVipRequest, RecreateVipResponse, ReloadConfigRequest,
    ReloadConfigResponse, SetFrontendPoolBackendWeightRequest, SetFrontendPoolBackendWeightResponse, VppInfo,
    VpplbState,
};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};
use tower::service_fn;

use crate::address::ServerAddress;
use crate::args::Action;
use crate::error::Error;

/// Largest answer taken. 50,000 backends with their history are some 50 MB; the library's 4 MiB would refuse
/// those of a large site.
const MAX_ANSWER: usize = 256 << 20;

/// What a change may take besides the time of the call: maglev-brain waits for VPP that long before it answers.
const CHANGE: Duration = Duration::from_secs(10);

/// A connection to maglev-brain.
#[derive(Debug)]
pub(crate) struct Client {
    stub: MaglevClient<Channel>,
    server: ServerAddress,
    timeout: Duration,
}

impl Client {
    /// `timeout` holds for the connection, and for each call again.
    pub(crate) async fn connect(server: &ServerAddress, timeout: Duration) -> Result<Self, Error> {
        let channel = time::timeout(timeout, channel(server))
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

    pub(crate) async fn change_backend(
        &self,
        name: &str,
        action: Action,
    ) -> Result<ChangeBackendResponse, Error> {
        let (mut stub, request) = (self.stub.clone(), ChangeBackendRequest { name: name.to_owned() });
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
    ) -> Result<SetFrontendPoolBackendWeightResponse, Error> {
        self.changed(self.stub.clone().set_frontend_pool_backend_weight(request)).await
    }

    pub(crate) async fn clear_override(
        &self,
        request: ClearOverrideRequest,
    ) -> Result<ClearOverrideResponse, Error> {
        self.changed(self.stub.clone().clear_override(request)).await
    }

    pub(crate) async fn recreate_vip(&self, frontend: &str) -> Result<RecreateVipResponse, Error> {
        let request = RecreateVipRequest { frontend: frontend.to_owned() };
        self.changed(self.stub.clone().recreate_vip(request)).await
    }

    /// Takes long with a file of many megabytes, as a reload does.
    pub(crate) async fn check_config(&self) -> Result<CheckConfigResponse, Error> {
        self.changed(self.stub.clone().check_config(CheckConfigRequest {})).await
    }

    pub(crate) async fn reload_config(&self) -> Result<ReloadConfigResponse, Error> {
        self.changed(self.stub.clone().reload_config(ReloadConfigRequest {})).await
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

/// A host name without an address.
#[derive(Debug, thiserror::Error)]
#[error("the name is not known")]
pub(crate) struct Unresolved(#[source] pub(crate) io::Error);

/// Connects by itself rather than by tonic, whose errors would hide the operating system's.
async fn channel(server: &ServerAddress) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.authority()))?;
    match server.clone() {
        ServerAddress::Tcp { host, port } => {
            let connector = service_fn(move |_| connect_tcp(host.clone(), port));
            endpoint.connect_with_connector(connector).await
        }
        ServerAddress::Unix(path) => {
            let connector = service_fn(move |_| {
                let path = path.clone();
                async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
            });
            endpoint.connect_with_connector(connector).await
        }
    }
}

async fn connect_tcp(
    host: String,
    port: u16,
) -> Result<TokioIo<TcpStream>, Box<dyn std::error::Error + Send + Sync>> {
    let addresses: Vec<_> = lookup_host((host, port)).await.map_err(Unresolved)?.collect();
    let stream = TcpStream::connect(addresses.as_slice()).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}
