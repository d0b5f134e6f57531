//! A watch of etcd, with signs of life.

use std::time::Duration;

use etcd_client::{WatchResponse, WatchStream};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{Connection, Endpoint};
use super::explained;
use crate::fleet::store::{Batch, Changes, Entry, KeyChange, LONGEST_KEY, StoreError};

/// After this much silence, etcd is asked how far it is.
const ASK: Duration = Duration::from_secs(10);
/// After this much silence, the watch counts as lost.
const SILENCE: Duration = Duration::from_secs(30);

pub(super) struct Watch {
    stream: WatchStream,
    connection: Connection,
    endpoint: Endpoint,
    /// When the last message came.
    heard: Instant,
}

impl Watch {
    pub(super) fn new(stream: WatchStream, connection: Connection, endpoint: Endpoint) -> Self {
        Self { stream, connection, endpoint, heard: Instant::now() }
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
            match timeout_at(ask_at, self.stream.message()).await {
                Ok(Ok(Some(response))) => {
                    self.heard = Instant::now();
                    return batch(&response);
                }
                Ok(Ok(None)) => return Err(self.lost("has ended")),
                Ok(Err(error)) => {
                    self.connection.forget(self.endpoint.number);
                    return Err(explained("watching", &self.endpoint.address, &error));
                }
                Err(_) if Instant::now() >= lost_at => return Err(self.lost("is silent")),
                Err(_) => match timeout(ASK, self.stream.request_progress()).await {
                    Ok(Ok(())) => {}
                    _ => return Err(self.lost("cannot be asked for a sign of life")),
                },
            }
        }
    }
}

fn batch(response: &WatchResponse) -> Result<Batch, StoreError> {
    if response.compact_revision() > 0 {
        return Err(StoreError::Compacted);
    }
    if response.canceled() {
        return Err(StoreError::Refused(format!("the watch was cancelled: {}", response.cancel_reason())));
    }
    // The revision of the header may be ahead of the events.
    let revision = response.events().iter().filter_map(|event| Some(event.kv()?.mod_revision())).max();
    let changes = response.events().iter().filter_map(|event| {
        let kv = event.kv()?;
        let key = std::str::from_utf8(kv.key()).ok().filter(|key| key.len() <= LONGEST_KEY)?;
        // The library's type of an event panics for an unknown one. A key that is gone has version 0.
        Some(if kv.version() > 0 {
            KeyChange::Put(Entry { key: key.into(), value: kv.value().into(), changed: kv.mod_revision() })
        } else {
            KeyChange::Deleted(key.into())
        })
    });
    Ok(Batch { revision: revision.unwrap_or_default(), changes: changes.collect() })
}
