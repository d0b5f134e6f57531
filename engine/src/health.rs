//! A backend's health: a pure machine, `(state, input, now) -> (state, transition)`.
//!
//! The counter is HAProxy's: it runs from 0 to `rise + fall - 1`, and the backend is up at `rise` and above.
//! A pass that reaches `rise` fills it, a failure that leaves `rise` empties it; so `rise` passes in a row
//! make a backend up, and `fall` failures in a row make it down.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::outcome::{ProbeOutcome, Verdict};
use crate::schedule::Pace;

/// State of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Not probed yet.
    Unknown,
    /// Takes traffic.
    Up,
    /// Takes no new flows.
    Down,
    /// Not probed, by an operator's wish.
    Paused,
    /// Out of service, by configuration or by an operator's wish.
    Disabled,
    /// Gone from the configuration. Nothing leads out of it.
    Removed,
}

impl State {
    /// Lower-case word.
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

/// What can happen to a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A probe ended.
    Probe(ProbeOutcome),
    /// Stop probing.
    Pause,
    /// Probe again, from unknown.
    Resume,
    /// Take out of service.
    Disable,
    /// Take back into service, from unknown.
    Enable,
    /// Another check is made from now on, so that what the last one found says nothing.
    NewCheck {
        /// Passes in a row that make it up, at least 1.
        rise: u32,
        /// Failures in a row that make it down, at least 1.
        fall: u32,
    },
    /// The probes that took it down may say nothing about it.
    Doubt {
        /// Whether the next failure alone takes it down again.
        probation: bool,
    },
    /// The configuration no longer has it.
    Remove,
}

/// Why an input changes nothing because it does not fit the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {state} backend cannot be {wish}{hint}")]
pub struct Refused {
    state: State,
    wish: &'static str,
    hint: &'static str,
}

/// What caused a transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A probe's result.
    Probe(ProbeOutcome),
    /// An operator or the configuration.
    Event(&'static str),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe(outcome) => outcome.fmt(f),
            Self::Event(event) => f.write_str(event),
        }
    }
}

/// One change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// State before.
    pub from: State,
    /// State after.
    pub to: State,
    /// When.
    pub at: SystemTime,
    /// Why.
    pub cause: Cause,
}

/// Health of one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    state: State,
    counter: u32,
    rise: u32,
    fall: u32,
    /// Shared with earlier copies of this value, since it hardly ever changes and readers have many of them.
    history: Arc<VecDeque<Transition>>,
    history_limit: usize,
}

impl Health {
    /// A backend that nobody has probed yet. `rise` and `fall` are at least 1.
    pub fn new(rise: u32, fall: u32, history_limit: usize) -> Self {
        let (rise, fall) = (rise.max(1), fall.max(1));
        let counter = rise - 1;
        Self { state: State::Unknown, counter, rise, fall, history: Arc::default(), history_limit }
    }

    /// Keeps another number of transitions from now on.
    pub fn set_history_limit(&mut self, limit: usize) {
        self.history_limit = limit;
        if self.history.len() > limit {
            Arc::make_mut(&mut self.history).truncate(limit);
        }
    }

    /// Whether nothing was ever known or wanted of it.
    pub fn is_new(&self) -> bool {
        self.state == State::Unknown && self.history.is_empty()
    }

    /// State now.
    pub fn state(&self) -> State {
        self.state
    }

    /// 0 to [`max`](Self::max).
    pub fn counter(&self) -> u32 {
        self.counter
    }

    /// Passes in a row that make it up.
    pub fn rise(&self) -> u32 {
        self.rise
    }

    /// Failures in a row that make it down.
    pub fn fall(&self) -> u32 {
        self.fall
    }

    /// Largest value of the counter.
    pub fn max(&self) -> u32 {
        self.rise + self.fall - 1
    }

    /// The newest transitions, newest first.
    pub fn history(&self) -> impl Iterator<Item = &Transition> {
        self.history.iter()
    }

    /// How often it is to be probed now.
    pub fn pace(&self) -> Pace {
        match self.state {
            State::Paused | State::Disabled | State::Removed => Pace::Stopped,
            State::Up if self.counter == self.max() => Pace::Normal,
            State::Down if self.counter == 0 => Pace::Down,
            State::Unknown | State::Up | State::Down => Pace::Fast,
        }
    }

    /// Takes one input; returns the transition if the state changed. A probe's result that arrives when
    /// probing has stopped changes nothing. An input that asks for the state as it is changes nothing.
    pub fn handle(&mut self, input: Input, now: SystemTime) -> Result<Option<Transition>, Refused> {
        use State::{Disabled, Down, Paused, Removed, Unknown, Up};
        let refused = |wish, hint| Err(Refused { state: self.state, wish, hint });
        let (to, counter, cause) = match (self.state, input) {
            (Paused | Disabled | Removed, Input::Probe(_)) => return Ok(None),
            (Unknown | Up | Down, Input::Probe(outcome)) => {
                let (to, counter) = match outcome.code.verdict() {
                    Verdict::Passed => self.passed(),
                    Verdict::Failed => self.failed(),
                    Verdict::NotKnown => return Ok(None),
                };
                (to, counter, Cause::Probe(outcome))
            }
            (_, Input::NewCheck { rise, fall }) => {
                (self.rise, self.fall) = (rise.max(1), fall.max(1));
                match self.state {
                    Paused | Disabled | Removed => return Ok(None),
                    Unknown | Up | Down => (Unknown, self.rise - 1, Cause::Event("another health check")),
                }
            }
            (Down, Input::Doubt { probation }) => match self.history.front() {
                Some(Transition { from, cause: Cause::Probe(_), .. }) => {
                    let counter = match (*from, probation) {
                        (Up, false) => self.max(),
                        (Up, true) => self.rise,
                        _ => self.rise - 1,
                    };
                    (*from, counter, Cause::Event("VPP was silent: its probes prove nothing"))
                }
                _ => return Ok(None),
            },
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
            (Unknown | Up | Down, Input::Pause) => (Paused, 0, Cause::Event("paused")),
            (Paused, Input::Resume) => (Unknown, self.rise - 1, Cause::Event("resumed")),
            (Unknown | Up | Down | Paused, Input::Disable) => (Disabled, 0, Cause::Event("disabled")),
            (Disabled, Input::Enable) => (Unknown, self.rise - 1, Cause::Event("enabled")),
            (Unknown | Up | Down | Paused | Disabled, Input::Remove) => {
                (Removed, 0, Cause::Event("removed from the configuration"))
            }
        };
        self.counter = counter;
        if to == self.state {
            return Ok(None);
        }
        let transition = Transition { from: self.state, to, at: now, cause };
        self.state = to;
        let history = Arc::make_mut(&mut self.history);
        history.push_front(transition.clone());
        history.truncate(self.history_limit);
        Ok(Some(transition))
    }

    fn passed(&self) -> (State, u32) {
        let next = self.counter + 1;
        if next >= self.rise { (State::Up, self.max()) } else { (State::Down, next) }
    }

    fn failed(&self) -> (State, u32) {
        let next = self.counter.saturating_sub(1);
        if self.state == State::Up && next >= self.rise { (State::Up, next) } else { (State::Down, 0) }
    }
}

#[cfg(test)]
mod tests;
