//! A model of etcd: one order of writes, transactions on revisions, leases, watches over a log that is compacted.

use std::collections::BTreeMap;

/// A key's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) value: Vec<u8>,
    /// The revision in which it was written.
    pub(crate) revision: u64,
    pub(crate) lease: Option<u64>,
}

/// A change of a key; without an entry, it was deleted.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: String,
    pub(crate) entry: Option<Entry>,
}

/// A write on conditions: the revisions in which keys must have been written; 0 for one that must not exist.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transaction {
    pub(crate) conditions: Vec<(String, u64)>,
    pub(crate) puts: Vec<(String, Vec<u8>)>,
    pub(crate) deletes: Vec<String>,
    pub(crate) lease: Option<u64>,
}

/// Why a transaction did nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NotDone {
    Conflict,
    NoLease,
}

/// The log does not reach back that far.
#[derive(Debug)]
pub(crate) struct Compacted;

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) revision: u64,
    pub(crate) entries: BTreeMap<String, Entry>,
    log: Vec<Change>,
    compacted: u64,
    /// Ends of leases, in milliseconds.
    leases: BTreeMap<u64, u64>,
    last_lease: u64,
}

/// Time to live of leases, in milliseconds.
const TTL: u64 = 20_000;

impl Store {
    /// All keys as of a revision: a replica may be behind.
    pub(crate) fn read(&self, as_of: u64) -> (u64, BTreeMap<String, Entry>) {
        if as_of >= self.revision {
            return (self.revision, self.entries.clone());
        }
        let mut entries = BTreeMap::new();
        for change in self.log.iter().take_while(|change| change.revision <= as_of) {
            match &change.entry {
                Some(entry) => drop(entries.insert(change.key.clone(), entry.clone())),
                None => drop(entries.remove(&change.key)),
            }
        }
        (as_of, entries)
    }

    /// What has changed since a revision.
    pub(crate) fn changes(&self, after: u64) -> Result<&[Change], Compacted> {
        if after < self.compacted {
            return Err(Compacted);
        }
        Ok(&self.log[self.log.partition_point(|change| change.revision <= after)..])
    }

    pub(crate) fn compact(&mut self) {
        self.compacted = self.revision;
    }

    pub(crate) fn transact(&mut self, transaction: Transaction) -> Result<u64, NotDone> {
        let revision_of = |key: &String| self.entries.get(key).map_or(0, |entry| entry.revision);
        if transaction.conditions.iter().any(|(key, revision)| revision_of(key) != *revision) {
            return Err(NotDone::Conflict);
        }
        let lease = transaction.lease;
        if lease.is_some_and(|lease| !self.leases.contains_key(&lease)) {
            return Err(NotDone::NoLease);
        }
        let revision = self.revision + 1;
        let puts =
            transaction.puts.into_iter().map(|(key, value)| (key, Some(Entry { value, revision, lease })));
        let deletes = transaction.deletes.into_iter().map(|key| (key, None));
        for (key, entry) in puts.chain(deletes) {
            self.write(key, entry);
        }
        Ok(self.revision)
    }

    fn write(&mut self, key: String, entry: Option<Entry>) {
        let revision = entry.as_ref().map_or(self.revision + 1, |entry| entry.revision);
        match &entry {
            Some(entry) => drop(self.entries.insert(key.clone(), entry.clone())),
            None if self.entries.remove(&key).is_none() => return,
            None => {}
        }
        self.revision = revision;
        self.log.push(Change { revision, key, entry });
    }

    pub(crate) fn grant(&mut self, now: u64) -> u64 {
        self.last_lease += 1;
        self.leases.insert(self.last_lease, now + TTL);
        self.last_lease
    }

    /// Prolongs a lease, if it still exists.
    pub(crate) fn keep(&mut self, lease: u64, now: u64) -> bool {
        self.leases.get_mut(&lease).map(|end| *end = now + TTL).is_some()
    }

    /// Ends leases. Returns whether there was one.
    pub(crate) fn expire(&mut self, now: u64) -> bool {
        let ended: Vec<_> =
            self.leases.extract_if(.., |_, end| *end <= now).map(|(lease, _)| lease).collect();
        let is_over = |entry: &Entry| entry.lease.is_some_and(|lease| ended.contains(&lease));
        let keys: Vec<_> =
            self.entries.iter().filter(|(_, entry)| is_over(entry)).map(|(key, _)| key.clone()).collect();
        keys.into_iter().for_each(|key| self.write(key, None));
        !ended.is_empty()
    }

    /// The store was down: as etcd does after a change of its leader, leases get their whole time again.
    pub(crate) fn prolong_all(&mut self, now: u64) {
        self.leases.values_mut().for_each(|end| *end = now + TTL);
    }
}
