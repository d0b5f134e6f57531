//! When intents end by themselves, without a comparison of two machines' clocks: an intent says for how long it holds, and
//! each member measures that from when it sees it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use super::Dated;
use crate::fleet::records::{IntentKey, unix_ms};

/// The intents that end by themselves, as this member has seen them.
#[derive(Debug, Default)]
pub struct Lifetimes {
    seen: BTreeMap<IntentKey, Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    revision: u64,
    /// When it ends, by this member's clock.
    until_ms: u64,
    /// When it has been seen for its whole time; `None`: later than can be said.
    over: Option<Instant>,
}

impl Lifetimes {
    /// Takes a look at all intents, and gives them the ends that they have by this member's clock.
    ///
    /// `is_watched`: changes have been followed since the last look, so that an intent which is new now was written now. The
    /// age of another one is known only by its author's clock.
    pub fn see(
        &mut self,
        intents: &mut BTreeMap<IntentKey, Dated>,
        is_watched: bool,
        now: SystemTime,
        mono: Instant,
    ) {
        let before = std::mem::take(&mut self.seen);
        for (key, Dated { intent, revision }) in intents {
            let Some(until_ms) = intent.until_ms else { continue };
            let kept = before.get(key).filter(|seen| seen.revision == *revision);
            let seen = kept.copied().unwrap_or_else(|| {
                let lasts_ms = until_ms.saturating_sub(intent.since_ms);
                let until_ms = if is_watched { unix_ms(now).saturating_add(lasts_ms) } else { until_ms };
                let over = mono.checked_add(Duration::from_millis(lasts_ms));
                Seen { revision: *revision, until_ms, over }
            });
            intent.until_ms = Some(seen.until_ms);
            self.seen.insert(key.clone(), seen);
        }
    }

    /// The intents that this member has seen for their whole time, and for so long after that. No clock that is set, here or
    /// elsewhere, makes that time shorter.
    pub fn over(&self, since: Duration, mono: Instant) -> impl Iterator<Item = &IntentKey> {
        let is_over = move |seen: &Seen| {
            seen.over.is_some_and(|over| mono.saturating_duration_since(over) >= since && mono >= over)
        };
        self.seen.iter().filter(move |(_, seen)| is_over(seen)).map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::records::{Aim, Intent, system_time};
    use crate::overrides::BackendOverride;
    use crate::tests::moment;

    const HOUR: u64 = 3_600_000;
    /// The right time.
    const NOW: u64 = 1_800_000_000_000;

    /// An intent for an hour, written by a member whose clock is wrong by so much.
    fn written(error: i64) -> BTreeMap<IntentKey, Dated> {
        let since_ms = NOW.checked_add_signed(error).unwrap();
        let aim = Aim::Backend(BackendOverride::Paused);
        let intent = Intent { aim, who: None, why: String::new(), since_ms, until_ms: Some(since_ms + HOUR) };
        BTreeMap::from([(IntentKey::Backend("web1".to_owned()), Dated { intent, revision: 7 })])
    }

    fn end(intents: &BTreeMap<IntentKey, Dated>) -> u64 {
        intents.values().next().unwrap().intent.until_ms.unwrap()
    }

    #[test]
    fn intent_that_is_seen_as_it_is_written_lasts_for_its_time_whatever_the_clocks_are() {
        let day = i64::try_from(24 * HOUR).unwrap();
        for (author, own) in [(0, 0), (-day, 0), (day, 0), (0, day), (0, -day), (day, -day)] {
            let (mut lifetimes, mono) = (Lifetimes::default(), moment());
            let now = NOW.checked_add_signed(own).unwrap();
            let mut intents = written(author);
            lifetimes.see(&mut intents, true, system_time(now), mono);
            assert_eq!(end(&intents), now + HOUR, "{author} {own}");
            // Later looks, also over another connection and with a clock that was set, leave it like that.
            let mut intents = written(author);
            lifetimes.see(&mut intents, false, system_time(now + 9 * HOUR), mono + Duration::from_secs(1));
            assert_eq!(end(&intents), now + HOUR);
        }
    }

    #[test]
    fn only_who_has_seen_an_intent_for_its_whole_time_says_that_it_is_over() {
        let (mut lifetimes, mono) = (Lifetimes::default(), moment());
        let minute = Duration::from_secs(60);
        // This member's clock is two hours ahead, and it has just started.
        lifetimes.see(&mut written(0), false, system_time(NOW + 2 * HOUR), mono);
        let is_over = |lifetimes: &Lifetimes, seconds| {
            lifetimes.over(minute, mono + Duration::from_secs(seconds)).count() == 1
        };
        assert!(!is_over(&lifetimes, 0) && !is_over(&lifetimes, 3_600) && !is_over(&lifetimes, 3_659));
        assert!(is_over(&lifetimes, 3_660));
        // A newer one begins again, and one that is gone is forgotten.
        let mut newer = written(0);
        newer.values_mut().for_each(|dated| dated.revision = 8);
        lifetimes.see(&mut newer, true, system_time(NOW), mono + Duration::from_secs(3_000));
        assert!(!is_over(&lifetimes, 3_660) && is_over(&lifetimes, 6_660));
        lifetimes.see(&mut BTreeMap::new(), true, system_time(NOW), mono);
        assert!(!is_over(&lifetimes, 10_000));
    }

    #[test]
    fn times_that_no_clock_can_show_are_no_fault() {
        let (mut lifetimes, mono, mut intents) = (Lifetimes::default(), moment(), written(0));
        intents.values_mut().for_each(|dated| dated.intent.until_ms = Some(u64::MAX));
        lifetimes.see(&mut intents, true, system_time(NOW), mono);
        assert_eq!(lifetimes.over(Duration::ZERO, mono + Duration::from_secs(1)).count(), 0);
        assert!(system_time(end(&intents)) > system_time(NOW + HOUR));
    }
}
