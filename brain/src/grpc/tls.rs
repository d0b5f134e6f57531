//! The TLS side of operators' gRPC: the brain's own certificate, and the authorities whose clients are let in.
//!
//! TLS 1.2 and 1.3, with a certificate of the client's always. Each handshake is a full one: a resumed session would let
//! somebody in by a certificate that is not valid any more, or by an authority that was taken back. A connection lasts for
//! many calls, so that little is saved by resuming.
//!
//! What a client can take before it is known, besides [the time](super::listen): rustls holds at most 64 KiB of a
//! handshake message that is not complete (`MAX_HANDSHAKE_SIZE` in its `msgs/deframer`), and as much of a chain of
//! certificates. Verification cannot be interrupted; [`clients`] bounds its work.

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

/// Reads that are under way at once, those included whose disk does not answer.
const MOST_READS: usize = 4;

/// The files, all in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The brain's certificate, followed by those between it and its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Certificates of the authorities whose clients are let in.
    pub client_ca: PathBuf,
}

/// What TLS needs, as of when the files were read last.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    config: Mutex<Arc<ServerConfig>>,
    reading: Blocking,
}

/// Files that may not be there yet. They are read when a listener first needs them, and however often that must be tried.
#[derive(Debug)]
pub struct TlsSource {
    files: TlsFiles,
    read: OnceCell<Arc<Tls>>,
}

impl TlsSource {
    /// Reads nothing.
    pub fn new(files: TlsFiles) -> Self {
        Self { files, read: OnceCell::new() }
    }

    /// What the files give; they are read if that has not succeeded yet.
    ///
    /// # Errors
    /// As [`Tls::new`].
    pub async fn get(&self) -> Result<Arc<Tls>, ReadError> {
        let read = || async { Tls::new(self.files.clone()).await.map(Arc::new) };
        self.read.get_or_try_init(read).await.cloned()
    }

    /// Reads them again, as [`Tls::reload`]. What could not be read yet is tried again anyway.
    pub async fn reload(&self) {
        if let Some(tls) = self.read.get() {
            tls.reload().await;
        }
    }
}

/// Why the files give nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// They cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// They could not be read in time.
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

/// What a set of files gives.
struct Loaded {
    config: Arc<ServerConfig>,
    doubts: Vec<String>,
}

impl Tls {
    /// Reads the files. What is doubtful is logged.
    ///
    /// # Errors
    /// If they cannot be used, or read in time.
    pub async fn new(files: TlsFiles) -> Result<Self, ReadError> {
        let reading = Blocking::new("reading the certificates of gRPC", MOST_READS, READ_WITHIN);
        let loaded = read(&reading, &files).await?;
        Ok(Self { files, config: Mutex::new(loaded), reading })
    }

    /// Reads the files anew, for connections to come; those that stand are not touched. If anything is wrong with
    /// them, what was read before stays in force. The log says which.
    pub async fn reload(&self) {
        match read(&self.reading, &self.files).await {
            Ok(config) => {
                *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
                info!("certificates of gRPC read");
            }
            Err(error) => warn!("certificates of gRPC refused; those in force stay: {error}"),
        }
    }

    /// For a connection that comes now.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the files give now. What is doubtful is logged.
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
