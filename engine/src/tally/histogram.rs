//! A histogram of durations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Count;

/// Counts durations by the bounds that they do not exceed.
#[derive(Debug)]
pub struct Histogram {
    bounds_us: &'static [u64],
    /// One for each bound, and one for what exceeds them all.
    counts: Box<[Count]>,
    sum_ns: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Each bound in seconds, and how many durations did not exceed it.
    pub buckets: Vec<(f64, u64)>,
    /// How many there were in all.
    pub count: u64,
    /// Their sum in seconds, which may be a few ahead of the count.
    pub sum: f64,
}

impl Histogram {
    /// An empty one with these bounds, in microseconds and in order.
    pub fn new(bounds_us: &'static [u64]) -> Self {
        let counts = (0..=bounds_us.len()).map(|_| Count::default()).collect();
        Self { bounds_us, counts, sum_ns: AtomicU64::new(0) }
    }

    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let place = self.bounds_us.partition_point(|bound| Duration::from_micros(*bound) < duration);
        if let Some(count) = self.counts.get(place) {
            count.add(1);
        }
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// What it holds now.
    pub fn read(&self) -> Reading {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(self.bounds_us.len());
        for (bound, counted) in self.bounds_us.iter().zip(&self.counts) {
            count += counted.get();
            buckets.push((Duration::from_micros(*bound).as_secs_f64(), count));
        }
        count += self.counts.last().map_or(0, Count::get);
        let sum = Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)).as_secs_f64();
        Reading { buckets, count, sum }
    }
}
