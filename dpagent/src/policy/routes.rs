//! `routes:`: the kernel's tables that host routes of VIPs may be in.

use maglev_protocol::{AgentError, HostRoute, RoutesSpec};

use super::Policy;
use super::yaml::{Mistake, Section};

/// Numbers of tables. Those below belong to nobody; 253 to 255 are the kernel's own, which packets are looked up in.
const TABLES: std::ops::RangeInclusive<u32> = 1..=u32::MAX;
const SYSTEM_TABLES: std::ops::RangeInclusive<u32> = 253..=255;
/// Protocol numbers that neither the kernel nor BIRD nor FRR use: each removes routes of its own number.
const PROTOCOLS: std::ops::RangeInclusive<u32> = 200..=255;
const PROTOCOL: u8 = 200;

/// Tables for host routes of VIPs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteTables {
    /// Table of the routes to announce.
    pub table: u32,
    /// Table of the routes to announce with the community for a graceful shutdown, if there is one.
    pub gshut_table: Option<u32>,
    /// Protocol number of the routes; others are left alone.
    pub protocol: u8,
}

impl RouteTables {
    /// The keys in the file.
    pub(super) const KEYS: [&str; 3] = ["table", "gshut-table", "protocol"];

    /// Reads the tables.
    pub(super) fn read(mut file: Section, start: Mistake, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let before = mistakes.len();
        let mut table = |key: &str, mistakes: &mut Vec<Mistake>| {
            let given = file.number(key, mistakes)?;
            if !TABLES.contains(&given.value) || SYSTEM_TABLES.contains(&given.value) {
                let message = format!(
                    "`{key}` is {}: must be a table of its own, not 0 and not 253 to 255 (default, main, local)",
                    given.value
                );
                mistakes.push(Mistake::at(&given, message));
            }
            Some(given)
        };
        let (plain, gshut) = (table("table", mistakes), table("gshut-table", mistakes));
        match (&plain, &gshut) {
            (None, _) if mistakes.len() == before => mistakes.push(start),
            (Some(plain), Some(gshut)) if plain.value == gshut.value => {
                mistakes.push(Mistake::at(gshut, "`gshut-table` must be another table than `table`"));
            }
            _ => {}
        }
        let protocol = match file.number("protocol", mistakes) {
            Some(given) if !PROTOCOLS.contains(&given.value) => {
                let message = format!(
                    "`protocol` is {}: must be 200 to 255, as lower numbers belong to the kernel and to routers",
                    given.value
                );
                mistakes.push(Mistake::at(&given, message));
                None
            }
            given => given.and_then(|given| u8::try_from(given.value).ok()),
        };
        let gshut_table = gshut.map(|gshut| gshut.value);
        Some(Self { table: plain?.value, gshut_table, protocol: protocol.unwrap_or(PROTOCOL) })
    }

    /// All tables, each with what a route in it means.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = (u32, HostRoute)> {
        let gshut = self.gshut_table.map(|table| (table, HostRoute::Gshut));
        [(self.table, HostRoute::Present)].into_iter().chain(gshut)
    }
}

impl Policy {
    /// The tables for these routes.
    ///
    /// # Errors
    /// [`AgentError::NotAllowed`] without any, [`AgentError::TooMany`].
    pub fn check_routes(&self, wanted: &RoutesSpec) -> Result<RouteTables, AgentError> {
        let tables = self.routes.ok_or_else(|| AgentError::NotAllowed {
            what: "routes in the kernel".to_owned(),
            rule: format!("{} has no `routes`", self.source),
        })?;
        let most = u64::from(self.limits.vips);
        let count = wanted.routes.values().filter(|route| **route != Some(HostRoute::Absent)).count();
        if u64::try_from(count).is_ok_and(|count| count <= most) {
            return Ok(tables);
        }
        Err(AgentError::TooMany { what: "routes in the kernel".to_owned(), most })
    }
}

#[cfg(test)]
mod tests;
