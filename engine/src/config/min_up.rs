//! A minimum of backends, as a number or a percentage.

use std::fmt;
use std::str::FromStr;

use super::complaint::Complaint;
use super::show;
use super::values::{kind, scalar};
use super::yaml::{Node, ScalarKind};

const HELP: &str = "write a number of backends, like `2`, or a percentage from 0% to 100%, like `50%`";

/// Number or share of backends that should be up: `2`, or `50%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinUp {
    /// A number of backends.
    Count(u32),
    /// A percentage of the backends, 0 to 100.
    Percent(u8),
}

impl MinUp {
    /// The number of backends required out of `total`. A percentage is rounded up; a number does not depend on the
    /// total.
    pub fn needed(self, total: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                let needed = (u64::from(total) * u64::from(percent)).div_ceil(100);
                u32::try_from(needed).unwrap_or(u32::MAX)
            }
        }
    }

    /// Checks that so many backends can satisfy it. `of` says whose they are: `the pool`.
    pub(super) fn check(self, of: &str, total: u32) -> Result<(), Complaint> {
        if self.needed(total) <= total {
            return Ok(());
        }
        let backends = if total == 1 { "backend" } else { "backends" };
        Err(Complaint::invalid(
            format!("is {self}, and {of} has {total} {backends}"),
            format!("write at most {total}, or a percentage"),
        ))
    }
}

impl fmt::Display for MinUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A text that is neither a number nor a percentage up to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a number, like 2, or a percentage from 0% to 100%")]
pub struct NotMinUp;

impl FromStr for MinUp {
    type Err = NotMinUp;

    /// Accepts only the spelling that it is displayed with: no signs, spaces or leading zeros.
    fn from_str(text: &str) -> Result<Self, NotMinUp> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|percent| *percent <= 100).map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        };
        parsed.filter(|parsed| parsed.to_string() == text).ok_or(NotMinUp)
    }
}

/// A number of backends, or a percentage of them. The caller [checks](MinUp::check) it against their total.
pub(super) fn min_up(node: &Node) -> Result<MinUp, Complaint> {
    let found = scalar(node, "a number or a percentage", HELP)?;
    match found.kind {
        ScalarKind::Integer(count) => u32::try_from(count)
            .map(MinUp::Count)
            .map_err(|_| Complaint::invalid(format!("is {count}, which is out of range"), HELP)),
        ScalarKind::PlainText | ScalarKind::QuotedText if found.text.ends_with('%') => {
            let refused =
                || Complaint::invalid(format!("is {}, which is not a percentage", show(&found.text)), HELP);
            found.text.parse().map_err(|NotMinUp| refused())
        }
        _ => Err(Complaint::malformed(format!("must be a number or a percentage, not {}", kind(node)), HELP)),
    }
}

#[cfg(test)]
mod tests;
