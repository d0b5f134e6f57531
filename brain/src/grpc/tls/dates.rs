//! Warnings about certificates that have expired or soon will.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// Remaining validity below which a certificate causes a warning: enough time to renew it by hand.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Warnings about the dates of a file's certificates.
pub(super) fn doubts(
    flag: &str,
    path: &Path,
    certificates: &[CertificateDer<'_>],
    now: SystemTime,
) -> Vec<String> {
    let count = certificates.len();
    let doubt = |(number, certificate): (usize, &CertificateDer<'_>)| {
        let doubt = doubt(certificate, now)?;
        let which = if count == 1 { "certificate".to_owned() } else { format!("certificate {number}") };
        Some(format!("{flag} {}: its {which} {doubt}", path.display()))
    };
    (1..).zip(certificates).filter_map(doubt).collect()
}

fn doubt(certificate: &CertificateDer<'_>, now: SystemTime) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let validity = certificate.validity();
    // A date before 1970 counts as 1970.
    let at = |seconds: i64| UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    let (begin, end) = (at(validity.not_before.timestamp())?, at(validity.not_after.timestamp())?);
    let date = humantime::format_rfc3339_seconds;
    if begin > now {
        Some(format!("is not valid before {}; is this machine's clock right?", date(begin)))
    } else if end < now {
        Some(format!("has expired on {}: renew it, and reload", date(end)))
    } else if end < now.checked_add(SOON)? {
        Some(format!("will expire on {}: renew it, and reload", date(end)))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
