//! Describes TLS failures to operators. A certificate's contents are untrusted text: they are shortened, and
//! shown without control characters.

use maglev_tls::{date, kinds, short};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};
use std::error::Error as StdError;
use std::io;

use crate::connect;

/// Maximum length of a description, in characters: room for four names.
const LONGEST: usize = 500;
/// Maximum length of a certificate's name that is shown, in characters.
const LONGEST_SHOWN: usize = 80;
/// Maximum number of a certificate's names that are shown; it may have thousands.
const NAMES_SHOWN: usize = 3;

/// Why a certificate is refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(pub(super) String);

/// Why a handshake failed.
pub(super) fn handshake(error: &io::Error) -> String {
    if let Some(reason) = fault(error) {
        return reason;
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::WriteZero => {
            "connection closed during the TLS handshake".to_owned()
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            "connection reset during the TLS handshake".to_owned()
        }
        // The one error that rustls does not define itself: its buffer for handshake messages is full.
        io::ErrorKind::InvalidData => "broken TLS: a message is larger than 64 KiB".to_owned(),
        _ => bounded(&format!("TLS handshake failed: {}", connect::in_words(error))),
    }
}

/// Describes the TLS cause of an error, however deep, if there is one.
pub(super) fn fault(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<Error>() {
            return Some(bounded(&in_words(error)));
        }
        // An I/O error's source is that of the error inside it.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    None
}

fn in_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(reason) => certificate(reason),
        Error::AlertReceived(alert) => self::alert(*alert),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => "not TLS: the server answered in another protocol".to_owned(),
        Error::InvalidMessage(reason) => broken(reason),
        Error::PeerMisbehaved(PeerMisbehaved::SignedKxWithWrongAlgorithm) => {
            "the server's key is of a kind that is not supported with TLS 1.2".to_owned()
        }
        Error::PeerMisbehaved(reason) => broken(reason),
        Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            "the server knows neither TLS 1.2 nor TLS 1.3".to_owned()
        }
        Error::PeerIncompatible(reason) => {
            format!("the server's TLS does not fit: {}", spaced(&format!("{reason:?}")))
        }
        Error::NoCertificatesPresented => "the server sent no certificate".to_owned(),
        Error::DecryptError => "broken TLS: a message cannot be decrypted".to_owned(),
        Error::PeerSentOversizedRecord => "broken TLS: a record is too large".to_owned(),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            format!("broken TLS: {error}")
        }
        _ => format!("TLS failed: {error}"),
    }
}

fn broken(reason: &impl std::fmt::Debug) -> String {
    format!("broken TLS: {}", spaced(&format!("{reason:?}")))
}

fn alert(alert: AlertDescription) -> String {
    let name = alert.as_str().map_or_else(|| format!("number {}", u8::from(alert)), spaced);
    let note = match alert {
        AlertDescription::CertificateRequired => ": it requires a client certificate, and checks have none",
        // A server says no more than this, whatever it lacks.
        AlertDescription::HandshakeFailure => {
            ": no cipher, key exchange group or signature algorithm in common, or it requires a client certificate"
        }
        _ => "",
    };
    format!("the server sent an alert: {name}{note}")
}

fn certificate(reason: &CertificateError) -> String {
    match reason {
        CertificateError::Other(other) if other.0.is::<Refusal>() => other.to_string(),
        _ => format!("certificate refused: {}", spaced(&format!("{reason:?}"))),
    }
}

/// Why webpki refuses a chain of certificates.
pub(super) fn verdict(error: &webpki::Error) -> String {
    use webpki::Error as Reason;
    match error {
        Reason::CertExpired { not_after, .. } => {
            format!("certificate expired on {}", date(not_after.as_secs()))
        }
        Reason::CertNotValidYet { not_before, .. } => {
            format!("certificate not valid before {}", date(not_before.as_secs()))
        }
        Reason::CertNotValidForName(context) => {
            let presented: Vec<&str> = context.presented.iter().filter_map(|name| plain_name(name)).collect();
            format!("certificate is for {}, not for {}", names(&presented), context.expected.to_str())
        }
        Reason::UnknownIssuer => "certificate is signed by an unknown authority".to_owned(),
        // An authority has the right name but another key: most likely it was renewed under its old name.
        Reason::InvalidSignatureForPublicKey => {
            "certificate is not signed with its authority's key".to_owned()
        }
        Reason::EndEntityUsedAsCa => {
            "certificate is signed by a certificate in `ca-file` that is not a CA certificate".to_owned()
        }
        Reason::RequiredEkuNotFoundContext(_) => "certificate is not for servers".to_owned(),
        Reason::NameConstraintViolation => {
            "certificate has a name outside the name constraints of one of its authorities".to_owned()
        }
        Reason::PathLenConstraintViolated => {
            "certificate chain violates the path length constraint of one of its authorities".to_owned()
        }
        Reason::MaximumPathDepthExceeded => "certificate chain has more than 6 intermediates".to_owned(),
        Reason::UnsupportedSignatureAlgorithmContext(context) => format!(
            "a certificate in the chain is signed with an unsupported algorithm: {}",
            kinds::algorithm(&context.signature_algorithm_id)
        ),
        Reason::UnsupportedSignatureAlgorithmForPublicKeyContext(context) => format!(
            "a certificate in the chain is signed by an unsupported kind of key: {}",
            kinds::algorithm(&context.public_key_algorithm_id)
        ),
        Reason::UnsupportedCertVersion => {
            "certificate is older than X.509 version 3, and cannot be verified".to_owned()
        }
        Reason::BadDer | Reason::BadDerTime | Reason::TrailingData(_) => {
            "certificate is malformed".to_owned()
        }
        _ => format!("certificate refused: {}", spaced(&error.to_string())),
    }
}

/// A server's name from the library's notation: `DnsName("a.example")`, `IpAddress(192.0.2.1)`.
fn plain_name(presented: &str) -> Option<&str> {
    let quoted = presented.strip_prefix("DnsName(\"").and_then(|name| name.strip_suffix("\")"));
    quoted.or_else(|| presented.strip_prefix("IpAddress(")?.strip_suffix(')'))
}

fn names(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(NAMES_SHOWN).map(|name| short(name, LONGEST_SHOWN)).collect();
    match names.len().saturating_sub(NAMES_SHOWN) {
        0 if shown.is_empty() => "no server (it has no name in subjectAltName)".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The library's name of an error in words: `HandshakeFailure`, `UnknownCA`.
fn spaced(name: &str) -> String {
    let mut words = String::new();
    let mut before = ' ';
    for char in name.chars() {
        if char.is_ascii_uppercase() && before.is_ascii_lowercase() {
            words.push(' ');
        }
        words.push(char.to_ascii_lowercase());
        before = char;
    }
    words
}

/// Shortens a description that may contain untrusted text.
pub(super) fn bounded(text: &str) -> String {
    short(text, LONGEST)
}
