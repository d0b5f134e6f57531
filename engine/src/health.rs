//! A backend's health as a pure state machine: `(state, input, now) -> (state, transition)`.
//!
//! The counter is HAProxy's: it runs from 0 to `rise + fall - 1`, and the backend is up at `rise` and above.
//! A pass that reaches `rise` fills it, a failure that drops below `rise` empties it; so `rise` consecutive
//! passes make a backend up, and `fall` consecutive failures make it down.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

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

/// Inputs of the state machine.
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
    /// Put back into service, from unknown.
    Enable,
    /// The check changed, which invalidates earlier results.
    NewCheck {
        /// Consecutive passes that make it up, at least 1.
        rise: u32,
        /// Consecutive failures that make it down, at least 1.
        fall: u32,
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
    counter: u32,
    rise: u32,
    fall: u32,
    /// Shared by copies of this value, since it rarely changes and readers hold many.
    history: Arc<VecDeque<Transition>>,
    history_limit: usize,
}

impl Health {
    /// A backend that has not been probed. `rise` and `fall` must be at least 1.
    pub fn new(rise: u32, fall: u32, history_limit: usize) -> Self {
        let (rise, fall) = (rise.max(1), fall.max(1));
        let counter = rise - 1;
        Self {
            state: State::Unknown,
            since: None,
            counter,
            rise,
            fall,
            history: Arc::default(),
            history_limit,
        }
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

    /// 0 to [`max`](Self::max).
    pub fn counter(&self) -> u32 {
        self.counter
    }

    /// Consecutive passes that make it up.
    pub fn rise(&self) -> u32 {
        self.rise
    }

    /// Consecutive failures that make it down.
    pub fn fall(&self) -> u32 {
        self.fall
    }

    /// Maximum of the counter.
    pub fn max(&self) -> u32 {
        self.rise + self.fall - 1
    }

    /// The latest transitions, newest first.
    pub fn history(&self) -> impl Iterator<Item = &Transition> {
        self.history.iter()
    }

    /// The current probing interval.
    pub fn pace(&self) -> Pace {
        match self.state {
            State::Paused | State::Disabled | State::Removed => Pace::Stopped,
            State::Up if self.counter == self.max() => Pace::Normal,
            State::Down if self.counter == 0 => Pace::Down,
            State::Unknown | State::Up | State::Down => Pace::Fast,
        }
    }

    /// Processes an input; returns the transition if the state changed. A probe's result that arrives after
    /// probing has stopped changes nothing, nor does a request for the current state.
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
                    (*from, counter, Cause::Event("VPP was silent: its failed probes are ignored"))
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
        let next = Since { state: to, at: now };
        self.since = Some(self.since.map_or(next, |since| since.after(transition.from, next)));
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
