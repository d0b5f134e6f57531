//! What happens to a backend, and what follows from it.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tracing::{debug, info, warn};

use super::{Core, Effects, Event, Now};
use crate::config::Config;
use crate::health::{Health, Input, Refused, State, Transition};
use crate::outcome::{ProbeCode, ProbeOutcome, Report, Verdict};
use crate::overrides::BackendOverride;
use crate::snapshot::{BackendView, LastProbe};

impl Core {
    /// Takes a probe's result. Ten thousand come in a second, and nearly all of them change nothing.
    pub(super) fn probed(&mut self, report: Report, now: Now) -> Effects {
        let mut effects = Effects::default();
        let believed = self.believes(&report);
        let Report { backend, outcome, late, ended } = report;
        // One that began before says nothing, even if it ended after: it was made with the former check, or of another server.
        let began = ended.checked_sub(outcome.duration).unwrap_or(ended);
        let Some(view) = self.backends.get_mut(&backend).filter(|view| began >= view.new_since) else {
            return effects;
        };
        let view = Arc::make_mut(view);
        let before = view.last_probe.as_ref().map(|last| last.outcome.code.verdict());
        let pace = view.health.pace();
        view.tally.count_probe(outcome.code);
        if let Some(check) = view.check.as_ref().filter(|_| outcome.code.verdict() != Verdict::NotKnown) {
            check.durations.observe(outcome.duration);
        }
        view.last_probe = Some(LastProbe { outcome: outcome.clone(), at: now.wall, ended, late });
        let handled = match believed {
            true => view.health.handle(Input::Probe(outcome.clone()), now.wall),
            false => Ok(None),
        };
        let next = view.health.pace();
        if next != pace {
            effects.paces.insert(Arc::clone(&backend), next);
        }
        if before != Some(outcome.code.verdict()) {
            self.note_verdict(&backend, before, &outcome);
        }
        match handled {
            Ok(None) => {}
            Ok(Some(transition)) => {
                let decided = Now { mono: ended, ..now };
                self.follow(&backend, transition, decided, &mut effects);
            }
            Err(refused) => warn!(%backend, %refused, "probe's result does not fit"),
        }
        effects
    }

    /// Logs another verdict than the last. Whatever keeps the probes of one backend from being made mostly keeps
    /// them all, so there is one line for all.
    fn note_verdict(&mut self, backend: &Arc<str>, before: Option<Verdict>, outcome: &ProbeOutcome) {
        if !outcome.passed() {
            debug!(%backend, %outcome, "probe failed");
        }
        if outcome.code.verdict() == Verdict::NotKnown {
            self.unprobed += 1;
            if self.unprobed == 1 {
                warn!(%backend, %outcome, "some backends cannot be probed, and keep their states");
            }
        } else if before == Some(Verdict::NotKnown) {
            self.unprobed -= 1;
            if self.unprobed == 0 {
                info!("all backends can be probed again");
            }
        }
    }

    /// Whether its newest probe could not be made.
    pub(super) fn is_unprobed(&self, backend: &str) -> bool {
        let last = self.backends.get(backend).and_then(|view| view.last_probe.as_ref());
        last.is_some_and(|last| last.outcome.code.verdict() == Verdict::NotKnown)
    }

    /// Gives an input to a backend's health, and follows what comes of it.
    pub(super) fn input(&mut self, backend: &Arc<str>, input: Input, now: Now) -> Result<Effects, Refused> {
        let mut effects = Effects::default();
        if let Some(view) = self.backends.get_mut(backend)
            && let Some(transition) = Arc::make_mut(view).health.handle(input, now.wall)?
        {
            self.follow(backend, transition, now, &mut effects);
        }
        Ok(effects)
    }

    /// What a backend's health is to be told next so that it does what its configuration and operators want of it.
    pub(super) fn due_input(&self, backend: &str, state: State) -> Option<Input> {
        let configured = self.config.backends.get(backend)?;
        let set = self.overrides.backends.get(backend).map(|set| set.value);
        match (Wish::of(configured.enabled, set), state) {
            (Wish::Serve, State::Paused) => Some(Input::Resume),
            (Wish::Serve | Wish::Pause, State::Disabled) => Some(Input::Enable),
            // A backend without a check is up at once.
            (Wish::Serve, State::Unknown) if configured.healthcheck.is_none() => Some(static_pass()),
            (Wish::Pause, State::Unknown | State::Up | State::Down) => Some(Input::Pause),
            (Wish::Disable, State::Unknown | State::Up | State::Down | State::Paused) => Some(Input::Disable),
            _ => None,
        }
    }

    /// Gives a backend's health all that is due, and follows what comes of it.
    pub(super) fn settle(&mut self, backend: &Arc<str>, now: Now) -> Effects {
        let mut effects = Effects::default();
        while let Some(input) = self.due_input(backend, self.state_of(backend)) {
            match self.input(backend, input, now) {
                Ok(more) if more == Effects::default() => break,
                Ok(more) => effects.merge(more),
                Err(refused) => {
                    warn!(%backend, %refused, "a wish does not fit");
                    break;
                }
            }
        }
        effects
    }

    /// The same for a backend whose frontends are made anew after this. Returns the changes.
    pub(super) fn settle_alone(&mut self, backend: &Arc<str>, now: Now) -> Vec<Transition> {
        let mut transitions = Vec::new();
        while let Some(input) = self.due_input(backend, self.state_of(backend)) {
            let Some(view) = self.backends.get_mut(backend).map(Arc::make_mut) else { break };
            match view.health.handle(input, now.wall) {
                Ok(Some(transition)) => {
                    view.note(&transition, now.mono);
                    transitions.push(transition);
                }
                Ok(None) => break,
                Err(refused) => {
                    warn!(%backend, %refused, "a wish does not fit");
                    break;
                }
            }
        }
        transitions
    }

    /// Something is known of a backend now, or it is another server: it keeps no weight for want of an answer.
    pub(super) fn forget_held(&mut self, backend: &str) {
        let frontends = self.backends.get(backend).map(|view| Arc::clone(&view.frontends));
        for frontend in frontends.unwrap_or_default().iter() {
            let vip = self.frontends.get(frontend).map(|view| view.spec.key);
            if let Some(held) = vip.and_then(|vip| self.held.get_mut(&vip)) {
                held.remove(backend);
            }
        }
    }

    /// `now` is when that happened which changed the state.
    fn follow(&mut self, backend: &Arc<str>, transition: Transition, now: Now, effects: &mut Effects) {
        let Some(view) = self.backends.get_mut(backend) else {
            return;
        };
        Arc::make_mut(view).note(&transition, now.mono);
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

/// What a backend is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Serve,
    Pause,
    Disable,
}

impl Wish {
    /// What an operator set comes before the configuration.
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
    /// Takes over a change of its health.
    pub(super) fn note(&mut self, transition: &Transition, now: Instant) {
        self.tally.count_transition(transition.to);
        self.changed = Some(now);
        self.up_since = (transition.to == State::Up && self.cold).then_some(now);
        // What served all along has nothing to warm up; what was out of service has.
        self.cold |= !matches!(transition.to, State::Unknown | State::Up);
    }
}

/// A backend of which nothing is known. One that was there when the process started may have served all along; one
/// that comes later is `cold`.
pub(super) fn new_view(config: &Config, name: &str, cold: bool, now: Now) -> BackendView {
    let check = config.backends.get(name).and_then(|backend| backend.healthcheck.as_ref());
    let check = check.and_then(|check| config.healthchecks.get(check));
    let (rise, fall) = check.map_or((1, 1), |check| (check.rise, check.fall));
    let health = Health::new(rise, fall, config.healthchecker.transition_history);
    BackendView {
        health,
        last_probe: None,
        frontends: Arc::default(),
        new_since: now.mono,
        changed: None,
        up_since: None,
        cold,
        tally: Arc::default(),
        check: None,
    }
}

/// What a backend without a check gets instead of a probe, at once.
fn static_pass() -> Input {
    Input::Probe(ProbeOutcome {
        code: ProbeCode::Static,
        detail: "no health check: always up".to_owned(),
        duration: Duration::ZERO,
    })
}
