//! The words at the end of a change: `reason TEXT`, `for TIME`, `until TIME`, in any order, and `flush` of a weight.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::args::any_order::Parts;
use crate::args::words::only_one;

/// The words that begin a part of a backend's change.
pub(crate) const OF_BACKEND: &[&str] = &["reason", "for", "until"];
/// The same of a weight.
pub(crate) const OF_WEIGHT: &[&str] = &["reason", "for", "until", "flush"];

const DAY: u64 = 24 * 60 * 60;

/// When the override ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    After(Duration),
    At(SystemTime),
    /// A time of day in UTC, in seconds: the next one.
    Next(u64),
}

/// The words after an action; `FLUSH`: after a weight.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Remark<const FLUSH: bool> {
    pub(crate) reason: Option<String>,
    pub(crate) end: Option<End>,
    pub(crate) flush: bool,
}

impl<const FLUSH: bool> Parts for Remark<FLUSH> {
    fn parts() -> &'static [&'static str] {
        if FLUSH { OF_WEIGHT } else { OF_BACKEND }
    }

    fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, String> {
        let mut remark = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let twice = |is_set: bool, part: &str| {
                if is_set { Err(format!("`{part}` is given twice")) } else { Ok(()) }
            };
            match only_one(word, Self::parts()) {
                Some("reason") => {
                    twice(remark.reason.is_some(), "reason")?;
                    let text = words.next().filter(|text| !text.trim().is_empty());
                    remark.reason =
                        Some(text.ok_or("`reason` takes a text, in quotes: reason \"RAM swap\"")?.to_owned());
                }
                Some(part @ ("for" | "until")) => {
                    if remark.end.is_some() {
                        return Err("the end is given twice: either `for` or `until`".to_owned());
                    }
                    let time = words.next().unwrap_or_default();
                    remark.end = Some(if part == "for" { after(time)? } else { at(time)? });
                }
                Some(_) => {
                    twice(remark.flush, "flush")?;
                    remark.flush = true;
                }
                None => {
                    return Err(format!(
                        "unexpected `{word}`; expected one of: {}",
                        Self::parts().join(", ")
                    ));
                }
            }
        }
        Ok(remark)
    }
}

impl<const FLUSH: bool> Remark<FLUSH> {
    /// When the override ends by itself, in Unix milliseconds; 0: never.
    pub(crate) fn until_unix_ms(&self, now: SystemTime) -> u64 {
        let until = match self.end {
            None => return 0,
            Some(End::After(time)) => now + time,
            Some(End::At(at)) => at,
            Some(End::Next(second)) => {
                let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                let today = seconds - seconds % DAY + second;
                UNIX_EPOCH + Duration::from_secs(if today > seconds { today } else { today + DAY })
            }
        };
        // A time before 1970 is over, as the first millisecond of it is.
        let since = until.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        u64::try_from(since).unwrap_or(u64::MAX).max(1)
    }
}

fn after(text: &str) -> Result<End, String> {
    /// Beyond ten years, somebody mistook the unit.
    const LONGEST: Duration = Duration::from_secs(10 * 366 * DAY);
    let time = humantime::parse_duration(text).ok().filter(|time| !time.is_zero() && *time <= LONGEST);
    time.map(End::After).ok_or_else(|| "`for` takes a time, such as 30m, 2h or 3days".to_owned())
}

pub(crate) fn at(text: &str) -> Result<End, String> {
    let wrong =
        || "`until` takes a time in UTC: 18:00, 2026-11-30T18:00:00Z or \"2026-11-30 18:00:00\"".to_owned();
    let two = |text: &str, most: u64| {
        let number = text.parse::<u64>().ok().filter(|number| *number < most && text.len() == 2);
        number.ok_or_else(wrong)
    };
    match text.split_once(':') {
        Some((hours, minutes)) if hours.len() == 2 => {
            Ok(End::Next(two(hours, 24)? * 3600 + two(minutes, 60)? * 60))
        }
        _ => humantime::parse_rfc3339_weak(text).map(End::At).map_err(|_| wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Weight = Remark<true>;

    fn of(line: &[&str]) -> Result<Weight, String> {
        Weight::of(line.iter().copied())
    }

    #[test]
    fn parts_come_in_any_order_and_shortened() {
        let remark = of(&["fo", "2h", "fl", "r", "RAM swap"]).unwrap();
        assert_eq!((remark.reason.as_deref(), remark.flush), (Some("RAM swap"), true));
        assert_eq!(remark.end, Some(End::After(Duration::from_secs(7200))));
        assert_eq!(of(&[]).unwrap(), Weight::default());
    }

    #[test]
    fn end_is_a_time_or_a_moment() {
        let now = UNIX_EPOCH + Duration::from_secs(10 * DAY + 3600);
        let at = |line: &[&str]| of(line).unwrap().until_unix_ms(now) / 1000;
        assert_eq!(at(&["for", "90s"]), 10 * DAY + 3690);
        assert_eq!(at(&["until", "01:00"]), 11 * DAY + 3600, "the next one, not now");
        assert_eq!(at(&["until", "01:01"]), 10 * DAY + 3660);
        assert_eq!(at(&["until", "1970-01-21T00:00:00Z"]), 20 * DAY);
        assert_eq!(at(&["until", "1970-01-21 00:00:00"]), 20 * DAY);
        let before = Weight { end: Some(End::At(UNIX_EPOCH - Duration::from_secs(1))), ..Weight::default() };
        assert_eq!(before.until_unix_ms(now), 1, "over, not unset");
    }

    #[test]
    fn what_is_wrong_says_what_would_be_right() {
        for (line, words) in [
            (&["reason"][..], "takes a text"),
            (&["reason", "a", "reason", "b"], "twice"),
            (&["for", "soon"], "such as 30m"),
            (&["for", "0s"], "such as 30m"),
            (&["for", "1h", "until", "18:00"], "either `for` or `until`"),
            (&["until", "25:00"], "in UTC"),
            (&["until", "1:00"], "in UTC"),
            (&["because", "x"], "expected one of: reason, for, until, flush"),
        ] {
            let error = of(line).unwrap_err();
            assert!(error.contains(words), "{line:?}: {error}");
        }
        assert!(Remark::<false>::of(["flush"]).unwrap_err().contains("expected one of: reason, for, until"));
    }
}
