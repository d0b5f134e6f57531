//! Previews of changes: converts requests for the engine, and its results to answers.

use std::time::SystemTime;

use maglev_engine::core::{BackendWish, Command, Now};
use maglev_engine::preview;
use maglev_proto::preview_change_request::Change;
use maglev_proto::{
    BackendAction, BackendPreview, BackendShare, FlowsFate, FrontendPreview, FrontendSide, FrontendState,
    PreviewChangeRequest, PreviewChangeResponse, RecreateVipRequest, RollbackConfigRequest, Severity,
    VipChange,
};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::caller::{Caller, Rights};
use super::{Answer, Service, operate, refusal};
use crate::paced::Cause;

impl Service {
    /// The controller only copies its state; the preview is computed elsewhere.
    pub(super) async fn preview(
        &self,
        request: Request<PreviewChangeRequest>,
    ) -> Answer<PreviewChangeResponse> {
        let caller = Caller::of(request.extensions());
        let _place = self.place(Cause::Check, &self.checks.places, &caller)?;
        let turn = self.checks.turn(&caller).await;
        let change = request.into_inner().change;
        let change = change.ok_or_else(|| Status::invalid_argument("the change is missing"))?;
        let proposed = self.proposed(&change)?;
        let command = match &proposed {
            Some(text) => self.command_of(text).await?,
            None => self.previewed(change).await?,
        };
        let mut answer = self.preview_of(command).await?;
        drop(turn);
        // The others are asked through etcd, which only admins may have written.
        if let Some(text) = proposed.filter(|_| *caller.rights() == Rights::Admin) {
            self.preview_on_members(&text, &caller.responsible(), &mut answer).await?;
        }
        Ok(Response::new(answer))
    }

    /// What a command would do now.
    pub(super) async fn preview_of(&self, command: Command) -> Result<PreviewChangeResponse, Status> {
        // Without VPP's counters, the preview lacks the numbers of flows.
        let figures = self.figures_soon().await.ok();
        let refused = |error| refusal::command(&self.snapshot(), &error);
        let core = self.operator.state().await.map_err(refused)?;
        let now = Now { wall: SystemTime::now(), mono: Instant::now().into_std() };
        let preview = move || {
            let flows = |vip: &_, server: &_| Some(figures.as_ref()?.server(vip, *server)?.flows);
            preview::preview(&core, command, &flows, now)
        };
        match self.checks.blocking.run(preview).await {
            Ok(Ok(preview)) => Ok(answer(preview)),
            Ok(Err(error)) => Err(refused(error)),
            Err(error) => Err(Status::unavailable(error.to_string())),
        }
    }

    async fn previewed(&self, change: Change) -> Result<Command, Status> {
        Ok(match change {
            Change::Backend(change) => {
                let wish = match change.action() {
                    BackendAction::Pause => BackendWish::Pause,
                    BackendAction::Resume => BackendWish::Resume,
                    BackendAction::Enable => BackendWish::Enable,
                    BackendAction::Disable => BackendWish::Disable,
                    BackendAction::Unspecified => {
                        return Err(Status::invalid_argument("the action is missing"));
                    }
                };
                operate::backends(change.name, &change.label, &change.host, wish)?
            }
            Change::Weight(request) => operate::set_weight(request)?.1,
            Change::Clear(request) => operate::clear(request)?,
            Change::Recreate(RecreateVipRequest { frontend, .. }) => {
                Command::Recreate { frontend: refusal::name("frontend", frontend)? }
            }
            Change::Reload(_) => {
                let loaded = self.reloader.load().await.map_err(|error| refusal::reload(&error))?;
                Command::Reload(std::sync::Arc::new(loaded.config).into())
            }
            Change::Rollback(RollbackConfigRequest { number, .. }) => {
                let number = Some(number).filter(|number| *number > 0);
                let earlier = self.reloader.earlier(number).await.map_err(|error| refusal::reload(&error))?;
                Command::Reload(std::sync::Arc::new(earlier.1.config).into())
            }
            Change::PutFleet(_) | Change::RollbackFleet(_) => {
                return Err(Status::internal("a change of the fleet is previewed by its text"));
            }
        })
    }
}

fn answer(preview: preview::Preview) -> PreviewChangeResponse {
    let preview::Preview { events, severity, sentences, frontends } = preview;
    PreviewChangeResponse {
        state: events,
        severity: grave(severity).into(),
        sentences,
        frontends: frontends.into_iter().map(frontend).collect(),
        members: Vec::new(),
    }
}

pub(super) fn grave(severity: preview::Severity) -> Severity {
    match severity {
        preview::Severity::None => Severity::None,
        preview::Severity::Notice => Severity::Notice,
        preview::Severity::Danger => Severity::Danger,
    }
}

pub(super) fn vip_change(change: preview::VipChange) -> VipChange {
    match change {
        preview::VipChange::Kept => VipChange::Kept,
        preview::VipChange::Added => VipChange::Added,
        preview::VipChange::Removed => VipChange::Removed,
        preview::VipChange::Recreated => VipChange::Recreated,
    }
}

fn frontend(preview: preview::FrontendPreview) -> FrontendPreview {
    FrontendPreview {
        frontend: preview.frontend,
        vip: preview.vip.to_string(),
        change: vip_change(preview.change).into(),
        held_back: preview.held_back,
        before: preview.before.map(side),
        after: preview.after.map(side),
        backends: preview.backends.into_iter().map(backend).collect(),
        moved_buckets: preview.moved_buckets,
        severity: grave(preview.severity).into(),
        sentences: preview.sentences,
    }
}

fn side(side: preview::Side) -> FrontendSide {
    let state = match side.state {
        maglev_engine::weights::FrontendState::Unknown => FrontendState::Unknown,
        maglev_engine::weights::FrontendState::Up => FrontendState::Up,
        maglev_engine::weights::FrontendState::Down => FrontendState::Down,
    };
    FrontendSide {
        state: state.into(),
        active_pool: side.active_pool.unwrap_or_default(),
        panic_pool: side.panic.unwrap_or_default(),
        table_length: side.table_length,
    }
}

fn backend(row: preview::BackendPreview) -> BackendPreview {
    let share = |share: preview::Share| BackendShare {
        effective_weight: share.effective.into(),
        programmed_weight: share.programmed.into(),
        buckets: share.buckets,
    };
    let fate = match row.fate {
        preview::Fate::Stay => FlowsFate::Stay,
        preview::Fate::Finish => FlowsFate::Finish,
        preview::Fate::Move => FlowsFate::Move,
        preview::Fate::Cut => FlowsFate::Cut,
        preview::Fate::Rehash => FlowsFate::Rehash,
    };
    BackendPreview {
        pool: row.pool,
        backend: row.backend,
        address: row.server.to_string(),
        before: row.before.map(share),
        after: row.after.map(share),
        fate: fate.into(),
        flows: row.flows,
    }
}
