//! The guard against failures of many backends at once, which are probably this machine's. Pure.
//!
//! It counts falls within one second, and limits how many take effect. The others wait for their turn, in order.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// An episode is over when its limit has not been exceeded for this time.
const EPISODE: Duration = Duration::from_secs(60);

/// The falls of the last second, and the backends that wait.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Falls that the checks found in the last second.
    falls: VecDeque<Instant>,
    /// Falls that took effect in the last second.
    taken: VecDeque<Instant>,
    waiting: VecDeque<Arc<str>>,
    /// The same, without an order, to find one among thousands.
    is_waiting: HashSet<Arc<str>>,
    /// When the limit was last exceeded.
    exceeded: Option<Instant>,
}

impl Guard {
    /// Counts a fall that a backend's checks found. Returns how many there were within a second, if these are more
    /// than `limit` for the first time in an episode.
    pub fn fell(&mut self, limit: usize, now: Instant) -> Option<usize> {
        drop_old(&mut self.falls, now);
        self.falls.push_back(now);
        let (count, was_exceeded) = (self.falls.len(), self.is_exceeded(now));
        if count <= limit {
            return None;
        }
        self.exceeded = Some(now);
        (!was_exceeded).then_some(count)
    }

    /// Whether the limit was exceeded lately.
    pub fn is_exceeded(&self, now: Instant) -> bool {
        self.episode_ends().is_some_and(|end| now < end)
    }

    /// The end of the current or last episode.
    pub fn episode_ends(&self) -> Option<Instant> {
        self.exceeded.map(|at| at + EPISODE)
    }

    /// Whether a fall may take effect at once. Whoever waits goes first.
    pub fn may_fall(&self, per_second: Option<u32>, now: Instant) -> bool {
        self.waiting.is_empty() && self.turn(per_second).is_none_or(|turn| turn <= now)
    }

    /// Records a fall that took effect.
    pub fn take(&mut self, now: Instant) {
        drop_old(&mut self.taken, now);
        self.taken.push_back(now);
    }

    /// Puts a backend at the end of the queue, unless it waits already.
    pub fn wait(&mut self, backend: &Arc<str>) {
        if self.is_waiting.insert(Arc::clone(backend)) {
            self.waiting.push_back(Arc::clone(backend));
        }
    }

    /// The number of backends in the queue. Some may have recovered.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The queue, in order.
    pub fn queue(&self) -> impl Iterator<Item = &Arc<str>> {
        self.waiting.iter()
    }

    /// When the first one in the queue may fall, if there is one.
    pub fn next(&self, per_second: Option<u32>) -> Option<Instant> {
        self.waiting.front()?;
        // Without a limit, that is in the past.
        self.turn(per_second).or_else(|| self.taken.back().copied())
    }

    /// Takes out the first one in the queue, if it may fall now.
    pub fn pop(&mut self, per_second: Option<u32>, now: Instant) -> Option<Arc<str>> {
        if self.turn(per_second).is_some_and(|turn| turn > now) {
            return None;
        }
        let first = self.waiting.pop_front()?;
        self.is_waiting.remove(&first);
        Some(first)
    }

    /// When the next fall may take effect; `None` for at any time.
    fn turn(&self, per_second: Option<u32>) -> Option<Instant> {
        let most = usize::try_from(per_second?).unwrap_or(usize::MAX);
        // So many falls ago.
        let place = self.taken.len().checked_sub(most)?;
        self.taken.get(place).map(|at| *at + SECOND)
    }
}

fn drop_old(times: &mut VecDeque<Instant>, now: Instant) {
    while times.front().is_some_and(|at| now.saturating_duration_since(*at) >= SECOND) {
        times.pop_front();
    }
}

#[cfg(test)]
mod tests;
