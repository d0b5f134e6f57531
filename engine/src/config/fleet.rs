//! `fleet:`, what all members of a fleet must do alike. How a machine reaches the fleet's store is not part of the
//! configuration, which the members share.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::announce::word;
use super::model::FleetHealth;
use super::report::Report;
use super::section::Section;
use super::values::{duration, integer};

/// Keys of `fleet:`.
pub(super) const FLEET_KEYS: &[&str] = &["down-votes", "health", "vote-ttl"];

pub(super) const DOWN_VOTES: RangeInclusive<u32> = 1..=64;
pub(super) const VOTE_TTL: RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(600);

/// Words of `health`, each with whether members vote.
pub(super) const HEALTH: [(&str, bool); 2] = [("local", false), ("fleet", true)];

/// Defaults of `fleet:`.
pub(super) const DEFAULT_FLEET: FleetHealth =
    FleetHealth { is_fleet: false, down_votes: None, vote_ttl: Duration::from_secs(10) };

/// Reads `fleet:`.
pub(super) fn fleet(maglev: &Section<'_>, report: &mut Report<'_>) -> FleetHealth {
    let base = DEFAULT_FLEET;
    let Some(section) = maglev.section("fleet", "`fleet`", FLEET_KEYS, report) else { return base };
    FleetHealth {
        is_fleet: section.read_or("health", base.is_fleet, word(&HEALTH), report),
        down_votes: section.read("down-votes", integer(DOWN_VOTES), report).map(|votes| votes.value),
        vote_ttl: section.read_or("vote-ttl", base.vote_ttl, duration(VOTE_TTL), report),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn text(fleet: &str) -> String {
        format!("maglev:\n  fleet: {fleet}\n")
    }

    #[test]
    fn health_is_local_unless_the_fleet_votes() {
        let read = |fleet: &str| parse("test.yaml", &text(fleet)).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(read("{}").config.fleet, DEFAULT_FLEET);
        assert_eq!(read("{ health: local }").config.fleet, DEFAULT_FLEET);
        let all = read("{ health: fleet, down-votes: 2, vote-ttl: 30s }").config.fleet;
        let expected = FleetHealth { is_fleet: true, down_votes: Some(2), vote_ttl: Duration::from_secs(30) };
        assert_eq!(all, expected);
    }

    #[test]
    fn mistakes_are_refused() {
        for (fleet, words) in [
            ("{ health: global }", "write `local` or `fleet`"),
            ("{ down-votes: 0 }", "out of range"),
            ("{ down-votes: 2.5 }", "must be a whole number"),
            ("{ vote-ttl: 1999ms }", "out of range"),
            ("{ vote_ttl: 5s }", "did you mean `vote-ttl`?"),
            ("edge", "must be a mapping"),
        ] {
            let errors = parse("test.yaml", &text(fleet)).unwrap_err().to_string();
            assert!(errors.contains(words), "{fleet}: {errors}");
        }
    }
}
