//! Previews and changes, as calls to a brain.

use std::future::Future;
use std::time::Duration;

use maglev_proto::preview_change_request::Change as Previewed;
use maglev_proto::{
    BackendAction, ChangeBackendRequest, ClearOverrideRequest, PreviewBackend, PreviewChangeRequest,
    PreviewChangeResponse, RecreateVipRequest, SetFrontendPoolBackendWeightRequest as SetWeight,
    SyncVpplbStateRequest,
};
use serde::Serialize;
use serde_json::Value;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Response, Status};

use super::Change;
use crate::brain::{Brain, answer, in_words};

/// A brain computes that long at most.
const PREVIEW: Duration = Duration::from_secs(10);
/// A brain waits for VPP 10 s, and 30 s for a sync.
const CHANGE: Duration = Duration::from_secs(15);
const SYNC: Duration = Duration::from_secs(35);

/// What a brain says that it would do. Nothing for a sync.
pub(super) async fn preview(brain: &Brain, change: &Change) -> Result<Option<PreviewChangeResponse>, String> {
    let (mut client, may_change) = brain.client().ok_or("its brain is disconnected")?;
    if !may_change {
        return Err("the dashboard may only read there".to_owned());
    }
    let Some(change) = previewed(change) else { return Ok(None) };
    let request = PreviewChangeRequest { change: Some(change) };
    let previewed = answer(PREVIEW, client.preview_change(request)).await;
    previewed.map(Some).map_err(|status| in_words(&status))
}

/// Everything but a sync.
fn previewed(change: &Change) -> Option<Previewed> {
    let of_backend = |name: &String, action: BackendAction| {
        Previewed::Backend(PreviewBackend {
            name: name.clone(),
            action: action.into(),
            ..PreviewBackend::default()
        })
    };
    Some(match change.clone() {
        Change::Pause { backend } => of_backend(&backend, BackendAction::Pause),
        Change::Resume { backend } => of_backend(&backend, BackendAction::Resume),
        Change::Enable { backend } => of_backend(&backend, BackendAction::Enable),
        Change::Disable { backend } => of_backend(&backend, BackendAction::Disable),
        Change::Weight { frontend, pool, backend, weight, flush } => {
            Previewed::Weight(SetWeight { frontend, pool, backend, weight, flush, ..Default::default() })
        }
        Change::Clear { backend, frontend, pool } => {
            Previewed::Clear(ClearOverrideRequest { backend, frontend, pool, ..Default::default() })
        }
        Change::Recreate { frontend } => {
            Previewed::Recreate(RecreateVipRequest { frontend, ..Default::default() })
        }
        Change::Sync { .. } => return None,
    })
}

/// Has a brain do it, if its state is still this one.
pub(super) async fn carry_out(
    brain: &Brain,
    change: &Change,
    state: Option<u64>,
    asking: Asking<'_>,
) -> Result<Value, Status> {
    let (mut client, _) = brain.client().ok_or_else(|| Status::unavailable("its brain is disconnected"))?;
    match previewed(change) {
        Some(Previewed::Weight(weight)) => {
            let request = asking.with(SetWeight { state, ..weight });
            done(CHANGE, client.set_frontend_pool_backend_weight(request)).await
        }
        Some(Previewed::Clear(clear)) => {
            done(CHANGE, client.clear_override(asking.with(ClearOverrideRequest { state, ..clear }))).await
        }
        Some(Previewed::Recreate(recreate)) => {
            done(CHANGE, client.recreate_vip(asking.with(RecreateVipRequest { state, ..recreate }))).await
        }
        Some(Previewed::Backend(PreviewBackend { name, action, .. })) => {
            let request =
                asking.with(ChangeBackendRequest { name, state, ..ChangeBackendRequest::default() });
            let call = async move {
                match BackendAction::try_from(action) {
                    Ok(BackendAction::Pause) => client.pause_backend(request).await,
                    Ok(BackendAction::Resume) => client.resume_backend(request).await,
                    Ok(BackendAction::Enable) => client.enable_backend(request).await,
                    Ok(BackendAction::Disable) => client.disable_backend(request).await,
                    Ok(BackendAction::Unspecified) | Err(_) => Err(Status::internal("no such action")),
                }
            };
            done(CHANGE, call).await
        }
        // Of the configuration, which no change asks for, or nothing that is previewed: a sync.
        Some(
            Previewed::Reload(_)
            | Previewed::Rollback(_)
            | Previewed::PutFleet(_)
            | Previewed::RollbackFleet(_),
        )
        | None => {
            let frontend = match change {
                Change::Sync { frontend } => frontend.clone(),
                _ => String::new(),
            };
            done(SYNC, client.sync_vpplb_state(asking.with(SyncVpplbStateRequest { frontend }))).await
        }
    }
}

/// On whose behalf, and why.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) person: &'a str,
    pub(super) reason: &'a str,
}

impl Asking<'_> {
    fn with<T>(self, request: T) -> Request<T> {
        let mut request = Request::new(request);
        // Names of persons are ASCII.
        if let Ok(person) = self.person.parse() {
            request.metadata_mut().insert(maglev_proto::PERSON_HEADER, person);
        }
        request
            .metadata_mut()
            .insert_bin(maglev_proto::REASON_HEADER, MetadataValue::from_bytes(self.reason.as_bytes()));
        request
    }
}

async fn done<T: Serialize>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<Value, Status> {
    let late = |status: Status| match status.code() {
        Code::DeadlineExceeded => {
            Status::deadline_exceeded(format!("{}: look whether it was done", status.message()))
        }
        _ => status,
    };
    let answer = answer(limit, call).await.map_err(late)?;
    serde_json::to_value(answer).map_err(|error| Status::internal(error.to_string()))
}
