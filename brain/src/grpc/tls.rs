//! TLS of the operators' gRPC server: the brain's own certificate, and the authorities of its clients.
//!
//! TLS 1.2 and 1.3, always with a client certificate. Each handshake is a full one: a resumed session would
//! admit a client whose certificate has expired or whose authority was removed. Connections last for many
//! calls, so resuming would save little.
//!
//! Limits on an unidentified client, besides [the time](super::listen): rustls holds at most 64 KiB of an
//! incomplete handshake message (`MAX_HANDSHAKE_SIZE` in its `msgs/deframer`), and as much of a certificate
//! chain. Verification cannot be interrupted; [`clients`] bounds its work.

mod clients;
mod dates;
mod files;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use maglev_daemon::blocking::{Blocking, BlockingError};
use maglev_tls::provider;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use tokio::sync::OnceCell;
use tracing::{info, warn};

pub use files::TlsError;

use crate::reload::READ_WITHIN;

/// Maximum number of concurrent reads, including those blocked by a disk.
const MOST_READS: usize = 4;

/// The files, all in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The brain's certificate, followed by its intermediates.
    pub certificate: PathBuf,
    /// Private key of the certificate.
    pub key: PathBuf,
    /// Certificates of the clients' authorities.
    pub client_ca: PathBuf,
}

/// The TLS configuration as last read.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    config: Mutex<Arc<ServerConfig>>,
    reading: Blocking,
}

/// TLS files that may not exist yet. They are read when a listener first needs them, with retries.
#[derive(Debug)]
pub struct TlsSource {
    files: TlsFiles,
    read: OnceCell<Arc<Tls>>,
}

impl TlsSource {
    /// Does not read the files yet.
    pub fn new(files: TlsFiles) -> Self {
        Self { files, read: OnceCell::new() }
    }

    /// The files' contents. Reads them unless that has succeeded before.
    ///
    /// # Errors
    /// Like [`Tls::new`].
    pub async fn get(&self) -> Result<Arc<Tls>, ReadError> {
        let read = || async { Tls::new(self.files.clone()).await.map(Arc::new) };
        self.read.get_or_try_init(read).await.cloned()
    }

    /// Reads them again, like [`Tls::reload`]. Files that could not be read yet are retried anyway.
    pub async fn reload(&self) {
        if let Some(tls) = self.read.get() {
            tls.reload().await;
        }
    }
}

/// Why the files could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// They cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// They could not be read in time.
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

/// Result of reading the files.
struct Loaded {
    config: Arc<ServerConfig>,
    doubts: Vec<String>,
}

impl Tls {
    /// Reads the files. Logs warnings.
    ///
    /// # Errors
    /// If they are invalid, or cannot be read in time.
    pub async fn new(files: TlsFiles) -> Result<Self, ReadError> {
        let reading = Blocking::new("reading the gRPC certificates", MOST_READS, READ_WITHIN);
        let loaded = read(&reading, &files).await?;
        Ok(Self { files, config: Mutex::new(loaded), reading })
    }

    /// Reads the files again, for future connections only. If anything is wrong with them, the previous
    /// configuration stays in use. Logs the result.
    pub async fn reload(&self) {
        match read(&self.reading, &self.files).await {
            Ok(config) => {
                *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
                info!("gRPC certificates read");
            }
            Err(error) => warn!("gRPC certificates refused; the current ones stay in use: {error}"),
        }
    }

    /// For a connection accepted now.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads the files. Logs warnings.
async fn read(reading: &Blocking, files: &TlsFiles) -> Result<Arc<ServerConfig>, ReadError> {
    let files = files.clone();
    let loaded = reading.run(move || load(&files, SystemTime::now())).await??;
    for doubt in &loaded.doubts {
        warn!("{doubt}");
    }
    Ok(loaded.config)
}

fn load(files: &TlsFiles, now: SystemTime) -> Result<Loaded, TlsError> {
    let identity = files::identity(&files.certificate, &files.key, &provider())?;
    let authorities = files::authorities(&files.client_ca)?;
    let mut doubts = dates::doubts(files::CERTIFICATE, &files.certificate, &identity.cert, now);
    doubts.extend(authorities.doubt);
    doubts.extend(dates::doubts(files::CLIENT_CA, &files.client_ca, &authorities.certificates, now));
    let unusable = |why: String| TlsError::new(files::CLIENT_CA, &files.client_ca, why, files::AUTHORITIES);
    let clients = clients::signed_by(&authorities.certificates, provider()).map_err(unusable)?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(format!("TLS cannot be used: {error}")))?;
    let presented = Arc::new(rustls::sign::SingleCertAndKey::from(identity));
    let mut config = builder.with_client_cert_verifier(clients).with_cert_resolver(presented);
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Loaded { config: Arc::new(config), doubts })
}
