//! Rates from two readings of counters. Pure.

use std::collections::BTreeMap;

/// Minimum time between two readings: below it, one packet more or less would show as hundreds a second.
const LEAST_MS: u64 = 500;
/// Higher rates are not traffic, but counters of something else: twice what a link of 800 Gbit/s carries.
const MOST_PER_SECOND: f64 = 2.4e9;

/// Counters of one VIP or backend, and when they were read, in milliseconds of any clock that only advances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading<const N: usize> {
    pub(crate) at_ms: u64,
    pub(crate) counts: [u64; N],
}

/// The rates between two readings. `None` if they are too close, or one counter has decreased: whatever is counted was
/// re-created, so that none of its counters can be compared.
pub(crate) fn per_second<const N: usize>(before: &Reading<N>, now: &Reading<N>) -> Option<[f64; N]> {
    let elapsed = now.at_ms.checked_sub(before.at_ms).filter(|elapsed| *elapsed >= LEAST_MS)?;
    let mut rates = [0.0; N];
    for ((rate, before), now) in rates.iter_mut().zip(before.counts).zip(now.counts) {
        let more = now.checked_sub(before)?;
        *rate = more as f64 * 1000.0 / elapsed as f64;
        if *rate > MOST_PER_SECOND {
            return None;
        }
    }
    Some(rates)
}

/// A name, and what else makes it the same VIP or backend.
type Key = (String, String);

/// The latest readings of all VIPs or backends, and their rates.
#[derive(Debug, Default)]
pub(crate) struct Meter<const N: usize> {
    known: BTreeMap<Key, (Reading<N>, Option<[f64; N]>)>,
}

impl<const N: usize> Meter<N> {
    /// Takes new readings. What is not among them is forgotten: if it returns, it is another one.
    pub(crate) fn feed(&mut self, readings: impl IntoIterator<Item = (Key, Reading<N>)>) {
        let mut before = std::mem::take(&mut self.known);
        for (key, reading) in readings {
            let entry = match before.remove(&key) {
                // The brain answers with the same reading for up to two seconds.
                Some((old, rates)) if reading.at_ms < old.at_ms.saturating_add(LEAST_MS) => (old, rates),
                Some((old, _)) => (reading, per_second(&old, &reading)),
                None => (reading, None),
            };
            self.known.insert(key, entry);
        }
    }

    /// Rates by name, as far as they are known.
    pub(crate) fn rates(&self) -> BTreeMap<String, [f64; N]> {
        self.known.iter().filter_map(|((name, _), (_, rates))| Some((name.clone(), (*rates)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(at_ms: u64, counts: [u64; 2]) -> Reading<2> {
        Reading { at_ms, counts }
    }

    #[test]
    fn rate_needs_time_and_counters_that_only_grow() {
        let before = at(1000, [100, 10]);
        assert_eq!(per_second(&before, &at(3000, [300, 10])), Some([100.0, 0.0]));
        assert_eq!(per_second(&before, &at(1400, [300, 10])), None, "too close");
        assert_eq!(per_second(&before, &at(900, [300, 10])), None, "the clock");
        assert_eq!(per_second(&before, &at(3000, [900, 9])), None, "re-created");
        assert_eq!(per_second(&before, &at(3000, [u64::MAX, 10])), None, "not traffic");
    }

    #[test]
    fn the_same_reading_keeps_its_rate_and_what_was_gone_begins_anew() {
        let mut meter = Meter::default();
        let mut feed = |reading: Option<Reading<2>>| {
            meter.feed(reading.map(|reading| (("www".to_owned(), String::new()), reading)));
            meter.rates().remove("www")
        };
        assert_eq!(feed(Some(at(0, [0, 0]))), None);
        assert_eq!(feed(Some(at(2000, [20, 2]))), Some([10.0, 1.0]));
        assert_eq!(feed(Some(at(2000, [20, 2]))), Some([10.0, 1.0]));
        assert_eq!(feed(Some(at(4000, [0, 0]))), None);
        assert_eq!(feed(Some(at(6000, [4, 0]))), Some([2.0, 0.0]));
        assert_eq!(feed(None), None);
        assert_eq!(feed(Some(at(8000, [900, 900]))), None);
    }

    proptest! {
        #[test]
        fn rates_are_never_negative_and_never_absurd(a: (u64, u64, u64), b: (u64, u64, u64)) {
            let readings = (at(a.0, [a.1, a.2]), at(b.0, [b.1, b.2]));
            for rate in per_second(&readings.0, &readings.1).into_iter().flatten() {
                prop_assert!((0.0..=MOST_PER_SECOND).contains(&rate));
            }
        }
    }
}
