//! TLS, with files that are read again on demand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{flag} {}: {what}", path.display())]
    File { flag: &'static str, path: PathBuf, what: String },
    #[error("the files of --https-cert and --https-key cannot be used together: {0}")]
    Pair(rustls::Error),
}

/// The certificate, as of when its files were read last.
#[derive(Debug)]
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    pub(super) config: RustlsConfig,
}

impl Tls {
    pub(crate) fn new(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let config = RustlsConfig::from_config(Arc::new(read(&certificate, &key)?));
        Ok(Self { certificate, key, config })
    }

    /// Reads the files again, for connections from now on.
    /// On an error, those that were read before hold.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        self.config.reload_from_config(Arc::new(read(&self.certificate, &self.key)?));
        Ok(())
    }
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let wrong = |flag, path: &Path, what: String| TlsError::File { flag, path: path.to_owned(), what };
    let not_read = |error: rustls::pki_types::pem::Error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            "there is nothing of that kind in it, in PEM".to_owned()
        }
        rustls::pki_types::pem::Error::Io(error) => error.to_string(),
        other => format!("it is no PEM file: {other}"),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong("--https-cert", certificate, not_read(error)))?;
    if chain.is_empty() {
        return Err(wrong("--https-cert", certificate, "there is no certificate in it, in PEM".to_owned()));
    }
    let own =
        PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("--https-key", key, not_read(error)))?;
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, own).map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
