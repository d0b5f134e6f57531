//! The files of certificate authorities that health checks name.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use super::model::CaFile;
use super::report::Complaint;
use super::show;

/// The largest file of authorities that is read, in bytes: ten times Debian's bundle of all public ones.
pub(super) const LARGEST_CA_FILE: u64 = 4 << 20;

/// What a file gave.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) file: CaFile,
    /// What of it is left aside, as the rest of a sentence that begins with the key.
    pub(super) doubt: Option<String>,
}

/// The files read so far. One that many checks name is read once, and its contents are kept once.
pub(super) struct CaFiles<'r> {
    read_file: &'r dyn Fn(&Path) -> io::Result<Vec<u8>>,
    known: BTreeMap<String, Result<Found, Complaint>>,
}

impl<'r> CaFiles<'r> {
    pub(super) fn new(read_file: &'r dyn Fn(&Path) -> io::Result<Vec<u8>>) -> CaFiles<'r> {
        CaFiles { read_file, known: BTreeMap::new() }
    }

    /// The authorities of a file.
    pub(super) fn read(&mut self, path: &str) -> Result<Found, Complaint> {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let found = (self.read_file)(Path::new(path))
            .map_err(|error| Problem::new(format!("which cannot be read: {error}"), READABLE))
            .and_then(|bytes| parse(path, &bytes))
            .map_err(|Problem { what, help }| Complaint::invalid(format!("is {}, {what}", show(path)), help));
        self.known.insert(path.to_owned(), found.clone());
        found
    }
}

struct Problem {
    what: String,
    help: &'static str,
}

impl Problem {
    fn new(what: impl Into<String>, help: &'static str) -> Problem {
        Problem { what: what.into(), help }
    }
}

const READABLE: &str = "write the path of a PEM file that this process may read";
const PEM: &str =
    "each certificate stands between `-----BEGIN CERTIFICATE-----` and `-----END CERTIFICATE-----`";

/// Takes all certificates that can be an authority (RFC 7468, 5.1). Text around them is allowed.
fn parse(path: &str, bytes: &[u8]) -> Result<Found, Problem> {
    if bytes.trim_ascii().is_empty() {
        return Err(Problem::new("which is empty", PEM));
    }
    let mut usable = Vec::new();
    let mut unusable = None;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(bytes) {
        let certificate = certificate
            .map_err(|error| Problem::new(format!("which is not whole: {}", in_words(&error)), PEM))?;
        count += 1;
        match RootCertStore::empty().add(certificate.clone()) {
            Ok(()) => usable.push(certificate),
            Err(_) => unusable = unusable.or(Some(count)),
        }
    }
    match (usable.is_empty(), unusable) {
        (true, None) => Err(without_certificate(bytes)),
        (true, Some(_)) if count == 1 => Err(Problem::new("whose only certificate is damaged", PEM)),
        (true, Some(_)) => Err(Problem::new(format!("whose {count} certificates are all damaged"), PEM)),
        (false, unusable) => Ok(Found {
            doubt: unusable
                .map(|number| format!("is {}, whose certificate {number} of {count} is damaged", show(path))),
            file: CaFile { path: path.to_owned(), authorities: Arc::from(usable) },
        }),
    }
}

fn without_certificate(bytes: &[u8]) -> Problem {
    // An ASN.1 SEQUENCE with two bytes of length, as every certificate in binary form begins.
    if bytes.starts_with(&[0x30, 0x82]) {
        return Problem::new(
            "which is not PEM, but seems to be DER",
            "convert it with `openssl x509 -inform der -in FILE -out FILE.pem`",
        );
    }
    let text = String::from_utf8_lossy(bytes);
    let label = text.lines().find_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
    match label {
        Some(label) => Problem::new(format!("which has no certificate, but a {}", show(label)), PEM),
        None => Problem::new("which is not PEM", PEM),
    }
}

/// The library's own messages show lines of the file, which may be a key.
fn in_words(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no `-----END` line",
        pem::Error::IllegalSectionStart { .. } => "a `-----BEGIN` line is malformed",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "a section cannot be read",
    }
}
