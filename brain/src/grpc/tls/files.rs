//! The PEM files (RFC 7468) and their errors.

use std::io;
use std::path::{Path, PathBuf};

use maglev_probe::files::read_regular;
use maglev_tls::pem::{Section, is_der, sections};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

pub(super) const CERTIFICATE: &str = "--grpc-cert";
const KEY: &str = "--grpc-key";
pub(super) const CLIENT_CA: &str = "--grpc-client-ca";

/// Maximum size of a file, in bytes: ten times Debian's bundle of all public authorities.
const LARGEST: u64 = 4 << 20;

/// An error in a file.
#[derive(Debug, thiserror::Error)]
#[error("{flag} {}: {what}; {right}", .path.display())]
pub struct TlsError {
    flag: &'static str,
    path: PathBuf,
    what: String,
    right: &'static str,
}

impl TlsError {
    pub(super) fn new(
        flag: &'static str,
        path: &Path,
        what: impl Into<String>,
        right: &'static str,
    ) -> TlsError {
        TlsError { flag, path: path.to_owned(), what: what.into(), right }
    }
}

const READABLE: &str =
    "it must be a PEM file that the brain's user may read, and be in the unit's root directory";
const CHAIN: &str = "it must have the brain's own certificate first, then its intermediates, in PEM";
const PEM: &str = "each section belongs between a line `-----BEGIN ...-----` and a line `-----END ...-----`";
const CONVERT: &str = "convert it with `openssl x509 -inform der -in FILE -out FILE.pem`";
const CONVERT_KEY: &str = "convert it with `openssl pkey -inform der -in FILE -out FILE.pem`";
const DECRYPT: &str =
    "the brain cannot ask for a passphrase: `openssl pkey -in FILE -out FILE.pem` removes it";
const PRIVATE_KEY: &str = "it must have the key of the certificate of --grpc-cert, in PEM";
const USABLE_KEY: &str = "it must be of RSA (2048 to 8192 bits), ECDSA (P-256 or P-384) or Ed25519";
pub(super) const AUTHORITIES: &str =
    "it must have, in PEM, the CA certificates (CA:TRUE) that issue the clients' certificates";

/// The authorities of a file, at least one.
pub(super) struct Authorities {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// Warning about ignored parts of the file.
    pub(super) doubt: Option<String>,
}

/// The brain's certificate with its intermediates, and its key.
pub(super) fn identity(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(CERTIFICATE, certificate, CHAIN)?;
    let signing = private_key(key)?;
    let signing = provider.key_provider.load_private_key(signing).map_err(|error| {
        TlsError::new(KEY, key, format!("its key cannot be used: {}", in_words(&error)), USABLE_KEY)
    })?;
    let identity = CertifiedKey::new(chain, signing);
    match identity.keys_match() {
        // Unknown if the key does not contain its public half; keys in files do.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(identity),
        Err(Error::InconsistentKeys(_)) => {
            let what = format!("it is not the key of the first certificate in {}", certificate.display());
            Err(TlsError::new(KEY, key, what, PRIVATE_KEY))
        }
        Err(error) => {
            let what = format!("its first certificate cannot be used: {}", in_words(&error));
            Err(TlsError::new(CERTIFICATE, certificate, what, CHAIN))
        }
    }
}

/// The authorities of clients.
pub(super) fn authorities(path: &Path) -> Result<Authorities, TlsError> {
    let all = certificates(CLIENT_CA, path, AUTHORITIES)?;
    let count = all.len();
    let certificates: Vec<_> = all.into_iter().filter(is_authority).collect();
    let unusable = count - certificates.len();
    if certificates.is_empty() {
        let what = match count {
            1 => "its certificate is not a CA certificate".to_owned(),
            _ => format!("none of its {count} certificates is a CA certificate"),
        };
        return Err(TlsError::new(CLIENT_CA, path, what, AUTHORITIES));
    }
    let doubt = (unusable > 0).then(|| {
        format!(
            "{CLIENT_CA} {}: {unusable} of its {count} certificates are not CA certificates and are ignored",
            path.display()
        )
    });
    Ok(Authorities { certificates, doubt })
}

/// Whether it is an authority's certificate. Checked here, since verification does not check trust anchors.
fn is_authority(certificate: &CertificateDer<'_>) -> bool {
    let constraints = |certificate: &X509Certificate<'_>| {
        certificate.basic_constraints().ok().flatten().map(|it| it.value.ca)
    };
    let says_so =
        X509Certificate::from_der(certificate).is_ok_and(|(_, read)| constraints(&read) == Some(true));
    says_so && RootCertStore::empty().add(certificate.clone().into_owned()).is_ok()
}

fn certificates(
    flag: &'static str,
    path: &Path,
    right: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(flag, path)?;
    let mut certificates = Vec::new();
    let mut other = None;
    for (line, section) in sections(&bytes) {
        match section {
            Section::Certificate(certificate) => certificates.push(certificate),
            Section::Other(what) => other = other.or(Some(format!("the section at line {line} {what}"))),
            Section::Broken(what) => {
                let what = format!("it is damaged: its section at line {line} {what}");
                return Err(TlsError::new(flag, path, what, PEM));
            }
        }
    }
    match (certificates.is_empty(), other) {
        (false, _) => Ok(certificates),
        (true, Some(other)) => {
            Err(TlsError::new(flag, path, format!("it has no certificate: {other}"), right))
        }
        (true, None) if is_der(&bytes) => {
            Err(TlsError::new(flag, path, "it is not PEM, but seems to be DER", CONVERT))
        }
        (true, None) => Err(TlsError::new(flag, path, nothing(&bytes), right)),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(KEY, path)?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => {
            let labels = labels(&bytes);
            Err(match labels.first() {
                _ if labels.iter().any(|label| label == "ENCRYPTED PRIVATE KEY") => {
                    TlsError::new(KEY, path, "its key is encrypted", DECRYPT)
                }
                Some(label) => TlsError::new(KEY, path, format!("it has no key, but a {label}"), PRIVATE_KEY),
                None if is_der(&bytes) => {
                    TlsError::new(KEY, path, "it is not PEM, but seems to be DER", CONVERT_KEY)
                }
                None => TlsError::new(KEY, path, nothing(&bytes), PRIVATE_KEY),
            })
        }
        Err(error) => Err(TlsError::new(KEY, path, not_whole(&error), PEM)),
    }
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    read_regular(path, LARGEST).map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge => error.to_string(),
            _ => format!("it cannot be read: {error}"),
        };
        TlsError::new(flag, path, what, READABLE)
    })
}

/// Labels of a file's sections.
fn labels(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let label = |line: &str| {
        let label = line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
        Some(label.chars().take(40).flat_map(char::escape_debug).collect())
    };
    text.lines().filter_map(label).collect()
}

fn nothing(bytes: &[u8]) -> &'static str {
    if bytes.trim_ascii().is_empty() { "it is empty" } else { "it is not PEM" }
}

/// The library's own messages quote lines of the file, which may be a key.
fn not_whole(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it is damaged: a section has no `-----END` line",
        pem::Error::IllegalSectionStart { .. } => "it is damaged: a `-----BEGIN` line is malformed",
        pem::Error::Base64Decode(_) => "it is damaged: a section is not base64",
        _ => "it is damaged: a section cannot be read",
    }
}

fn in_words(error: &Error) -> String {
    match error {
        Error::General(reason) => reason.clone(),
        Error::InvalidCertificate(reason) => reason.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
