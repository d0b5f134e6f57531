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

use maglev_tls::provider;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

pub use files::TlsError;

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
}

/// What a set of files gives.
struct Loaded {
    config: Arc<ServerConfig>,
    doubts: Vec<String>,
}

impl Tls {
    /// Reads the files. Blocks for as long as their disk does. What is doubtful is logged.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let loaded = load(&files, SystemTime::now())?;
        loaded.warn();
        Ok(Self { files, config: Mutex::new(loaded.config) })
    }

    /// Reads the files anew, for connections to come; those that stand are not touched. If anything is wrong with
    /// them, what was read before stays in force. The log says which.
    pub async fn reload(&self) {
        let files = self.files.clone();
        let loaded = spawn_blocking(move || load(&files, SystemTime::now()));
        match loaded.await {
            Ok(Ok(loaded)) => {
                loaded.warn();
                *self.config.lock().unwrap_or_else(PoisonError::into_inner) = loaded.config;
                info!("certificates of gRPC read");
            }
            Ok(Err(error)) => warn!("certificates of gRPC refused; those in force stay: {error}"),
            // A mistake in this program.
            Err(error) => warn!("reading the certificates of gRPC failed; those in force stay: {error}"),
        }
    }

    /// For a connection that comes now.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Loaded {
    fn warn(&self) {
        for doubt in &self.doubts {
            warn!("{doubt}");
        }
    }
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
