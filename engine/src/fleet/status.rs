//! The fleet as one member sees it: one value for readers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use maglev_protocol::VipKey;

use super::digest::Reason;
use super::intents::Dated;
use super::records::{IntentKey, MemberInfo, MemberState, Name, Rollout};
use super::rollout::{Presence, settled, target};

/// Connection to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// What is shown is as of this revision of the store.
    Connected {
        /// The revision.
        revision: u64,
        /// Since when.
        since: SystemTime,
    },
    /// What is shown is the last good copy.
    Away {
        /// Why.
        reason: String,
        /// Since when.
        since: SystemTime,
    },
}

/// How a member is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// It runs what it is to run, and VPP has acknowledged it.
    Ready,
    /// It does not run the revision that it is to run yet, or VPP has not acknowledged it.
    Behind,
    /// It refused the revision that it is to run.
    Refused,
    /// Its state has been missing for a short time.
    Missing,
    /// Its state has been missing for a long time.
    Away,
}

impl Condition {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Ready, Self::Behind, Self::Refused, Self::Missing, Self::Away];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Behind => "behind",
            Self::Refused => "refused",
            Self::Missing => "missing",
            Self::Away => "away",
        }
    }
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Who it is, if it has said so.
    pub info: Option<MemberInfo>,
    /// Its state, unless it is away.
    pub state: Option<MemberState>,
    /// The revision that it is to run; `None`: the configuration of its own file.
    pub target: Option<u64>,
    /// How it is doing.
    pub condition: Condition,
    /// Why it is not ready.
    pub why: Option<String>,
}

/// A table that has differed from another member's for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The VIP.
    pub vip: VipKey,
    /// The other member.
    pub member: Name,
    /// For how long.
    pub lasts: Duration,
    /// Why.
    pub reason: Reason,
}

/// The fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub fleet: Name,
    /// The member whose view this is.
    pub own: Name,
    /// Connection to the store.
    pub store: Store,
    /// The current rollout, if there has been one.
    pub rollout: Option<Rollout>,
    /// All members that are known.
    pub members: BTreeMap<Name, MemberView>,
    /// Operators' intents.
    pub intents: BTreeMap<IntentKey, Dated>,
    /// Intents without a target in this member's configuration.
    pub unmatched: BTreeSet<IntentKey>,
    /// Overrides that are set only here.
    pub local: BTreeSet<IntentKey>,
    /// Values of the store that were refused, by their keys, and why.
    pub refused: BTreeMap<String, String>,
    /// Tables that have differed for too long.
    pub differences: Vec<Difference>,
}

/// The view of a member.
pub fn member_view(
    name: &Name,
    info: Option<MemberInfo>,
    presence: Presence<'_>,
    rollout: Option<&Rollout>,
) -> MemberView {
    let target = rollout.and_then(|rollout| target(rollout, name));
    let (condition, why) = match presence {
        Presence::Away => (Condition::Away, Some("it has not been seen for a while".to_owned())),
        Presence::Missing => (Condition::Missing, Some("it has just stopped reporting".to_owned())),
        Presence::Here(state) => match behind(state, target, rollout) {
            None => (Condition::Ready, None),
            Some((condition, why)) => (condition, Some(why)),
        },
    };
    let state = match presence {
        Presence::Here(state) => Some(state.clone()),
        Presence::Missing | Presence::Away => None,
    };
    MemberView { info, state, target, condition, why }
}

fn behind(
    state: &MemberState,
    target: Option<u64>,
    rollout: Option<&Rollout>,
) -> Option<(Condition, String)> {
    let running = state.running.as_ref().map(|running| running.revision);
    if running != target {
        let of_rollout = |begun_ms| rollout.is_some_and(|rollout| rollout.begun_ms == begun_ms);
        let refused = state.refused.as_ref();
        let refused =
            refused.filter(|refused| Some(refused.revision) == target && of_rollout(refused.begun_ms));
        if let Some(refused) = refused {
            return Some((
                Condition::Refused,
                format!("refused revision {}: {}", refused.revision, refused.reason),
            ));
        }
        let words = |revision: Option<u64>| {
            revision.map_or_else(|| "its own file".to_owned(), |revision| format!("revision {revision}"))
        };
        return Some((Condition::Behind, format!("runs {}, and not {} yet", words(running), words(target))));
    }
    state.not_programmed.clone().map(|why| (Condition::Behind, why))
}

/// Whether each member has applied everything up to a revision of the store and VPP has acknowledged that, or why not: the
/// answer to an operator who has just set an intent.
pub fn acknowledged(
    revision: u64,
    members: &BTreeMap<Name, Presence<'_>>,
) -> BTreeMap<Name, Result<(), String>> {
    let answer = |presence: &Presence<'_>| match presence {
        Presence::Away => Err("away; it applies the intent at its return".to_owned()),
        Presence::Missing => Err("not reporting; it applies the intent at its return".to_owned()),
        Presence::Here(state) if state.intents < revision => Err("not applied yet".to_owned()),
        Presence::Here(state) => match &state.not_programmed {
            Some(why) => Err(why.clone()),
            None => Ok(()),
        },
    };
    members.iter().map(|(name, presence)| (name.clone(), answer(presence))).collect()
}

/// `programmed on 2 of 3`.
pub fn programmed_words(answers: &BTreeMap<Name, Result<(), String>>) -> String {
    format!("programmed on {} of {}", answers.values().filter(|answer| answer.is_ok()).count(), answers.len())
}

impl Status {
    /// The revision that the fleet runs, apart from members that try another one.
    pub fn revision(&self) -> Option<u64> {
        self.rollout.as_ref().and_then(settled)
    }

    /// What an operator should look at, one line each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Store::Away { reason, .. } = &self.store {
            problems.push(format!("the fleet's store is away, the last good copy is in use: {reason}"));
        }
        let stopped = self.rollout.as_ref().filter(|rollout| rollout.stage.reason().is_some());
        problems.extend(
            stopped.map(|rollout| format!("rollout of revision {}: {}", rollout.revision, rollout.stage)),
        );
        let not_ready = self.members.iter().filter(|(_, member)| member.condition != Condition::Ready);
        problems.extend(not_ready.map(|(name, member)| {
            format!(
                "member {name} is {}: {}",
                member.condition.word(),
                member.why.as_deref().unwrap_or_default()
            )
        }));
        problems.extend(self.local.iter().map(|key| format!("{key} is set only on this member")));
        problems
            .extend(self.unmatched.iter().map(|key| format!("{key} is not in this member's configuration")));
        problems
            .extend(self.refused.iter().map(|(key, why)| format!("the value of {key} is refused: {why}")));
        problems.extend(self.differences.iter().map(|difference| {
            format!(
                "the table of {} differs from that of {}: {}",
                difference.vip, difference.member, difference.reason
            )
        }));
        problems
    }
}

#[cfg(test)]
mod tests;
