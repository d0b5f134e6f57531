//! A watch of etcd, with signs of life.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::client::Client;
use super::connection::{Connection, Endpoint};
use super::explained;
use super::messages::watch_request::RequestUnion;
use super::messages::{WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse};
use crate::fleet::store::{Batch, Changes, Entry, KeyChange, LONGEST_KEY, StoreError, StoreRevision};

/// After this much silence, etcd is asked how far it is.
const ASK: Duration = Duration::from_secs(10);
/// After this much silence, the watch counts as lost.
const SILENCE: Duration = Duration::from_secs(30);

/// Requests that wait to be sent: there is one at a time.
const REQUESTS: usize = 4;

/// Both directions of a watch.
pub(super) struct Opened {
    requests: mpsc::Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

/// The first request of a watch of a range of keys, from this revision on.
pub(super) fn create(key: Vec<u8>, range_end: Vec<u8>, from: StoreRevision) -> WatchRequest {
    let create = WatchCreateRequest { key, range_end, start_revision: from, progress_notify: true };
    WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
}

/// Begins a watch with this request.
pub(super) async fn open(client: Client, create: WatchRequest) -> Result<Opened, Status> {
    let (requests, sent) = mpsc::channel(REQUESTS);
    requests.send(create).await.map_err(|_| Status::internal("the watch has ended"))?;
    let responses = client.watch().watch(ReceiverStream::new(sent)).await?.into_inner();
    Ok(Opened { requests, responses })
}

pub(super) struct Watch {
    opened: Opened,
    connection: Connection,
    endpoint: Endpoint,
    /// When the last message came.
    heard: Instant,
}

impl Watch {
    pub(super) fn new(opened: Opened, connection: Connection, endpoint: Endpoint) -> Self {
        Self { opened, connection, endpoint, heard: Instant::now() }
    }

    /// The end of this watch, after which the next call reconnects.
    fn lost(&self, reason: &str) -> StoreError {
        self.connection.forget(self.endpoint.number);
        StoreError::Away(format!("the watch of etcd at {} {reason}", self.endpoint.address))
    }
}

#[tonic::async_trait]
impl Changes for Watch {
    async fn next(&mut self) -> Result<Batch, StoreError> {
        let lost_at = self.heard + SILENCE;
        loop {
            let ask_at = (Instant::now() + ASK).min(lost_at);
            match timeout_at(ask_at, self.opened.responses.message()).await {
                Ok(Ok(Some(response))) => {
                    self.heard = Instant::now();
                    return batch(response);
                }
                Ok(Ok(None)) => return Err(self.lost("has ended")),
                Ok(Err(error)) => {
                    self.connection.forget(self.endpoint.number);
                    return Err(explained("watching", &self.endpoint.address, &error));
                }
                Err(_) if Instant::now() >= lost_at => return Err(self.lost("is silent")),
                Err(_) => {
                    let progress = RequestUnion::ProgressRequest(WatchProgressRequest {});
                    let ask = self.opened.requests.send(WatchRequest { request_union: Some(progress) });
                    if !matches!(timeout(ASK, ask).await, Ok(Ok(()))) {
                        return Err(self.lost("cannot be asked for a sign of life"));
                    }
                }
            }
        }
    }
}

fn batch(response: WatchResponse) -> Result<Batch, StoreError> {
    let WatchResponse { canceled, compact_revision, cancel_reason, events } = response;
    if compact_revision > 0 {
        return Err(StoreError::Compacted);
    }
    if canceled {
        return Err(StoreError::Refused(format!("the watch was cancelled: {cancel_reason}")));
    }
    let changed = || events.iter().filter_map(|event| event.kv.as_ref());
    // The revision of the header may be ahead of the events.
    let revision = changed().map(|kv| kv.mod_revision).max().unwrap_or_default();
    let changes = changed().filter_map(|kv| {
        let key = std::str::from_utf8(&kv.key).ok().filter(|key| key.len() <= LONGEST_KEY)?;
        Some(match kv.version {
            0 => KeyChange::Deleted(key.into()),
            _ => KeyChange::Put(Entry {
                key: key.into(),
                value: kv.value.as_slice().into(),
                changed: kv.mod_revision,
            }),
        })
    });
    Ok(Batch { revision, changes: changes.collect() })
}
