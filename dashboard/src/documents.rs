//! Keyed documents, which are what browsers hold, and the differences that bring them from one state to the next.
//!
//! Browsers merge a [`Patch`] field by field, so that one changed weight costs one field, whatever else the row has.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

/// A row: names and values of its fields, of which none is null.
pub(crate) type Document = serde_json::Map<String, Value>;

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Table {
    /// A load balancer: its brain, its agent and its VPP.
    Brains,
    /// A frontend over all load balancers.
    Fleet,
    /// A frontend of one load balancer.
    Frontends,
    /// A backend in a pool of a frontend of one load balancer.
    Members,
    /// A backend of one load balancer.
    Backends,
    /// What an operator has set on one load balancer.
    Overrides,
}

/// Tables with their rows by key.
pub(crate) type Rows = BTreeMap<Table, BTreeMap<Arc<str>, Arc<Document>>>;

/// What changed in a table, by key: fields that are different now, null for those that are gone; null for a row that is.
pub(crate) type Patch = BTreeMap<Table, BTreeMap<Arc<str>, Option<Document>>>;

/// All documents, and what they were when browsers were last told.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    rows: Rows,
    told: BTreeMap<(Table, Arc<str>), Option<Arc<Document>>>,
}

impl Documents {
    pub(crate) fn get(&self, table: Table, key: &str) -> Option<&Arc<Document>> {
        self.rows.get(&table)?.get(key)
    }

    /// Keys that begin so, in their order.
    fn keys(&self, table: Table, prefix: &str) -> Vec<Arc<str>> {
        let rows = self.rows.get(&table).into_iter().flat_map(BTreeMap::keys);
        rows.filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// Replaces a row, or removes it.
    pub(crate) fn put(&mut self, table: Table, key: &str, document: Option<Document>) {
        let rows = self.rows.entry(table).or_default();
        let document = document.map(|mut document| {
            document.retain(|_, value| !value.is_null());
            document
        });
        let (key, before) = match rows.get_key_value(key) {
            Some((key, before)) => (Arc::clone(key), Some(Arc::clone(before))),
            None => (Arc::from(key), None),
        };
        if before.as_deref() == document.as_ref() {
            return;
        }
        match document {
            Some(document) => drop(rows.insert(Arc::clone(&key), Arc::new(document))),
            None => drop(rows.remove(&key)),
        }
        self.told.entry((table, key)).or_insert(before);
    }

    /// Replaces all rows whose keys begin so.
    pub(crate) fn put_all(&mut self, table: Table, prefix: &str, mut rows: BTreeMap<String, Document>) {
        for key in self.keys(table, prefix) {
            let row = rows.remove(&*key);
            self.put(table, &key, row);
        }
        for (key, row) in rows {
            self.put(table, &key, Some(row));
        }
    }

    /// Changes some fields of a row that is there.
    pub(crate) fn change(&mut self, table: Table, key: &str, fields: Document) {
        if let Some(row) = self.get(table, key) {
            let mut row = Document::clone(row);
            row.extend(fields);
            self.put(table, key, Some(row));
        }
    }

    /// What changed since the last call.
    pub(crate) fn take_patch(&mut self) -> Patch {
        let mut patch = Patch::new();
        for ((table, key), before) in std::mem::take(&mut self.told) {
            let now = self.rows.get(&table).and_then(|rows| rows.get(&key));
            let change = match (before.as_deref(), now) {
                (None, None) => continue,
                (Some(_), None) => None,
                (None, Some(now)) => Some(Document::clone(now)),
                (Some(before), Some(now)) => {
                    let fields = difference(before, now);
                    if fields.is_empty() {
                        continue;
                    }
                    Some(fields)
                }
            };
            patch.entry(table).or_default().insert(key, change);
        }
        patch
    }

    /// All rows, which are shared rather than copied.
    pub(crate) fn rows(&self) -> Rows {
        self.rows.clone()
    }
}

fn difference(before: &Document, now: &Document) -> Document {
    let changed = now.iter().filter(|(name, value)| before.get(*name) != Some(value));
    let changed = changed.map(|(name, value)| (name.clone(), value.clone()));
    let gone = before.keys().filter(|name| !now.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests;
