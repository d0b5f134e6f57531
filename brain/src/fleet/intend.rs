//! Operators' intents: written for all members, and how far each member is with them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use maglev_engine::fleet::records::{self, Intent, IntentKey, Key, Name};
use tokio::time::timeout;

use super::store::{Condition, StoreRevision, Write};
use super::view::View;
use super::{Fleet, FleetError, members};

/// How long an operator waits for all members.
const PROGRAMMED_WITHIN: Duration = Duration::from_secs(10);
/// Intents written at once: etcd takes 128 operations in a transaction.
const AT_ONCE: usize = 100;

/// How far a member is with an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberResult {
    /// The member.
    pub name: Name,
    /// Why it has not programmed it; `None` if it has.
    pub missing: Option<String>,
}

/// Overrides that are set only here, each with the store's revision that was known then; `None`: the fleet's intent counts.
pub type LocalNotes = Vec<(IntentKey, Option<u64>)>;

impl Fleet {
    /// Writes intents, or deletes those without one, and waits until all members that are connected have programmed them.
    ///
    /// # Errors
    /// If nothing was written, or that is not known.
    pub async fn intend(
        &self,
        intents: Vec<(IntentKey, Option<Intent>)>,
        no_wait: bool,
    ) -> Result<Vec<MemberResult>, FleetError> {
        let view = self.connected()?;
        let mut revision = 0;
        for part in intents.chunks(AT_ONCE) {
            let (mut conditions, mut writes) = (Vec::new(), Vec::new());
            for (key, intent) in part {
                let key = Key::Intent(key.clone());
                let path = key.path(&self.fleet);
                conditions.push(match view.get(&members::relative(&key, &self.fleet)) {
                    Some(entry) => Condition::ChangedBy(path.clone(), entry.changed),
                    None => Condition::Missing(path.clone()),
                });
                writes.push(match intent {
                    Some(intent) => Write::Put(path, records::encode(intent)?, None),
                    None => Write::Delete(path),
                });
            }
            revision = self.store.transact(conditions, writes).await?.ok_or(FleetError::Conflict)?;
        }
        let mut view = self.view.clone();
        let is_done = |view: &Arc<View>| {
            view.revision >= revision && results(view, revision).iter().all(|member| !member.is_awaited)
        };
        if !no_wait {
            // What is missing then is in the results.
            drop(timeout(PROGRAMMED_WITHIN, view.wait_for(is_done)).await);
        }
        Ok(results(&self.view(), revision).into_iter().map(|found| found.result).collect())
    }

    /// This member's name.
    pub fn member(&self) -> &Name {
        &self.member
    }

    /// True if the fleet has an intent for this, or may have one: without etcd, that is not known.
    pub fn may_have_intent(&self, key: &IntentKey) -> bool {
        let view = self.view();
        !view.is_connected() || view.get(&members::relative(&Key::Intent(key.clone()), &self.fleet)).is_some()
    }

    /// The store's revision that this member knows.
    pub fn known_revision(&self) -> u64 {
        u64::try_from(self.view().revision).unwrap_or_default()
    }

    /// Notes what an operator has set only here, or that the fleet's intents count again. Returns what was noted before.
    pub fn note_local(&self, notes: LocalNotes) -> LocalNotes {
        let mut before = LocalNotes::new();
        self.memory.send_modify(|memory| {
            for (key, known) in notes {
                let local = &mut memory.local;
                let noted = match known {
                    Some(revision) => local.insert(key.clone(), revision),
                    None => local.remove(&key),
                };
                before.push((key, noted));
            }
        });
        before
    }
}

#[cfg(test)]
impl Fleet {
    /// Overrides that are set only here.
    pub(crate) fn local_notes(&self) -> LocalNotes {
        let memory = self.memory.borrow();
        memory.local.iter().map(|(key, known)| (key.clone(), Some(*known))).collect()
    }
}

struct Found {
    result: MemberResult,
    is_awaited: bool,
}

fn results(view: &View, revision: StoreRevision) -> Vec<Found> {
    let (states, revision) = (members::states(view), u64::try_from(revision).unwrap_or_default());
    let names: BTreeSet<_> = members::known(view).into_iter().chain(states.keys().cloned()).collect();
    let found = names.into_iter().map(|name| {
        let (missing, is_awaited) = match states.get(&name) {
            None => (Some("away; it gets it at its return".to_owned()), false),
            Some(state) if state.intents < revision => {
                (Some(state.not_programmed.clone().unwrap_or_else(|| "not yet".to_owned())), true)
            }
            Some(state) => (state.not_programmed.clone(), false),
        };
        Found { result: MemberResult { name, missing }, is_awaited }
    });
    found.collect()
}
