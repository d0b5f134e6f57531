//! Trusted certificate authorities: `ca-file` of health checks, and the system's.

use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, TrustAnchor};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::adapted::Adapted;
use super::pem::{self, Section};
use super::{date, kinds, subject, unix_time};

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
pub struct Doubt {
    /// The line that the section begins in.
    pub line: usize,
    /// The rest of a sentence about the section.
    pub what: String,
    /// What to do about it.
    pub help: &'static str,
}

impl Doubt {
    /// Whether the section is ignored.
    pub fn is_left_out(&self) -> bool {
        self.help == LEFT_OUT
    }

    /// Whether it is about a certificate that has expired or is not valid yet.
    pub fn is_of_dates(&self) -> bool {
        [OLD, NOT_YET].contains(&self.help)
    }
}

/// Contents of a file.
#[derive(Debug, Default)]
pub struct Contents {
    /// Its certificates.
    pub authorities: Authorities,
    /// Doubts about them, and about sections that are ignored.
    pub doubts: Vec<Doubt>,
    /// Damaged sections: the line, and the rest of a sentence.
    pub broken: Vec<(usize, String)>,
}

const LEFT_OUT: &str = "it is ignored; the others are trusted";
const OLD: &str = "what it has signed still passes here, but other programs refuse it: renew it";
const NOT_YET: &str = "what it has signed passes here, but other programs refuse it until then";
const ALONE: &str = "it is trusted for itself alone; a CA certificate has `CA:TRUE`";
const UNUSABLE: &str = "nothing it has signed can be verified";

impl Authorities {
    /// Reads all certificates of a PEM file, and accounts for everything else in it.
    pub fn read(bytes: &[u8], now: SystemTime) -> Contents {
        let mut contents = Contents::default();
        contents.add(bytes, now);
        contents
    }

    /// The certificates.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// Adds a certificate. Returns whether it can be parsed.
    pub fn add(&mut self, der: &CertificateDer<'static>) -> bool {
        let Ok((_, read)) = X509Certificate::from_der(der) else { return false };
        let adapted = Adapted::new(&read, false);
        let Ok(anchor) = webpki::anchor_from_trusted_cert(&adapted.copy) else { return false };
        self.anchors.push(anchor.to_owned());
        self.certificates.push(der.clone());
        true
    }

    /// What webpki knows of the certificates, in the same order.
    pub fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// The certificate of one of the [`Self::anchors`].
    pub fn certificate_of(&self, anchor: &TrustAnchor<'_>) -> Option<&CertificateDer<'static>> {
        let at = self.anchors.iter().position(|own| std::ptr::eq(own, anchor))?;
        self.certificates.get(at)
    }
}

impl Contents {
    /// Adds those of another file.
    pub fn add(&mut self, bytes: &[u8], now: SystemTime) {
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
pub fn may_sign(read: &X509Certificate<'_>) -> bool {
    match (read.basic_constraints(), read.key_usage()) {
        (Ok(Some(constraints)), _) => constraints.value.ca,
        (Ok(None), Ok(Some(usage))) => usage.value.key_cert_sign(),
        (Ok(None), Ok(None)) => read.version().0 == 0,
        _ => false,
    }
}
