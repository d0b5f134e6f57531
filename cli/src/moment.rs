//! Times and durations, formatted for operators.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time in Unix milliseconds, as in the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) u64);

/// 9999-12-31T23:59:59.999Z, the last time with a four-digit year.
const LAST: Moment = Moment(253_402_300_799_999);

impl Moment {
    /// A clock before 1970 was never set, so ages are 0.
    pub(crate) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// UTC in ISO 8601, to the millisecond.
    pub(crate) fn iso(self) -> String {
        if self.0 > LAST.0 {
            return format!("{} ms after 1970", self.0);
        }
        humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(self.0)).to_string()
    }

    /// Time since then. A future time, from another clock, counts as 0 s ago.
    pub(crate) fn age(self, now: Moment) -> String {
        span(now.0.saturating_sub(self.0))
    }

    /// Time and age.
    pub(crate) fn iso_with_age(self, now: Moment) -> String {
        format!("{} ({} ago)", self.iso(), self.age(now))
    }
}

/// Formats milliseconds in the two largest units, down to seconds.
pub(crate) fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days}d{}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h{}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m{}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// Formats milliseconds exactly, in the configuration's syntax.
pub(crate) fn exact(milliseconds: u64) -> String {
    humantime::format_duration(Duration::from_millis(milliseconds)).to_string().replace(' ', "")
}

/// Formats the duration of a check with three digits.
pub(crate) fn took(milliseconds: f64) -> String {
    if !milliseconds.is_finite() || milliseconds < 0.0 {
        "-".to_owned()
    } else if milliseconds < 10.0 {
        format!("{milliseconds:.2}ms")
    } else if milliseconds < 100.0 {
        format!("{milliseconds:.1}ms")
    } else if milliseconds < 1000.0 {
        format!("{milliseconds:.0}ms")
    } else {
        format!("{:.2}s", milliseconds / 1000.0)
    }
}

#[cfg(test)]
mod tests;
