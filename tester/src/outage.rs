//! Outages and disturbances of a VIP, from the starts and results of its probes. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A disturbance is over when nothing has failed for so long.
const QUIET: Duration = Duration::from_secs(5);
/// Newest outages that are kept.
const KEPT: usize = 100;

/// A time in which requests failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// Start of the first request that failed.
    pub since: Instant,
    /// Start of the next request that was answered; `None` while there was none.
    pub until: Option<Instant>,
    /// Requests that failed in it.
    pub failed: u64,
}

impl Outage {
    /// From the first failed request to the next answered one, or to now.
    pub fn length(&self, now: Instant) -> Duration {
        self.until.unwrap_or(now).saturating_duration_since(self.since)
    }
}

/// Outages, in each of which every request failed; and disturbances, in which others were answered meanwhile: while one
/// of several servers is dead, only the flows that are hashed to it fail.
#[derive(Debug, Clone, Default)]
pub struct Outages {
    current: Option<Outage>,
    ended: VecDeque<Outage>,
    count: u64,
    total: Duration,
    longest: Option<Outage>,
    /// The newest disturbance, which may go on, and the start of its last failure.
    disturbance: Option<(Outage, Instant)>,
    longest_disturbance: Option<Outage>,
}

impl Outages {
    /// Takes the result of the request that started at `started`.
    pub fn add(&mut self, started: Instant, passed: bool) {
        if passed { self.passed(started) } else { self.failed(started) }
    }

    fn failed(&mut self, started: Instant) {
        let begun = Outage { since: started, until: None, failed: 0 };
        let current = self.current.get_or_insert_with(|| {
            self.count += 1;
            begun
        });
        current.failed += 1;
        let (disturbance, last) = match &mut self.disturbance {
            Some((disturbance, last)) if started.saturating_duration_since(*last) < QUIET => {
                (disturbance, last)
            }
            other => {
                let (disturbance, last) = other.insert((begun, started));
                (disturbance, last)
            }
        };
        disturbance.failed += 1;
        disturbance.until = None;
        *last = started;
    }

    fn passed(&mut self, started: Instant) {
        let Some(mut outage) = self.current.take() else { return };
        outage.until = Some(started);
        self.total += outage.length(started);
        keep_longest(&mut self.longest, outage, started);
        if self.ended.len() == KEPT {
            self.ended.pop_front();
        }
        self.ended.push_back(outage);
        if let Some((disturbance, _)) = &mut self.disturbance {
            disturbance.until = Some(started);
            keep_longest(&mut self.longest_disturbance, *disturbance, started);
        }
    }

    /// The outage that goes on.
    pub fn current(&self) -> Option<Outage> {
        self.current
    }

    /// The newest outages that are over, the oldest first.
    pub fn ended(&self) -> impl Iterator<Item = &Outage> {
        self.ended.iter()
    }

    /// How many there were, the current one included.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of all, the current one included.
    pub fn total(&self, now: Instant) -> Duration {
        self.total + self.current.map_or(Duration::ZERO, |current| current.length(now))
    }

    /// The longest, the current one included.
    pub fn longest(&self, now: Instant) -> Option<Outage> {
        longer(self.longest, self.current, now)
    }

    /// The longest disturbance, one that goes on included.
    pub fn longest_disturbance(&self, now: Instant) -> Option<Outage> {
        longer(self.longest_disturbance, self.disturbance.map(|(disturbance, _)| disturbance), now)
    }
}

fn longer(one: Option<Outage>, other: Option<Outage>, now: Instant) -> Option<Outage> {
    one.into_iter().chain(other).max_by_key(|outage| outage.length(now))
}

fn keep_longest(longest: &mut Option<Outage>, outage: Outage, now: Instant) {
    *longest = longer(*longest, Some(outage), now);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(results: &[(u64, bool)]) -> (Outages, impl Fn(u64) -> Instant) {
        let start = tokio::time::Instant::now().into_std();
        let at = move |ms| start + Duration::from_millis(ms);
        let mut outages = Outages::default();
        results.iter().for_each(|(ms, passed)| outages.add(at(*ms), *passed));
        (outages, at)
    }

    #[test]
    fn outage_lasts_from_the_first_failed_to_the_next_good_request() {
        let (outages, at) =
            play(&[(0, true), (100, false), (200, false), (300, true), (400, false), (500, true)]);
        let longest = outages.longest(at(500)).unwrap();
        assert_eq!((longest.since, longest.until, longest.failed), (at(100), Some(at(300)), 2));
        assert_eq!((outages.count(), outages.total(at(900))), (2, Duration::from_millis(300)));
        assert_eq!((outages.current(), outages.ended().count()), (None, 2));
    }

    #[test]
    fn outage_that_goes_on_counts_until_now() {
        let (outages, at) = play(&[(0, true), (100, false), (200, false)]);
        assert_eq!(outages.current().unwrap().length(at(1100)), Duration::from_secs(1));
        assert_eq!(outages.total(at(1100)), Duration::from_secs(1));
        assert_eq!(outages.longest(at(1100)), outages.current());
    }

    #[test]
    fn failures_among_answers_are_one_disturbance_until_it_is_quiet() {
        let (outages, at) = play(&[
            (0, false),
            (100, true),
            (700, false),
            (800, true),
            // More than five seconds later.
            (9_000, false),
            (9_100, true),
        ]);
        let longest = outages.longest_disturbance(at(9_100)).unwrap();
        assert_eq!((longest.since, longest.until, longest.failed), (at(0), Some(at(800)), 2));
        assert_eq!(outages.count(), 3);
        assert_eq!(outages.longest(at(9_100)).unwrap().length(at(9_100)), Duration::from_millis(100));
    }
}
