//! A percentage, in hundredths.

use std::fmt;

/// A percentage with two decimals, displayed as `1.86 %`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Percent(u32);

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// `part` of `whole`, rounded up; 0 if `whole` is 0.
    pub(super) fn of(part: u64, whole: u64) -> Self {
        let hundredths = part.saturating_mul(10_000).div_ceil(whole.max(1));
        Self(u32::try_from(hundredths).unwrap_or(u32::MAX))
    }

    /// Hundredths of a percent.
    pub fn hundredths(self) -> u32 {
        self.0
    }
}

impl From<Percent> for f64 {
    fn from(percent: Percent) -> Self {
        Self::from(percent.0) / 100.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} %", self.0 / 100, self.0 % 100)
    }
}
