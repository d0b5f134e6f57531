//! Backends: their inputs, and the consequences of their changes.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use compact_str::CompactString;
use imbl::OrdMap;
use tracing::{debug, info, warn};

use super::{Core, Effects, Event, Now};
use crate::config::{Config, Rename};
use crate::health::{Health, Input, Refused, Since, State, Transition};
use crate::outcome::{LastProbe, ProbeCode, ProbeOutcome, Report, Verdict};
use crate::overrides::BackendOverride;
use crate::schedule::Pace;
use crate::snapshot::BackendView;
use crate::tally::CheckTally;

/// All backends, and the number of those that cannot be probed.
#[derive(Debug, Clone, Default)]
pub(super) struct Backends {
    views: OrdMap<Arc<str>, Arc<BackendView>>,
    /// Backends whose latest probe could not be made.
    unprobed: usize,
}

/// Consequences of a probe's result.
#[derive(Debug)]
pub(super) struct Probed {
    /// The backend's new probing interval, if it changed.
    pub(super) pace: Option<Pace>,
    /// The backend's change of state, if any.
    pub(super) transition: Option<Transition>,
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
        self.unprobed -= usize::from(self.is_unprobed(name));
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

    /// Gives a backend another check, which invalidates earlier results. Returns the change of its state, if
    /// any.
    pub(super) fn recheck(&mut self, name: &str, (rise, fall): (u32, u32), now: Now) -> Option<Transition> {
        self.unprobed -= usize::from(self.is_unprobed(name));
        let view = self.views.get_mut(name).map(Arc::make_mut)?;
        let served = view.health.state() == State::Up;
        let transition = view.health.handle(Input::NewCheck { rise, fall }, now.wall).ok().flatten();
        if let Some(transition) = &transition {
            view.note(transition, now.mono);
        }
        view.cold &= !served;
        view.new_since = now.mono;
        view.tally.set_last_probe(None);
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

    /// Sets the counters of a backend's check.
    pub(super) fn set_check(&mut self, name: &str, check: Option<&Arc<CheckTally>>) {
        let same = |view: &BackendView| match (&view.check, check) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (before, now) => before.is_none() && now.is_none(),
        };
        if self.get(name).is_some_and(|view| !same(view))
            && let Some(view) = self.views.get_mut(name)
        {
            Arc::make_mut(view).check = check.map(Arc::clone);
        }
    }

    /// Processes a probe's result, unless it is outdated: a probe that began before the backend got its check
    /// used the former check, or probed another server.
    pub(super) fn take_probe(&mut self, report: Report, believed: bool, wall: SystemTime) -> Option<Probed> {
        let Report { backend, outcome, late, ended } = report;
        let began = ended.checked_sub(outcome.duration).unwrap_or(ended);
        let view = self.views.get(&backend).filter(|view| began >= view.new_since)?;
        view.tally.count_probe(outcome.code);
        if let Some(check) = view.check.as_ref().filter(|_| outcome.code.verdict() != Verdict::NotKnown) {
            check.durations.observe(outcome.duration);
        }
        let last = LastProbe { outcome: outcome.clone(), at: wall, ended, late };
        let before = view.tally.set_last_probe(Some(last)).map(|last| last.outcome.code.verdict());
        let (mut health, pace) = (view.health.clone(), view.health.pace());
        let handled = match believed {
            true => health.handle(Input::Probe(outcome.clone()), wall),
            false => Ok(None),
        };
        let next = health.pace();
        // Readers hold copies of what is changed here, so it is only if it must be.
        if health != view.health
            && let Some(view) = self.views.get_mut(&backend).map(Arc::make_mut)
        {
            view.health = health;
            if let Ok(Some(transition)) = &handled {
                view.note(transition, ended);
            }
        }
        if before != Some(outcome.code.verdict()) {
            self.note_verdict(&backend, before, &outcome);
        }
        let transition = handled.unwrap_or_else(|refused| {
            warn!(%backend, %refused, "probe's result does not fit");
            None
        });
        Some(Probed { pace: (next != pace).then_some(next), transition })
    }

    /// Passes an input to a backend's health. Returns the transition, if any.
    pub(super) fn give(&mut self, name: &str, input: Input, now: Now) -> Result<Option<Transition>, Refused> {
        let Some(view) = self.views.get_mut(name).map(Arc::make_mut) else { return Ok(None) };
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
        now: Now,
    ) -> Result<Option<Transition>, Refused> {
        if let Some(view) = self.views.get_mut(name) {
            Arc::make_mut(view).cold = false;
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

    /// Whether its latest probe could not be made.
    fn is_unprobed(&self, name: &str) -> bool {
        let last = self.get(name).and_then(|view| view.tally.last_probe());
        last.is_some_and(|last| last.outcome.code.verdict() == Verdict::NotKnown)
    }
}

impl Core {
    /// Processes a probe's result. There are ten thousand a second, and nearly all change nothing.
    pub(super) fn probed(&mut self, report: Report, now: Now) -> Effects {
        let mut effects = Effects::default();
        let believed = self.believes(&report);
        let (backend, decided) = (Arc::clone(&report.backend), Now { mono: report.ended, ..now });
        let Some(Probed { pace, transition }) = self.backends.take_probe(report, believed, now.wall) else {
            return effects;
        };
        if let Some(pace) = pace {
            effects.paces.insert(Arc::clone(&backend), pace);
        }
        if let Some(transition) = transition {
            self.follow(&backend, transition, decided, &mut effects);
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
            (Wish::Serve, State::Unknown) if configured.healthcheck.is_none() => Some(static_pass()),
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
        effects.paces.insert(Arc::clone(backend), view.health.pace());
        effects.tell(Event::Backend { backend: Arc::clone(backend), transition });
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
    /// Records a transition.
    fn note(&mut self, transition: &Transition, now: Instant) {
        self.tally.count_transition(transition.to);
        self.changed = Some(now);
        self.up_since = (transition.to == State::Up && self.cold).then_some(now);
        // A backend that served all along needs no slow start; one that was out of service does.
        self.cold |= !matches!(transition.to, State::Unknown | State::Up);
    }
}

/// A backend in state unknown. One that existed when the process started may have served all along; one added
/// later is `cold`.
pub(super) fn new_view(config: &Config, name: &str, cold: bool, now: Now) -> BackendView {
    let (rise, fall) = rise_and_fall(config, name);
    let health = Health::new(rise, fall, config.healthchecker.transition_history);
    BackendView {
        health,
        frontends: Arc::default(),
        new_since: now.mono,
        changed: None,
        up_since: None,
        cold,
        tally: Arc::default(),
        check: None,
    }
}

/// The consecutive probes that make a backend up, and down.
pub(super) fn rise_and_fall(config: &Config, name: &str) -> (u32, u32) {
    let check = config.backends.get(name).and_then(|backend| backend.healthcheck.as_ref());
    let check = check.and_then(|check| config.healthchecks.get(check));
    check.map_or((1, 1), |check| (check.rise, check.fall))
}

/// The result that a backend without a check gets at once.
fn static_pass() -> Input {
    Input::Probe(ProbeOutcome {
        code: ProbeCode::Static,
        detail: CompactString::const_new("no health check: always up"),
        duration: Duration::ZERO,
    })
}
