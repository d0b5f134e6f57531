//! The connection to etcd: one at a time, to the endpoints in turn.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use maglev_daemon::blocking::Blocking;
use maglev_probe::files;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::client::Client;
use super::{explained, innermost};
use crate::fleet::settings::EtcdSettings;
use crate::fleet::store::StoreError;

/// Maximum size of a certificate, key or password file.
const LARGEST_FILE: u64 = 1 << 20;
/// Time limit for reading them.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// Clones share the connection.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    settings: Arc<EtcdSettings>,
    current: Arc<Mutex<Option<Connected>>>,
    /// Number of the latest connection that failed.
    failed: Arc<AtomicU64>,
    reading: Blocking,
}

/// The endpoint of a connection.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// Counted over all connections.
    pub(super) number: u64,
    pub(super) address: String,
}

struct Connected {
    client: Client,
    endpoint: Endpoint,
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// The files that a connection needs.
#[derive(Default)]
struct Secrets {
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    password: Option<String>,
}

impl Connection {
    pub(super) fn new(settings: EtcdSettings) -> Self {
        let reading = Blocking::new("reading the certificates for etcd", 1, READ_WITHIN);
        Self { settings: Arc::new(settings), current: Arc::default(), failed: Arc::default(), reading }
    }

    /// The connection in use, or a new one to the next endpoint after one that failed.
    pub(super) async fn get(&self) -> Result<(Client, Endpoint), StoreError> {
        let limit = self.settings.timeout;
        let late = || StoreError::Away("etcd is still being connected to".to_owned());
        let mut current = timeout(limit, self.current.lock()).await.map_err(|_| late())?;
        let failed = self.failed.load(Ordering::Relaxed);
        if let Some(connected) = current.as_ref().filter(|connected| connected.endpoint.number > failed) {
            return Ok((connected.client.clone(), connected.endpoint.clone()));
        }
        *current = None;
        let number = failed + 1;
        // There is at least one endpoint.
        let index = usize::try_from(failed).unwrap_or_default().checked_rem(self.settings.endpoints.len());
        let address = self.settings.endpoints.get(index.unwrap_or_default()).cloned().unwrap_or_default();
        let endpoint = Endpoint { number, address };
        let connected = timeout(limit, self.connect(&endpoint.address)).await.unwrap_or_else(|_| {
            let limit = humantime::format_duration(limit);
            Err(StoreError::Away(format!("no answer from etcd at {} within {limit}", endpoint.address)))
        });
        match connected {
            Ok(client) => {
                *current = Some(Connected { client: client.clone(), endpoint: endpoint.clone() });
                Ok((client, endpoint))
            }
            Err(error) => {
                self.forget(number);
                Err(error)
            }
        }
    }

    /// Makes the next call connect to the next endpoint, unless that has happened already.
    pub(super) fn forget(&self, number: u64) {
        self.failed.fetch_max(number, Ordering::Relaxed);
    }

    async fn connect(&self, address: &str) -> Result<Client, StoreError> {
        let settings = Arc::clone(&self.settings);
        let read = self.reading.run(move || Secrets::read(&settings)).await;
        let secrets = read.map_err(|error| StoreError::Away(error.to_string()))?.map_err(StoreError::Away)?;
        let tls = secrets.ca.map(|ca| {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
            match secrets.identity {
                Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
                None => tls,
            }
        });
        let connected = Client::connect(address, tls, self.settings.timeout).await;
        let mut client = connected.map_err(|error| {
            let reason = innermost(&error).unwrap_or_else(|| error.to_string());
            StoreError::Away(format!("etcd at {address}: {reason} (connecting)"))
        })?;
        if let (Some((user, _)), Some(password)) = (&self.settings.user, secrets.password) {
            let logged_in = client.log_in(user.clone(), password).await;
            logged_in.map_err(|status| explained("connecting", address, &status))?;
        }
        Ok(client)
    }
}

impl Secrets {
    /// Read at each connection, so that renewed ones are used. Blocks.
    fn read(settings: &EtcdSettings) -> Result<Self, String> {
        let read = |path: &PathBuf| file(path);
        let identity = settings.identity.as_ref();
        let identity = identity.map(|(certificate, key)| Ok::<_, String>((file(certificate)?, file(key)?)));
        let password = settings.user.as_ref().map(|(_, path)| {
            let text =
                String::from_utf8(file(path)?).map_err(|_| format!("{} is not UTF-8", path.display()))?;
            Ok::<_, String>(text.trim_end_matches(['\r', '\n']).to_owned())
        });
        Ok(Self {
            ca: settings.ca_file.as_ref().map(read).transpose()?,
            identity: identity.transpose()?,
            password: password.transpose()?,
        })
    }
}

fn file(path: &Path) -> Result<Vec<u8>, String> {
    files::read_regular(path, LARGEST_FILE)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
}
