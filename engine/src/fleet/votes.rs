//! One view of health: which backends are down for the fleet, and whether this member is the problem.
//!
//! Votes decide only whether a backend is down; how it is checked and how fast a member acts on its own stay local.
//! Everything here is a function of the own view, the votes and their ages: members with the same votes come to the same
//! verdicts. Without fresh votes of others, the own view decides.
//!
//! No brain votes yet: only the simulation uses this.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::records::{MemberState, Name, Routes, Votes};

/// What this member sees of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Up.
    Up,
    /// Down.
    Down,
    /// Not known yet, or not checked now.
    Unknown,
}

/// What holds for a backend here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is up.
    Up,
    /// It is down for the fleet.
    Down,
    /// It is down only here: it keeps the weight that it has in the fleet, so that tables stay equal.
    OnlyHere,
    /// It is not known here, and not down for the fleet.
    Unknown,
}

/// A vote of another member, and for how long it has not been heard of.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'v> {
    /// The vote.
    pub votes: &'v Votes,
    /// Its age.
    pub age: Duration,
}

/// How members vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Number of votes that take a backend down, no more than there are fresh ones; `None`: a majority of these.
    pub down_votes: Option<u32>,
    /// Age at which a vote no longer counts.
    pub vote_ttl: Duration,
}

/// The verdict on each backend that this member knows.
pub fn verdicts(
    own: &BTreeMap<IpAddr, View>,
    others: &BTreeMap<Name, Heard<'_>>,
    rule: &Rule,
) -> BTreeMap<IpAddr, Verdict> {
    let fresh: Vec<_> = others.values().filter(|heard| heard.age <= rule.vote_ttl).collect();
    let needed = needed(fresh.len() + 1, rule.down_votes);
    let verdict = |(backend, view): (&IpAddr, &View)| {
        let own = usize::from(*view == View::Down);
        let down = own + fresh.iter().filter(|heard| heard.votes.down.contains(backend)).count();
        let verdict = match view {
            _ if down >= needed => Verdict::Down,
            View::Up => Verdict::Up,
            View::Down => Verdict::OnlyHere,
            View::Unknown => Verdict::Unknown,
        };
        (*backend, verdict)
    };
    own.iter().map(verdict).collect()
}

/// The number of votes, of those that are fresh, that take a backend down: a majority unless configured, and never more than
/// there are. The own vote is one of them.
fn needed(fresh: usize, configured: Option<u32>) -> usize {
    let majority = fresh / 2 + 1;
    let wanted = configured.map_or(majority, |votes| usize::try_from(votes).unwrap_or(usize::MAX));
    wanted.clamp(1, fresh.max(1))
}

/// Whether this member is cut off from the backends: more than half of what the fleet calls up is down only here. Once it
/// is, at most a quarter ends that.
pub fn is_cut_off(verdicts: &BTreeMap<IpAddr, Verdict>, was: bool) -> bool {
    let count = |is: fn(&Verdict) -> bool| verdicts.values().filter(|verdict| is(verdict)).count();
    let only_here = count(|verdict| *verdict == Verdict::OnlyHere);
    let up = only_here + count(|verdict| *verdict == Verdict::Up);
    if was { only_here * 4 > up } else { only_here * 2 > up }
}

/// What a member does with its routes because it is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawal {
    /// Nothing. Its state says [`Routes::Normal`].
    Stay,
    /// It says that it wants to withdraw them, and keeps them until it has read that in the store.
    Ask,
    /// It withdraws them.
    Withdraw,
}

/// Decides on the routes of a member; `None`: as before. `states` are those of all members as of one revision of the store,
/// without those whose newest value was refused: their last good ones may be out of date. `written` is what this member
/// wrote last of itself.
///
/// Two members that withdraw at the same time must not both take the other one for the last that announces. The store has
/// all writes in one order: a member withdraws only on a view that has its own announcement of that, and in which another
/// member announces its routes and does not want to withdraw them. Of two that ask, at most the first sees such a view. On a
/// view that is older than its own last write, it decides nothing.
pub fn withdrawal(
    is_cut_off: bool,
    own: &Name,
    written: Option<&MemberState>,
    states: &BTreeMap<Name, MemberState>,
) -> Option<Withdrawal> {
    if states.get(own) != written {
        return None;
    }
    let announces = |(name, state): (&Name, &MemberState)| {
        name != own && state.announces && state.routes == Routes::Normal
    };
    let has_asked = written.is_some_and(|state| state.routes == Routes::Withdrawing);
    Some(match (is_cut_off && states.iter().any(announces), has_asked) {
        (false, _) => Withdrawal::Stay,
        (true, false) => Withdrawal::Ask,
        (true, true) => Withdrawal::Withdraw,
    })
}

#[cfg(test)]
mod tests;
