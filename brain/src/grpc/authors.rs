//! Who set the overrides that are in force, and why, as far as this process has seen it: the file of overrides does not say.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use maglev_engine::core::Command;
use maglev_engine::overrides::{Override, Overrides, PoolMember};

/// Backend, frontend and pool; the last two are empty for the state of a backend.
type Place = (String, String, String);

/// Who set an override, and the reason that was given. Empty where that is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Author {
    pub(super) who: String,
    pub(super) reason: String,
}

/// Clones share it. It knows no more than there are overrides.
#[derive(Debug, Clone, Default)]
pub(super) struct Authors(Arc<Mutex<BTreeMap<Place, (SystemTime, Author)>>>);

impl Authors {
    /// Someone has set what this command says.
    pub(super) fn note(&self, overrides: &Overrides, set: &Place, author: Author) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let in_force: BTreeMap<Place, SystemTime> =
            overrides.iter().map(|entry| (place(&entry), entry.since())).collect();
        if let Some(since) = in_force.get(set) {
            known.insert(set.clone(), (*since, author));
        }
        known.retain(|place, (since, _)| in_force.get(place) == Some(since));
    }

    pub(super) fn of(&self, entry: &Override) -> Author {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let author = known.get(&place(entry)).filter(|(since, _)| *since == entry.since());
        author.map(|(_, author)| author.clone()).unwrap_or_default()
    }
}

fn of_member(member: &PoolMember) -> Place {
    (member.backend.clone(), member.frontend.clone(), member.pool.clone())
}

fn place(entry: &Override) -> Place {
    match entry {
        Override::Backend { name, .. } => (name.clone(), String::new(), String::new()),
        Override::Weight { member, .. } => of_member(member),
    }
}

/// The override that a command sets, if any.
pub(super) fn set_by(command: &Command) -> Option<Place> {
    match command {
        Command::Backend { backend, .. } => Some((backend.clone(), String::new(), String::new())),
        Command::SetWeight { member, .. } => Some(of_member(member)),
        _ => None,
    }
}
