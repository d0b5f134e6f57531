//! What a member knows of the store: decoded, with the last good value of a key whose value is damaged.

use std::collections::{BTreeMap, BTreeSet};

use maglev_engine::fleet::intents::Dated;
use maglev_engine::fleet::records::{
    Intent, IntentKey, Key, MemberInfo, MemberState, Name, Record, Revision, Rollout, Tables, decode,
};

use maglev_engine::votes::Votes;

use super::store::Entry;

/// A value, and the revision in which it was written.
pub(crate) type Seen<T> = (u64, T);

#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) revision: u64,
    pub(crate) rollout: Option<Seen<Rollout>>,
    pub(crate) configs: BTreeMap<u64, Revision>,
    pub(crate) intents: BTreeMap<IntentKey, Dated>,
    pub(crate) infos: BTreeSet<Name>,
    pub(crate) states: BTreeMap<Name, Seen<MemberState>>,
    pub(crate) tables: BTreeMap<Name, Tables>,
    pub(crate) votes: BTreeMap<Name, Votes>,
    /// Keys whose values were refused.
    pub(crate) refused: BTreeSet<String>,
}

impl View {
    pub(crate) fn take(&mut self, fleet: &Name, path: &str, entry: Option<&Entry>) {
        let Some(key) = Key::parse(fleet, path.as_bytes()) else { return };
        self.refused.remove(path);
        let Some(entry) = entry else { return self.forget(&key) };
        if !self.put(&key, entry) {
            self.refused.insert(path.to_owned());
        }
    }

    fn put(&mut self, key: &Key, entry: &Entry) -> bool {
        fn read<R: Record>(entry: &Entry) -> Option<R> {
            decode(&entry.value).ok()
        }
        let revision = entry.revision;
        let done = match key {
            Key::Config(number) => read(entry).map(|config| drop(self.configs.insert(*number, config))),
            Key::Rollout => read(entry).map(|rollout| self.rollout = Some((revision, rollout))),
            Key::Intent(key) => read::<Intent>(entry)
                .filter(|intent| intent.fits(key))
                .map(|intent| drop(self.intents.insert(key.clone(), Dated { intent, revision }))),
            Key::Info(name) => read::<MemberInfo>(entry).map(|_| self.infos.extend([name.clone()])),
            Key::State(name) => {
                read(entry).map(|state| drop(self.states.insert(name.clone(), (revision, state))))
            }
            Key::Tables(name, _) => read(entry).map(|tables| drop(self.tables.insert(name.clone(), tables))),
            Key::Votes(name) => read(entry).map(|votes| drop(self.votes.insert(name.clone(), votes))),
            Key::Length(_) | Key::Proposal | Key::Preview(_) | Key::Rival(_) => None,
        };
        done.is_some()
    }

    fn forget(&mut self, key: &Key) {
        match key {
            Key::Config(number) => drop(self.configs.remove(number)),
            // It is never deleted; whoever does so must not change what members run.
            Key::Rollout | Key::Length(_) | Key::Proposal | Key::Preview(_) | Key::Rival(_) => {}
            Key::Intent(key) => drop(self.intents.remove(key)),
            Key::Info(name) => drop(self.infos.remove(name)),
            Key::State(name) => drop(self.states.remove(name)),
            Key::Tables(name, _) => drop(self.tables.remove(name)),
            Key::Votes(name) => drop(self.votes.remove(name)),
        }
    }

    /// Replaces everything by a read. Damaged values keep what was known of their keys.
    pub(crate) fn replace(&mut self, fleet: &Name, revision: u64, entries: &BTreeMap<String, Entry>) {
        let before = std::mem::take(self);
        self.revision = revision;
        self.rollout.clone_from(&before.rollout);
        for (path, entry) in entries {
            let Some(key) = Key::parse(fleet, path.as_bytes()) else { continue };
            if !self.put(&key, entry) {
                self.refused.insert(path.clone());
                self.keep(&key, &before);
            }
        }
    }

    fn keep(&mut self, key: &Key, before: &Self) {
        fn keep<K: Ord + Clone, V: Clone>(key: &K, from: &BTreeMap<K, V>, to: &mut BTreeMap<K, V>) {
            to.extend(from.get(key).map(|value| (key.clone(), value.clone())));
        }
        match key {
            Key::Config(number) => keep(number, &before.configs, &mut self.configs),
            Key::Intent(key) => keep(key, &before.intents, &mut self.intents),
            Key::Info(name) => drop(self.infos.insert(name.clone())),
            Key::State(name) => keep(name, &before.states, &mut self.states),
            Key::Tables(name, _) => keep(name, &before.tables, &mut self.tables),
            Key::Votes(name) => keep(name, &before.votes, &mut self.votes),
            Key::Rollout | Key::Length(_) | Key::Proposal | Key::Preview(_) | Key::Rival(_) => {}
        }
    }

    /// What a restart knows: members' states are those of before.
    pub(crate) fn mirrored(&self) -> Self {
        Self {
            revision: 0,
            rollout: self.rollout.clone(),
            configs: self.configs.clone(),
            intents: self.intents.clone(),
            ..Self::default()
        }
    }

    pub(crate) fn bare_states(&self) -> BTreeMap<Name, MemberState> {
        self.states.iter().map(|(name, (_, state))| (name.clone(), state.clone())).collect()
    }
}
