//! The store in etcd: one connection to one of its endpoints, with a time limit for each call. After a failure, the next
//! call connects to the next endpoint. Callers wait between retries.

mod connection;
mod watch;

use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, Error, GetOptions, PutOptions, Txn, TxnOp, WatchOptions};
use tokio::time::timeout;
use tonic::Code;

use super::settings::EtcdSettings;
use super::store::{
    Changes, Condition, Entry, LARGEST_READ, LONGEST_KEY, Lease, MOST_KEYS, Read, Store, StoreError,
    StoreRevision, Write,
};
use connection::Connection;
use watch::Watch;

/// Maximum size of an answer, in bytes.
const LARGEST_ANSWER: usize = 32 << 20;
/// Keys asked for at once: fewer if an answer would be too large.
const PAGE: i64 = 1024;
/// Of this many, even the largest values that etcd takes fit into an answer.
const SMALLEST_PAGE: i64 = 16;

/// The store of one fleet.
#[derive(Debug)]
pub(super) struct Etcd {
    connection: Connection,
    limit: Duration,
}

impl Etcd {
    /// Connects when it is first used.
    pub(super) fn new(settings: EtcdSettings) -> Self {
        let limit = settings.timeout;
        Self { connection: Connection::new(settings), limit }
    }

    /// Makes one call with a connection. A failure that may be the connection's makes the next call use another one.
    async fn call<T, F>(&self, what: &str, call: impl FnOnce(Client) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let (client, endpoint) = self.connection.get().await?;
        let number = endpoint.number;
        match timeout(self.limit, call(client)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let error = explained(what, &endpoint.address, &error);
                if matches!(error, StoreError::Away(_)) {
                    self.connection.forget(number);
                }
                Err(error)
            }
            Err(_) => {
                self.connection.forget(number);
                let limit = humantime::format_duration(self.limit);
                Err(StoreError::Away(format!(
                    "no answer from etcd at {} within {limit} ({what})",
                    endpoint.address
                )))
            }
        }
    }

    /// A page of keys from this one on, at this revision, or at the newest one if it is 0.
    async fn page(
        &self,
        from: &[u8],
        end: &[u8],
        revision: StoreRevision,
        limit: i64,
    ) -> Result<etcd_client::GetResponse, StoreError> {
        let options = GetOptions::new().with_range(end).with_limit(limit).with_revision(revision);
        self.call("reading", |client| async move {
            let mut kv = client.kv_client().max_decoding_message_size(LARGEST_ANSWER);
            kv.get(from, Some(options)).await
        })
        .await
    }
}

/// What an error of the library means for a caller.
fn explained(what: &str, endpoint: &str, error: &Error) -> StoreError {
    let away =
        |reason: &dyn std::fmt::Display| StoreError::Away(format!("etcd at {endpoint}: {reason} ({what})"));
    let Error::GRpcStatus(status) = error else { return away(error) };
    let message = status.message();
    match status.code() {
        Code::OutOfRange if message.contains("compacted") => StoreError::Compacted,
        Code::NotFound if message.contains("lease") => StoreError::LeaseLost,
        Code::PermissionDenied | Code::InvalidArgument | Code::FailedPrecondition | Code::Unauthenticated => {
            StoreError::Refused(format!("{message} ({what})"))
        }
        _ => away(&innermost(status)),
    }
}

/// The innermost cause, such as "Connection refused"; the outer ones say only "transport error".
fn innermost(status: &tonic::Status) -> String {
    let mut error: &dyn std::error::Error = status;
    while let Some(source) = error.source() {
        error = source;
    }
    if std::ptr::addr_eq(error, status) { status.message().to_owned() } else { error.to_string() }
}

/// The end of the range of all keys with this prefix.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

#[tonic::async_trait]
impl Store for Etcd {
    async fn read(&self, prefix: &str) -> Result<Read, StoreError> {
        let (end, mut from, mut limit) = (end_of(prefix), prefix.as_bytes().to_vec(), PAGE);
        let (mut read, mut size) = (Read::default(), 0_usize);
        loop {
            let mut page = match self.page(&from, &end, read.revision, limit).await {
                // The library refuses an answer beyond its limit on this side.
                Err(StoreError::Away(reason)) if reason.contains("too large") && limit > SMALLEST_PAGE => {
                    limit = (limit / 4).max(SMALLEST_PAGE);
                    continue;
                }
                page => page?,
            };
            if read.revision == 0 {
                read.revision = page.header().map_or(0, etcd_client::ResponseHeader::revision);
            }
            let kvs = page.take_kvs();
            let Some(last) = kvs.last() else { return Ok(read) };
            from = last.key().to_vec();
            from.push(0);
            for kv in kvs {
                let (key, value, changed) = (kv.key(), kv.value(), kv.mod_revision());
                let fits = read.entries.len() < MOST_KEYS && size.saturating_add(value.len()) <= LARGEST_READ;
                match std::str::from_utf8(key) {
                    Ok(key) if fits && key.len() <= LONGEST_KEY => {
                        size += value.len();
                        read.entries.push(Entry { key: key.into(), value: value.into(), changed });
                    }
                    _ => read.left_out += 1,
                }
            }
            if !page.more() {
                return Ok(read);
            }
        }
    }

    async fn watch(&self, prefix: &str, from: StoreRevision) -> Result<Box<dyn Changes>, StoreError> {
        let options =
            WatchOptions::new().with_range(end_of(prefix)).with_start_revision(from).with_progress_notify();
        let endpoint = self.connection.get().await?.1;
        let stream = self.call("watching", |client| async move {
            let mut watch = client.watch_client().max_decoding_message_size(LARGEST_ANSWER);
            watch.watch(prefix, Some(options)).await
        });
        Ok(Box::new(Watch::new(stream.await?, self.connection.clone(), endpoint)))
    }

    async fn transact(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> Result<Option<StoreRevision>, StoreError> {
        let conditions: Vec<_> = conditions
            .into_iter()
            .map(|condition| match condition {
                Condition::Missing(key) => Compare::create_revision(key, CompareOp::Equal, 0),
                Condition::ChangedBy(key, revision) => Compare::mod_revision(key, CompareOp::Equal, revision),
            })
            .collect();
        let writes: Vec<_> = writes
            .into_iter()
            .map(|write| match write {
                Write::Put(key, value, lease) => {
                    let options = lease.map(|lease| PutOptions::new().with_lease(lease));
                    TxnOp::put(key, value, options)
                }
                Write::Delete(key) => TxnOp::delete(key, None),
            })
            .collect();
        let transaction = Txn::new().when(conditions).and_then(writes);
        let done = self.call("writing", |mut client| async move { client.txn(transaction).await }).await?;
        let revision = done.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok(done.succeeded().then_some(revision))
    }

    async fn grant(&self, seconds: i64) -> Result<Lease, StoreError> {
        let granted =
            self.call("leasing", |mut client| async move { client.lease_grant(seconds, None).await });
        granted.await.map(|granted| granted.id())
    }

    async fn keep_alive(&self, lease: Lease) -> Result<(), StoreError> {
        // The library asks once and waits for the answer; the stream ends when it is dropped.
        let asked = self.call("keeping the lease", |mut client| async move {
            match client.lease_keep_alive(lease).await {
                Ok(_) => Ok(true),
                // The server answers with no time left.
                Err(Error::LeaseKeepAliveError(_)) => Ok(false),
                Err(error) => Err(error),
            }
        });
        if asked.await? { Ok(()) } else { Err(StoreError::LeaseLost) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_of_a_prefix_ends_before_the_next_one() {
        assert_eq!(end_of("/maglev/edge/"), b"/maglev/edge0");
        assert_eq!(end_of(""), [0]);
    }
}
