//! The checks of one backend: a counter for each, and their joint verdict.

use smallvec::SmallVec;

use super::State;
use crate::schedule::Pace;

/// HAProxy's counter of one check: it runs from 0 to `rise + fall - 1`, and the check is up at `rise` and above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// Unknown, up or down.
    state: State,
    value: u32,
    rise: u32,
    fall: u32,
}

impl Counter {
    /// A check without a result. Both numbers count as at least 1.
    pub fn new(rise: u32, fall: u32) -> Self {
        let (rise, fall) = (rise.max(1), fall.max(1));
        Self { state: State::Unknown, value: rise - 1, rise, fall }
    }

    /// Unknown, up or down.
    pub fn state(&self) -> State {
        self.state
    }

    /// 0 to [`max`](Self::max).
    pub fn value(&self) -> u32 {
        self.value
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
        self.rise.saturating_add(self.fall) - 1
    }

    /// The interval of its probes.
    pub fn pace(&self) -> Pace {
        match self.state {
            State::Up if self.value == self.max() => Pace::Normal,
            State::Down if self.value == 0 => Pace::Down,
            _ => Pace::Fast,
        }
    }

    /// A pass that reaches `rise` fills it, a failure that drops below `rise` empties it.
    fn take(&mut self, passed: bool) {
        let (up, down) = (self.value.saturating_add(1), self.value.saturating_sub(1));
        (self.state, self.value) = match passed {
            true if up >= self.rise => (State::Up, self.max()),
            true => (State::Down, up),
            false if self.state == State::Up && down >= self.rise => (State::Up, down),
            false => (State::Down, 0),
        }
    }
}

/// All checks of a backend. A backend without any is always up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checks {
    /// Nearly all backends have one, which takes no memory of its own.
    counters: SmallVec<[Counter; 1]>,
    /// How many must be up.
    needed: usize,
}

impl Checks {
    /// Checks without results, of which `needed` must be up.
    pub fn new(counters: impl IntoIterator<Item = Counter>, needed: usize) -> Self {
        Self { counters: counters.into_iter().collect(), needed }
    }

    /// Their counters, in the order of the configuration.
    pub fn counters(&self) -> &[Counter] {
        &self.counters
    }

    /// How many must be up.
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// Up or down, or `None` while that depends on checks without a result.
    pub fn verdict(&self) -> Option<State> {
        let count = |state| self.counters.iter().filter(|counter| counter.state == state).count();
        let (up, unknown) = (count(State::Up), count(State::Unknown));
        match () {
            () if up >= self.needed => Some(State::Up),
            () if up + unknown < self.needed => Some(State::Down),
            () => None,
        }
    }

    /// Index of the check that is worst off, and so shown for all: one that is down, else one without a result, else
    /// the one that is nearest to going down.
    pub fn worst(&self) -> usize {
        let badness = |counter: &Counter| match counter.state {
            State::Down => (0, counter.value),
            State::Up => (2, counter.value - counter.rise),
            _ => (1, 0),
        };
        let all = self.counters.iter().enumerate();
        all.min_by_key(|(_, counter)| badness(counter)).map_or(0, |(index, _)| index)
    }

    /// Takes a result. Unknown indexes are ignored.
    pub(super) fn take(&mut self, check: usize, passed: bool) {
        if let Some(counter) = self.counters.get_mut(check) {
            counter.take(passed);
        }
    }

    /// Forgets all results.
    pub(super) fn restart(&mut self) {
        self.counters.iter_mut().for_each(|counter| *counter = Counter::new(counter.rise, counter.fall));
    }

    /// Forgets all results, while there are no probes.
    pub(super) fn stop(&mut self) {
        self.restart();
        self.counters.iter_mut().for_each(|counter| counter.value = 0);
    }

    /// Takes over counters of `before`: for each check its former index, if it had one.
    pub(super) fn keep(&mut self, before: &Self, kept: &[Option<usize>]) {
        for (counter, former) in self.counters.iter_mut().zip(kept) {
            if let Some(former) = former.and_then(|former| before.counters.get(former)) {
                *counter = *former;
            }
        }
    }

    /// Takes failures back that may not have been the backend's fault, as it was in state `from` before. An only check
    /// needs `fall` failures again, unless on `probation`; of several it is not known which failed before, so one
    /// failure is enough.
    pub(super) fn doubt(&mut self, from: State, probation: bool) {
        let sure = self.counters.len() == 1 && !probation;
        for counter in self.counters.iter_mut().filter(|counter| counter.state == State::Down) {
            (counter.state, counter.value) = match from {
                State::Up if sure => (State::Up, counter.max()),
                State::Up => (State::Up, counter.rise),
                _ => (State::Unknown, counter.rise - 1),
            };
        }
    }
}
