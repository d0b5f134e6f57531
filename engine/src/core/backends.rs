//! Backends: their inputs, and the consequences of their changes.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use compact_str::CompactString;
use imbl::OrdMap;
use smallvec::SmallVec;
use tracing::{debug, info, warn};

use super::{Core, Effects, Event, Now};
use crate::config::{Config, Damping, HealthChecker, Rename};
use crate::health::{
    Asked, CheckResult, Checks, Counter, Damper, Gate, Health, Input, Refused, Since, State, Transition,
};
use crate::outcome::{LastProbe, ProbeCode, ProbeOutcome, Report, Share, Verdict};
use crate::overrides::BackendOverride;
use crate::schedule::Pace;
use crate::snapshot::{BackendView, CheckView};
use crate::tally::{CheckTally, Transitions};
use crate::votes::Overruled;

/// All backends, and the number of those that cannot be probed.
#[derive(Debug, Clone, Default)]
pub(super) struct Backends {
    views: OrdMap<Arc<str>, Arc<BackendView>>,
    /// Backends whose latest probe could not be made.
    unprobed: usize,
}

/// Consequences of a probe's result.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The check's new probing interval, if it changed.
    pub(super) pace: Option<Pace>,
    /// The backend's change of state, if any.
    pub(super) transition: Option<Transition>,
    /// Whether the checks no longer find it up.
    pub(super) fell: bool,
    /// Whether flap damping holds it down from now on.
    pub(super) is_newly_damped: bool,
    /// Whether its server asks for another share of its weight, which may have to wait.
    pub(super) is_asking: bool,
    /// The share that was in force before, if another is now.
    pub(super) share: Option<Share>,
}

impl Backends {
    /// All backends, by name.
    pub(super) fn views(&self) -> &OrdMap<Arc<str>, Arc<BackendView>> {
        &self.views
    }

    /// The backend with this name.
    pub(super) fn get(&self, name: &str) -> Option<&BackendView> {
        self.views.get(name).map(Arc::as_ref)
    }

    /// The shared copy of a name, if there is such a backend.
    pub(super) fn name(&self, name: &str) -> Option<Arc<str>> {
        self.views.get_key_value(name).map(|(name, _)| Arc::clone(name))
    }

    /// Takes the fleet's verdict on a backend over, after a transition of its own from this state, if there was one. Returns
    /// whether another state counts than before, and whether it is overruled in another way.
    pub(super) fn overrule(
        &mut self,
        name: &str,
        overruled: Option<Overruled>,
        own_from: Option<State>,
        now: Instant,
    ) -> (bool, bool) {
        let Some(view) =
            self.views.get_mut(name).filter(|view| own_from.is_some() || view.overruled != overruled)
        else {
            return (false, false);
        };
        let counts_as =
            |overruled: &Option<Overruled>| overruled.as_ref().map(|overruled| overruled.counts_as);
        let is_news = counts_as(&view.overruled) != counts_as(&overruled);
        if own_from.is_some() && view.overruled.is_none() && overruled.is_none() {
            return (true, false);
        }
        (Arc::make_mut(view).overrule(overruled, own_from, now), is_news)
    }

    /// The backend's state; "removed" if it does not exist.
    pub(super) fn state(&self, name: &str) -> State {
        self.get(name).map_or(State::Removed, |view| view.health.state())
    }

    /// Names of the frontends that use it.
    pub(super) fn frontends_of(&self, name: &str) -> Arc<[Arc<str>]> {
        self.get(name).map(|view| Arc::clone(&view.frontends)).unwrap_or_default()
    }

    /// Number of backends whose latest probe could not be made.
    #[cfg(test)]
    pub(super) fn unprobed(&self) -> usize {
        self.unprobed
    }

    /// Adds a backend of a new configuration, in state unknown.
    pub(super) fn add(&mut self, name: &Arc<str>, view: BackendView) {
        self.views.insert(Arc::clone(name), Arc::new(view));
    }

    /// Removes a backend that a new configuration lacks. Returns its last transition, if it existed.
    pub(super) fn remove(&mut self, name: &str, wall: SystemTime) -> Option<Transition> {
        self.unprobed -= self.unprobed_of(name);
        let mut view = self.views.remove(name)?;
        Arc::make_mut(&mut view).health.handle(Input::Remove, wall).ok().flatten()
    }

    /// Renames backends, all at once; returns each before and after.
    pub(super) fn rename(&mut self, renamed: &[Rename]) -> Vec<Arc<BackendView>> {
        let take = |rename: &Rename| self.views.remove(rename.from.as_str());
        let views: Vec<_> = renamed.iter().filter_map(take).collect();
        for (rename, view) in renamed.iter().zip(&views) {
            self.views.insert(rename.to.as_str().into(), Arc::clone(view));
        }
        views
    }

    /// Takes over a state from before the start, and when it began.
    pub(super) fn recall(&mut self, name: &str, before: Since) {
        if let Some(view) = self.views.get_mut(name) {
            Arc::make_mut(view).health.recall(before);
        }
    }

    /// Gives a backend other checks, which invalidates earlier results of those that are new; `kept` has the former
    /// indexes of the others. Returns the change of its state, if any.
    pub(super) fn recheck(
        &mut self,
        name: &str,
        checks: Checks,
        kept: Vec<Option<usize>>,
        now: Now,
    ) -> Option<Transition> {
        self.unprobed -= self.unprobed_of(name);
        let view = self.views.get_mut(name).map(Arc::make_mut)?;
        view.unsettle();
        let served = view.health.state() == State::Up;
        let count = checks.counters().len();
        let former = |check: usize| match kept.get(check).copied().flatten() {
            Some(former) => view.checks.get(former).cloned().unwrap_or_default(),
            // The counters of an only check go on.
            None if (count, view.checks.len()) == (1, 1) => {
                let former = view.checks.first().cloned().unwrap_or_default();
                CheckView { asked: Share::WHOLE, tally: Arc::new(former.tally.anew()), ..former }
            }
            None => CheckView::default(),
        };
        view.checks = (0..count).map(former).collect();
        let transition = view.health.handle(Input::NewChecks { checks, kept }, now.wall).ok().flatten();
        if let Some(transition) = &transition {
            view.note(transition, now.mono);
        }
        view.cold &= !(served && view.health.state() == State::Unknown);
        view.new_since = now.mono;
        self.unprobed += self.unprobed_of(name);
        transition
    }

    /// Sets how many transitions are remembered for each.
    pub(super) fn limit_history(&mut self, limit: usize) {
        let names: Vec<_> = self.views.keys().map(Arc::clone).collect();
        for name in names {
            if let Some(view) = self.views.get_mut(&name) {
                Arc::make_mut(view).health.set_history_limit(limit);
            }
        }
    }

    /// Records which frontends use a backend.
    pub(super) fn set_frontends(&mut self, name: &str, frontends: Arc<[Arc<str>]>) {
        if let Some(view) = self.views.get_mut(name) {
            Arc::make_mut(view).frontends = frontends;
        }
    }

    /// Sets the names of a backend's checks, if it has several, and their counters.
    pub(super) fn set_checks<'t>(
        &mut self,
        backend: &str,
        checks: impl Iterator<Item = (Option<&'t str>, Option<&'t Arc<CheckTally>>)>,
    ) {
        for (index, (name, durations)) in checks.enumerate() {
            let same = |check: &CheckView| {
                let same_counters = match (&check.durations, durations) {
                    (Some(before), Some(now)) => Arc::ptr_eq(before, now),
                    (before, now) => before.is_none() && now.is_none(),
                };
                same_counters && check.name.as_deref() == name
            };
            // Looking for a change copies nothing.
            if self.get(backend).and_then(|view| view.checks.get(index)).is_none_or(same) {
                continue;
            }
            let view = self.views.get_mut(backend).map(Arc::make_mut);
            if let Some(check) = view.and_then(|view| view.checks.get_mut(index)) {
                check.tally.unsettle();
                (check.name, check.durations) = (name.map(Arc::from), durations.map(Arc::clone));
            }
        }
    }

    /// Processes a probe's result, unless it is outdated: a probe that began before the backend got its checks
    /// used a former check, or probed another server.
    pub(super) fn take_probe(
        &mut self,
        report: Report,
        believed: bool,
        may_fall: bool,
        rules: &HealthChecker,
        wall: SystemTime,
    ) -> Option<Taken> {
        let Report { backend, check: index, outcome, late, ended } = report;
        let began = ended.checked_sub(outcome.duration).unwrap_or(ended);
        let view = self.views.get(&backend).filter(|view| began >= view.new_since)?;
        let check = view.checks.get(index)?;
        let last = LastProbe { outcome: outcome.clone(), at: wall, ended, late };
        let before = check.tally.take(last, check.durations.as_deref());
        let (mut health, pace) = (view.health.clone(), view.health.pace(index));
        let gate = Gate { rise: view.damper.held_until(ended).is_none(), fall: may_fall };
        let result = CheckResult { check: index, name: check.name.clone(), outcome: outcome.clone(), gate };
        let handled = match believed {
            true => health.handle(Input::Probe(result), wall),
            false => Ok(None),
        };
        let next = health.pace(index);
        let mut taken = Taken { pace: (next != pace).then_some(next), ..Taken::default() };
        let asks = outcome.asked.is_some_and(|share| share != check.asked);
        taken.transition = handled.unwrap_or_else(|refused| {
            warn!(%backend, %refused, "probe's result does not fit");
            None
        });
        // Readers hold copies of what is changed here, so it is only if it must be.
        let is_changed = asks || health != view.health;
        let is_repeated = before == Some(Verdict::Passed) && outcome.passed() && outcome.asked.is_none();
        if let Some(check_tally) = check.durations.as_ref().filter(|_| !is_changed && is_repeated)
            // What is held back may come with any pass.
            && health.held_back().is_none()
        {
            check.tally.settle(check_tally);
        }
        if is_changed && let Some(view) = self.views.get_mut(&backend).map(Arc::make_mut) {
            view.unsettle();
            let verdicts = (view.health.checks().verdict(), health.checks().verdict());
            let was_up = view.health.state() == State::Up;
            view.health = health;
            if let (Some(check), Some(share)) = (view.checks.get_mut(index), outcome.asked) {
                check.asked = share;
            }
            view.hear_server();
            taken.share = view.asked.follow(was_up, rules.agent_interval, ended);
            taken.is_asking = view.asked.due(rules.agent_interval).is_some();
            taken.fell = verdicts == (Some(State::Up), Some(State::Down));
            if let Some(damping) = rules.damping.as_ref().filter(|_| taken.fell) {
                view.damper.fall(damping, ended);
                taken.is_newly_damped = gate.rise && view.damper.held_until(ended).is_some();
            }
            if let Some(transition) = &taken.transition {
                view.note(transition, ended);
            }
        }
        if before != Some(outcome.code.verdict()) {
            self.note_verdict(&backend, before, &outcome);
        }
        Some(taken)
    }

    /// Puts the share that a backend's server asks for in force, if it is due. Returns the one before, if it changed.
    pub(super) fn follow_server(&mut self, name: &str, interval: Duration, now: Instant) -> Option<Share> {
        let view = self.views.get_mut(name).filter(|view| view.asked.share() != view.asked.asked())?;
        let is_up = view.health.state() == State::Up;
        Arc::make_mut(view).asked.follow(is_up, interval, now)
    }

    /// Forgets all penalties for going down.
    pub(super) fn forget_falls(&mut self) {
        let punished = self.views.iter().filter(|(_, view)| view.damper != Damper::default());
        let names: Vec<_> = punished.map(|(name, _)| Arc::clone(name)).collect();
        for name in names {
            if let Some(view) = self.views.get_mut(&name) {
                Arc::make_mut(view).damper = Damper::default();
            }
        }
    }

    /// Passes an input to a backend's health. Returns the transition, if any.
    pub(super) fn give(&mut self, name: &str, input: Input, now: Now) -> Result<Option<Transition>, Refused> {
        let Some(view) = self.views.get_mut(name).map(Arc::make_mut) else { return Ok(None) };
        view.unsettle();
        let transition = view.health.handle(input, now.wall)?;
        if let Some(transition) = &transition {
            view.note(transition, now.mono);
        }
        Ok(transition)
    }

    /// Backends that went down since then.
    pub(super) fn down_since(&self, since: Instant) -> Vec<Arc<str>> {
        let went_down = |view: &BackendView| {
            view.health.state() == State::Down && view.changed.is_some_and(|at| at >= since)
        };
        self.views.iter().filter(|(_, view)| went_down(view)).map(|(name, _)| Arc::clone(name)).collect()
    }

    /// Restores a backend whose failure is in doubt. It may have been up all along, so it returns without a
    /// slow start.
    pub(super) fn doubt(
        &mut self,
        name: &str,
        probation: bool,
        damping: Option<&Damping>,
        now: Now,
    ) -> Result<Option<Transition>, Refused> {
        if let Some(view) = self.views.get_mut(name).map(Arc::make_mut) {
            view.cold = false;
            if let Some(damping) = damping {
                view.damper.forgive(damping, now.mono);
            }
        }
        self.give(name, Input::Doubt { probation }, now)
    }

    /// Logs a verdict that differs from the last one. What prevents one backend's probes mostly prevents all
    /// of them, so there is one line for all.
    fn note_verdict(&mut self, backend: &Arc<str>, before: Option<Verdict>, outcome: &ProbeOutcome) {
        if !outcome.passed() {
            debug!(%backend, %outcome, "probe failed");
        }
        if outcome.code.verdict() == Verdict::NotKnown {
            self.unprobed += 1;
            if self.unprobed == 1 {
                warn!(%backend, %outcome, "some backends cannot be probed and keep their states");
            }
        } else if before == Some(Verdict::NotKnown) {
            self.unprobed -= 1;
            if self.unprobed == 0 {
                info!("all backends can be probed again");
            }
        }
    }

    /// The number of its checks whose latest probe could not be made.
    fn unprobed_of(&self, name: &str) -> usize {
        let checks = self.get(name).map(|view| &view.checks[..]).unwrap_or_default();
        let last = checks.iter().filter_map(|check| check.tally.last_probe());
        last.filter(|last| last.outcome.code.verdict() == Verdict::NotKnown).count()
    }
}

impl Core {
    /// Processes a probe's result, unless its tally [took](ProbeTally::take_repeated) it: there are ten thousand a second,
    /// and nearly all change nothing.
    pub(super) fn probed(&mut self, report: Report, now: Now) -> Effects {
        let mut effects = Effects::default();
        let believed = self.believes(&report);
        let (backend, check) = (Arc::clone(&report.backend), report.check);
        let decided = Now { mono: report.ended, ..now };
        let rules = &self.config.healthchecker;
        let may_fall = self.steady.may_fall(rules.guard, report.ended);
        let Some(taken) = self.backends.take_probe(report, believed, may_fall, rules, now.wall) else {
            return effects;
        };
        if let Some(pace) = taken.pace {
            effects.paces.insert((Arc::clone(&backend), check), pace);
        }
        if let Some(transition) = taken.transition.clone() {
            self.follow(&backend, transition, decided, &mut effects);
        }
        self.steady(&backend, &taken, decided, &mut effects);
        if let Some(from) = taken.share {
            self.follow_server(&backend, from, decided, &mut effects);
        }
        effects
    }

    /// The next input that a backend's health needs to follow its configuration and overrides.
    fn due_input(&self, backend: &str) -> Option<Input> {
        let configured = self.config.backends.get(backend)?;
        let set = self.overrides.backends.get(backend).map(|set| set.value);
        match (Wish::of(configured.enabled, set), self.backends.state(backend)) {
            (Wish::Serve, State::Paused) => Some(Input::Resume),
            (Wish::Serve | Wish::Pause, State::Disabled) => Some(Input::Enable),
            // A backend without a check is up at once.
            (Wish::Serve, State::Unknown) if configured.healthchecks.is_empty() => Some(static_pass()),
            (Wish::Pause, State::Unknown | State::Up | State::Down) => Some(Input::Pause),
            (Wish::Disable, State::Unknown | State::Up | State::Down | State::Paused) => Some(Input::Disable),
            _ => None,
        }
    }

    /// Passes the next such input to a backend's health. Returns the change; `None` when nothing is left to
    /// do.
    pub(super) fn settle(&mut self, backend: &str, now: Now) -> Option<Transition> {
        let input = self.due_input(backend)?;
        self.backends.give(backend, input, now).unwrap_or_else(|refused| {
            warn!(%backend, %refused, "a wish does not fit");
            None
        })
    }

    /// Drops the weight that a backend kept while it was unknown: it is known now, or another server.
    pub(super) fn forget_held(&mut self, backend: &str) {
        for frontend in self.backends.frontends_of(backend).iter() {
            if let Some(view) = self.frontends.get(frontend) {
                self.known.let_go(&view.spec.key, backend);
            }
        }
    }

    /// Applies the consequences of a backend's change of state. `now` is the time of the event that caused
    /// it.
    pub(super) fn follow(
        &mut self,
        backend: &Arc<str>,
        transition: Transition,
        now: Now,
        effects: &mut Effects,
    ) {
        let Some(view) = self.backends.get(backend) else { return };
        let frontends = Arc::clone(&view.frontends);
        effects.state = true;
        effects.set_paces(backend, &view.health);
        let from = transition.from;
        effects.tell(Event::Backend { backend: Arc::clone(backend), transition });
        self.judge(backend, Some(from), now, effects);
        self.forget_held(backend);
        for frontend in frontends.iter() {
            self.reweigh(frontend, now, effects);
        }
    }
}

/// What configuration and operator want of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Serve,
    Pause,
    Disable,
}

impl Wish {
    /// An override takes precedence over the configuration.
    fn of(enabled: bool, set: Option<BackendOverride>) -> Self {
        match set {
            Some(BackendOverride::Paused) => Self::Pause,
            Some(BackendOverride::Disabled) => Self::Disable,
            Some(BackendOverride::Enabled) => Self::Serve,
            None if enabled => Self::Serve,
            None => Self::Disable,
        }
    }
}

impl BackendView {
    /// Lets the next pass of each check be decided on.
    fn unsettle(&self) {
        self.checks.iter().for_each(|check| check.tally.unsettle());
    }

    /// Records a transition.
    fn note(&mut self, transition: &Transition, now: Instant) {
        self.transitions.count(transition.to);
        // An operator who brings it back means it.
        if matches!(transition.from, State::Paused | State::Disabled) {
            self.damper = Damper::default();
        }
        self.changed = Some(now);
        self.earlier = (self.up_since, self.cold);
        self.serve(transition.from, transition.to, now);
    }

    /// Follows the state that its weights follow.
    fn serve(&mut self, from: State, to: State, now: Instant) {
        self.up_since = match (from, to) {
            (State::Up, State::Up) => self.up_since,
            (_, State::Up) => self.cold.then_some(now),
            _ => None,
        };
        // A backend that served all along needs no slow start; one that was out of service does.
        self.cold |= !matches!(to, State::Unknown | State::Up);
    }

    /// Takes the fleet's verdict over, after a transition of its own from this state, if there was one. Returns whether
    /// another state counts than before.
    fn overrule(&mut self, overruled: Option<Overruled>, own_from: Option<State>, now: Instant) -> bool {
        let state = self.health.state();
        let from = Self::state_as(own_from.unwrap_or(state), self.overruled.as_ref());
        let to = Self::state_as(state, overruled.as_ref());
        let is_overruled = self.overruled.is_some() || overruled.is_some();
        if is_overruled && (own_from.is_some() || from != to) {
            if own_from.is_some() {
                (self.up_since, self.cold) = self.earlier;
            }
            self.serve(from, to, now);
        }
        self.overruled = overruled;
        from != to
    }

    /// Takes the least share that its server asks for in answer to the checks that are up.
    fn hear_server(&mut self) {
        let checks = self.checks.iter().zip(self.health.checks().counters());
        let up = checks.filter(|(_, counter)| counter.state() == State::Up);
        self.asked.ask(up.map(|(check, _)| check.asked).min().unwrap_or_default());
    }
}

impl Effects {
    /// Tells the probing intervals of all checks of a backend.
    pub(super) fn set_paces(&mut self, backend: &Arc<str>, health: &Health) {
        let checks = 0..health.checks().counters().len();
        self.paces.extend(checks.map(|check| ((Arc::clone(backend), check), health.pace(check))));
    }
}

/// A backend in state unknown. One that existed when the process started may have served all along; one added
/// later is `cold`.
pub(super) fn new_view(config: &Config, name: &str, cold: bool, now: Now) -> BackendView {
    let checks = checks(config, name);
    let count = checks.counters().len();
    BackendView {
        health: Health::new(checks, config.healthchecker.transition_history),
        frontends: Arc::default(),
        new_since: now.mono,
        changed: None,
        up_since: None,
        cold,
        transitions: Transitions::default(),
        checks: (0..count).map(|_| CheckView::default()).collect(),
        asked: Asked::default(),
        damper: Damper::default(),
        overruled: None,
        earlier: (None, cold),
    }
}

/// The checks of a backend, without results.
pub(super) fn checks(config: &Config, name: &str) -> Checks {
    let backend = config.backends.get(name);
    let checks = backend.into_iter().flat_map(|backend| config.checks_of(backend));
    let counters: SmallVec<[Counter; 1]> =
        checks.map(|(_, check)| Counter::new(check.rise, check.fall)).collect();
    let needed = backend.map_or(0, |backend| backend.require.needed(counters.len()));
    Checks::new(counters, needed)
}

/// The result that a backend without a check gets at once.
fn static_pass() -> Input {
    let outcome = ProbeOutcome {
        code: ProbeCode::Static,
        detail: CompactString::const_new("no health check: always up"),
        duration: Duration::ZERO,
        asked: None,
    };
    Input::Probe(outcome.into())
}
