//! The fleet: converts requests, and the fleet's state to answers.

mod previews;
mod tables;

use std::collections::BTreeSet;
use std::sync::Arc;

use maglev_engine::core::Command;
use maglev_engine::fleet::records::{self, Name, Order, Plan, Revision, Rollout, Routes, Stage};
use maglev_proto::preview_change_request::Change;
use maglev_proto::{
    AbortFleetRolloutRequest, ConfirmFleetRolloutRequest, FleetConfig, FleetMember, FleetOrder, FleetPlan,
    FleetRefusal, FleetRollout, FleetStage, FleetStatus, GetFleetConfigRequest, ListFleetConfigsResponse,
    PreviewChangeResponse, PutFleetConfigRequest, RemoveFleetMemberRequest, RollbackFleetConfigRequest,
    Severity,
};
use tonic::{Request, Response, Status};

use super::caller::Caller;
use super::view::unix_ms;
use super::{Answer, Service, configuration, refusal};
use crate::fleet::view::Link;
use crate::fleet::{Author, Fleet, MemberStatus};
use crate::paced::Cause;

impl Service {
    fn fleet(&self) -> Result<&Fleet, Status> {
        let words = "this load balancer is not a member of a fleet: start maglev-brain with --fleet FILE";
        self.fleet.as_ref().ok_or_else(|| Status::failed_precondition(words))
    }

    pub(super) fn fleet_status(&self) -> FleetStatus {
        self.fleet.as_ref().map(status).unwrap_or_default()
    }

    pub(super) fn fleet_configs(&self) -> Result<ListFleetConfigsResponse, Status> {
        let fleet = self.fleet()?;
        let members = fleet.status().members;
        let configs = fleet.configs().iter().map(|revision| config(revision, &members)).collect();
        Ok(ListFleetConfigsResponse { configs })
    }

    pub(super) async fn fleet_config(&self, request: Request<GetFleetConfigRequest>) -> Answer<FleetConfig> {
        let caller = Caller::of(request.extensions());
        let _place = self.place(Cause::Check, &self.checks.places, &caller)?;
        let _turn = self.checks.turn(&caller).await;
        let GetFleetConfigRequest { number, compare_with } = request.into_inner();
        let fleet = self.fleet()?;
        let revision = fleet.config(number).map_err(refusal::of_fleet)?;
        let other = match compare_with {
            0 => None,
            other => Some(fleet.config(other).map_err(refusal::of_fleet)?),
        };
        let mut answer = config(&revision, &fleet.status().members);
        let compare = move || {
            answer.text = revision.text()?;
            if let Some(other) = other {
                (answer.differences, answer.differences_left_out) =
                    configuration::listed_differences(&other.text()?, &answer.text);
            }
            Ok::<_, String>(answer)
        };
        let compared = self.checks.blocking.run(compare).await;
        let compared = compared.map_err(|error| Status::unavailable(error.to_string()))?;
        compared.map(Response::new).map_err(Status::data_loss)
    }

    pub(super) async fn put_fleet(&self, request: Request<PutFleetConfigRequest>) -> Answer<FleetStatus> {
        let author = self.author(&request, "fleet config put")?;
        let fleet = self.fleet()?.clone();
        let PutFleetConfigRequest { text, plan: given, state } = request.into_inner();
        let plan = plan(given.unwrap_or_default())?;
        // Other members check it when they take it; this one can tell at once.
        self.command_of(&text).await?;
        self.unmoved(state)?;
        fleet.put(&text, plan, author).await.map_err(refusal::of_fleet)?;
        Ok(Response::new(status(&fleet)))
    }

    pub(super) async fn rollback_fleet(
        &self,
        request: Request<RollbackFleetConfigRequest>,
    ) -> Answer<FleetStatus> {
        let author = self.author(&request, "fleet config rollback")?;
        let fleet = self.fleet()?.clone();
        let RollbackFleetConfigRequest { number, plan: given, state } = request.into_inner();
        let plan = plan(given.unwrap_or_default())?;
        self.unmoved(state)?;
        fleet
            .rollback(Some(number).filter(|number| *number > 0), plan, author)
            .await
            .map_err(refusal::of_fleet)?;
        Ok(Response::new(status(&fleet)))
    }

    pub(super) async fn confirm_fleet(
        &self,
        request: Request<ConfirmFleetRolloutRequest>,
    ) -> Answer<FleetStatus> {
        self.author(&request, "fleet config confirm")?;
        let fleet = self.fleet()?;
        fleet.confirm().await.map_err(refusal::of_fleet)?;
        Ok(Response::new(status(fleet)))
    }

    pub(super) async fn abort_fleet(
        &self,
        request: Request<AbortFleetRolloutRequest>,
    ) -> Answer<FleetStatus> {
        let author = self.author(&request, "fleet config abort")?;
        let fleet = self.fleet()?;
        fleet.abort(author).await.map_err(refusal::of_fleet)?;
        Ok(Response::new(status(fleet)))
    }

    pub(super) async fn remove_member(
        &self,
        request: Request<RemoveFleetMemberRequest>,
    ) -> Answer<FleetStatus> {
        self.author(&request, "fleet members remove")?;
        let fleet = self.fleet()?;
        fleet.remove(&request.into_inner().name).await.map_err(refusal::of_fleet)?;
        Ok(Response::new(status(fleet)))
    }

    /// The text that a change would roll out; `None` if it is not the fleet's.
    pub(super) fn proposed(&self, change: &Change) -> Result<Option<String>, Status> {
        match change {
            Change::PutFleet(PutFleetConfigRequest { text, .. }) => self.fleet().map(|_| Some(text.clone())),
            Change::RollbackFleet(RollbackFleetConfigRequest { number, .. }) => {
                let fleet = self.fleet()?;
                let number =
                    fleet.earlier(Some(*number).filter(|number| *number > 0)).map_err(refusal::of_fleet)?;
                let text =
                    fleet.config(number).map_err(refusal::of_fleet)?.text().map_err(Status::data_loss)?;
                Ok(Some(text))
            }
            _ => Ok(None),
        }
    }

    /// Adds to a preview what the other members say.
    pub(super) async fn preview_on_members(
        &self,
        text: &str,
        who: &str,
        own: &mut PreviewChangeResponse,
    ) -> Result<(), Status> {
        let fleet = self.fleet()?;
        match fleet.preview(text, who).await {
            Ok(previews) => previews::add(own, fleet.member(), previews),
            // Nobody should take silence for consent.
            Err(error) => {
                own.sentences.push(format!("the other members were not asked: {error}"));
                own.set_severity(Severity::Danger);
            }
        }
        Ok(())
    }

    /// The reload that a text would be.
    pub(super) async fn command_of(&self, text: &str) -> Result<Command, Status> {
        let loaded = self.reloader.validate("configuration".to_owned(), text.as_bytes().into()).await;
        let loaded = loaded.map_err(|error| refusal::reload(&error))?;
        Ok(Command::Reload(Arc::new(loaded.config).into()))
    }

    /// Refuses a change that was decided on another state.
    fn unmoved(&self, state: Option<u64>) -> Result<(), Status> {
        let moved = state.is_some_and(|state| state != self.snapshot().events);
        let error = maglev_engine::core::CommandError::Moved;
        if moved { Err(refusal::command(&self.snapshot(), &error)) } else { Ok(()) }
    }

    /// Logs an operator's command before it is executed.
    fn author<T>(&self, request: &Request<T>, what: &str) -> Result<Author, Status> {
        let remark = self.terms_of(request, None, true, what)?.remark;
        let who = remark.who.as_deref().unwrap_or_default().to_owned();
        Ok(Author { who, comment: remark.reason })
    }
}

fn plan(given: FleetPlan) -> Result<Plan, Status> {
    let order = match given.order() {
        FleetOrder::Unspecified | FleetOrder::OneByOne => Order::OneByOne,
        FleetOrder::Halves => Order::Halves,
    };
    let names: Result<BTreeSet<_>, _> = given.canary.iter().map(|name| Name::new(name)).collect();
    let canary = names.map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok(Plan { canary, soak_ms: given.soak_ms, order })
}

fn status(fleet: &Fleet) -> FleetStatus {
    let status = fleet.status();
    let (connected, reason, since) = match &status.link {
        Link::Connected { since } => (true, String::new(), Some(*since)),
        Link::Away { since, reason } => (false, reason.to_string(), *since),
    };
    let refused = status.refused.iter();
    FleetStatus {
        fleet: status.fleet.to_string(),
        member: status.member.to_string(),
        connected,
        reason,
        since_unix_ms: since.map_or(0, unix_ms),
        rollout: status.rollout.as_ref().map(rollout),
        members: status.members.iter().map(member).collect(),
        refused: refused
            .map(|(key, reason)| FleetRefusal { key: key.to_string(), reason: reason.to_string() })
            .collect(),
        left_out: u64::try_from(status.left_out).unwrap_or(u64::MAX),
        not_kept: status.unsaved.unwrap_or_default(),
    }
}

fn rollout(rollout: &Rollout) -> FleetRollout {
    let order = match rollout.plan.order {
        Order::OneByOne => FleetOrder::OneByOne,
        Order::Halves => FleetOrder::Halves,
    };
    let stage = match rollout.stage {
        Stage::Canary => FleetStage::Canary,
        Stage::Soaking => FleetStage::Soaking,
        Stage::Rest => FleetStage::Rest,
        Stage::Done => FleetStage::Done,
        Stage::Failed { .. } => FleetStage::Failed,
        Stage::Aborted { .. } => FleetStage::Aborted,
        Stage::RolledBack { .. } => FleetStage::RolledBack,
    };
    let names = |names: &BTreeSet<Name>| names.iter().map(ToString::to_string).collect();
    let plan =
        FleetPlan { canary: names(&rollout.plan.canary), soak_ms: rollout.plan.soak_ms, order: order.into() };
    FleetRollout {
        revision: rollout.revision,
        back_to: rollout.back_to.unwrap_or_default(),
        plan: Some(plan),
        stage: stage.into(),
        reason: rollout.stage.reason().unwrap_or_default().to_owned(),
        may: names(&rollout.may),
        since_unix_ms: rollout.since_ms,
        begun_unix_ms: rollout.begun_ms,
        who: rollout.who.clone().unwrap_or_default(),
        comment: rollout.comment.clone(),
    }
}

fn member(member: &MemberStatus) -> FleetMember {
    let MemberStatus { info, state, rival } = member;
    let records::MemberInfo { name, version, first_seen_ms } = info.clone();
    let whose = FleetMember {
        name: name.to_string(),
        version,
        first_seen_unix_ms: first_seen_ms,
        connected: state.is_some(),
        rival_since_unix_ms: rival.map_or(0, |rival| rival.since_ms),
        ..FleetMember::default()
    };
    let Some(state) = state else { return whose };
    let (running, refused) = (state.running.as_ref(), state.refused.as_ref());
    FleetMember {
        revision: running.map_or(0, |running| running.revision),
        sha256: running.map(|running| running.sha256.to_string()).unwrap_or_default(),
        refused_revision: refused.map_or(0, |refused| refused.revision),
        refused_reason: refused.map(|refused| refused.reason.clone()).unwrap_or_default(),
        vpp_connected: state.vpp,
        not_programmed: state.not_programmed.clone().unwrap_or_default(),
        downs: state.problems.downs,
        sync_errors: state.problems.sync_errors,
        drift: state.problems.drift,
        withdrawn_routes: state.problems.withdrawn,
        clock_unix_ms: state.clock_ms,
        local_overrides: state.local,
        cut_off: state.routes == Routes::Withdrawing,
        ..whose
    }
}

fn config(revision: &Revision, members: &[MemberStatus]) -> FleetConfig {
    let runs = |member: &&MemberStatus| {
        let running = member.state.as_ref().and_then(|state| state.running.as_ref());
        running.is_some_and(|running| running.revision == revision.number)
    };
    FleetConfig {
        number: revision.number,
        at_unix_ms: revision.at_ms,
        who: revision.author.clone().unwrap_or_default(),
        comment: revision.comment.clone(),
        sha256: revision.sha256.to_string(),
        members: members.iter().filter(runs).map(|member| member.info.name.to_string()).collect(),
        ..FleetConfig::default()
    }
}
