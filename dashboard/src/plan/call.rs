//! Previews and changes, as calls to a brain.

use std::future::Future;
use std::time::Duration;

use maglev_proto::preview_change_request::Change as Previewed;
use maglev_proto::{
    BackendAction, ChangeBackendRequest, ClearOverrideRequest, PreviewBackend, PreviewChangeRequest,
    PreviewChangeResponse, RecreateVipRequest, SetFrontendPoolBackendWeightRequest, SyncVpplbStateRequest,
};
use serde::Serialize;
use serde_json::Value;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use super::Change;
use crate::brain::{self, Brain};

/// A brain computes that long at most.
const PREVIEW: Duration = Duration::from_secs(10);
/// A brain waits for VPP 10 s, and 30 s for a sync.
const CHANGE: Duration = Duration::from_secs(15);
const SYNC: Duration = Duration::from_secs(35);
/// Who asks, for the brain's log and events.
const PERSON: &str = "maglev-person";

/// What a brain says that it would do. Nothing for a sync.
pub(super) async fn preview(brain: &Brain, change: &Change) -> Result<Option<PreviewChangeResponse>, String> {
    let (mut client, may_change) = brain.client().ok_or("its brain is disconnected")?;
    if !may_change {
        return Err("the dashboard may only read there".to_owned());
    }
    let Some(change) = previewed(change) else { return Ok(None) };
    let request = PreviewChangeRequest { change: Some(change) };
    let answer = within(PREVIEW, client.preview_change(request)).await;
    answer.map(Some).map_err(|status| in_words(&status))
}

fn previewed(change: &Change) -> Option<Previewed> {
    let of_backend = |name: &String, action: BackendAction| {
        Some(Previewed::Backend(PreviewBackend { name: name.clone(), action: action.into() }))
    };
    match change {
        Change::Pause { backend } => of_backend(backend, BackendAction::Pause),
        Change::Resume { backend } => of_backend(backend, BackendAction::Resume),
        Change::Enable { backend } => of_backend(backend, BackendAction::Enable),
        Change::Disable { backend } => of_backend(backend, BackendAction::Disable),
        Change::Weight { .. } => weight(change, None).map(Previewed::Weight),
        Change::Clear { backend, frontend, pool } => {
            let (backend, frontend, pool) = (backend.clone(), frontend.clone(), pool.clone());
            Some(Previewed::Clear(ClearOverrideRequest { backend, frontend, pool, ..Default::default() }))
        }
        Change::Recreate { frontend } => {
            Some(Previewed::Recreate(RecreateVipRequest { frontend: frontend.clone(), ..Default::default() }))
        }
        Change::Sync { .. } => None,
    }
}

fn weight(change: &Change, state: Option<u64>) -> Option<SetFrontendPoolBackendWeightRequest> {
    let Change::Weight { frontend, pool, backend, weight, flush } = change.clone() else { return None };
    Some(SetFrontendPoolBackendWeightRequest {
        frontend,
        pool,
        backend,
        weight,
        flush,
        state,
        no_wait: false,
    })
}

/// Has a brain do it.
pub(super) async fn carry_out(
    brain: &Brain,
    change: &Change,
    state: Option<u64>,
    person: &str,
) -> Result<Value, Status> {
    let (mut client, _) = brain.client().ok_or_else(|| Status::unavailable("its brain is disconnected"))?;
    match change {
        Change::Pause { backend } => {
            done(CHANGE, client.pause_backend(of_backend(backend, state, person))).await
        }
        Change::Resume { backend } => {
            done(CHANGE, client.resume_backend(of_backend(backend, state, person))).await
        }
        Change::Enable { backend } => {
            done(CHANGE, client.enable_backend(of_backend(backend, state, person))).await
        }
        Change::Disable { backend } => {
            done(CHANGE, client.disable_backend(of_backend(backend, state, person))).await
        }
        Change::Weight { .. } => {
            let request = weight(change, state).unwrap_or_default();
            done(CHANGE, client.set_frontend_pool_backend_weight(by(person, request))).await
        }
        Change::Clear { backend, frontend, pool } => {
            let (backend, frontend, pool) = (backend.clone(), frontend.clone(), pool.clone());
            let request = ClearOverrideRequest { backend, frontend, pool, state, no_wait: false };
            done(CHANGE, client.clear_override(by(person, request))).await
        }
        Change::Recreate { frontend } => {
            let request = RecreateVipRequest { frontend: frontend.clone(), state, no_wait: false };
            done(CHANGE, client.recreate_vip(by(person, request))).await
        }
        Change::Sync { frontend } => {
            let request = SyncVpplbStateRequest { frontend: frontend.clone() };
            done(SYNC, client.sync_vpplb_state(by(person, request))).await
        }
    }
}

fn of_backend(backend: &str, state: Option<u64>, person: &str) -> Request<ChangeBackendRequest> {
    by(person, ChangeBackendRequest { name: backend.to_owned(), state, no_wait: false })
}

fn by<T>(person: &str, request: T) -> Request<T> {
    let mut request = Request::new(request);
    // Names of persons are ASCII.
    if let Ok(person) = person.parse() {
        request.metadata_mut().insert(PERSON, person);
    }
    request
}

async fn done<T: Serialize>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<Value, Status> {
    let answer = within(limit, call).await?;
    serde_json::to_value(answer).map_err(|error| Status::internal(error.to_string()))
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    match timeout(limit, call).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(Status::deadline_exceeded(format!(
            "no answer within {} s: look whether it was done",
            limit.as_secs()
        ))),
    }
}

/// The brain's words, or what became of the connection.
pub(super) fn in_words(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(cause) => brain::in_words(cause),
        None if status.message().is_empty() => status.code().description().to_owned(),
        None => status.message().to_owned(),
    }
}
