//! The connection to one brain: everything once, then every change, and all of it again from time to time.
//!
//! One task for each brain, for as long as the process lives. It ends with the process and may be aborted at any point:
//! it changes nothing.

mod session;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use maglev_daemon::retry::backoff;
use maglev_proto::client::{ServerAddress, TlsFiles, connect, endpoint, innermost};
use maglev_proto::maglev_client::MaglevClient;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Response, Status};
use tracing::{info, warn};

use crate::documents::{Document, Table};
use crate::live::{Live, unix_ms};
use crate::rows::object;
use crate::state::connection;

/// Largest answer taken.
const MAX_ANSWER: usize = 256 << 20;
/// For a connection, and for each answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) type Client = MaglevClient<Channel>;

/// A load balancer by its name, and the way to its brain.
#[derive(Debug)]
pub(crate) struct Brain {
    /// As browsers show it.
    pub(crate) name: Arc<str>,
    pub(crate) address: ServerAddress,
    tls: TlsFiles,
    client: Mutex<Option<(Client, bool)>>,
}

impl Brain {
    pub(crate) fn new(name: &str, address: ServerAddress, tls: TlsFiles) -> Self {
        Self { name: name.into(), address, tls, client: Mutex::default() }
    }

    /// A client to ask, while it is connected, and whether it may change anything.
    pub(crate) fn client(&self) -> Option<(Client, bool)> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_client(&self, client: Option<(Client, bool)>) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    /// Stays connected for ever, and has browsers told what the brain says.
    pub(crate) async fn follow(&self, live: &Live) {
        self.show(live, json!({ "connected": false, "error": "connecting" }));
        let mut failures = 0;
        loop {
            let reason = match self.connect().await {
                Ok(client) => {
                    let mut told = false;
                    let reason = session::run(self, client, live, &mut told).await;
                    if told {
                        failures = 0;
                        live.metrics.brains.dec();
                    }
                    self.set_client(None);
                    self.away(live, &reason, told);
                    reason
                }
                Err(reason) => {
                    self.away(live, &reason, false);
                    reason
                }
            };
            if failures == 0 {
                warn!(brain = %self.name, address = %self.address, %reason, "brain disconnected");
            }
            failures += 1;
            sleep(backoff(failures)).await;
        }
    }

    async fn connect(&self) -> Result<Client, String> {
        let endpoint = endpoint(&self.address, &self.tls, PATIENCE).map_err(|error| innermost(&error))?;
        match timeout(PATIENCE, connect(endpoint, &self.address)).await {
            Ok(Ok(channel)) => Ok(MaglevClient::new(channel).max_decoding_message_size(MAX_ANSWER)),
            Ok(Err(error)) => Err(format!("cannot connect: {}", innermost(&error))),
            Err(_) => Err(format!("no connection within {} s", PATIENCE.as_secs())),
        }
    }

    fn came(&self, live: &Live) {
        info!(brain = %self.name, address = %self.address, "brain connected");
        live.metrics.brains.inc();
        let now = unix_ms(SystemTime::now());
        live.change(|state| state.happened(connection(&self.name, "brain", now, "connected", "")));
        self.show(live, json!({ "connected": true, "since": now, "error": null, "last": null }));
    }

    fn away(&self, live: &Live, reason: &str, was_there: bool) {
        let now = unix_ms(SystemTime::now());
        if was_there {
            live.change(|state| state.happened(connection(&self.name, "brain", now, "disconnected", reason)));
            self.show(live, json!({ "since": now, "last": now }));
        }
        self.show(live, json!({ "connected": false, "error": reason, "may_change": false }));
    }

    /// Changes some fields of its row.
    fn show(&self, live: &Live, fields: Value) {
        live.change(|state| {
            let row = state.documents.get(Table::Brains, &self.name).map(|row| Document::clone(row));
            let mut row = row.unwrap_or_default();
            row.extend(object(json!({ "name": &*self.name, "address": self.address.to_string() })));
            row.extend(object(fields));
            state.set_brain(&self.name, row);
        });
    }
}

/// The answer to a call, if it comes within this time.
pub(crate) async fn answer<T>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    match timeout(limit, call).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} s", limit.as_secs()))),
    }
}

/// The brain's words, or what became of the connection.
pub(crate) fn in_words(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(cause) => innermost(cause),
        None if status.message().is_empty() => status.code().description().to_owned(),
        None => status.message().to_owned(),
    }
}
