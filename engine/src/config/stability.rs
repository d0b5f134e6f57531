//! Limits on how fast health may change the table: `agent-interval:`, `damping:` and `guard:` of `healthchecker:`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::complaint::Complaint;
use super::min_up::{MinUp, min_up};
use super::report::Report;
use super::section::Section;
use super::values::{HOUR, duration, integer};
use super::yaml::Node;

/// Keys of `damping:`.
pub(super) const DAMPING_KEYS: &[&str] = &["half-life", "max-suppress", "reuse", "suppress"];
/// Keys of `guard:`.
pub(super) const GUARD_KEYS: &[&str] = &["more-than", "per-second"];

pub(super) const AGENT_INTERVAL: RangeInclusive<Duration> = Duration::ZERO..=HOUR;
pub(super) const HALF_LIFE: RangeInclusive<Duration> = Duration::from_secs(1)..=HOUR;
pub(super) const MAX_SUPPRESS: RangeInclusive<Duration> = Duration::from_secs(1)..=HOUR;
/// A penalty, of which each fall adds [`Damping::FALL`].
pub(super) const PENALTY: RangeInclusive<u32> = 100..=100_000;
pub(super) const PER_SECOND: RangeInclusive<u32> = 1..=100_000;

/// Flap damping, with the terms and the arithmetic of BGP's (RFC 2439).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damping {
    /// Time in which a penalty halves.
    pub half_life: Duration,
    /// Penalty from which a backend is held down.
    pub suppress: u32,
    /// Penalty at which it may come up again, below `suppress`.
    pub reuse: u32,
    /// Maximum time of being held down after a fall.
    pub max_suppress: Duration,
}

impl Damping {
    /// Penalty of one fall.
    pub const FALL: u32 = 1000;

    /// Maximum penalty: the one that decays to `reuse` within `max_suppress`.
    pub fn ceiling(&self) -> f64 {
        let half_lives = self.max_suppress.as_secs_f64() / self.half_life.as_secs_f64();
        // A ceiling that no number of falls reaches is as good as none.
        f64::from(self.reuse) * half_lives.min(64.0).exp2()
    }
}

/// Defaults of `damping:`.
pub(super) const DEFAULT_DAMPING: Damping = Damping {
    half_life: Duration::from_secs(60),
    suppress: 2500,
    reuse: 1000,
    max_suppress: Duration::from_secs(600),
};

/// The guard against failures that are probably this machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardRule {
    /// More backends than this, going down within one second, are suspicious.
    pub more_than: MinUp,
    /// Maximum number of backends that go down in a second; `None` for no limit.
    pub per_second: Option<u32>,
}

impl GuardRule {
    /// The most backends of `total` that may go down within one second without suspicion.
    pub fn limit(self, total: usize) -> usize {
        match self.more_than {
            MinUp::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
            MinUp::Percent(percent) => total.saturating_mul(percent.into()) / 100,
        }
    }
}

/// Defaults of `guard:`.
pub(super) const DEFAULT_GUARD: GuardRule = GuardRule { more_than: MinUp::Percent(50), per_second: None };

/// Reads `damping:`; `None` if it is not given.
pub(super) fn damping(above: &Section<'_>, report: &mut Report<'_>) -> Option<Damping> {
    let section = above.section("damping", above.subject("damping"), DAMPING_KEYS, report)?;
    let base = DEFAULT_DAMPING;
    let damping = Damping {
        half_life: section.read_or("half-life", base.half_life, duration(HALF_LIFE), report),
        suppress: section.read_or("suppress", base.suppress, integer(PENALTY), report),
        reuse: section.read_or("reuse", base.reuse, integer(PENALTY), report),
        max_suppress: section.read_or("max-suppress", base.max_suppress, duration(MAX_SUPPRESS), report),
    };
    if damping.reuse >= damping.suppress {
        report.invalid(
            section.key_place("reuse").unwrap_or(section.place),
            format!(
                "{} is {}, not below `suppress`, {}",
                section.subject("reuse"),
                damping.reuse,
                damping.suppress
            ),
            "set `reuse` below `suppress`: a backend comes back when its penalty has decayed to it",
        );
    } else if damping.ceiling() < f64::from(damping.suppress) {
        report.invalid(
            section.key_place("max-suppress").unwrap_or(section.place),
            format!(
                "{} is too short: a penalty that decays to {} in that time is always below `suppress`, {}",
                section.subject("max-suppress"),
                damping.reuse,
                damping.suppress
            ),
            "lengthen `max-suppress`, shorten `half-life`, or lower `suppress`",
        );
    }
    Some(damping)
}

/// Reads `guard:`; `None` if it is not given.
pub(super) fn guard(above: &Section<'_>, report: &mut Report<'_>) -> Option<GuardRule> {
    let section = above.section("guard", above.subject("guard"), GUARD_KEYS, report)?;
    Some(GuardRule {
        more_than: section.read_or("more-than", DEFAULT_GUARD.more_than, more_than, report),
        per_second: section.read("per-second", integer(PER_SECOND), report).map(|number| number.value),
    })
}

/// All of the backends cannot be exceeded.
fn more_than(node: &Node) -> Result<MinUp, Complaint> {
    match min_up(node)? {
        MinUp::Percent(100) => Err(Complaint::invalid(
            "is 100%, and there are never more",
            "write a number of backends, or a percentage below 100%",
        )),
        limit => Ok(limit),
    }
}
