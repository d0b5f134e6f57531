//! The votes of a fleet's members on the health of backends: which are down for the fleet, and whether this member is the
//! problem.
//!
//! Votes decide only whether a backend counts as down; how it is checked, and how fast a member sees it, stay local.
//! Everything here is a function of the own view, the votes and their ages: members with the same votes come to the same
//! verdicts. Without fresh votes of others, the own view decides.
//!
//! A member's vote is its state after flap damping and the guard, so the fleet's verdicts are no faster than these allow.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::config::{Config, FleetHealth};
use crate::health::State;

/// Maximum number of backends in one list of a vote: two lists of the longest names fit the size of a value in the store.
pub const MOST_LISTED: usize = 7_000;
/// Time for which a backend must have been down before this member votes so. VPP's silence makes probes fail, and is noticed
/// within 0.3 s: by then the backend has its state of before again.
pub const SETTLED: Duration = Duration::from_millis(400);

/// A member's view of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Up.
    Up,
    /// Down.
    Down,
    /// Not known yet, or not checked now.
    Unknown,
}

impl View {
    /// The view that a backend's state is.
    pub fn of(state: State) -> Self {
        match state {
            State::Up => Self::Up,
            State::Down => Self::Down,
            State::Unknown | State::Paused | State::Disabled | State::Removed => Self::Unknown,
        }
    }
}

/// A set of backends, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backends {
    /// These.
    These(BTreeSet<String>),
    /// More than can be listed, which counts as all.
    Everything,
}

impl Backends {
    /// A set of these.
    pub fn of(names: BTreeSet<String>) -> Self {
        if names.len() > MOST_LISTED { Self::Everything } else { Self::These(names) }
    }

    /// True if a backend is in it.
    pub fn contains(&self, backend: &str) -> bool {
        match self {
            Self::These(names) => names.contains(backend),
            Self::Everything => true,
        }
    }
}

/// The votes of one member on all backends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    /// The backends that the votes are on, see [`subject`].
    pub subject: String,
    /// Those that it sees down.
    pub down: Backends,
    /// Those that it does not know: not checked yet or now, or down for too short a time. It sees all others up.
    pub unknown: Backends,
}

/// The backends that the votes of members with this configuration are on: a hash of the names and addresses of those with a
/// health check. Members whose configurations differ in these do not vouch for each other's backends.
pub fn subject(config: &Config) -> String {
    let checked = config.backends.iter().filter(|(_, backend)| !backend.healthchecks.is_empty());
    let lines = checked.map(|(name, backend)| format!("{name} {}\n", backend.address));
    short_hash(&lines.collect::<String>())
}

/// The first 64 bits of a text's SHA-256, in hexadecimal.
pub(crate) fn short_hash(text: &str) -> String {
    maglev_tls::sha256(text.as_bytes()).get(..16).unwrap_or_default().to_owned()
}

impl Votes {
    /// The votes of a member on its backends with a health check, each with its state and when it got into it; and when
    /// they change by themselves.
    pub fn cast<'b>(
        subject: &str,
        backends: impl IntoIterator<Item = (&'b str, State, Option<Instant>)>,
        now: Instant,
    ) -> (Self, Option<Instant>) {
        let (mut down, mut unknown, mut next) = (BTreeSet::new(), BTreeSet::new(), None::<Instant>);
        for (name, state, changed) in backends {
            let settles = changed.map(|changed| changed + SETTLED).filter(|settles| *settles > now);
            match (View::of(state), settles) {
                (View::Up, _) => {}
                (View::Down, None) => drop(down.insert(name.to_owned())),
                (View::Down, Some(settles)) => {
                    next = next.into_iter().chain([settles]).min();
                    unknown.insert(name.to_owned());
                }
                (View::Unknown, _) => drop(unknown.insert(name.to_owned())),
            }
        }
        let (down, unknown) = (Backends::of(down), Backends::of(unknown));
        (Self { subject: subject.to_owned(), down, unknown }, next)
    }

    /// Its view of a backend, for members whose own votes are on `subject`.
    fn view(&self, backend: &str, subject: &str) -> View {
        if self.unknown.contains(backend) {
            View::Unknown
        } else if self.down.contains(backend) {
            View::Down
        } else if self.subject == subject {
            View::Up
        } else {
            View::Unknown
        }
    }
}

/// The votes of another member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// The votes.
    pub votes: Arc<Votes>,
    /// When this member saw that they were written or renewed, by its own clock.
    pub at: Instant,
}

impl Vote {
    /// When it stops to count.
    pub fn expires(&self, rule: &FleetHealth) -> Instant {
        self.at + rule.vote_ttl
    }
}

/// The votes of the other members, by their names.
pub type Others = BTreeMap<Arc<str>, Vote>;

/// The verdict on a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is up.
    Up,
    /// It is down for the fleet.
    Down,
    /// It is down here, and not for the fleet: it keeps its weight, so that tables stay equal.
    Kept,
    /// It is not known here, and not down for the fleet.
    Unknown,
}

/// A verdict other than the own view, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overruled {
    /// The state that counts here: up or down.
    pub counts_as: State,
    /// The other members that see it down.
    pub by: Arc<[Arc<str>]>,
    /// Number of members that see it down, this one included if it does.
    pub down: usize,
    /// Number of members that know it.
    pub of: usize,
}

impl Display for Overruled {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { counts_as, by, down, of } = self;
        let by = by.join(", ");
        match (counts_as, by.is_empty()) {
            (State::Down, _) => write!(f, "down for the fleet: {by}"),
            (_, true) => write!(f, "down only here; kept by the fleet's votes ({down} of {of})"),
            (_, false) => write!(f, "down here and on {by}; kept by the fleet's votes ({down} of {of})"),
        }
    }
}

/// The fresh votes of the others, to count them.
#[derive(Debug)]
pub struct Poll<'v> {
    fresh: Vec<(&'v Arc<str>, &'v Votes)>,
    subject: &'v str,
    down_votes: Option<u32>,
}

impl<'v> Poll<'v> {
    /// The votes that count now, for a member whose own votes are on `subject`.
    pub fn new(others: &'v Others, subject: &'v str, rule: &FleetHealth, now: Instant) -> Self {
        let fresh = others.iter().filter(|(_, vote)| rule.is_fleet && now < vote.expires(rule));
        let fresh = fresh.map(|(name, vote)| (name, &*vote.votes)).collect();
        Self { fresh, subject, down_votes: rule.down_votes }
    }

    /// The verdict on a backend that this member sees so; with the reason, if it is another than the own view.
    pub fn verdict(&self, backend: &str, own: View) -> (Verdict, Option<Overruled>) {
        let views = self.fresh.iter().map(|(name, votes)| (*name, votes.view(backend, self.subject)));
        let known: Vec<_> = views.filter(|(_, view)| *view != View::Unknown).collect();
        // This member counts even if it does not know the backend: what is unknown after a start is not lowered sooner for it.
        let of = known.len() + 1;
        let by = known.into_iter().filter(|(_, view)| *view == View::Down).map(|(name, _)| name);
        let by: Vec<_> = by.cloned().collect();
        let down = by.len() + usize::from(own == View::Down);
        let is_down = down >= needed(of, self.down_votes);
        let (verdict, counts_as) = match (own, is_down) {
            (View::Up | View::Unknown, true) => (Verdict::Down, Some(State::Down)),
            (View::Down, true) => (Verdict::Down, None),
            (View::Down, false) => (Verdict::Kept, Some(State::Up)),
            (View::Up, false) => (Verdict::Up, None),
            (View::Unknown, false) => (Verdict::Unknown, None),
        };
        let overruled = counts_as.map(|counts_as| Overruled { counts_as, by: by.into(), down, of });
        (verdict, overruled)
    }

    /// True if a fresh vote may make a verdict other than the own view of a backend that is not down here.
    pub fn concerns(&self, backend: &str) -> bool {
        self.fresh.iter().any(|(_, votes)| votes.down.contains(backend))
    }

    /// The verdicts on backends, by name.
    pub fn verdicts<K: Borrow<str> + Ord + Clone>(&self, own: &BTreeMap<K, View>) -> BTreeMap<K, Verdict> {
        own.iter().map(|(name, view)| (name.clone(), self.verdict(name.borrow(), *view).0)).collect()
    }
}

/// The number of votes that take a backend down: a majority of the members that count unless configured, and never more than
/// these.
fn needed(of: usize, configured: Option<u32>) -> usize {
    configured.map_or(of / 2 + 1, |votes| usize::try_from(votes).unwrap_or(usize::MAX)).clamp(1, of.max(1))
}

/// True if this member is cut off from the backends: of those that count as up, more than half are kept only by the votes
/// of others. Once it is, at most a quarter ends that.
pub fn is_cut_off(kept: usize, up: usize, was: bool) -> bool {
    let all = kept + up;
    if was { kept * 4 > all } else { kept * 2 > all }
}

#[cfg(test)]
mod tests;
