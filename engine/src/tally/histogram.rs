//! A histogram of durations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Count;

/// Counts durations by bucket.
#[derive(Debug)]
pub struct Histogram {
    bounds_us: &'static [u64],
    /// One for each bound, and one above them all.
    counts: Box<[Count]>,
    sum_ns: AtomicU64,
}

/// A histogram's contents at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Each bound in seconds, and the number of durations up to it.
    pub buckets: Vec<(f64, u64)>,
    /// Total number.
    pub count: u64,
    /// Sum in seconds, which may be slightly ahead of the count.
    pub sum: f64,
}

impl Histogram {
    /// An empty histogram with these bounds, in ascending microseconds.
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

    /// Current contents.
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
