//! News of the fleet for the controller: the other members' votes on health with their ages, the VIPs' table lengths, and
//! whether the routes are withdrawn since this member is cut off. Casts this member's votes, too. The controller decides what
//! the votes mean for each backend.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use maglev_engine::core::FleetNews;
use maglev_engine::fleet::records::{MemberState, Name};
use maglev_engine::fleet::withdrawal::{Withdrawal, withdrawal};
use maglev_engine::snapshot::Snapshot;
use maglev_engine::votes::{Others, Vote, Votes};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::lengths::Lengths;
use super::members::{self, Decoded};
use super::store::StoreRevision;
use super::view::View;

/// Interval of looks without a change.
const TICK: Duration = Duration::from_secs(1);
/// Shortest time between two looks.
const PACE: Duration = Duration::from_millis(20);
/// A vote is renewed this many times before it would be stale.
const RENEWALS: u32 = 3;

/// This member's votes, to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ballot {
    /// The votes; `None`: nothing is written, and what it wrote last becomes stale.
    pub(super) votes: Option<Arc<Votes>>,
    /// The time after which they are written again without a change.
    pub(super) renewal: Duration,
}

impl Ballot {
    pub(super) fn of(snapshot: &Snapshot, now: Moment) -> (Self, Option<Moment>) {
        let renewal = snapshot.config.fleet.vote_ttl / RENEWALS;
        let cast = snapshot.votes(now);
        let next = cast.as_ref().and_then(|(_, next)| *next);
        (Self { votes: cast.map(|(votes, _)| Arc::new(votes)), renewal }, next)
    }
}

/// The task.
#[derive(Debug)]
pub(super) struct Polling {
    pub(super) fleet: Name,
    pub(super) member: Name,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The state that this member wrote last.
    pub(super) written: watch::Receiver<Option<MemberState>>,
}

impl Polling {
    /// Runs forever. May be aborted at any point: the controller goes on with what it was told, until that is stale.
    pub(super) async fn run(
        mut self,
        ballot: watch::Sender<Ballot>,
        news: watch::Sender<FleetNews>,
        routes: watch::Sender<Withdrawal>,
    ) {
        let (mut collected, mut lengths) = (Collected::default(), Lengths::default());
        loop {
            let view = Arc::clone(&self.view.borrow_and_update());
            let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
            let written = self.written.borrow_and_update().clone();
            let now = Instant::now().into_std();
            let (cast, next) = Ballot::of(&snapshot, now);
            // Without a state of this one, another machine may be the member with this name.
            let votes = cast.votes.filter(|_| written.is_some());
            put(&ballot, Ballot { votes, ..cast });
            let is_cut_off = snapshot.fleet.cut_off.is_some();
            let decision = decide(is_cut_off, &self.member, written.as_ref(), &view);
            if let Some(decision) = decision {
                routes.send_if_modified(|before| {
                    let is_news = *before != decision;
                    if is_news {
                        log(decision);
                    }
                    *before = decision;
                    is_news
                });
            }
            let withdraw = *routes.borrow() == Withdrawal::Withdraw;
            let votes = collected.votes(&view, &self.member, now);
            put(&news, FleetNews { votes, withdraw, lengths: lengths.of(&self.fleet, &view) });
            sleep(PACE).await;
            let tick = Instant::now() + TICK;
            let due = next.map_or(tick, |next| tick.min(Instant::from_std(next)));
            tokio::select! {
                changed = self.view.changed() => if changed.is_err() { return },
                changed = self.snapshots.changed() => if changed.is_err() { return },
                changed = self.written.changed() => if changed.is_err() { return },
                () = sleep_until(due) => {}
            }
        }
    }
}

/// Sends a value unless it is that of before.
fn put<T: PartialEq>(to: &watch::Sender<T>, value: T) {
    to.send_if_modified(|before| {
        let is_news = *before != value;
        *before = value;
        is_news
    });
}

/// Decides on the routes; `None`: as before. Without etcd nobody knows whether others announce, and nothing is withdrawn.
fn decide(is_cut_off: bool, own: &Name, written: Option<&MemberState>, view: &View) -> Option<Withdrawal> {
    if !is_cut_off {
        return Some(Withdrawal::Stay);
    }
    if !view.is_connected() {
        return None;
    }
    let mut states = members::states(view);
    // Of a state whose newest value is refused, only an earlier one is known: it may not announce any more.
    states.retain(|name, _| !view.refused.contains_key(&*format!("members/{name}/state")));
    withdrawal(is_cut_off, own, written, &states)
}

fn log(decision: Withdrawal) {
    match decision {
        Withdrawal::Stay => {
            info!("the routes do not depend on whether this load balancer is cut off any more")
        }
        Withdrawal::Ask => {
            warn!(
                "cut off from the backends: the routes are withdrawn as soon as another member is known to announce"
            );
        }
        Withdrawal::Withdraw => {
            warn!("cut off from the backends, and another member announces: withdrawing the routes")
        }
    }
}

/// The other members' votes, and when each was last seen to be written.
#[derive(Debug, Default)]
struct Collected {
    decoded: Decoded<Votes>,
    seen: BTreeMap<Name, (StoreRevision, Moment)>,
}

impl Collected {
    /// The votes that the view has. One that was written again, with the same contents or others, is as old as this look;
    /// one that was only read again is not.
    fn votes(&mut self, view: &View, own: &Name, now: Moment) -> Others {
        members::decode_others(view, own, "votes", &mut self.decoded);
        let seen = self.decoded.iter().map(|(name, (changed, _))| {
            let before = self.seen.get(name).filter(|(before, _)| before == changed);
            (name.clone(), *before.unwrap_or(&(*changed, now)))
        });
        self.seen = seen.collect();
        let votes = self.decoded.iter().filter_map(|(name, (_, votes))| {
            let (_, at) = self.seen.get(name)?;
            Some((name.as_str().into(), Vote { votes: Arc::clone(votes), at: *at }))
        });
        votes.collect()
    }
}

#[cfg(test)]
mod tests;
