//! How long answers took: the last hundred, and all of a run. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Answers in the window.
const WINDOW: usize = 100;
/// Precision of the run's percentiles, in decimal digits: 1 %, in some 16 KiB for each VIP.
const DIGITS: u8 = 2;
/// In microseconds.
const HOUR: u64 = 3_600_000_000;

/// Times of answers.
#[derive(Debug, Clone)]
pub struct Latency {
    /// In microseconds. `None` if the library refuses its constant settings.
    run: Option<Histogram<u64>>,
    last: VecDeque<u64>,
    sum: Duration,
}

/// Percentiles in milliseconds; 0 without an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Longest.
    pub max: f64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { run: Histogram::new(DIGITS).ok(), last: VecDeque::with_capacity(WINDOW), sum: Duration::ZERO }
    }
}

impl Latency {
    /// Adds an answer.
    pub fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(run) = &mut self.run {
            // It grows as needed, and an hour is longer than any request.
            run.record(micros.min(HOUR)).ok();
        }
        if self.last.len() == WINDOW {
            self.last.pop_front();
        }
        self.last.push_back(micros);
        self.sum += took;
    }

    /// Of the last hundred answers.
    pub fn of_window(&self) -> Percentiles {
        let mut sorted: Vec<_> = self.last.iter().copied().collect();
        sorted.sort_unstable();
        // Nearest rank: the smallest value that so many percent do not exceed.
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            milliseconds(sorted.get(rank - 1).copied().unwrap_or(0))
        };
        Percentiles { p50: at(50), p95: at(95), p99: at(99), max: at(100) }
    }

    /// Of the run, within 1 %.
    pub fn of_run(&self) -> Percentiles {
        let Some(run) = &self.run else { return Percentiles::default() };
        let at = |quantile| milliseconds(run.value_at_quantile(quantile));
        Percentiles { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: milliseconds(run.max()) }
    }

    /// Answers of the run that took at most so long, within 1 %.
    pub fn at_most(&self, longest: Duration) -> u64 {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        self.run.as_ref().map_or(0, |run| if run.is_empty() { 0 } else { run.count_between(0, micros) })
    }

    /// Sum of all.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

fn milliseconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_window_and_of_the_run() {
        let mut latency = Latency::default();
        assert_eq!(latency.of_window(), Percentiles::default());
        assert_eq!((latency.of_run(), latency.at_most(Duration::MAX)), (Percentiles::default(), 0));
        for ms in 1..=200 {
            latency.add(Duration::from_millis(ms));
        }
        assert_eq!(latency.of_window(), Percentiles { p50: 150.0, p95: 195.0, p99: 199.0, max: 200.0 });
        let run = latency.of_run();
        for (found, expected) in [(run.p50, 100.0), (run.p95, 190.0), (run.p99, 198.0), (run.max, 200.0)] {
            assert!((found - expected).abs() <= expected * 0.01, "{found} instead of {expected}");
        }
        let fast = latency.at_most(Duration::from_millis(50));
        assert!((49..=51).contains(&fast), "{fast}");
        assert_eq!(latency.sum(), Duration::from_millis(20_100));
    }
}
