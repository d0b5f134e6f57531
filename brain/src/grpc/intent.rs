//! Overrides in a fleet: an operator's command becomes an intent for all members, unless it is only for this one.

use std::time::SystemTime;

use maglev_engine::core::{BackendWish, Command, CommandError, Core, Done, InVpp, Now};
use maglev_engine::fleet::records::{Aim, Intent, IntentKey, unix_ms};
use maglev_engine::overrides::{Remark, Stamp};
use maglev_proto::FleetMemberResult;
use tokio::time::Instant;
use tonic::Status;

use super::{Service, refusal};
use crate::controller::Terms;
use crate::fleet::{Fleet, LocalNotes, MemberResult};

/// A command that was carried out, and how far the members of a fleet are with it.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) done: Done,
    pub(super) members: Vec<FleetMemberResult>,
}

impl From<Done> for Carried {
    fn from(done: Done) -> Self {
        Self { done, members: Vec::new() }
    }
}

impl Service {
    /// Carries out a command that sets overrides for the whole fleet. `None` if it is not the fleet's: there is no fleet, or it
    /// removes an override that only this load balancer has.
    pub(super) async fn intend(&self, terms: &Terms, command: &Command) -> Result<Option<Carried>, Status> {
        let Some(fleet) = self.fleet.as_ref().filter(|_| is_for_fleets(command)) else { return Ok(None) };
        // The same rules as for one load balancer: the command is tried on a copy of its state.
        let refused = |error| refusal::command(&self.snapshot(), &error);
        let core = self.operator.state().await.map_err(refused)?;
        let now = Now { wall: SystemTime::now(), mono: Instant::now().into_std() };
        let tried = core.tried_on(terms.state, command.clone(), terms.remark.clone(), now);
        let (core, mut done) = tried.map_err(refused)?;
        let intents = intents(&core, command, &done, &terms.remark, now);
        if intents.iter().all(|(key, intent)| intent.is_none() && !fleet.may_have_intent(key)) {
            return Ok(None);
        }
        let results = fleet.intend(intents, terms.no_wait).await.map_err(refusal::of_fleet)?;
        let own = results.iter().find(|member| member.name == *fleet.member());
        let in_vpp = match own.and_then(|own| own.missing.clone()) {
            _ if terms.no_wait => InVpp::NotAsked,
            None => InVpp::Acknowledged,
            Some(reason) => InVpp::Away(reason),
        };
        for asked in &mut done.asked {
            asked.in_vpp = in_vpp.clone();
        }
        (done.report, done.not_kept) = (None, self.operator.not_kept());
        Ok(Some(Carried { done, members: results.into_iter().map(result).collect() }))
    }

    /// Carries out a command for this load balancer alone.
    pub(super) async fn carry_out_here(&self, terms: Terms, command: Command) -> Result<Done, CommandError> {
        let Some(fleet) = self.fleet.as_ref().filter(|_| is_for_fleets(&command)) else {
            return self.operator.command(terms, command).await;
        };
        let core = self.operator.state().await?;
        let now = Now { wall: SystemTime::now(), mono: Instant::now().into_std() };
        let (_, tried) = core.tried_on(terms.state, command.clone(), terms.remark.clone(), now)?;
        // Noted first: otherwise the fleet's intent might replace it at once.
        let before = note_local(fleet, &command, keys(&command, &tried));
        let done = self.operator.command(terms, command).await;
        if done.is_err() {
            fleet.note_local(before);
        }
        done
    }
}

/// The fleet's intent counts again once what was set only here is cleared. Returns what was noted before.
fn note_local(fleet: &Fleet, command: &Command, keys: Vec<IntentKey>) -> LocalNotes {
    let clears = matches!(
        command,
        Command::ClearWeight { .. }
            | Command::Backend { wish: BackendWish::Clear, .. }
            | Command::Backends { wish: BackendWish::Clear, .. }
    );
    let known = (!clears).then(|| fleet.known_revision());
    fleet.note_local(keys.into_iter().map(|key| (key, known)).collect())
}

fn is_for_fleets(command: &Command) -> bool {
    matches!(
        command,
        Command::Backend { .. }
            | Command::Backends { .. }
            | Command::SetWeight { .. }
            | Command::ClearWeight { .. }
    )
}

/// What a command is about.
fn keys(command: &Command, done: &Done) -> Vec<IntentKey> {
    match command {
        Command::Backend { backend, .. } => vec![IntentKey::Backend(backend.clone())],
        Command::Backends { .. } => {
            let changed = done.backends.iter().filter(|(_, result)| result.is_ok());
            changed.map(|(name, _)| IntentKey::Backend(name.to_string())).collect()
        }
        Command::SetWeight { member, .. } | Command::ClearWeight { member } => {
            vec![IntentKey::Weight(member.clone())]
        }
        _ => Vec::new(),
    }
}

/// The intents that lead every member to the overrides of a copy on which the command was tried.
fn intents(
    core: &Core,
    command: &Command,
    done: &Done,
    remark: &Remark,
    now: Now,
) -> Vec<(IntentKey, Option<Intent>)> {
    let stamp = Stamp::new(now.wall, remark.clone());
    let flushes = matches!(command, Command::SetWeight { flush: true, .. });
    let intents = keys(command, done).into_iter().map(|key| {
        let set = match &key {
            IntentKey::Backend(name) => {
                let set = core.overrides().backends.get(name);
                set.map(|set| (Aim::Backend(set.value), &set.stamp))
            }
            IntentKey::Weight(member) => {
                let set = core.overrides().weights.get(member);
                let set = set.map(|set| (Aim::Weight { weight: set.value, flush: flushes }, &set.stamp));
                match command {
                    // Flows are flushed even if the weight is the configured one, which needs no override.
                    Command::SetWeight { weight, flush: true, .. } => {
                        set.or(Some((Aim::Weight { weight: *weight, flush: true }, &stamp)))
                    }
                    _ => set,
                }
            }
        };
        let intent = set.map(|(aim, stamp)| Intent {
            aim,
            who: stamp.remark.who.as_ref().map(ToString::to_string),
            why: stamp.remark.reason.clone(),
            // Each flush is another one, though the override may be as it was.
            since_ms: unix_ms(if flushes { now.wall } else { stamp.since }),
            until_ms: stamp.remark.until.map(unix_ms),
        });
        (key, intent)
    });
    intents.collect()
}

fn result(MemberResult { name, missing }: MemberResult) -> FleetMemberResult {
    FleetMemberResult {
        name: name.to_string(),
        programmed: missing.is_none(),
        reason: missing.unwrap_or_default(),
    }
}
