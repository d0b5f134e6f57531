//! The history: what happened, in records that survive a restart, and their file format.
//!
//! A line is one record: the CRC-32 of its JSON, and the JSON. A torn or damaged line loses only itself. Two files
//! follow each other, see [`Ledger::head`].
//!
//! ```text
//! 6115ac54 {"n":17,"at":1795957506123,"kind":"backend","backend":"web1","from":"up","to":"down","what":"as a test"}
//! ```

mod words;

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

pub use crate::kind::Kind;

use crate::health::{Since, State};
use crate::weights::FrontendState;

/// Maximum size of one file, in bytes: some 80,000 records. The two files have twice as many.
pub const LARGEST_SEGMENT: u64 = 16 << 20;

/// Maximum length of a line, in bytes; longer ones are not records.
const LONGEST_LINE: usize = 16 << 10;

/// Maximum length of the description of a record, in characters.
const LONGEST_WHAT: usize = 1000;

/// Length of a checksum in a line, with the space after it.
const SUM: usize = 9;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Consecutive, over restarts, unless records were lost; given by the [`Ledger`].
    #[serde(rename = "n")]
    pub number: u64,
    /// When, in Unix milliseconds. Steps back when the clock does.
    #[serde(rename = "at")]
    pub at_ms: u64,
    /// What it is about.
    pub kind: Kind,
    /// The backend concerned; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub backend: String,
    /// The frontend concerned; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub frontend: String,
    /// A backend's state before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<State>,
    /// A backend's state after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<State>,
    /// A frontend's state before; that of now if something else changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontend_from: Option<FrontendState>,
    /// A frontend's state now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontend_to: Option<FrontendState>,
    /// Description; for a backend the cause.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// Who caused it, if that is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub who: String,
    /// Why, if a reason was given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Whether it is a failure: a refused reload, a sync with an error.
    #[serde(default, skip_serializing_if = "is_false")]
    pub failed: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Record {
    /// A record without a number.
    pub fn new(at: SystemTime, kind: Kind, what: impl Into<String>) -> Self {
        let mut what: String = what.into();
        if let Some((end, _)) = what.char_indices().nth(LONGEST_WHAT) {
            what.truncate(end);
        }
        Self {
            number: 0,
            at_ms: unix_ms(at),
            kind,
            backend: String::new(),
            frontend: String::new(),
            from: None,
            to: None,
            frontend_from: None,
            frontend_to: None,
            what,
            who: String::new(),
            reason: String::new(),
            failed: false,
        }
    }

    /// When it happened.
    pub fn at(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.at_ms)).unwrap_or(UNIX_EPOCH)
    }

    /// The line of a file, with its end. Empty if it cannot be written, which no record is known to be.
    pub fn line(&self) -> String {
        match serde_json::to_string(self) {
            Ok(json) if json.len() + SUM <= LONGEST_LINE => {
                format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
            }
            _ => String::new(),
        }
    }

    /// The record of a line without its end, and its checksum.
    fn of_line(line: &[u8]) -> Option<(Self, u32)> {
        let (sum, json) = line.split_at_checked(SUM).filter(|_| line.len() <= LONGEST_LINE)?;
        let sum = std::str::from_utf8(sum).ok()?.strip_suffix(' ')?;
        let sum = u32::from_str_radix(sum, 16).ok().filter(|sum| *sum == crc32fast::hash(json))?;
        Some((serde_json::from_slice(json).ok()?, sum))
    }
}

fn unix_ms(at: SystemTime) -> u64 {
    u64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// What the files have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Records in the order of the files, without duplicates.
    pub records: Vec<Record>,
    /// Lines that are no records.
    pub damaged: u64,
}

/// Parses files of any bytes, the older one first.
pub fn parse<B: AsRef<[u8]>>(files: &[B]) -> Contents {
    let mut contents = Contents::default();
    // A write that was late and repeated is in the file twice.
    let mut known = HashSet::new();
    let lines = files.iter().flat_map(|file| file.as_ref().split(|byte| *byte == b'\n'));
    for line in lines.filter(|line| !line.is_empty()) {
        match Record::of_line(line) {
            Some((record, sum)) if record.kind == Kind::State || known.insert((record.number, sum)) => {
                contents.records.push(record);
            }
            Some(_) => {}
            None => contents.damaged += 1,
        }
    }
    contents
}

/// Whether a file of this size must be followed by another one before so many bytes are added.
pub fn is_full(size: u64, more: u64) -> bool {
    size > 0 && size.saturating_add(more) > LARGEST_SEGMENT
}

/// Numbers records, and knows since when each backend is in its state.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    next: u64,
    states: OrdMap<String, Since>,
}

impl Ledger {
    /// Continues these files, the older one first.
    pub fn of(contents: &Contents) -> Self {
        let mut ledger = Self::default();
        for record in &contents.records {
            ledger.next = ledger.next.max(record.number.saturating_add(1));
            ledger.follow(record);
        }
        ledger
    }

    /// The backends' last known states.
    pub fn states(&self) -> impl Iterator<Item = (&String, Since)> {
        self.states.iter().map(|(name, since)| (name, *since))
    }

    /// Numbers a record. `None` if nothing happened: a backend that a start found in its state of before.
    pub fn number(&mut self, record: Record) -> Option<Record> {
        if !self.follow(&record) {
            return None;
        }
        let number = self.next;
        self.next = number.saturating_add(1);
        Some(Record { number, ..record })
    }

    /// The first lines of a new file: the backends' states, since the older file may be lost.
    pub fn head(&self) -> String {
        let line = |(name, since): (&String, Since)| {
            let record = Record::new(since.at, Kind::State, "");
            Record { backend: name.clone(), to: Some(since.state), ..record }.line()
        };
        self.states().map(line).collect()
    }

    /// Whether the record is news.
    fn follow(&mut self, record: &Record) -> bool {
        let (Kind::Backend | Kind::State, Some(to)) = (record.kind, record.to) else { return true };
        let next = Since { state: to, at: record.at() };
        let before = self.states.get(&record.backend).copied();
        let since = match (before, record.from) {
            (Some(before), Some(from)) => before.after(from, next),
            _ => next,
        };
        if to == State::Removed {
            self.states.remove(&record.backend);
        } else {
            self.states.insert(record.backend.clone(), since);
        }
        record.kind == Kind::State || before != Some(since)
    }
}

/// Which records to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those about this backend; empty: all.
    pub backend: String,
    /// Only those about this frontend; empty: all.
    pub frontend: String,
    /// Only those from then on, by the clock of the time.
    pub since: Option<SystemTime>,
    /// The newest so many.
    pub most: usize,
}

impl Filter {
    /// The records that pass, in order, and how many older ones pass too.
    pub fn select(&self, records: Vec<Record>) -> (Vec<Record>, usize) {
        let passes = |record: &Record| {
            let is = |wanted: &str, name: &str| wanted.is_empty() || wanted == name;
            record.kind != Kind::State
                && is(&self.backend, &record.backend)
                && is(&self.frontend, &record.frontend)
                && self.since.is_none_or(|since| record.at() >= since)
        };
        let mut passed: VecDeque<_> = records.into_iter().filter(passes).collect();
        let left_out = passed.len().saturating_sub(self.most);
        drop(passed.drain(..left_out));
        (passed.into(), left_out)
    }
}

#[cfg(test)]
mod tests;
