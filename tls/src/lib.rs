//! Cryptography and certificates, for the TLS of health checks, webhooks and the operators' gRPC server. Pure: what files
//! hold comes as bytes, and the time of day as an argument.
//!
//! - [`pem`]: sections of PEM files
//! - [`der`]: parts of DER values
//! - [`signatures`]: algorithms and schemes that can be verified
//! - [`adapted`]: copies of certificates that webpki can read
//! - [`kinds`]: names of unsupported keys, signatures and extensions
//! - [`names`]: name constraints that webpki does not implement
//! - [`authorities`]: trusted certificate authorities
//! - [`chain`]: limits on certificate chains

pub mod adapted;
pub mod authorities;
pub mod chain;
pub mod der;
pub mod kinds;
pub mod names;
mod p521;
pub mod pem;
pub mod signatures;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::aws_lc_rs::{digest, hmac};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::UnixTime;
use x509_parser::certificate::X509Certificate;

/// The cryptography provider. Passed explicitly, since the process-wide default depends on what else is
/// linked.
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups.push(&p521::P521);
    Arc::new(provider)
}

/// The HMAC of a message (RFC 2104), with SHA-256, in hexadecimal.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of a text, in hexadecimal.
pub fn sha256(text: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, text);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Formats a date.
pub fn date(seconds: u64) -> String {
    /// 9999-12-31T23:59:59Z, the last time that a certificate can have (RFC 5280, 4.1.2.5).
    const LAST: u64 = 253_402_300_799;
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST))).to_string()
}

/// Converts a time for the certificate libraries.
pub fn unix_time(now: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The subject of a certificate, shortened and safe to display.
pub fn subject(certificate: &X509Certificate<'_>) -> String {
    short(&certificate.subject().to_string(), 80)
}

/// Shortens untrusted text and removes control characters.
pub fn short(text: &str, longest: usize) -> String {
    // Real names are ASCII. Others may imitate something else, even in reverse.
    let fits = |char: char| char.is_ascii_graphic() || char == ' ' || char == '…';
    let printable = |char: char| if fits(char) { char } else { '\u{fffd}' };
    let mut short: String = text.chars().take(longest).map(printable).collect();
    if text.chars().nth(longest).is_some() {
        short.push('…');
    }
    short
}
