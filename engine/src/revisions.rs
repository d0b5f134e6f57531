//! Applied configurations: the last ones are kept, so that an operator can go back to one, and so that a restart goes on
//! with the one in use, which may not be that of the file.
//!
//! A revision is never changed except to confirm it: a rollback adds another one, with the older text.

mod format;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

pub use format::{LONGEST_HEADER, Parsed, parse, render};

/// Maximum number of revisions kept.
pub const MOST_KEPT: usize = 10;
/// Maximum size of all kept texts together, in bytes. The one in use and the one to go back to are kept nevertheless.
pub const LARGEST_KEPT: u64 = 64 << 20;
/// Shortest and longest time for a confirmation.
pub const CONFIRM_WITHIN: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(24 * 3600)];
/// How long before the end of that time operators are warned, unless half of it is shorter.
const WARNING: Duration = Duration::from_secs(60);

/// Length and checksum of a text, by which it is recognized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// In bytes.
    pub length: u64,
    /// CRC-32.
    pub crc: u32,
}

impl Sum {
    /// That of a text.
    pub fn of(text: &[u8]) -> Self {
        Self { length: text.len() as u64, crc: crc32fast::hash(text) }
    }
}

/// How a configuration came into use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Read from the file at the start of the brain.
    Start,
    /// Read from the file by a reload.
    Reload,
    /// An operator went back to this revision.
    Rollback(u64),
    /// Nobody confirmed a reload in time, so the brain went back to this revision.
    NotConfirmed(u64),
    /// Taken from this revision of the fleet.
    Fleet(u64),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Reload => f.write_str("reload"),
            Self::Rollback(number) => write!(f, "rollback to {number}"),
            Self::NotConfirmed(number) => write!(f, "not confirmed, back to {number}"),
            Self::Fleet(number) => write!(f, "fleet revision {number}"),
        }
    }
}

/// A confirmation that is still missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The end of the time for it, in Unix milliseconds.
    pub until_ms: u64,
    /// The whole time for it, in milliseconds.
    pub within_ms: u64,
    /// The revision to go back to without it.
    pub back_to: u64,
}

impl Pending {
    /// A confirmation that is due within this time.
    pub fn new(within: Duration, back_to: u64, now: SystemTime) -> Self {
        let [shortest, longest] = CONFIRM_WITHIN;
        let within = within.clamp(shortest, longest);
        Self { until_ms: unix_ms(now + within), within_ms: milliseconds(within), back_to }
    }

    /// Time left for it, by the time of day: for a process that has just started. A clock that was set back while no brain
    /// ran does not make it longer than the whole time.
    pub fn left(&self, now: SystemTime) -> Duration {
        Duration::from_millis(self.until_ms.saturating_sub(unix_ms(now)).min(self.within_ms))
    }

    /// When it is due on the monotonic clock, which nobody sets.
    pub fn clock(&self, wall: SystemTime, mono: Instant) -> Clock {
        let left = self.left(wall);
        let warning = WARNING.min(Duration::from_millis(self.within_ms / 2));
        Clock { due: mono + left, warn: Some(mono + left.saturating_sub(warning)) }
    }
}

/// The time for a confirmation in a running process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    due: Instant,
    /// When to warn; `None` once that is done.
    warn: Option<Instant>,
}

/// What the time for a confirmation demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// Nothing before this.
    Wait(Instant),
    /// Warn that this much time is left.
    Warn(Duration),
    /// Go back.
    GoBack,
}

impl Clock {
    /// What is due now. A warning is due once.
    pub fn tick(&mut self, now: Instant) -> Tick {
        if now >= self.due {
            return Tick::GoBack;
        }
        match self.warn {
            Some(at) if now >= at => {
                self.warn = None;
                Tick::Warn(self.due - now)
            }
            Some(at) => Tick::Wait(at),
            None => Tick::Wait(self.due),
        }
    }
}

/// A configuration that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Consecutive; never used again.
    pub number: u64,
    /// When it came into use, in Unix milliseconds.
    pub at_ms: u64,
    /// The operator, if known.
    pub who: Option<Arc<str>>,
    /// How it came into use.
    pub origin: Origin,
    /// Its text.
    pub text: Sum,
    /// The file at that time, if it could be read.
    pub file: Option<Sum>,
    /// The confirmation that it lacks, if one was demanded.
    pub pending: Option<Pending>,
}

impl Revision {
    /// Whether it replaced a text that is still in the file, which a restart must not apply.
    pub fn is_other_than_file(&self) -> bool {
        matches!(self.origin, Origin::Rollback(_) | Origin::NotConfirmed(_)) && self.file != Some(self.text)
    }

    /// The revision of the fleet that it was taken from.
    pub fn of_fleet(&self) -> Option<u64> {
        match self.origin {
            Origin::Fleet(number) => Some(number),
            Origin::Start | Origin::Reload | Origin::Rollback(_) | Origin::NotConfirmed(_) => None,
        }
    }

    /// The revision that first had its text, as far as is known.
    fn base(&self) -> u64 {
        match self.origin {
            Origin::Start | Origin::Reload | Origin::Fleet(_) => self.number,
            Origin::Rollback(number) | Origin::NotConfirmed(number) => number,
        }
    }
}

/// A revision, and whether its text can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The revision.
    pub revision: Revision,
    /// Whether its text is as it was written.
    pub intact: bool,
}

/// The configuration that a brain starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// That of the file.
    File,
    /// That of a kept revision.
    Kept {
        /// The revisions to try in this order, none of which has the text that was given up; then the file.
        texts: Vec<u64>,
        /// Whether the time for a confirmation was over while no brain ran.
        goes_back: bool,
    },
}

/// Why there is nothing to go back to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRevision {
    /// No such revision is kept.
    #[error("configuration {number} is not kept; kept are: {}", listed(kept))]
    Unknown {
        /// Its number.
        number: u64,
        /// Those that are kept.
        kept: Vec<u64>,
    },
    /// Its file is damaged.
    #[error("the file of configuration {0} in the state directory is damaged")]
    Damaged(u64),
    /// It is in use.
    #[error("configuration {0} is the one in use")]
    InUse(u64),
    /// There is no earlier one.
    #[error("no earlier configuration is kept; `config history` lists all")]
    NoEarlier,
    /// No confirmation is missing.
    #[error("no configuration waits for a confirmation")]
    NothingPending,
}

fn listed(numbers: &[u64]) -> String {
    let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
    if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") }
}

/// The kept revisions by number; the last one is in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revisions {
    kept: BTreeMap<u64, Kept>,
    /// The highest number ever used, which a damaged file may have.
    highest: u64,
}

impl Revisions {
    /// From the files of the state directory by number: each as it was read, or `None` if it cannot be.
    pub fn of_files(files: impl IntoIterator<Item = (u64, Option<Kept>)>) -> Self {
        let mut revisions = Self::default();
        for (number, kept) in files {
            revisions.highest = revisions.highest.max(number);
            if let Some(kept) = kept.filter(|kept| kept.revision.number == number) {
                revisions.kept.insert(number, kept);
            }
        }
        revisions
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Kept> {
        self.kept.values()
    }

    /// The one in use.
    pub fn current(&self) -> Option<&Revision> {
        self.kept.last_key_value().map(|(_, kept)| &kept.revision)
    }

    /// Which configuration to start with, if the file is now as `file` says. The file's own, unless it was given up and is
    /// unchanged since; while a confirmation is missing, never the file's.
    pub fn start(&self, file: Option<Sum>, now: SystemTime) -> Start {
        let Some(current) = self.current() else { return Start::File };
        let (texts, goes_back) = match current.pending {
            Some(pending) if pending.left(now).is_zero() => (self.back(), true),
            Some(_) => (self.texts(current.number, None), false),
            None if current.is_other_than_file() && (file.is_none() || file == current.file) => {
                (self.texts(current.number, current.file), false)
            }
            None => return Start::File,
        };
        Start::Kept { texts, goes_back }
    }

    /// Which configuration a member of a fleet starts with: the one that it took last from the fleet, whatever the file has
    /// now. `None` if it has none from the fleet.
    pub fn start_in_fleet(&self) -> Option<Start> {
        let current = self.current().filter(|current| current.of_fleet().is_some())?;
        Some(Start::Kept { texts: self.texts(current.number, None), goes_back: false })
    }

    /// The revisions to try, in this order, once nobody has confirmed the one in use in time.
    pub fn back(&self) -> Vec<u64> {
        let missing = self.current().and_then(|current| Some((current.text, current.pending?)));
        missing.map_or_else(Vec::new, |(text, pending)| {
            // A reload of the same text gives up nothing.
            let same = self.kept.get(&pending.back_to).is_some_and(|kept| kept.revision.text == text);
            self.texts(pending.back_to, Some(text).filter(|_| !same))
        })
    }

    /// The revisions with an intact text other than the one given up: this one first, then the newest.
    fn texts(&self, first: u64, given_up: Option<Sum>) -> Vec<u64> {
        let base = self.kept.get(&first).map(|kept| kept.revision.base());
        let confirmed = self.current().and_then(|current| current.pending).map(|pending| pending.back_to);
        let mut texts: Vec<u64> = Vec::new();
        let older = self.kept.keys().rev().copied();
        for number in [first].into_iter().chain(base).chain(confirmed).chain(older) {
            let kept =
                self.kept.get(&number).filter(|kept| kept.intact && Some(kept.revision.text) != given_up);
            if kept.is_some() && !texts.contains(&number) {
                texts.push(number);
            }
        }
        texts
    }

    /// The revision that an operator wants to go back to: this one, or the last one before that in use that differs from it.
    ///
    /// # Errors
    /// If there is none.
    pub fn earlier(&self, number: Option<u64>) -> Result<&Revision, NoRevision> {
        let current = self.current().ok_or(NoRevision::NoEarlier)?;
        let Some(number) = number else {
            let before = self.kept.range(..current.base()).rev().map(|(_, kept)| kept);
            let mut usable = before.filter(|kept| kept.intact && kept.revision.text != current.text);
            return usable.next().map(|kept| &kept.revision).ok_or(NoRevision::NoEarlier);
        };
        match self.kept.get(&number) {
            None => Err(NoRevision::Unknown { number, kept: self.kept.keys().copied().collect() }),
            Some(kept) if kept.revision.text == current.text => Err(NoRevision::InUse(number)),
            Some(kept) if !kept.intact => Err(NoRevision::Damaged(number)),
            Some(kept) => Ok(&kept.revision),
        }
    }

    /// The next revision. What it replaces while a confirmation is missing was never confirmed, so a reload must still be, and
    /// without it the brain goes back to what was confirmed last.
    pub fn next(
        &self,
        origin: Origin,
        (text, file): (Sum, Option<Sum>),
        who: Option<Arc<str>>,
        confirm: Option<Duration>,
        now: SystemTime,
    ) -> Revision {
        let current = self.current();
        let missing = current.and_then(|current| current.pending);
        let pending = match (origin, confirm) {
            (Origin::Rollback(_) | Origin::NotConfirmed(_) | Origin::Start | Origin::Fleet(_), _) => None,
            (Origin::Reload, None) => missing,
            (Origin::Reload, Some(within)) => {
                let confirmed =
                    missing.map(|missing| missing.back_to).or(current.map(|current| current.number));
                confirmed.map(|back_to| Pending::new(within, back_to, now))
            }
        };
        Revision { number: self.highest + 1, at_ms: unix_ms(now), who, origin, text, file, pending }
    }

    /// Whether a reload or start with this text of the file is already on record as the one in use.
    pub fn is_recorded(&self, text: Sum) -> bool {
        self.current().is_some_and(|current| current.text == text && current.file == Some(text))
    }

    /// The revision in use, confirmed.
    ///
    /// # Errors
    /// If no confirmation is missing.
    pub fn confirmed(&self) -> Result<Revision, NoRevision> {
        let current = self.current().filter(|current| current.pending.is_some());
        current.map(|current| Revision { pending: None, ..current.clone() }).ok_or(NoRevision::NothingPending)
    }

    /// The revision in use, if the clock was set back since it came into use: with the whole time for its confirmation from
    /// now on, so that a further restart does not give it once more.
    pub fn anchored(&self, now: SystemTime) -> Option<Revision> {
        let current = self.current()?;
        let pending = current.pending?;
        let until_ms = unix_ms(now).saturating_add(pending.within_ms);
        let anchored = Revision { pending: Some(Pending { until_ms, ..pending }), ..current.clone() };
        (pending.until_ms > until_ms).then_some(anchored)
    }

    /// Adds or replaces a revision that is now in use.
    pub fn put(&mut self, revision: Revision) {
        self.highest = self.highest.max(revision.number);
        self.kept.insert(revision.number, Kept { revision, intact: true });
    }

    /// Takes back the last revision, which did not come into use. Its number stays used.
    pub fn withdraw(&mut self, number: u64) {
        self.kept.remove(&number);
    }

    /// Removes the oldest beyond [`MOST_KEPT`] and [`LARGEST_KEPT`]; returns their numbers. The one in use stays, and so does
    /// the one to go back to.
    pub fn trim(&mut self) -> Vec<u64> {
        let back_to = self.current().and_then(|current| current.pending).map(|pending| pending.back_to);
        let (mut count, mut size, mut excess) = (0, 0_u64, Vec::new());
        for (number, kept) in self.kept.iter().rev() {
            (count, size) = (count + 1, size.saturating_add(kept.revision.text.length));
            let needed = count == 1 || Some(*number) == back_to;
            if !needed && (count > MOST_KEPT || size > LARGEST_KEPT) {
                excess.push(*number);
            }
        }
        excess.iter().for_each(|number| drop(self.kept.remove(number)));
        excess
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn unix_ms(at: SystemTime) -> u64 {
    milliseconds(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests;
