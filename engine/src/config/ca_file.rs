//! CA files of health checks.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::complaint::Complaint;
use super::model::CaFile;
use super::show;
use maglev_tls::authorities::{Authorities, Contents, Doubt};
use maglev_tls::pem::is_der;

/// Maximum number of warnings shown for one file; a bundle may cause hundreds.
const DOUBTS_SHOWN: usize = 10;

/// Contents of a file.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) file: CaFile,
    /// Warnings: the rest of a sentence that begins with the key, and help.
    pub(super) doubts: Vec<(String, &'static str)>,
}

/// The files read so far. A file that many checks name is read and kept once.
pub(super) struct CaFiles<'r> {
    read_file: &'r dyn Fn(&Path) -> io::Result<Vec<u8>>,
    now: SystemTime,
    known: BTreeMap<String, Result<Found, Complaint>>,
}

impl<'r> CaFiles<'r> {
    /// Certificates' dates are compared with `now`.
    pub(super) fn new(read_file: &'r dyn Fn(&Path) -> io::Result<Vec<u8>>, now: SystemTime) -> CaFiles<'r> {
        CaFiles { read_file, now, known: BTreeMap::new() }
    }

    /// The authorities of a file.
    pub(super) fn read(&mut self, path: &str) -> Result<Found, Complaint> {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let found = (self.read_file)(Path::new(path))
            .map_err(|error| Problem::new(format!("which cannot be read: {error}"), READABLE))
            .and_then(|bytes| parse(path, &bytes, self.now))
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

/// Parses all certificates (RFC 7468, 5.1). Text around them is allowed.
fn parse(path: &str, bytes: &[u8], now: SystemTime) -> Result<Found, Problem> {
    let Contents { authorities, doubts, broken } = Authorities::read(bytes, now);
    if let Some((line, what)) = broken.first() {
        return Err(Problem::new(format!("which is damaged: its section at line {line} {what}"), PEM));
    }
    if authorities.anchors().is_empty() {
        return Err(without_certificate(bytes, &doubts));
    }
    let mut told: Vec<_> = doubts.iter().take(DOUBTS_SHOWN).map(|doubt| told(path, doubt)).collect();
    if let more @ 1.. = doubts.len().saturating_sub(DOUBTS_SHOWN) {
        told.push((
            format!("is {}, in which {more} more sections have warnings", show(path)),
            "check them as well",
        ));
    }
    let file = CaFile { path: path.to_owned(), authorities: Arc::new(authorities) };
    Ok(Found { file, doubts: told })
}

fn told(path: &str, doubt: &Doubt) -> (String, &'static str) {
    (format!("is {}, whose section at line {} {}", show(path), doubt.line, doubt.what), doubt.help)
}

fn without_certificate(bytes: &[u8], doubts: &[Doubt]) -> Problem {
    match doubts.first() {
        Some(Doubt { line, what, .. }) => {
            Problem::new(format!("which has no certificate to trust: its section at line {line} {what}"), PEM)
        }
        None if bytes.trim_ascii().is_empty() => Problem::new("which is empty", PEM),
        None if is_der(bytes) => Problem::new(
            "which is not PEM, but seems to be DER",
            "convert it with `openssl x509 -inform der -in FILE -out FILE.pem`",
        ),
        None if matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) => {
            Problem::new("which is in UTF-16", "save it in UTF-8 or ASCII")
        }
        None => Problem::new("which is not PEM", PEM),
    }
}
