//! `backends:`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::addresses::address;
use super::model::Backend;
use super::report::Report;
use super::require::{Require, healthchecks, require};
use super::section::Section;
use super::show;
use super::values::{boolean, check_name, name};
use super::yaml::{Entry, Located, Place};

/// Keys of a backend.
pub(super) const BACKEND_KEYS: &[&str] = &["address", "enabled", "healthcheck", "labels", "require"];

/// Maximum number of labels of a backend.
pub(super) const MOST_LABELS: usize = 16;

/// A backend as far as it could be read.
pub(super) struct BackendDraft {
    /// Position of its name.
    pub(super) place: Place,
    pub(super) address: Option<Located<IpAddr>>,
    pub(super) healthchecks: Vec<Located<String>>,
    require: Require,
    /// Position of its `require`, if it has one.
    pub(super) require_place: Option<Place>,
    pub(super) enabled: bool,
    labels: BTreeMap<String, String>,
}

/// Reads `backends:`.
pub(super) fn backends(maglev: &Section<'_>, report: &mut Report<'_>) -> BTreeMap<String, BackendDraft> {
    let mut backends = BTreeMap::new();
    for entry in maglev.named("backends", report) {
        let name = &entry.key.value;
        let place = entry.key.place;
        if let Err(complaint) = check_name(name) {
            report.complaint(place, "the name of a backend", complaint);
        }
        let title = format!("backend {}", show(name));
        let section = Section::open(title, place, &entry.node, BACKEND_KEYS, report);
        let help = "every backend needs one: it is where the traffic goes";
        let checks = section.read("healthcheck", healthchecks, report);
        let checks = checks.map(|checks| checks.value).unwrap_or_default();
        let draft = BackendDraft {
            place,
            address: section.require("address", help, address, report),
            require: required(&section, checks.len(), report),
            require_place: section.key_place("require"),
            healthchecks: checks,
            enabled: section.read_or("enabled", true, boolean, report),
            labels: labels(&section, report),
        };
        backends.insert(name.clone(), draft);
    }
    backends
}

/// Reads how many of a backend's checks must be up.
fn required(backend: &Section<'_>, checks: usize, report: &mut Report<'_>) -> Require {
    let Some(given) = backend.read("require", require, report) else { return Require::default() };
    if let Require::Count(count) = given.value
        && backend.entry("healthcheck").is_some()
        && usize::try_from(count).is_ok_and(|count| count > checks)
    {
        let checks = if checks == 1 { "1 check".to_owned() } else { format!("{checks} checks") };
        report.invalid(
            given.place,
            format!("{} is {count}, and it has {checks}", backend.subject("require")),
            "write at most as many as there are checks, `all` or `any`",
        );
    }
    given.value
}

/// Reads the labels of a backend: both parts are names.
fn labels(backend: &Section<'_>, report: &mut Report<'_>) -> BTreeMap<String, String> {
    let entries = backend.named("labels", report);
    if let Some(beyond) = entries.get(MOST_LABELS) {
        let message = format!("{} has {} labels", backend.title, entries.len());
        report.invalid(beyond.key.place, message, format!("a backend has at most {MOST_LABELS}"));
    }
    let mut labels = BTreeMap::new();
    for Entry { key, node } in entries {
        if let Err(complaint) = check_name(&key.value) {
            report.complaint(key.place, "the name of a label", complaint);
        }
        match name(node) {
            Ok(value) => drop(labels.insert(key.value.clone(), value)),
            Err(complaint) => {
                let what = format!("label {} of {}", show(&key.value), backend.title);
                report.complaint(node.place, &what, complaint);
            }
        }
    }
    labels
}

impl BackendDraft {
    /// The backend, if it was read completely.
    pub(super) fn complete(self) -> Option<Backend> {
        let mut healthchecks: Vec<_> = self.healthchecks.into_iter().map(|name| name.value).collect();
        // It may have the room of what it was made from.
        healthchecks.shrink_to_fit();
        Some(Backend {
            address: self.address?.value,
            healthchecks,
            require: self.require,
            enabled: self.enabled,
            labels: self.labels,
        })
    }
}
