//! Limits on how fast health changes the table: flap damping, the guard, and the servers' own word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::backends::Taken;
use super::{Core, Effects, Event, Now};
use crate::config::{Changes, GuardRule};
use crate::health::{Cause, Gate, Guard, Input, State};
use crate::outcome::Share;
use crate::snapshot::{BackendView, GuardTrip, GuardView};

/// The guard, and when which backend is to be looked at again.
#[derive(Debug, Clone, Default)]
pub(super) struct Steady {
    guard: Guard,
    trip: Option<GuardTrip>,
    /// One time for each backend with something that waits, by backend and by time.
    planned: BTreeMap<Arc<str>, Instant>,
    by_time: BTreeSet<(Instant, Arc<str>)>,
}

impl Steady {
    /// For readers.
    pub(super) fn view(&self) -> GuardView {
        GuardView { trip: self.trip, waiting: self.guard.waiting() }
    }

    /// Whether a backend may go down now.
    pub(super) fn may_fall(&self, rule: Option<GuardRule>, now: Instant) -> bool {
        self.guard.may_fall(per_second(rule), now)
    }

    /// When something is due.
    pub(super) fn next(&self, rule: Option<GuardRule>) -> Option<Instant> {
        let visit = self.by_time.first().map(|(at, _)| *at);
        visit.into_iter().chain(self.guard.next(per_second(rule))).min()
    }

    /// The backends whose failures wait for their turn.
    pub(super) fn waiting(&self) -> Vec<Arc<str>> {
        self.guard.queue().cloned().collect()
    }

    /// Plans to look at a backend, unless that is planned sooner.
    fn plan(&mut self, backend: &Arc<str>, at: Option<Instant>) {
        let Some(at) = at else { return };
        match self.planned.get(backend) {
            Some(known) if *known <= at => return,
            Some(known) => drop(self.by_time.remove(&(*known, Arc::clone(backend)))),
            None => {}
        }
        self.planned.insert(Arc::clone(backend), at);
        self.by_time.insert((at, Arc::clone(backend)));
    }

    /// Takes out a backend that is due.
    fn due(&mut self, now: Instant) -> Option<Arc<str>> {
        self.by_time.first().filter(|(at, _)| *at <= now)?;
        let (_, backend) = self.by_time.pop_first()?;
        self.planned.remove(&backend);
        Some(backend)
    }
}

fn per_second(rule: Option<GuardRule>) -> Option<u32> {
    rule.and_then(|rule| rule.per_second)
}

impl Core {
    /// Follows a probe's result with what it means for the limits. Nearly all results mean nothing.
    pub(super) fn steady(&mut self, backend: &Arc<str>, taken: &Taken, now: Now, effects: &mut Effects) {
        if taken.fell {
            self.note_fall(now, effects);
            if taken.transition.is_none() {
                self.steady.guard.wait(backend);
            }
        }
        if let Some(transition) = &taken.transition
            && (transition.from, transition.to) == (State::Up, State::Down)
        {
            self.steady.guard.take(now.mono);
        }
        if taken.fell || taken.is_asking {
            let Some(view) = self.backends.get(backend) else { return };
            let (damped, visit) = (view.damper.held_until(now.mono), self.next_visit(view, now));
            self.steady.plan(backend, visit);
            if let Some(until) = damped.filter(|_| taken.is_newly_damped) {
                let left = until.saturating_duration_since(now.mono);
                effects.tell(Event::Damped { backend: Arc::clone(backend), left });
            }
        }
    }

    /// Counts a fall that a backend's checks found.
    fn note_fall(&mut self, now: Now, effects: &mut Effects) {
        let Some(rule) = self.config.healthchecker.guard else { return };
        let backends = self.config.backends.len();
        if let Some(down) = self.steady.guard.fell(rule.limit(backends), now.mono) {
            self.tally.guard_trips.add(1);
            self.steady.trip = Some(GuardTrip { at: now.wall, down, backends, until: now.mono });
            effects.tell(Event::Guard { down, backends });
        }
        if let (Some(trip), Some(end)) = (&mut self.steady.trip, self.steady.guard.episode_ends()) {
            trip.until = end;
        }
    }

    /// Tells and applies another share that a backend's server asks for.
    pub(super) fn follow_server(&mut self, backend: &Arc<str>, from: Share, now: Now, effects: &mut Effects) {
        let Some(view) = self.backends.get(backend) else { return };
        let (state, to, frontends) = (view.health.state(), view.asked.share(), Arc::clone(&view.frontends));
        if state != State::Up {
            return;
        }
        effects.tell(Event::Asked { backend: Arc::clone(backend), from, to });
        for frontend in frontends.iter() {
            self.reweigh(frontend, now, effects);
        }
    }

    /// Changes that were held back, and are due.
    pub(super) fn steady_tick(&mut self, now: Now, effects: &mut Effects) {
        let per_second = per_second(self.config.healthchecker.guard);
        while let Some(backend) = self.steady.guard.pop(per_second, now.mono) {
            let cause = self.backends.get(&backend).and_then(last_result);
            if let Some(cause) = cause
                && self.let_through(&backend, State::Down, cause, now, effects)
            {
                self.steady.guard.take(now.mono);
            }
        }
        while let Some(backend) = self.steady.due(now.mono) {
            effects.state = true;
            if self.backends.get(&backend).is_some_and(|view| view.damper.held_until(now.mono).is_none()) {
                self.let_through(&backend, State::Up, Cause::Event("no longer damped"), now, effects);
            }
            let interval = self.config.healthchecker.agent_interval;
            if let Some(from) = self.backends.follow_server(&backend, interval, now.mono) {
                self.follow_server(&backend, from, now, effects);
            }
            if let Some(view) = self.backends.get(&backend) {
                let visit = self.next_visit(view, now);
                self.steady.plan(&backend, visit);
            }
        }
    }

    /// Lets a change to this state take effect, if the checks of the backend still ask for it.
    fn let_through(
        &mut self,
        backend: &Arc<str>,
        to: State,
        cause: Cause,
        now: Now,
        effects: &mut Effects,
    ) -> bool {
        let gate = Gate { rise: to == State::Up, fall: to == State::Down };
        match self.backends.give(backend, Input::Release { cause, gate }, now) {
            Ok(Some(transition)) => {
                self.follow(backend, transition, now, effects);
                true
            }
            Ok(None) | Err(_) => false,
        }
    }

    /// When a backend is to be looked at again.
    fn next_visit(&self, view: &BackendView, now: Now) -> Option<Instant> {
        let asked = view.asked.due(self.config.healthchecker.agent_interval);
        view.damper.held_until(now.mono).into_iter().chain(asked).min()
    }

    /// Applies another configuration's limits, and looks at the backends that changed. What waits for a backend that is gone
    /// ends by itself.
    pub(super) fn steady_reload(&mut self, changes: &Changes, now: Now) {
        let limits = ["agent-interval", "damping", "guard"];
        if !changes.healthchecker.iter().any(|key| limits.contains(key)) {
            let touched = changes.backends.touched().into_iter().filter_map(|name| self.backends.name(name));
            let touched: Vec<_> = touched.collect();
            touched.iter().for_each(|name| self.look_again(name, now));
            return;
        }
        if self.config.healthchecker.damping.is_none() {
            self.backends.forget_falls();
        }
        let names: Vec<_> = self.backends.views().keys().map(Arc::clone).collect();
        names.iter().for_each(|name| self.look_again(name, now));
    }

    /// Finds what waits for a backend.
    fn look_again(&mut self, name: &Arc<str>, now: Now) {
        let Some(view) = self.backends.get(name) else { return };
        let is_free = view.damper.held_until(now.mono).is_none();
        let visit = match view.health.held_back() {
            Some(State::Up) if is_free => Some(now.mono),
            _ => self.next_visit(view, now),
        };
        if view.health.held_back() == Some(State::Down) {
            self.steady.guard.wait(name);
        }
        self.steady.plan(name, visit);
    }
}

/// The result of the check that is worst off.
fn last_result(view: &BackendView) -> Option<Cause> {
    let check = view.worst()?;
    let last = check.tally.last_probe()?;
    Some(Cause::of(check.name.clone(), last.outcome))
}
