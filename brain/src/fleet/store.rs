//! The fleet's mailbox, as far as a member uses it: keys with values, read at one revision and watched from the next.
//!
//! A store may be away, slow, or answer after its caller has given up. Every call ends within the store's own time
//! limit, except for the end of a watch.

use std::fmt::Debug;
use std::sync::Arc;

/// Maximum length of a key, in bytes.
pub const LONGEST_KEY: usize = 1024;
/// Maximum size of a value that is taken, in bytes.
pub const LARGEST_VALUE: usize = 1 << 20;
/// Maximum number of keys that are read; further ones are left out.
pub const MOST_KEYS: usize = 50_000;
/// Maximum size of all values that are read, in bytes; further ones are left out.
pub const LARGEST_READ: usize = 256 << 20;

/// Revision of the store, or of one of its keys.
pub type StoreRevision = i64;
/// Number of a lease.
pub type Lease = i64;

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// The value.
    pub value: Arc<[u8]>,
    /// The revision that last changed it.
    pub changed: StoreRevision,
}

/// All keys with a prefix, at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// The revision.
    pub revision: StoreRevision,
    /// The entries, in the order of their keys.
    pub entries: Vec<Entry>,
    /// Number of keys left out: not UTF-8, too long, or beyond a limit.
    pub left_out: usize,
}

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyChange {
    /// It has this value now.
    Put(Entry),
    /// It is gone.
    Deleted(Arc<str>),
}

/// Changes up to a revision. Without changes, a sign of life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The newest revision that it includes.
    pub revision: StoreRevision,
    /// The changes, in their order.
    pub changes: Vec<KeyChange>,
}

/// A condition of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// There is no such key.
    Missing(String),
    /// The key was last changed by this revision.
    ChangedBy(String, StoreRevision),
}

/// A write of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Create or replace a key; with a lease, it is deleted when the lease ends.
    Put(String, Vec<u8>, Option<Lease>),
    /// Delete a key, if it is there.
    Delete(String),
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no answer; whether a write was made is not known.
    #[error("{0}")]
    Away(String),
    /// The store refuses, such as for a missing right.
    #[error("etcd refuses: {0}")]
    Refused(String),
    /// The revision to watch from is not kept any more.
    #[error("etcd has compacted the revision to go on from")]
    Compacted,
    /// The lease has ended.
    #[error("the lease has ended")]
    LeaseLost,
}

/// A store.
#[tonic::async_trait]
pub trait Store: Debug + Send + Sync {
    /// All keys with this prefix, at one revision.
    async fn read(&self, prefix: &str) -> Result<Read, StoreError>;

    /// Changes of keys with this prefix, from this revision on.
    async fn watch(&self, prefix: &str, from: StoreRevision) -> Result<Box<dyn Changes>, StoreError>;

    /// Makes all writes if all conditions hold, and returns the revision; `None` if one does not hold.
    async fn transact(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> Result<Option<StoreRevision>, StoreError>;

    /// A new lease of at least this many seconds.
    async fn grant(&self, seconds: i64) -> Result<Lease, StoreError>;

    /// Extends a lease to its full time.
    async fn keep_alive(&self, lease: Lease) -> Result<(), StoreError>;
}

/// A stream of changes.
#[tonic::async_trait]
pub trait Changes: Send {
    /// The next batch, or a sign of life. Fails when the stream ends, or has been silent for too long. May be dropped while
    /// it waits; nothing is lost then.
    async fn next(&mut self) -> Result<Batch, StoreError>;
}
