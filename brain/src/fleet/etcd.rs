//! The store in etcd: one connection to one of its endpoints, with a time limit for each call. After a failure, the next
//! call connects to the next endpoint. Callers wait between retries.

mod client;
mod connection;
mod watch;

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::clone_on_ref_ptr)]
mod messages {
    tonic::include_proto!("etcdserverpb");
}

use std::time::Duration;

use tokio::time::timeout;
use tonic::{Code, Status};

use super::settings::EtcdSettings;
use super::store::{
    Changes, Condition, Entry, LARGEST_READ, LONGEST_KEY, Lease, MOST_KEYS, Read, Store, StoreError,
    StoreRevision, Write,
};
use client::Client;
use connection::{Connection, Endpoint};
use messages::compare::{Target, TargetUnion};
use messages::request_op::Request;
use messages::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseKeepAliveRequest, PutRequest, RangeRequest,
    RangeResponse, RequestOp, ResponseHeader, TxnRequest,
};
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
    async fn call<T, F>(&self, what: &str, call: impl Fn(Client) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let (client, endpoint) = self.connection.get().await?;
        let answer = self.try_call(what, call(client), &endpoint).await;
        match answer {
            Err(Failed { renews_token: true, .. }) => {
                let (client, endpoint) = self.connection.get().await?;
                self.try_call(what, call(client), &endpoint).await
            }
            answer => answer,
        }
        .map_err(|failed| failed.error)
    }

    async fn try_call<T>(
        &self,
        what: &str,
        answer: impl Future<Output = Result<T, Status>>,
        endpoint: &Endpoint,
    ) -> Result<T, Failed> {
        let failed = match timeout(self.limit, answer).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(status)) => {
                let error = explained(what, &endpoint.address, &status);
                Failed { error, renews_token: is_of_an_old_token(&status) }
            }
            Err(_) => {
                let limit = humantime::format_duration(self.limit);
                let address = &endpoint.address;
                let reason = format!("no answer from etcd at {address} within {limit} ({what})");
                Failed { error: StoreError::Away(reason), renews_token: false }
            }
        };
        if failed.renews_token || matches!(failed.error, StoreError::Away(_)) {
            self.connection.forget(endpoint.number);
        }
        Err(failed)
    }

    /// A page of keys from this one on, at this revision, or at the newest one if it is 0.
    async fn page(
        &self,
        from: &[u8],
        end: &[u8],
        revision: StoreRevision,
        limit: i64,
    ) -> Result<RangeResponse, StoreError> {
        let request = RangeRequest { key: from.to_vec(), range_end: end.to_vec(), limit, revision };
        self.call("reading", |client| {
            let request = request.clone();
            async move { Ok(client.kv().range(request).await?.into_inner()) }
        })
        .await
    }
}

/// A call that failed.
struct Failed {
    error: StoreError,
    /// True if it may succeed over a new connection, with a new token of the user.
    renews_token: bool,
}

/// The user's token has expired, etcd was restarted, or its users were changed.
fn is_of_an_old_token(status: &Status) -> bool {
    ["invalid auth token", "revision of auth store is old"].iter().any(|old| status.message().contains(old))
}

/// The meaning of an error for a caller.
fn explained(what: &str, endpoint: &str, status: &Status) -> StoreError {
    let message = status.message();
    match status.code() {
        Code::OutOfRange if message.contains("compacted") => StoreError::Compacted,
        Code::NotFound if message.contains("lease") => StoreError::LeaseLost,
        Code::PermissionDenied | Code::InvalidArgument | Code::FailedPrecondition | Code::Unauthenticated => {
            StoreError::Refused(format!("{message} ({what})"))
        }
        _ => {
            let reason = innermost(status).unwrap_or_else(|| message.to_owned());
            StoreError::Away(format!("etcd at {endpoint}: {reason} ({what})"))
        }
    }
}

/// The innermost cause, such as "Connection refused"; the outer ones say only "transport error".
fn innermost(error: &dyn std::error::Error) -> Option<String> {
    let mut innermost = error.source()?;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    Some(innermost.to_string())
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
            let page = match self.page(&from, &end, read.revision, limit).await {
                // tonic refuses an answer beyond its limit on this side.
                Err(StoreError::Away(reason)) if reason.contains("too large") && limit > SMALLEST_PAGE => {
                    limit = (limit / 4).max(SMALLEST_PAGE);
                    continue;
                }
                page => page?,
            };
            if read.revision == 0 {
                read.revision = revision(page.header);
            }
            let Some(last) = page.kvs.last() else { return Ok(read) };
            from.clone_from(&last.key);
            from.push(0);
            for kv in page.kvs {
                let (key, value, changed) = (&*kv.key, &*kv.value, kv.mod_revision);
                let fits = read.entries.len() < MOST_KEYS && size.saturating_add(value.len()) <= LARGEST_READ;
                match std::str::from_utf8(key) {
                    Ok(key) if fits && key.len() <= LONGEST_KEY => {
                        size += value.len();
                        read.entries.push(Entry { key: key.into(), value: value.into(), changed });
                    }
                    _ => read.left_out += 1,
                }
            }
            if !page.more {
                return Ok(read);
            }
        }
    }

    async fn watch(&self, prefix: &str, from: StoreRevision) -> Result<Box<dyn Changes>, StoreError> {
        let create = || watch::create(prefix.as_bytes().to_vec(), end_of(prefix), from);
        let endpoint = self.connection.get().await?.1;
        let opened = self.call("watching", |client| watch::open(client, create()));
        Ok(Box::new(Watch::new(opened.await?, self.connection.clone(), endpoint)))
    }

    async fn transact(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> Result<Option<StoreRevision>, StoreError> {
        let request = TxnRequest {
            compare: conditions.into_iter().map(compare).collect(),
            success: writes.into_iter().map(operation).collect(),
        };
        let done = self.call("writing", |client| {
            let request = request.clone();
            async move { Ok(client.kv().txn(request).await?.into_inner()) }
        });
        let done = done.await?;
        Ok(done.succeeded.then_some(revision(done.header)))
    }

    async fn grant(&self, seconds: i64) -> Result<Lease, StoreError> {
        let granted = self.call("leasing", |client| async move {
            client.lease().lease_grant(LeaseGrantRequest { ttl: seconds }).await
        });
        Ok(granted.await?.into_inner().id)
    }

    async fn keep_alive(&self, lease: Lease) -> Result<(), StoreError> {
        let asked = self.call("keeping the lease", |client| async move {
            let request = tokio_stream::once(LeaseKeepAliveRequest { id: lease });
            let mut answers = client.lease().lease_keep_alive(request).await?.into_inner();
            answers.message().await
        });
        match asked.await? {
            Some(answer) if answer.ttl > 0 => Ok(()),
            _ => Err(StoreError::LeaseLost),
        }
    }
}

fn revision(header: Option<ResponseHeader>) -> StoreRevision {
    header.unwrap_or_default().revision
}

fn compare(condition: Condition) -> Compare {
    let (target, key, value) = match condition {
        Condition::Missing(key) => (Target::Create, key, TargetUnion::CreateRevision(0)),
        Condition::ChangedBy(key, revision) => (Target::Mod, key, TargetUnion::ModRevision(revision)),
    };
    Compare { target: target.into(), key: key.into_bytes(), target_union: Some(value) }
}

fn operation(write: Write) -> RequestOp {
    let request = match write {
        Write::Put(key, value, lease) => {
            let lease = lease.unwrap_or_default();
            Request::RequestPut(PutRequest { key: key.into_bytes(), value, lease })
        }
        Write::Delete(key) => Request::RequestDeleteRange(DeleteRangeRequest { key: key.into_bytes() }),
    };
    RequestOp { request: Some(request) }
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
