//! The votes of a fleet's members on health: which backends they overrule here, and whether this load balancer is cut off.
//!
//! A backend's own state changes as without a fleet. The verdict stands beside it and decides which state its weights follow,
//! so that weights, flushes, slow start, panic, `min-up` and routes come from one state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use maglev_protocol::VipKey;

use super::absence::Absence;
use super::{Core, Effects, Event, Now};
use crate::health::State;
use crate::snapshot::{BackendView, FleetView};
use crate::votes::{self, Others, Overruled, Poll, View, Vote, Votes};

/// Verdicts that change within this time are one look at whether this load balancer is cut off.
const COALESCED: Duration = Duration::from_millis(100);

/// News of the other members, which replaces all earlier ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetNews {
    /// Their votes.
    pub votes: Others,
    /// True if this load balancer, being cut off, withdraws its routes.
    pub withdraw: bool,
    /// The VIPs' table lengths in the fleet.
    pub lengths: Arc<BTreeMap<VipKey, u32>>,
}

/// The fleet, as far as it is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Fleet {
    others: Others,
    /// The backends that the own votes are on.
    subject: Arc<str>,
    /// The votes that count, as of the last poll.
    counted: Vec<(Arc<str>, Arc<Votes>)>,
    /// When the next of them becomes stale.
    expires: Option<Instant>,
    cut_off: Option<SystemTime>,
    withdraws: bool,
    lengths: Arc<BTreeMap<VipKey, u32>>,
    /// When to look again at whether this load balancer is cut off.
    look: Option<Instant>,
}

impl Fleet {
    /// When something is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.expires.into_iter().chain(self.look).min()
    }

    /// True if the routes are withdrawn.
    pub(super) fn withdraws(&self) -> bool {
        self.withdraws
    }

    /// The votes of the last news.
    #[cfg(test)]
    pub(super) fn others(&self) -> &Others {
        &self.others
    }

    /// Length of a VIP's table in the fleet.
    pub(super) fn length(&self, vip: &VipKey) -> Option<u32> {
        self.lengths.get(vip).copied()
    }
}

impl Core {
    /// For readers.
    pub(super) fn fleet_view(&self) -> FleetView {
        FleetView {
            subject: Arc::clone(&self.fleet.subject),
            can_see: matches!(self.absence, Absence::Never | Absence::Until { .. }),
            cut_off: self.fleet.cut_off,
            withdraws: self.fleet.withdraws,
        }
    }

    /// Takes another configuration over. Returns the backends of which another state counts than before: their frontends are
    /// left to the caller.
    pub(super) fn configure_fleet(&mut self, now: Now, effects: &mut Effects) -> Vec<Arc<str>> {
        let rule = &self.config.fleet;
        self.fleet.subject = if rule.is_fleet { votes::subject(&self.config).into() } else { "".into() };
        // Other votes may count by another rule.
        self.fleet.expires = self.fleet.others.values().map(|vote| vote.expires(rule)).min();
        self.poll_again(now, effects)
    }

    /// Processes news of the other members.
    pub(super) fn fleet_news(&mut self, news: FleetNews, now: Now) -> Effects {
        let mut effects = Effects::default();
        let FleetNews { votes, withdraw, lengths } = news;
        if self.fleet.lengths != lengths {
            self.fleet.lengths = lengths;
            for name in self.frontends.names() {
                self.rescale(&name, now, &mut effects);
            }
        }
        self.fleet.others = votes;
        self.count_votes(now, &mut effects);
        if std::mem::replace(&mut self.fleet.withdraws, withdraw) != withdraw {
            effects.state = true;
            self.routes.touch_all();
        }
        effects
    }

    /// Follows the votes that count now. A renewal of one that counts already changes no verdict.
    fn count_votes(&mut self, now: Now, effects: &mut Effects) {
        let rule = &self.config.fleet;
        let is_fresh = |vote: &Vote| rule.is_fleet && now.mono < vote.expires(rule);
        let fresh = || self.fleet.others.iter().filter(|(_, vote)| is_fresh(vote));
        self.fleet.expires = fresh().map(|(_, vote)| vote.expires(rule)).min();
        let fresh: Vec<_> = fresh().map(|(name, vote)| (Arc::clone(name), Arc::clone(&vote.votes))).collect();
        if fresh == self.fleet.counted {
            return;
        }
        self.fleet.counted = fresh;
        for backend in self.poll_again(now, effects) {
            self.reweigh_all(&backend, now, effects);
        }
    }

    /// Does what has become due: votes that are stale now, and the look at whether this load balancer is cut off.
    pub(super) fn fleet_tick(&mut self, now: Now, effects: &mut Effects) {
        if self.fleet.expires.is_some_and(|at| at <= now.mono) {
            self.count_votes(now, effects);
        }
        if self.fleet.look.is_some_and(|at| at <= now.mono) {
            self.fleet.look = None;
            self.look_whether_cut_off(now, effects);
        }
    }

    /// Judges all backends that a vote may concern. Returns those of which another state counts than before.
    fn poll_again(&mut self, now: Now, effects: &mut Effects) -> Vec<Arc<str>> {
        let poll = Poll::new(&self.fleet.others, &self.fleet.subject, &self.config.fleet, now.mono);
        let is_concerned = |(name, view): &(&Arc<str>, &Arc<BackendView>)| {
            view.overruled.is_some() || view.health.state() == State::Down || poll.concerns(name)
        };
        let concerned = self.backends.views().iter().filter(is_concerned);
        let concerned: Vec<_> = concerned.map(|(name, _)| Arc::clone(name)).collect();
        concerned.into_iter().filter(|backend| self.judge(backend, None, now, effects)).collect()
    }

    /// Judges a backend, after a transition of its own from this state, if there was one. Returns whether another state
    /// counts than before.
    pub(super) fn judge(
        &mut self,
        backend: &Arc<str>,
        own_from: Option<State>,
        now: Now,
        effects: &mut Effects,
    ) -> bool {
        let overruled = self.overruled(backend, now);
        let (counts, is_news) = self.backends.overrule(backend, overruled.clone(), own_from, now.mono);
        if is_news {
            effects.state = true;
            // The transition says it all if its state counts again.
            if overruled.is_some() || own_from.is_none() {
                effects.tell(Event::Overruled { backend: Arc::clone(backend), overruled });
            }
        }
        let may_be_cut_off = self.config.fleet.is_fleet || self.fleet.cut_off.is_some();
        if (is_news || counts) && may_be_cut_off && self.fleet.look.is_none() {
            self.fleet.look = Some(now.mono + COALESCED);
        }
        counts
    }

    /// The fleet's verdict on a backend with a health check, if it is another than its state here.
    fn overruled(&self, backend: &str, now: Now) -> Option<Overruled> {
        let rule = &self.config.fleet;
        let view = self.backends.get(backend).filter(|view| rule.is_fleet && !view.checks.is_empty())?;
        let own = match view.health.state() {
            State::Paused | State::Disabled | State::Removed => return None,
            state => View::of(state),
        };
        Poll::new(&self.fleet.others, &self.fleet.subject, rule, now.mono).verdict(backend, own).1
    }

    pub(super) fn reweigh_all(&mut self, backend: &str, now: Now, effects: &mut Effects) {
        for frontend in self.backends.frontends_of(backend).iter() {
            self.reweigh(frontend, now, effects);
        }
    }

    fn look_whether_cut_off(&mut self, now: Now, effects: &mut Effects) {
        let checked = self.backends.views().values().filter(|view| !view.checks.is_empty());
        let (mut kept, mut up) = (0, 0);
        for view in checked {
            match (view.state(), &view.overruled) {
                (State::Up, Some(_)) => kept += 1,
                (State::Up, None) => up += 1,
                _ => {}
            }
        }
        let was = self.fleet.cut_off.is_some();
        let is_cut_off = votes::is_cut_off(kept, up, was);
        if is_cut_off != was {
            self.fleet.cut_off = is_cut_off.then_some(now.wall);
            effects.tell(Event::CutOff { is_cut_off });
        }
    }
}
