//! The connection to one brain: everything once, then every change, and all of it again from time to time.
//!
//! One task for each brain, for as long as the process lives. It ends with the process and may be aborted at any point:
//! it changes nothing.

mod session;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use maglev_daemon::retry::backoff;
use maglev_proto::client::{ServerAddress, TlsFiles, connect, endpoint, innermost};
use maglev_proto::maglev_client::MaglevClient;
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tracing::{info, warn};

use crate::documents::{Document, Table};
use crate::live::{Live, unix_ms};

/// Largest answer taken.
const MAX_ANSWER: usize = 256 << 20;
/// For a connection, and for each answer.
const PATIENCE: Duration = Duration::from_secs(5);

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
        self.show(live, [("connected", false.into()), ("error", "connecting".into())]);
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
        live.change(|state| state.happened(self.entry(now, "connected", "")));
        self.show(
            live,
            [
                ("connected", true.into()),
                ("since", now.into()),
                ("error", Value::Null),
                ("last", Value::Null),
            ],
        );
    }

    fn away(&self, live: &Live, reason: &str, was_there: bool) {
        let now = unix_ms(SystemTime::now());
        if was_there {
            live.change(|state| state.happened(self.entry(now, "disconnected", reason)));
            self.show(live, [("since", now.into()), ("last", now.into())]);
        }
        self.show(
            live,
            [("connected", false.into()), ("error", reason.into()), ("may_change", false.into())],
        );
    }

    fn entry(&self, at: u64, to: &str, reason: &str) -> Document {
        let text = if reason.is_empty() { Value::Null } else { reason.into() };
        Document::from([
            ("kind", "brain".into()),
            ("server", (*self.name).into()),
            ("at", at.into()),
            ("to", to.into()),
            ("text", text),
        ])
    }

    fn show(&self, live: &Live, fields: impl IntoIterator<Item = (&'static str, Value)>) {
        live.change(|state| {
            let mut row = state.documents.get(Table::Brains, &self.name).map(|row| Document::clone(row));
            let row = row.get_or_insert_with(|| {
                Document::from([("name", (*self.name).into()), ("address", self.address.to_string().into())])
            });
            row.extend(fields);
            state.set_brain(&self.name, std::mem::take(row));
        });
    }
}
