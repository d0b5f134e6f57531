//! Times and durations as operators read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time, in Unix milliseconds as the interface has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) u64);

/// 9999-12-31T23:59:59.999Z, the last time with a four-digit year.
const LAST: Moment = Moment(253_402_300_799_999);

impl Moment {
    /// A clock before 1970 was never set; its ages are 0.
    pub(crate) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// UTC by ISO 8601, to the millisecond.
    pub(crate) fn iso(self) -> String {
        if self.0 > LAST.0 {
            return format!("{} ms after 1970", self.0);
        }
        humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(self.0)).to_string()
    }

    /// How long ago. A time to come, by a clock that differs, is 0 s ago.
    pub(crate) fn age(self, now: Moment) -> String {
        span(now.0.saturating_sub(self.0))
    }

    /// Both.
    pub(crate) fn iso_with_age(self, now: Moment) -> String {
        format!("{} ({} ago)", self.iso(), self.age(now))
    }
}

/// Milliseconds in the two largest units, down to seconds.
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

/// Milliseconds as a configuration has them: all of them, in one word.
pub(crate) fn exact(milliseconds: u64) -> String {
    humantime::format_duration(Duration::from_millis(milliseconds)).to_string().replace(' ', "")
}

/// How long a check took, to three digits.
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
