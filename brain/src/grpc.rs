//! The operators' gRPC: reads snapshots, and asks VPP through the agent where an answer must be VPP's own.

mod listen;
mod view;

use std::sync::Arc;

use maglev_proto::maglev_server::{Maglev, MaglevServer};
use maglev_proto::{
    Backend, Frontend, GetBackendRequest, GetFrontendRequest, GetVppInfoRequest, GetVpplbStateRequest,
    ListBackendsRequest, ListBackendsResponse, ListFrontendsRequest, ListFrontendsResponse, VppInfo,
    VpplbState,
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

pub use listen::{ListenAddress, ListenError, Listener, serve};

use crate::agent::{AgentReader, CallError};
use crate::controller::Snapshot;

/// The service, for as many clients as come.
#[derive(Debug, Clone)]
pub struct Service {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    reader: AgentReader,
}

impl Service {
    /// A service that reads these snapshots.
    pub fn new(snapshots: watch::Receiver<Arc<Snapshot>>, reader: AgentReader) -> Self {
        Self { snapshots, reader }
    }

    fn server(self) -> MaglevServer<Self> {
        MaglevServer::new(self)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }
}

#[tonic::async_trait]
impl Maglev for Service {
    async fn list_frontends(
        &self,
        _: Request<ListFrontendsRequest>,
    ) -> Result<Response<ListFrontendsResponse>, Status> {
        let snapshot = self.snapshot();
        let frontends =
            snapshot.frontends.keys().filter_map(|name| view::frontend(&snapshot, name)).collect();
        Ok(Response::new(ListFrontendsResponse { frontends }))
    }

    async fn get_frontend(&self, request: Request<GetFrontendRequest>) -> Result<Response<Frontend>, Status> {
        let snapshot = self.snapshot();
        let name = request.into_inner().name;
        let found = view::frontend(&snapshot, &name);
        found.map(Response::new).ok_or_else(|| unknown("frontend", &name, snapshot.frontends.keys()))
    }

    async fn list_backends(
        &self,
        _: Request<ListBackendsRequest>,
    ) -> Result<Response<ListBackendsResponse>, Status> {
        let snapshot = self.snapshot();
        let backends = snapshot.backends.keys().filter_map(|name| view::backend(&snapshot, name)).collect();
        Ok(Response::new(ListBackendsResponse { backends }))
    }

    async fn get_backend(&self, request: Request<GetBackendRequest>) -> Result<Response<Backend>, Status> {
        let snapshot = self.snapshot();
        let name = request.into_inner().name;
        let found = view::backend(&snapshot, &name);
        found.map(Response::new).ok_or_else(|| unknown("backend", &name, snapshot.backends.keys()))
    }

    async fn get_vpp_info(&self, _: Request<GetVppInfoRequest>) -> Result<Response<VppInfo>, Status> {
        Ok(Response::new(view::vpp_info(&self.snapshot())))
    }

    async fn get_vpplb_state(
        &self,
        _: Request<GetVpplbStateRequest>,
    ) -> Result<Response<VpplbState>, Status> {
        let state = self.reader.lb_state().await.map_err(|error| match error {
            CallError::Busy => Status::resource_exhausted(error.to_string()),
            CallError::Timeout => Status::deadline_exceeded(error.to_string()),
            CallError::Away(_) | CallError::Agent(_) => Status::unavailable(error.to_string()),
        })?;
        Ok(Response::new(view::lb_state(&self.snapshot(), &state)))
    }
}

/// How alike a name must be to be offered instead, from 0 to 1.
const NEAR: f64 = 0.7;
/// How many are offered at most.
const OFFERS: usize = 3;

fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a Arc<str>>) -> Status {
    let mut near: Vec<_> = known.map(|known| (strsim::jaro_winkler(known, name), known)).collect();
    near.retain(|(likeness, _)| *likeness >= NEAR);
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let offers: Vec<_> = near.iter().take(OFFERS).map(|(_, known)| format!("{known:?}")).collect();
    let hint = if offers.is_empty() {
        format!("; `show {kind}s` lists them")
    } else {
        format!("; did you mean {}?", offers.join(" or "))
    };
    Status::not_found(format!("there is no {kind} {name:?}{hint}"))
}

#[cfg(test)]
mod tests;
