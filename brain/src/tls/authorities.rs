//! Trusted certificate authorities, read from files: `ca-file` of health checks, and the system's.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, TrustAnchor};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::adapted::Adapted;
use super::pem::{self, Section};
use super::{date, kinds, subject, unix_time};

/// The largest file of authorities that is read, in bytes: ten times Debian's bundle of all public ones.
pub(crate) const LARGEST_FILE: u64 = 4 << 20;

/// Authorities to trust. Two are equal if their certificates are.
#[derive(Debug, Default)]
pub struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    /// One for each certificate, in the same order.
    anchors: Vec<TrustAnchor<'static>>,
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}

impl Eq for Authorities {}

/// A doubt about one section of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) line: usize,
    /// The rest of a sentence about the section.
    pub(crate) what: String,
    pub(crate) help: &'static str,
}

/// Contents of a file.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) authorities: Authorities,
    pub(crate) doubts: Vec<Doubt>,
    /// Damaged sections: the line, and the rest of a sentence.
    pub(crate) broken: Vec<(usize, String)>,
}

const LEFT_OUT: &str = "it is ignored; the others are trusted";
const OLD: &str = "what it has signed still passes here, but other programs refuse it: renew it";
const NOT_YET: &str = "what it has signed passes here, but other programs refuse it until then";
const ALONE: &str = "it is trusted for itself alone; a CA certificate has `CA:TRUE`";
const UNUSABLE: &str = "nothing it has signed can be verified";

impl Authorities {
    /// Reads all certificates of a PEM file, and accounts for everything else in it.
    pub(crate) fn read(bytes: &[u8], now: SystemTime) -> Contents {
        let mut contents = Contents::default();
        contents.add(bytes, now);
        contents
    }

    /// The certificates.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// Adds a certificate. Returns whether it can be parsed.
    pub(crate) fn add(&mut self, der: &CertificateDer<'static>) -> bool {
        let Ok((_, read)) = X509Certificate::from_der(der) else { return false };
        let adapted = Adapted::new(&read, false);
        let Ok(anchor) = webpki::anchor_from_trusted_cert(&adapted.copy) else { return false };
        self.anchors.push(anchor.to_owned());
        self.certificates.push(der.clone());
        true
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// The certificate of one of the [`Self::anchors`].
    pub(crate) fn certificate_of(&self, anchor: &TrustAnchor<'_>) -> Option<&CertificateDer<'static>> {
        let at = self.anchors.iter().position(|own| std::ptr::eq(own, anchor))?;
        self.certificates.get(at)
    }
}

impl Contents {
    fn add(&mut self, bytes: &[u8], now: SystemTime) {
        for (line, section) in pem::sections(bytes) {
            let mut doubt = |what, help| self.doubts.push(Doubt { line, what, help });
            let der = match section {
                Section::Certificate(der) => der,
                Section::Other(what) => {
                    doubt(what, LEFT_OUT);
                    continue;
                }
                Section::Broken(what) => {
                    self.broken.push((line, what));
                    continue;
                }
            };
            if self.authorities.certificates.contains(&der) {
                continue;
            }
            if !self.authorities.add(&der) {
                doubt("is a certificate, which is damaged".to_owned(), LEFT_OUT);
            } else if let Ok((_, read)) = X509Certificate::from_der(&der) {
                for (what, help) in doubts(&read, now) {
                    doubt(format!("is the certificate `{}`, {what}", subject(&read)), help);
                }
            }
        }
    }
}

fn doubts(read: &X509Certificate<'_>, now: SystemTime) -> Vec<(String, &'static str)> {
    let now = i64::try_from(unix_time(now).as_secs()).unwrap_or(i64::MAX);
    let words = |time: i64| date(u64::try_from(time).unwrap_or_default());
    let (from, until) = (read.validity().not_before.timestamp(), read.validity().not_after.timestamp());
    let dates = match now {
        _ if now > until => Some((format!("which expired on {}", words(until)), OLD)),
        _ if now < from => Some((format!("which is not valid before {}", words(from)), NOT_YET)),
        _ => None,
    };
    let is_alone = !may_sign(read) && read.subject() != read.issuer();
    let alone = is_alone.then(|| ("which is not a CA certificate".to_owned(), ALONE));
    let key = kinds::unusable_key(read.public_key()).map(|why| (format!("whose key is {why}"), UNUSABLE));
    [dates, alone, key].into_iter().flatten().collect()
}

/// Whether a certificate may sign others, by OpenSSL's rules (`check_ca` in its `v3_purp.c`).
pub(crate) fn may_sign(read: &X509Certificate<'_>) -> bool {
    match (read.basic_constraints(), read.key_usage()) {
        (Ok(Some(constraints)), _) => constraints.value.ca,
        (Ok(None), Ok(Some(usage))) => usage.value.key_cert_sign(),
        (Ok(None), Ok(None)) => read.version().0 == 0,
        _ => false,
    }
}

/// Reads the system's authorities: those of `SSL_CERT_FILE` and `SSL_CERT_DIR` if set, else the distribution's. Also
/// returns the doubts about them. Blocks on the disk.
pub(crate) fn of_system(now: SystemTime) -> (Authorities, Vec<String>) {
    let (file, folders) = match (std::env::var_os("SSL_CERT_FILE"), std::env::var_os("SSL_CERT_DIR")) {
        (None, None) => {
            let found = openssl_probe::probe();
            (found.cert_file, found.cert_dir)
        }
        (file, folders) => {
            let folders = folders.iter().flat_map(std::env::split_paths).collect();
            (file.map(PathBuf::from), folders)
        }
    };
    of_files(file.as_deref(), &folders, now)
}

fn of_files(file: Option<&Path>, folders: &[PathBuf], now: SystemTime) -> (Authorities, Vec<String>) {
    let mut all = Contents::default();
    let (mut words, mut outdated) = (Vec::new(), Vec::new());
    let mut take = |path: &Path, is_named: bool| {
        match read_file(path) {
            Ok(bytes) => all.add(&bytes, now),
            // A folder may hold anything.
            Err(_) if !is_named => {}
            Err(error) => words.push(format!("{} cannot be read: {error}", path.display())),
        }
        let doubts = all.doubts.drain(..).filter(|doubt| is_named || doubt.help != LEFT_OUT);
        let (old, doubts): (Vec<_>, Vec<_>) = doubts.partition(|doubt| [OLD, NOT_YET].contains(&doubt.help));
        let place = |line, what| format!("the section at line {line} of {} {what}", path.display());
        outdated.extend(old.into_iter().map(|doubt| place(doubt.line, doubt.what)));
        words.extend(doubts.into_iter().map(|doubt| place(doubt.line, doubt.what)));
        words.extend(all.broken.drain(..).map(|(line, what)| place(line, what)));
    };
    if let Some(file) = file {
        take(file, true);
    }
    for folder in folders {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        paths.iter().for_each(|path| take(path, false));
    }
    // Distributions keep expired ones for years; one message for all of them is enough.
    if let Some(first) = outdated.first() {
        words.push(format!("{} have expired or are not valid yet; the first: {first}", outdated.len()));
    }
    (all.authorities, words)
}

/// Reads a regular file of bounded size: opening a pipe would wait for its other end.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()) {
        Ok(0..=LARGEST_FILE) => Ok(bytes),
        _ => {
            let reason = format!("it is larger than {LARGEST_FILE} bytes, the most that is read");
            Err(io::Error::new(io::ErrorKind::FileTooLarge, reason))
        }
    }
}
