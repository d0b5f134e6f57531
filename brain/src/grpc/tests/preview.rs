//! Previews of changes, against a real controller without an agent.

use maglev_proto::preview_change_request::Change;
use maglev_proto::{
    BackendAction, FlowsFate, PreviewBackend, PreviewChangeRequest, PreviewChangeResponse,
    ReloadConfigRequest, Severity, VipChange,
};
use tonic::Code;

use super::changes::{Brain, CONFIG, by_admin};
use super::*;

async fn preview(brain: &Brain, change: Option<Change>) -> Result<PreviewChangeResponse, Status> {
    let request = by_admin(PreviewChangeRequest { change });
    brain.service.preview_change(request).await.map(Response::into_inner)
}

fn backend(name: &str, action: BackendAction) -> Option<Change> {
    Some(Change::Backend(PreviewBackend {
        name: name.into(),
        action: action.into(),
        ..PreviewBackend::default()
    }))
}

#[tokio::test]
async fn operator_learns_what_a_change_would_do_before_it_is_made() {
    let brain = Brain::start(CONFIG);
    let told = preview(&brain, backend("b1", BackendAction::Disable)).await.unwrap();
    let shop = &told.frontends[0];
    assert_eq!((shop.frontend.as_str(), shop.change()), ("shop", VipChange::Kept));
    let row = shop.backends.iter().find(|row| row.backend == "b1").unwrap();
    let (before, after) = (row.before.unwrap(), row.after.unwrap());
    assert_eq!((before.effective_weight > 0, after.effective_weight, after.buckets), (true, 0, 0));
    assert_ne!(row.fate(), FlowsFate::Stay);
    assert_ne!(told.severity(), Severity::None);
    // Nothing has changed.
    assert!(brain.overrides().await.is_empty());
    assert_eq!(preview(&brain, backend("b1", BackendAction::Disable)).await.unwrap(), told);
}

#[tokio::test]
async fn change_is_refused_when_the_state_has_moved_on() {
    let brain = Brain::start(CONFIG);
    let state = Some(preview(&brain, backend("b1", BackendAction::Pause)).await.unwrap().state);
    let pause = |name: &str, state| {
        by_admin(ChangeBackendRequest { name: name.into(), state, ..ChangeBackendRequest::default() })
    };
    brain.service.pause_backend(pause("b2", None)).await.unwrap();
    let refused = brain.service.pause_backend(pause("b1", state)).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Aborted, "the state has changed since the preview: preview again")
    );
    let state = Some(preview(&brain, backend("b1", BackendAction::Pause)).await.unwrap().state);
    brain.service.pause_backend(pause("b1", state)).await.unwrap();
}

#[tokio::test]
async fn reload_that_removes_a_vip_is_danger() {
    let brain = Brain::start(CONFIG);
    let reload = || Some(Change::Reload(ReloadConfigRequest::default()));
    let told = preview(&brain, reload()).await.unwrap();
    assert_eq!((told.severity(), told.frontends.len()), (Severity::None, 0));
    let moved = CONFIG.replace("203.0.113.10", "203.0.113.11");
    std::fs::write(brain.file(), &moved).unwrap();
    let told = preview(&brain, reload()).await.unwrap();
    let changes: Vec<_> = told.frontends.iter().map(|frontend| frontend.change()).collect();
    assert_eq!((told.severity(), changes), (Severity::Danger, vec![VipChange::Removed, VipChange::Added]));
    std::fs::write(brain.file(), "maglev: [").unwrap();
    assert_eq!(preview(&brain, reload()).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn what_cannot_be_previewed_is_refused_as_the_change_would_be() {
    let brain = Brain::start(CONFIG);
    for (change, code, words) in [
        (None, Code::InvalidArgument, "the change is missing"),
        (backend("b1", BackendAction::Unspecified), Code::InvalidArgument, "the action is missing"),
        (backend("", BackendAction::Pause), Code::InvalidArgument, "the name of the backend is missing"),
    ] {
        let refused = preview(&brain, change).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (code, words));
    }
    let unknown = preview(&brain, backend("b9", BackendAction::Pause)).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}
