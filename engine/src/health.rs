//! A backend's health as a pure state machine: `(state, input, now) -> (state, transition)`.
//!
//! Each of its checks has a counter, which is HAProxy's: it runs from 0 to `rise + fall - 1`, and the check is up at
//! `rise` and above. A pass that reaches `rise` fills it, a failure that drops below `rise` empties it; so `rise`
//! consecutive passes make a check up, and `fall` consecutive failures make it down. The backend is up while as many
//! checks are up as it requires.

mod asked;
mod checks;
mod damping;
mod guard;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub use asked::Asked;
pub use checks::{Checks, Counter};
pub use damping::Damper;
pub use guard::Guard;

use crate::outcome::{ProbeOutcome, Verdict};
use crate::schedule::Pace;

/// State of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not probed yet.
    Unknown,
    /// In service and healthy.
    Up,
    /// Failed its check.
    Down,
    /// Paused by an operator: not probed, no new flows.
    Paused,
    /// Out of service, by the configuration or an operator.
    Disabled,
    /// Removed from the configuration. Final.
    Removed,
}

impl State {
    /// The state's word, in lower case.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
            Self::Removed => "removed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A state, and when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// The state.
    pub state: State,
    /// When it began.
    pub at: SystemTime,
}

impl Since {
    /// After a transition from `from` to `next`. Every start finds a backend unknown: one that is then found in its
    /// state of before has been in it all along.
    #[must_use]
    pub fn after(self, from: State, next: Self) -> Self {
        if from == State::Unknown && next.state == self.state { self } else { next }
    }
}

/// Changes of state that may take effect now, of those that probes cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// From down to up: flap damping does not hold the backend down.
    pub rise: bool,
    /// From up to down: the guard does not make the backend wait.
    pub fall: bool,
}

impl Gate {
    /// All of them.
    pub const OPEN: Self = Self { rise: true, fall: true };

    fn lets(self, from: State, to: State) -> bool {
        match (from, to) {
            (State::Down, State::Up) => self.rise,
            (State::Up, State::Down) => self.fall,
            _ => true,
        }
    }
}

/// The result of a probe, for the state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// Index of the check.
    pub check: usize,
    /// Its name, if the backend has several.
    pub name: Option<Arc<str>>,
    /// The result.
    pub outcome: ProbeOutcome,
    /// Changes that may take effect now.
    pub gate: Gate,
}

impl From<ProbeOutcome> for CheckResult {
    /// A result of an only check.
    fn from(outcome: ProbeOutcome) -> Self {
        Self { check: 0, name: None, outcome, gate: Gate::OPEN }
    }
}

/// Inputs of the state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A probe ended.
    Probe(CheckResult),
    /// A change that was held back may take effect.
    Release {
        /// Its cause.
        cause: Cause,
        /// Changes that may take effect now.
        gate: Gate,
    },
    /// Stop probing.
    Pause,
    /// Probe again, from unknown.
    Resume,
    /// Take out of service.
    Disable,
    /// Put back into service, from unknown.
    Enable,
    /// The checks changed, which invalidates earlier results of those that are new.
    NewChecks {
        /// The checks.
        checks: Checks,
        /// For each of them the index that it had, unless it is new.
        kept: Vec<Option<usize>>,
    },
    /// The failures that made it down may not have been its fault.
    Doubt {
        /// Whether a single further failure makes it down again.
        probation: bool,
    },
    /// It was removed from the configuration.
    Remove,
}

/// An input that does not fit the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {state} backend cannot be {wish}{hint}")]
pub struct Refused {
    state: State,
    wish: &'static str,
    hint: &'static str,
}

/// Cause of a transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A probe's result.
    Probe(ProbeOutcome),
    /// The result of one of several checks.
    Check {
        /// Its name.
        check: Arc<str>,
        /// The result.
        outcome: ProbeOutcome,
    },
    /// An operator or the configuration.
    Event(&'static str),
}

impl Cause {
    /// The result of a check, with its name if the backend has several.
    pub fn of(name: Option<Arc<str>>, outcome: ProbeOutcome) -> Self {
        match name {
            Some(check) => Self::Check { check, outcome },
            None => Self::Probe(outcome),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe(outcome) => outcome.fmt(f),
            Self::Check { check, outcome } => write!(f, "{check}: {outcome}"),
            Self::Event(event) => f.write_str(event),
        }
    }
}

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// State before.
    pub from: State,
    /// State after.
    pub to: State,
    /// Time of the change.
    pub at: SystemTime,
    /// Cause of the change.
    pub cause: Cause,
}

/// Health of one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    state: State,
    /// The state and its beginning; after a start, until the first transition, those of before.
    since: Option<Since>,
    checks: Checks,
    /// Shared by copies of this value, since it rarely changes and readers hold many.
    history: Arc<VecDeque<Transition>>,
    history_limit: usize,
}

impl Health {
    /// A backend that has not been probed.
    pub fn new(checks: Checks, history_limit: usize) -> Self {
        Self { state: State::Unknown, since: None, checks, history: Arc::default(), history_limit }
    }

    /// Changes the number of transitions kept.
    pub fn set_history_limit(&mut self, limit: usize) {
        self.history_limit = limit;
        if self.history.len() > limit {
            Arc::make_mut(&mut self.history).truncate(limit);
        }
    }

    /// Whether it is still in its initial state.
    pub fn is_new(&self) -> bool {
        self.state == State::Unknown && self.history.is_empty()
    }

    /// Current state.
    pub fn state(&self) -> State {
        self.state
    }

    /// When its state began, if that is known.
    pub fn since(&self) -> Option<SystemTime> {
        self.since.filter(|since| since.state == self.state).map(|since| since.at)
    }

    /// Takes over the state from before a start, and its beginning: if it is in this state, or gets into it first, it
    /// has been in it since then.
    pub fn recall(&mut self, before: Since) {
        if self.is_new() || self.state == before.state {
            self.since = Some(before);
        }
    }

    /// Its checks.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// The counter of the check that is worst off; `None` for a backend without checks.
    pub fn counter(&self) -> Option<&Counter> {
        self.checks.counters().get(self.checks.worst())
    }

    /// The value of that counter. Without checks, it is 1 for up.
    pub fn level(&self) -> u32 {
        self.counter().map_or_else(|| u32::from(self.state == State::Up), Counter::value)
    }

    /// The state that its checks ask for and that is held back, if any.
    pub fn held_back(&self) -> Option<State> {
        let is_held =
            |to: &State| matches!((self.state, to), (State::Up, State::Down) | (State::Down, State::Up));
        self.checks.verdict().filter(is_held)
    }

    /// The latest transitions, newest first.
    pub fn history(&self) -> impl Iterator<Item = &Transition> {
        self.history.iter()
    }

    /// The current probing interval of a check.
    pub fn pace(&self, check: usize) -> Pace {
        match (self.state, self.checks.counters().get(check)) {
            (State::Paused | State::Disabled | State::Removed, _) | (_, None) => Pace::Stopped,
            (State::Unknown | State::Up | State::Down, Some(counter)) => counter.pace(),
        }
    }

    /// Processes an input; returns the transition if the state changed. A probe's result that arrives after
    /// probing has stopped changes nothing, nor does a request for the current state.
    pub fn handle(&mut self, input: Input, now: SystemTime) -> Result<Option<Transition>, Refused> {
        use State::{Disabled, Down, Paused, Removed, Unknown, Up};
        let refused = |wish, hint| Err(Refused { state: self.state, wish, hint });
        let (to, cause) = match (self.state, input) {
            (Paused | Disabled | Removed, Input::Probe(_) | Input::Release { .. }) => return Ok(None),
            (Unknown | Up | Down, Input::Probe(CheckResult { check, name, outcome, gate })) => {
                match outcome.code.verdict() {
                    Verdict::NotKnown => return Ok(None),
                    verdict => self.checks.take(check, verdict == Verdict::Passed),
                }
                match self.asked_for(gate) {
                    Some(to) => (to, Cause::of(name, outcome)),
                    None => return Ok(None),
                }
            }
            (Unknown | Up | Down, Input::Release { cause, gate }) => match self.asked_for(gate) {
                Some(to) => (to, cause),
                None => return Ok(None),
            },
            (_, Input::NewChecks { mut checks, kept }) => {
                let is_probed = matches!(self.state, Unknown | Up | Down);
                if is_probed {
                    checks.keep(&self.checks, &kept)
                } else {
                    checks.stop()
                }
                self.checks = checks;
                match kept.iter().any(Option::is_some) {
                    _ if !is_probed => return Ok(None),
                    false => (Unknown, Cause::Event("another health check")),
                    // While it depends on a new check, everything stays.
                    true => match self.asked_for(Gate::OPEN) {
                        Some(to) => (to, Cause::Event("its health checks changed")),
                        None => return Ok(None),
                    },
                }
            }
            (Down, Input::Doubt { probation }) => match self.history.front() {
                Some(Transition { from, cause: Cause::Probe(_) | Cause::Check { .. }, .. }) => {
                    let from = *from;
                    self.checks.doubt(from, probation);
                    (from, Cause::Event("VPP was silent: its failed probes are ignored"))
                }
                _ => return Ok(None),
            },
            (Up, Input::Doubt { probation }) if self.held_back() == Some(Down) => {
                self.checks.doubt(Up, probation);
                return Ok(None);
            }
            (Unknown | Up | Paused | Disabled | Removed, Input::Doubt { .. }) => return Ok(None),
            (Removed, Input::Remove)
            | (Paused, Input::Pause)
            | (Disabled, Input::Disable)
            | (Unknown | Up | Down, Input::Resume | Input::Enable) => return Ok(None),
            (Removed, Input::Pause) => return refused("paused", ""),
            (Removed, Input::Resume) => return refused("resumed", ""),
            (Removed, Input::Disable) => return refused("disabled", ""),
            (Removed, Input::Enable) => return refused("enabled", ""),
            (Disabled, Input::Pause) => return refused("paused", ": enable it first"),
            (Disabled, Input::Resume) => return refused("resumed", ": enable it instead"),
            (Paused, Input::Enable) => return refused("enabled", ": resume it instead"),
            (Unknown | Up | Down, Input::Pause) => (Paused, Cause::Event("paused")),
            (Paused, Input::Resume) => (Unknown, Cause::Event("resumed")),
            (Unknown | Up | Down | Paused, Input::Disable) => (Disabled, Cause::Event("disabled")),
            (Disabled, Input::Enable) => (Unknown, Cause::Event("enabled")),
            (Unknown | Up | Down | Paused | Disabled, Input::Remove) => {
                (Removed, Cause::Event("removed from the configuration"))
            }
        };
        match (self.state, to) {
            (_, Paused | Disabled | Removed) => self.checks.stop(),
            (Paused | Disabled, _) => self.checks.restart(),
            _ => {}
        }
        if to == self.state {
            return Ok(None);
        }
        let transition = Transition { from: self.state, to, at: now, cause };
        self.state = to;
        let next = Since { state: to, at: now };
        self.since = Some(self.since.map_or(next, |since| since.after(transition.from, next)));
        let history = Arc::make_mut(&mut self.history);
        // Nearly all backends only ever come up: a queue that grows on its own would begin with room for four.
        if history.is_empty() {
            history.reserve_exact(1);
        }
        history.push_front(transition.clone());
        history.truncate(self.history_limit);
        Ok(Some(transition))
    }

    /// The state that its checks ask for, if it is another one that may take effect.
    fn asked_for(&self, gate: Gate) -> Option<State> {
        self.checks.verdict().filter(|to| *to != self.state && gate.lets(self.state, *to))
    }
}

#[cfg(test)]
mod tests;
