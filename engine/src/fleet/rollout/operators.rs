//! What operators do with rollouts.

use std::collections::BTreeSet;

use super::{Step, settled};
use crate::fleet::records::{LONGEST_REASON, MOST_MEMBERS, Name, Plan, Rollout, SOAK, Stage, clean};
use crate::overrides::LONGEST_WHO;

/// Number of revisions that are kept.
pub const MOST_KEPT: usize = 50;

/// Why an operator's request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// A rollout has not ended.
    #[error("the rollout of revision {revision} has not ended (stage {stage}): confirm or abort it, or wait")]
    Busy {
        /// Its revision.
        revision: u64,
        /// Its stage.
        stage: &'static str,
    },
    /// There is nothing to do.
    #[error("the fleet runs revision {0} already")]
    Same(u64),
    /// A canary is not a member.
    #[error("{0} is not a member of the fleet")]
    NoMember(Name),
    /// The fleet has no members.
    #[error("the fleet has no members")]
    Nobody,
    /// The fleet has too many members.
    #[error("the fleet has {0} members, more than {MOST_MEMBERS}")]
    TooMany(usize),
    /// The soak is out of range.
    #[error("a soak must be at most {}", humantime::format_duration(*SOAK.end()))]
    Soak,
    /// A soak needs somebody who soaks.
    #[error("a soak needs a canary: name the members that take the revision first")]
    NoCanary,
    /// The canaries do not run it yet.
    #[error("the canaries have not programmed revision {0} yet")]
    NotTaken(u64),
    /// It waits for nobody.
    #[error("the rollout of revision {revision} does not wait for a confirmation (stage {stage})")]
    NothingToConfirm {
        /// Its revision.
        revision: u64,
        /// Its stage.
        stage: &'static str,
    },
    /// It has ended.
    #[error(
        "the rollout of revision {revision} has ended (stage {stage}): roll back to an earlier revision instead"
    )]
    Ended {
        /// Its revision.
        revision: u64,
        /// Its stage.
        stage: &'static str,
    },
}

/// A rollout that an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The revision, which must be in the store.
    pub revision: u64,
    /// How.
    pub plan: Plan,
    /// Who.
    pub who: Option<String>,
    /// Why.
    pub comment: String,
}

/// Begins a rollout to all members. The transaction must demand that the current rollout has not changed.
///
/// # Errors
/// If it cannot begin.
pub fn begin(
    request: Request,
    current: Option<&Rollout>,
    members: BTreeSet<Name>,
    now_ms: u64,
) -> Result<Rollout, NotNow> {
    let Request { revision, plan, who, comment } = request;
    if let Some(current) = current.filter(|current| !current.stage.is_final()) {
        return Err(NotNow::Busy { revision: current.revision, stage: current.stage.word() });
    }
    let back_to = current.and_then(settled);
    if back_to == Some(revision) {
        return Err(NotNow::Same(revision));
    }
    match members.len() {
        0 => return Err(NotNow::Nobody),
        1..=MOST_MEMBERS => {}
        more => return Err(NotNow::TooMany(more)),
    }
    if let Some(stranger) = plan.canary.difference(&members).next() {
        return Err(NotNow::NoMember(stranger.clone()));
    }
    if u128::from(plan.soak_ms) > SOAK.end().as_millis() {
        return Err(NotNow::Soak);
    }
    let stage = match plan.canary.is_empty() {
        true if plan.soak_ms > 0 => return Err(NotNow::NoCanary),
        true => Stage::Rest,
        false => Stage::Canary,
    };
    // What a member refused in the rollout before, it tries again in this one.
    let begun_ms = current.map_or(now_ms, |current| now_ms.max(current.begun_ms.saturating_add(1)));
    Ok(Rollout {
        revision,
        back_to,
        may: plan.canary.clone(),
        plan,
        members,
        stage,
        since_ms: now_ms,
        begun_ms,
        who: who.map(|who| clean(&who, LONGEST_WHO)),
        comment: clean(&comment, LONGEST_REASON),
    })
}

/// Ends the soak early.
///
/// # Errors
/// If there is none.
pub fn confirm(rollout: &Rollout, now_ms: u64) -> Result<Rollout, NotNow> {
    let (revision, stage) = (rollout.revision, rollout.stage.word());
    match rollout.stage {
        Stage::Soaking => Ok(Rollout { stage: Stage::Rest, since_ms: now_ms, ..rollout.clone() }),
        Stage::Canary => Err(NotNow::NotTaken(revision)),
        _ => Err(NotNow::NothingToConfirm { revision, stage }),
    }
}

/// Stops a rollout: every member goes back.
///
/// # Errors
/// If it has ended, or stopped already.
pub fn abort(rollout: &Rollout, who: Option<&str>, why: &str, now_ms: u64) -> Result<Rollout, NotNow> {
    match rollout.stage {
        Stage::Canary | Stage::Soaking | Stage::Rest => {
            let who = who.unwrap_or("an operator");
            let reason = if why.is_empty() { format!("by {who}") } else { format!("by {who}: {why}") };
            let stage = Stage::Aborted { reason: clean(&reason, LONGEST_REASON) };
            Ok(Rollout { stage, since_ms: now_ms, ..rollout.clone() })
        }
        _ => Err(NotNow::Ended { revision: rollout.revision, stage: rollout.stage.word() }),
    }
}

impl Step {
    /// The rollout after this step.
    pub fn apply(self, rollout: &Rollout, now_ms: u64) -> Rollout {
        Rollout { stage: self.stage, may: self.may, since_ms: now_ms, ..rollout.clone() }
    }
}

/// The revisions to delete, so that the latest [`MOST_KEPT`] stay; never one that the rollout or a member uses.
pub fn unused(kept: &BTreeSet<u64>, rollout: Option<&Rollout>, running: &BTreeSet<u64>) -> BTreeSet<u64> {
    let of_rollout =
        rollout.into_iter().flat_map(|rollout| [Some(rollout.revision), rollout.back_to]).flatten();
    let used: BTreeSet<_> = of_rollout.chain(running.iter().copied()).collect();
    let old = kept.iter().rev().skip(MOST_KEPT);
    old.filter(|number| !used.contains(number)).copied().collect()
}
