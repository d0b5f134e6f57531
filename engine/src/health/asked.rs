//! The share of its weight that a server asks for, and the one in force, which follows at a limited rate. Pure.

use std::time::{Duration, Instant};

use crate::outcome::Share;

/// The wish of one backend's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    asked: Share,
    in_force: Share,
    /// When its word last changed the weight of a backend that was up.
    changed: Option<Instant>,
}

impl Asked {
    /// The share in force.
    pub fn share(&self) -> Share {
        self.in_force
    }

    /// The share that the server asked for last.
    pub fn asked(&self) -> Share {
        self.asked
    }

    /// Takes a wish.
    pub fn ask(&mut self, share: Share) {
        self.asked = share;
    }

    /// Puts the wish in force, unless the last change was less than `interval` ago. While the backend is not `up`, it
    /// changes no weight, and is free. Returns the share before, if it changed.
    pub fn follow(&mut self, up: bool, interval: Duration, now: Instant) -> Option<Share> {
        if self.asked == self.in_force || up && self.due(interval).is_some_and(|due| now < due) {
            return None;
        }
        if up {
            self.changed = Some(now);
        }
        Some(std::mem::replace(&mut self.in_force, self.asked))
    }

    /// When a wish that waits may be put in force, if there is one.
    pub fn due(&self, interval: Duration) -> Option<Instant> {
        self.changed.filter(|_| self.asked != self.in_force).map(|changed| changed + interval)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_weight_changes_at_most_once_an_interval(
            wishes in prop::collection::vec((0u64..8000, 0u8..=100), 1..60),
        ) {
            let interval = Duration::from_secs(10);
            let (mut now, mut asked) = (crate::tests::moment(), Asked::default());
            let mut changes: Vec<Instant> = Vec::new();
            for (gap, percent) in wishes {
                let next = now + Duration::from_millis(gap);
                if let Some(due) = asked.due(interval).filter(|due| *due <= next)
                    && asked.follow(true, interval, due).is_some()
                {
                    changes.push(due);
                }
                now = next;
                asked.ask(Share::of(percent).unwrap());
                if asked.follow(true, interval, now).is_some() {
                    changes.push(now);
                }
                prop_assert_eq!(asked.share() == asked.asked(), asked.due(interval).is_none());
            }
            prop_assert!(changes.is_sorted_by(|one, next| *next - *one >= interval));
            // The last wish is never lost.
            if let Some(due) = asked.due(interval) {
                asked.follow(true, interval, due);
            }
            prop_assert_eq!(asked.share(), asked.asked());
        }
    }

    #[test]
    fn a_backend_that_is_not_up_follows_freely() {
        let (now, mut asked) = (crate::tests::moment(), Asked::default());
        for percent in [0, 40, 0] {
            asked.ask(Share::of(percent).unwrap());
            assert!(asked.follow(false, Duration::from_secs(10), now).is_some());
        }
        asked.ask(Share::WHOLE);
        assert_eq!(
            asked.follow(true, Duration::from_secs(10), now),
            Some(Share::DRAIN),
            "the first one counts"
        );
        asked.ask(Share::DRAIN);
        assert_eq!(asked.follow(true, Duration::from_secs(10), now), None);
    }
}
