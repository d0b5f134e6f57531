//! The fleet as this member knows it: the last good copy of every key, and how fresh it is. Pure.

use std::ops::Bound;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use imbl::OrdMap;

use super::store::{Batch, Entry, KeyChange, LARGEST_READ, LARGEST_VALUE, MOST_KEYS, Read, StoreRevision};

/// Refuses a value, by its key below the fleet's prefix; says why.
pub type Check = dyn Fn(&str, &[u8]) -> Result<(), String> + Send + Sync;

/// The link to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Changes are followed.
    Connected {
        /// Since when.
        since: SystemTime,
    },
    /// They are not; the copy is of an earlier time.
    Away {
        /// Since when; `None` if there was no connection since the start.
        since: Option<SystemTime>,
        /// Why.
        reason: Arc<str>,
    },
}

/// The last good copy. Keys are below the fleet's prefix.
#[derive(Debug, Clone)]
pub struct View {
    /// The store's revision that it includes.
    pub revision: StoreRevision,
    /// The last good value of each key.
    pub entries: OrdMap<Arc<str>, Entry>,
    /// Keys whose newest value is refused, and why. An earlier good value stays in use.
    pub refused: OrdMap<Arc<str>, Arc<str>>,
    /// Number of keys beyond a limit.
    pub left_out: usize,
    /// The link to the store.
    pub link: Link,
    /// When the store last gave a sign of life.
    pub heard: Option<Instant>,
    size: usize,
}

impl View {
    /// Nothing is known yet, except what an earlier process kept.
    pub fn new(kept: impl IntoIterator<Item = Entry>, revision: StoreRevision) -> Self {
        let link = Link::Away { since: None, reason: "not connected yet".into() };
        let mut view = Self {
            revision,
            entries: OrdMap::new(),
            refused: OrdMap::new(),
            left_out: 0,
            link,
            heard: None,
            size: 0,
        };
        for entry in kept {
            view.put(entry, |_, _| Ok(()));
        }
        view
    }

    /// Whether the store is followed now.
    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Connected { .. })
    }

    /// The last good value of a key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The entries whose keys begin with this.
    pub fn below<'v>(&'v self, prefix: &'v str) -> impl Iterator<Item = (&'v str, &'v Entry)> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let entries = self.entries.range::<_, str>(from).map(|(key, entry)| (&**key, entry));
        entries.take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Takes what the store has now. Keys that are gone from it are gone here; a damaged value replaces no good one.
    pub fn replace(&mut self, read: Read, prefix: &str, check: &Check) {
        let mut before = std::mem::take(&mut self.entries);
        self.refused.clear();
        (self.size, self.left_out, self.revision) = (0, read.left_out, read.revision);
        for entry in read.entries {
            let Some(key) = below(&entry.key, prefix) else { continue };
            let kept = before.remove(&key);
            if let Some(kept) = &kept {
                // An unchanged value is shared, and was checked.
                if kept.changed == entry.changed && kept.value == entry.value {
                    self.put(kept.clone(), |_, _| Ok(()));
                    continue;
                }
            }
            if !self.put(Entry { key, ..entry }, check)
                && let Some(kept) = kept
            {
                self.put_kept(kept);
            }
        }
    }

    /// Takes changes.
    pub fn apply(&mut self, batch: Batch, prefix: &str, check: &Check) {
        for change in batch.changes {
            match change {
                KeyChange::Put(entry) => {
                    if let Some(key) = below(&entry.key, prefix) {
                        self.put(Entry { key, ..entry }, check);
                    }
                }
                KeyChange::Deleted(key) => {
                    if let Some(key) = below(&key, prefix) {
                        self.refused.remove(&key);
                        if let Some(gone) = self.entries.remove(&key) {
                            self.size -= gone.value.len();
                        }
                    }
                }
            }
        }
        self.revision = self.revision.max(batch.revision);
    }

    /// Puts a value, unless it is refused; an earlier one then stays.
    fn put(&mut self, entry: Entry, check: impl FnOnce(&str, &[u8]) -> Result<(), String>) -> bool {
        let length = entry.value.len();
        let before = self.entries.get(&entry.key).map(|before| before.value.len());
        let size = self.size - before.unwrap_or_default() + length;
        let checked = if length > LARGEST_VALUE {
            Err(format!("has {length} bytes; at most {LARGEST_VALUE} are taken"))
        } else if size > LARGEST_READ || before.is_none() && self.entries.len() >= MOST_KEYS {
            Err("is beyond the fleet's limits on keys and bytes".to_owned())
        } else {
            check(&entry.key, &entry.value)
        };
        match checked {
            Ok(()) => {
                self.refused.remove(&entry.key);
                self.size = size;
                self.entries.insert(Arc::clone(&entry.key), entry);
                true
            }
            Err(why) => {
                if self.refused.len() < MOST_KEYS {
                    self.refused.insert(entry.key, why.into());
                }
                false
            }
        }
    }

    /// Keeps an earlier value beside a refused one.
    fn put_kept(&mut self, entry: Entry) {
        let refused = self.refused.get(&entry.key).cloned();
        let key = Arc::clone(&entry.key);
        self.put(entry, |_, _| Ok(()));
        if let Some(why) = refused {
            self.refused.insert(key, why);
        }
    }
}

/// The part of a key below the fleet's prefix.
fn below(key: &str, prefix: &str) -> Option<Arc<str>> {
    key.strip_prefix(prefix).filter(|key| !key.is_empty()).map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "/maglev/edge/";

    fn entry(key: &str, value: &str, changed: i64) -> Entry {
        Entry { key: format!("{PREFIX}{key}").into(), value: value.as_bytes().into(), changed }
    }

    fn check(_: &str, value: &[u8]) -> Result<(), String> {
        if value.starts_with(b"bad") { Err("is bad".to_owned()) } else { Ok(()) }
    }

    fn view(entries: &[Entry]) -> View {
        let mut view = View::new([], 0);
        view.replace(Read { revision: 9, entries: entries.to_vec(), left_out: 0 }, PREFIX, &check);
        view
    }

    fn value<'v>(view: &'v View, key: &str) -> Option<&'v [u8]> {
        view.get(key).map(|entry| &*entry.value)
    }

    #[test]
    fn damaged_value_replaces_no_good_one_and_is_told_until_it_is_mended() {
        let mut view = view(&[entry("a", "one", 1), entry("b", "bad", 2)]);
        assert_eq!((value(&view, "a"), value(&view, "b")), (Some(&b"one"[..]), None));
        assert_eq!(view.refused.get("b").map(|why| &**why), Some("is bad"));
        let put = |view: &mut View, key: &str, value: &str, changed: i64| {
            let changes = vec![KeyChange::Put(entry(key, value, changed))];
            view.apply(Batch { revision: changed, changes }, PREFIX, &check);
        };
        put(&mut view, "a", "bad", 10);
        assert_eq!((value(&view, "a"), view.revision), (Some(&b"one"[..]), 10));
        assert!(view.refused.contains_key("a"));
        // The same after a further read.
        view.replace(
            Read { revision: 11, entries: vec![entry("a", "bad", 10)], left_out: 0 },
            PREFIX,
            &check,
        );
        assert_eq!((value(&view, "a"), view.refused.len()), (Some(&b"one"[..]), 1));
        put(&mut view, "a", "two", 12);
        assert_eq!((value(&view, "a"), view.refused.len()), (Some(&b"two"[..]), 0));
        let deleted = vec![KeyChange::Deleted(format!("{PREFIX}a").into())];
        view.apply(Batch { revision: 13, changes: deleted }, PREFIX, &check);
        assert_eq!((value(&view, "a"), view.entries.len(), view.size), (None, 0, 0));
    }

    #[test]
    fn too_large_values_and_other_keys_are_left_out() {
        let large = "x".repeat(LARGEST_VALUE + 1);
        let mut other = entry("c", "one", 3);
        other.key = "/maglev/edgy/c".into();
        let view = view(&[entry("a", &large, 1), entry("b/1", "one", 2), entry("b/2", "two", 2), other]);
        assert!(view.refused.get("a").is_some_and(|why| why.contains("1048577 bytes")));
        assert_eq!(view.below("b/").map(|(key, _)| key).collect::<Vec<_>>(), ["b/1", "b/2"]);
        assert_eq!(view.entries.len(), 2);
    }
}
