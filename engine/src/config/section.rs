//! Reads a mapping with known keys.

use super::complaint::Complaint;
use super::report::Report;
use super::show;
use super::yaml::{Entry, Located, Node, Place, Value};

/// A mapping of the file: its title in messages, and its entries.
pub(super) struct Section<'t> {
    /// For example "backend `web1`".
    pub(super) title: String,
    /// Position for reporting a missing key.
    pub(super) place: Place,
    entries: &'t [Entry],
}

impl<'t> Section<'t> {
    /// Interprets a node as a mapping with no keys but these. A missing value counts as an empty mapping.
    pub(super) fn open(
        title: impl Into<String>,
        place: Place,
        node: &'t Node,
        keys: &[&'static str],
        report: &mut Report<'_>,
    ) -> Section<'t> {
        Self::open_with(title, place, node, keys, |_| None, report)
    }

    /// The same; `elsewhere` knows where other keys belong.
    pub(super) fn open_with(
        title: impl Into<String>,
        place: Place,
        node: &'t Node,
        keys: &[&'static str],
        elsewhere: impl Fn(&str) -> Option<&'static str>,
        report: &mut Report<'_>,
    ) -> Section<'t> {
        let title = title.into();
        let entries = entries(&title, place, node, report);
        for entry in entries {
            let key = entry.key.value.as_str();
            if keys.contains(&key) {
                continue;
            }
            let help = match (elsewhere(key), report.nearest(key, keys.iter().copied())) {
                (Some(place), _) => place.to_owned(),
                (None, Some(meant)) => format!("did you mean `{meant}`?"),
                (None, None) if keys.len() == 1 => format!("its only key is {}", listed(keys)),
                (None, None) => format!("its keys are {}", listed(keys)),
            };
            report.malformed(entry.key.place, format!("unknown key {} in {title}", show(key)), help);
        }
        Section { title, place, entries }
    }

    /// Whether it has no entries, known or unknown.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of a key.
    pub(super) fn entry(&self, key: &str) -> Option<&'t Entry> {
        self.entries.iter().find(|entry| entry.key.value == key)
    }

    /// Position of a key.
    pub(super) fn key_place(&self, key: &str) -> Option<Place> {
        self.entry(key).map(|entry| entry.key.place)
    }

    /// The subject of a sentence about a key.
    pub(super) fn subject(&self, key: &str) -> String {
        format!("`{key}` of {}", self.title)
    }

    /// The value of an optional key. A rejected value is reported and counts as absent.
    pub(super) fn read<T>(
        &self,
        key: &str,
        reader: impl FnOnce(&Node) -> Result<T, Complaint>,
        report: &mut Report<'_>,
    ) -> Option<Located<T>> {
        let entry = self.entry(key)?;
        if entry.node.value == Value::Null {
            report.malformed(
                entry.key.place,
                format!("{} has no value", self.subject(key)),
                "give it one, or leave the key out".to_owned(),
            );
            return None;
        }
        let place = entry.node.place;
        match reader(&entry.node) {
            Ok(value) => Some(Located { value, place }),
            Err(complaint) => {
                report.complaint(place, &self.subject(key), complaint);
                None
            }
        }
    }

    /// The value of a key, or its default. A rejected value is reported and replaced by the default.
    pub(super) fn read_or<T>(
        &self,
        key: &str,
        default: T,
        reader: impl FnOnce(&Node) -> Result<T, Complaint>,
        report: &mut Report<'_>,
    ) -> T {
        self.read(key, reader, report).map_or(default, |located| located.value)
    }

    /// The value of a required key.
    pub(super) fn require<T>(
        &self,
        key: &str,
        help: &str,
        reader: impl FnOnce(&Node) -> Result<T, Complaint>,
        report: &mut Report<'_>,
    ) -> Option<Located<T>> {
        if self.entry(key).is_none() {
            report.invalid(self.place, format!("{} has no `{key}`", self.title), help);
        }
        self.read(key, reader, report)
    }

    /// The mapping below a key; its title starts with this one's.
    pub(super) fn section(
        &self,
        key: &str,
        title: impl Into<String>,
        keys: &[&'static str],
        report: &mut Report<'_>,
    ) -> Option<Section<'t>> {
        let entry = self.entry(key)?;
        Some(Section::open(title, entry.key.place, &entry.node, keys, report))
    }

    /// The entries of a mapping whose keys are names, below a key.
    pub(super) fn named(&self, key: &str, report: &mut Report<'_>) -> &'t [Entry] {
        let Some(entry) = self.entry(key) else { return &[] };
        entries(&self.subject(key), entry.key.place, &entry.node, report)
    }
}

fn entries<'t>(title: &str, place: Place, node: &'t Node, report: &mut Report<'_>) -> &'t [Entry] {
    match &node.value {
        Value::Null => &[],
        Value::Map(entries) => entries,
        Value::Scalar(_) | Value::List(_) => {
            let place = if node.place.line == place.line { node.place } else { place };
            report.malformed(
                place,
                format!("{title} must be a mapping, not {}", super::values::kind(node)),
                "write `key: value` lines below it, further in".to_owned(),
            );
            &[]
        }
    }
}

/// Joins names for a sentence: `a`, `b` and `c`.
pub(super) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => "none".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
