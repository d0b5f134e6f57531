//! `backends:`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::addresses::address;
use super::model::Backend;
use super::report::Report;
use super::section::Section;
use super::show;
use super::values::{boolean, check_name, optional_name};
use super::yaml::{Located, Place};

/// Keys of a backend.
pub(super) const BACKEND_KEYS: &[&str] = &["address", "enabled", "healthcheck"];

/// A backend as far as it could be read.
pub(super) struct BackendDraft {
    /// Position of its name.
    pub(super) place: Place,
    pub(super) address: Option<Located<IpAddr>>,
    pub(super) healthcheck: Option<Located<String>>,
    pub(super) enabled: bool,
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
        let healthcheck = section.read("healthcheck", optional_name, report);
        let draft = BackendDraft {
            place,
            address: section.require("address", help, address, report),
            healthcheck: healthcheck.and_then(|name| Some(Located { place: name.place, value: name.value? })),
            enabled: section.read_or("enabled", true, boolean, report),
        };
        backends.insert(name.clone(), draft);
    }
    backends
}

impl BackendDraft {
    /// The backend, if it was read completely.
    pub(super) fn complete(self) -> Option<Backend> {
        Some(Backend {
            address: self.address?.value,
            healthcheck: self.healthcheck.map(|name| name.value),
            enabled: self.enabled,
        })
    }
}
