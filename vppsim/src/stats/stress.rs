//! Faults of the segment that make it hard to read: busy, moving, growing, damaged.

use super::segment::Segment;
use super::writer::{Kind, Values};
use super::{Damage, StatsError, Target};

/// Number of interfaces that churn adds, one per step, before it removes all but one at once.
const MOST_INTERFACES: usize = 200;

/// What is done to the segment.
#[derive(Debug, Default)]
pub(super) struct Stress {
    damage: Option<Damage>,
    /// The counters of the interfaces that come and go.
    interfaces: Vec<Values>,
    steps: u64,
    fillers: usize,
}

impl<T: Target> Segment<T> {
    /// Sets whether a change seems to be in progress forever.
    ///
    /// # Errors
    /// When the target cannot be written.
    pub fn set_busy(&mut self, busy: bool) -> Result<(), StatsError> {
        self.writer.set_busy(busy);
        self.change(|_| Ok(()))
    }

    /// Whether it is [busy](Self::set_busy).
    pub fn is_busy(&self) -> bool {
        self.writer.is_busy()
    }

    /// Writes garbage where readers look, or repairs it.
    ///
    /// # Errors
    /// When the target cannot be written.
    pub fn set_damage(&mut self, damage: Option<Damage>) -> Result<(), StatsError> {
        self.stress.damage = damage;
        self.change(|segment| segment.write_damage())
    }

    /// What is wrong in it.
    pub fn damage(&self) -> Option<Damage> {
        self.stress.damage
    }

    /// An interface comes, or all go: every vector moves, into the place of others where it can. No counter but those
    /// of interfaces (`/if/rx`, `/if/drops`) changes.
    ///
    /// # Errors
    /// When the segment is full, or the target cannot be written.
    pub fn churn(&mut self) -> Result<(), StatsError> {
        self.change(Self::churn_once)
    }

    fn churn_once(&mut self) -> Result<(), StatsError> {
        let Self { writer, stress, heap, routes_to, routes_via, vips, .. } = self;
        if stress.interfaces.is_empty() {
            stress.interfaces.push(writer.add_values(Kind::Combined, "/if/rx", 2)?);
            stress.interfaces.push(writer.add_values(Kind::Simple, "/if/drops", 1)?);
        }
        stress.steps += 1;
        let count = 1 + usize::try_from(stress.steps).unwrap_or(0) % MOST_INTERFACES;
        writer.move_directory()?;
        for values in [heap, routes_to, routes_via].into_iter().chain(vips).chain(&mut stress.interfaces) {
            writer.move_values(values)?;
        }
        for values in &mut stress.interfaces {
            writer.resize(values, count)?;
            writer.update(values, std::iter::repeat(stress.steps))?;
        }
        Ok(())
    }

    /// Adds this many entries to the directory: gauges whose value is their number.
    ///
    /// # Errors
    /// When the directory or the segment is full, or the target cannot be written. Entries already added
    /// stay.
    pub fn add_fillers(&mut self, count: usize) -> Result<(), StatsError> {
        self.change(|segment| {
            for _ in 0..count {
                let number = segment.stress.fillers + 1;
                let value = u64::try_from(number).unwrap_or(u64::MAX);
                segment.writer.add_entry(Kind::Gauge, &format!("/vppsim/filler/{number}"), value)?;
                segment.stress.fillers = number;
            }
            Ok(())
        })
    }

    fn change(&mut self, work: impl FnOnce(&mut Self) -> Result<(), StatsError>) -> Result<(), StatsError> {
        self.writer.begin()?;
        let worked = work(self);
        self.end_change()?;
        worked
    }

    /// Ends a change. What it repaired in passing is damaged again.
    pub(super) fn end_change(&mut self) -> Result<(), StatsError> {
        if self.stress.damage.is_some() {
            self.write_damage()?;
        }
        self.writer.end()
    }

    fn write_damage(&mut self) -> Result<(), StatsError> {
        let Self { writer, stress, heap, routes_to, routes_via, vips, .. } = self;
        let all = [&*heap, &*routes_to, &*routes_via].into_iter().chain(&*vips).chain(&stress.interfaces);
        writer.damage(stress.damage, all)
    }
}
