//! What is due when, to a granularity of some milliseconds.
//!
//! What is due at about the same time is done together: the processes on both sides of a probe are woken up once for
//! many of them.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Times are rounded to multiples of this.
const GRANULARITY: Duration = Duration::from_millis(4);

/// Entries by the time at which they are due.
#[derive(Debug)]
pub(super) struct Agenda {
    start: Instant,
    /// By number of granules since the start.
    entries: BTreeMap<u64, Vec<Entry>>,
    len: usize,
}

/// A turn of a backend's check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) index: usize,
    pub(super) turn: u64,
}

impl Agenda {
    /// Nothing is due, from `start` on.
    pub(super) fn new(start: Instant) -> Self {
        Self { start, entries: BTreeMap::new(), len: 0 }
    }

    /// Enters something; returns when it is due.
    pub(super) fn enter(&mut self, due: Instant, entry: Entry) -> Instant {
        let nanos = due.saturating_duration_since(self.start).as_nanos() + GRANULARITY.as_nanos() / 2;
        let place = u64::try_from(nanos / GRANULARITY.as_nanos()).unwrap_or(u64::MAX);
        self.entries.entry(place).or_default().push(entry);
        self.len += 1;
        self.time(place)
    }

    /// Takes out what is due first, with its time, if that has come.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Instant, Vec<Entry>)> {
        let due = self.next().filter(|due| *due <= now)?;
        let (_, entries) = self.entries.pop_first()?;
        self.len -= entries.len();
        Some((due, entries))
    }

    /// When something is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.entries.first_key_value().map(|(place, _)| self.time(*place))
    }

    /// Drops the entries that do not count.
    pub(super) fn retain(&mut self, counts: impl Fn(&Entry) -> bool) {
        self.entries.values_mut().for_each(|entries| entries.retain(&counts));
        self.entries.retain(|_, entries| !entries.is_empty());
        self.len = self.entries.values().map(Vec::len).sum();
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn time(&self, place: u64) -> Instant {
        let granule = u64::try_from(GRANULARITY.as_nanos()).unwrap_or(u64::MAX);
        self.start + Duration::from_nanos(place.saturating_mul(granule))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn everything_comes_once_at_about_its_time(dues in prop::collection::vec(0u64..3_000_000, 1..80)) {
            let start = Instant::now();
            let mut agenda = Agenda::new(start);
            for (index, due) in dues.iter().enumerate() {
                let asked = start + Duration::from_micros(*due);
                let due = agenda.enter(asked, Entry { index, turn: 0 });
                let off = due.saturating_duration_since(asked).max(asked.saturating_duration_since(due));
                prop_assert!(off <= GRANULARITY / 2);
            }
            agenda.retain(|entry| entry.index % 5 != 4);
            let kept = dues.len() - dues.len() / 5;
            prop_assert_eq!(agenda.len(), kept);
            let (mut taken, mut before) = (Vec::new(), start);
            while let Some(due) = agenda.next() {
                prop_assert!(agenda.take(due - Duration::from_nanos(1)).is_none());
                let (time, entries) = agenda.take(due).unwrap();
                prop_assert!(time == due && (taken.is_empty() || due > before) && !entries.is_empty());
                before = due;
                taken.extend(entries.iter().map(|entry| entry.index));
            }
            taken.sort_unstable();
            taken.dedup();
            prop_assert_eq!((taken.len(), agenda.len()), (kept, 0));
        }
    }
}
