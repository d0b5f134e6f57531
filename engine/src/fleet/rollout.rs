//! Rollout of a revision: which members may run it, and when others follow.
//!
//! Every member that can reach the store computes the next step from the same records, and writes it on condition that
//! nothing that it depends on has changed; the first one wins. Nobody's clock matters: the age of a stage is the time for
//! which the member itself has seen it, so that a member that has just started waits for the whole soak.

mod operators;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::records::{LONGEST_REASON, MemberState, Name, Order, Rollout, Stage, clean};

pub use operators::{MOST_KEPT, NotNow, Request, abort, begin, confirm, unused};
pub use watch::Watch;

/// How long a member's state must have been missing, seen by a member with a connection, before it counts as away. Longer
/// than a lease, since every lease may end while the store itself is down.
pub const AWAY_AFTER: Duration = Duration::from_secs(30);
/// Time for a member to run a revision and to have it acknowledged by VPP, before the rollout fails.
pub const TAKE_WITHIN: Duration = Duration::from_secs(300);

/// What is known of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence<'s> {
    /// It says this of itself.
    Here(&'s MemberState),
    /// Its state is missing, but not for long: it may be about to return.
    Missing,
    /// Its state has been missing for a long time.
    Away,
}

/// The next step of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The stage to change to.
    pub stage: Stage,
    /// Members that may run the revision.
    pub may: BTreeSet<Name>,
    /// Members whose state must be as it was when this was decided, which the transaction must demand.
    pub unchanged: BTreeSet<Name>,
}

/// What a rollout needs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, unless something changes or this age of the stage is reached.
    Wait(Option<Duration>),
    /// A step.
    Step(Step),
}

/// The revision that a member is to run; `None`: the configuration of its own file. The same as before while the fleet's
/// configuration cannot be read.
pub fn target(rollout: &Rollout, member: &Name) -> Option<u64> {
    match rollout.stage {
        Stage::Done => Some(rollout.revision),
        Stage::Canary | Stage::Soaking | Stage::Rest if rollout.may.contains(member) => {
            Some(rollout.revision)
        }
        _ => rollout.back_to,
    }
}

/// The revision that the fleet runs, apart from members that try another one.
pub fn settled(rollout: &Rollout) -> Option<u64> {
    if rollout.stage == Stage::Done { Some(rollout.revision) } else { rollout.back_to }
}

/// Decides on a rollout. `members` are all that are known; `age` is for how long its stage and the members that may run the
/// revision have been as they are.
pub fn decide(rollout: &Rollout, members: &BTreeMap<Name, Presence<'_>>, age: Duration) -> Decision {
    if let Stage::Failed { reason } | Stage::Aborted { reason } = &rollout.stage {
        let is_back = |presence: &Presence<'_>| match presence {
            Presence::Here(state) => {
                runs(state, rollout.back_to) || has_refused(state, rollout, rollout.back_to)
            }
            Presence::Missing => false,
            Presence::Away => true,
        };
        return match members.values().all(is_back) {
            true => {
                let unchanged = here(members, members.keys());
                step(rollout, Stage::RolledBack { reason: reason.clone() }, unchanged)
            }
            false => Decision::Wait(None),
        };
    }
    if rollout.stage.is_final() {
        return Decision::Wait(None);
    }
    let of = |name: &Name| members.get(name).copied().unwrap_or(Presence::Away);
    let problem = rollout.may.iter().find_map(|name| problem(rollout, name, of(name), age));
    if let Some(reason) = problem {
        return step(rollout, Stage::Failed { reason: clean(&reason, LONGEST_REASON) }, BTreeSet::new());
    }
    let unchanged = here(members, rollout.may.iter());
    let has_taken = |name: &Name| matches!(of(name), Presence::Here(state) if has_taken(rollout, state));
    if !rollout.may.iter().all(has_taken) {
        return Decision::Wait((age < TAKE_WITHIN).then_some(TAKE_WITHIN));
    }
    let soak = Duration::from_millis(rollout.plan.soak_ms);
    match rollout.stage {
        Stage::Canary => step(rollout, Stage::Soaking, unchanged),
        Stage::Soaking if age < soak => Decision::Wait(Some(soak)),
        Stage::Soaking => step(rollout, Stage::Rest, unchanged),
        _ => {
            let left: Vec<_> = rollout.members.difference(&rollout.may).collect();
            let next = next_batch(rollout, &left, |name| matches!(of(name), Presence::Here(_)));
            if !next.is_empty() {
                let may = rollout.may.iter().chain(next).cloned().collect();
                Decision::Step(Step { stage: Stage::Rest, may, unchanged })
            } else if left.iter().any(|name| of(name) == Presence::Missing) {
                Decision::Wait(None)
            } else {
                step(rollout, Stage::Done, unchanged)
            }
        }
    }
}

fn step(rollout: &Rollout, stage: Stage, unchanged: BTreeSet<Name>) -> Decision {
    Decision::Step(Step { stage, may: rollout.may.clone(), unchanged })
}

/// Those of the members that have a state.
fn here<'n>(members: &BTreeMap<Name, Presence<'_>>, names: impl Iterator<Item = &'n Name>) -> BTreeSet<Name> {
    names.filter(|name| matches!(members.get(name), Some(Presence::Here(_)))).cloned().collect()
}

/// The members that may run it next.
fn next_batch<'n>(rollout: &Rollout, left: &[&'n Name], is_here: impl Fn(&Name) -> bool) -> Vec<&'n Name> {
    let here = || left.iter().copied().filter(|name| is_here(name));
    match rollout.plan.order {
        Order::OneByOne => here().take(1).collect(),
        Order::Halves => {
            let rest: Vec<_> = rollout.members.difference(&rollout.plan.canary).collect();
            let first: BTreeSet<_> = rest.iter().take(rest.len().div_ceil(2)).collect();
            let (first, second): (Vec<_>, Vec<_>) = here().partition(|name| first.contains(name));
            if first.is_empty() { second } else { first }
        }
    }
}

fn runs(state: &MemberState, revision: Option<u64>) -> bool {
    state.running.as_ref().map(|running| running.revision) == revision
}

fn has_refused(state: &MemberState, rollout: &Rollout, revision: Option<u64>) -> bool {
    let refused = state.refused.as_ref();
    refused.is_some_and(|refused| Some(refused.revision) == revision && refused.begun_ms == rollout.begun_ms)
}

fn has_taken(rollout: &Rollout, state: &MemberState) -> bool {
    runs(state, Some(rollout.revision)) && state.not_programmed.is_none()
}

/// Why a member that may run the revision is a reason to stop.
fn problem(rollout: &Rollout, name: &Name, presence: Presence<'_>, age: Duration) -> Option<String> {
    let revision = rollout.revision;
    let state = match presence {
        Presence::Here(state) => state,
        Presence::Missing => return None,
        Presence::Away => return Some(format!("{name} went away while it was to run revision {revision}")),
    };
    if !runs(state, Some(revision)) {
        if let Some(refused) = state.refused.as_ref().filter(|_| has_refused(state, rollout, Some(revision)))
        {
            return Some(format!("{name} refused revision {revision}: {}", refused.reason));
        }
        return (age >= TAKE_WITHIN).then(|| {
            let within = humantime::format_duration(TAKE_WITHIN);
            format!("{name} did not run revision {revision} within {within}")
        });
    }
    let problems = [
        (state.problems.downs, "backends went down"),
        (state.problems.sync_errors, "syncs failed"),
        (state.problems.drift, "differences in VPP were found"),
        (state.problems.withdrawn, "routes were withdrawn"),
    ];
    if let Some((count, what)) = problems.into_iter().find(|(count, _)| *count > 0) {
        return Some(format!("on {name}, since it runs revision {revision}: {what} ({count})"));
    }
    // VPP may be disconnected for a while without any fault of the revision; a soak goes on until it is back.
    let late = rollout.stage != Stage::Soaking && age >= TAKE_WITHIN;
    let reason = state.not_programmed.as_ref().filter(|_| late)?;
    Some(format!("on {name}, revision {revision} is not programmed: {reason}"))
}

#[cfg(test)]
mod tests;
