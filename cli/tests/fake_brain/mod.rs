//! A maglev-brain with canned answers, served by tonic in the test's own process.

use std::net::SocketAddr;
use std::path::Path;

use maglev_proto::maglev_server::{Maglev, MaglevServer};
use maglev_proto::{
    Backend, Frontend, GetBackendRequest, GetFrontendRequest, GetVppInfoRequest, GetVpplbStateRequest,
    ListBackendsRequest, ListBackendsResponse, ListFrontendsRequest, ListFrontendsResponse, VppInfo,
    VpplbState,
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
