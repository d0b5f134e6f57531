//! TLS failures for lack of trust, worded for operators.

use rustls::{AlertDescription, CertificateError};

use super::{Cause, chain};
use crate::style::printable;

/// Why the TLS handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TlsProblem {
    #[error("its certificate is not from an authority of --tls-ca")]
    Untrusted,
    #[error("its certificate is for another name: {0}")]
    OtherName(String),
    #[error("its certificate is not valid now: {0}")]
    NotNow(String),
    #[error("its certificate is refused: {0}")]
    Certificate(String),
    #[error("it requires a client certificate, and none was presented")]
    CertificateWanted,
    #[error("it refused the client certificate: {0}")]
    CertificateRefused(String),
    #[error("it does not speak TLS")]
    NotSpoken,
    #[error("{0}")]
    Other(String),
}

impl TlsProblem {
    /// `None` if the cause is not TLS. The HTTP/2 library keeps only the text of errors while reading.
    pub(super) fn of(error: Cause<'_>) -> Option<Self> {
        let found = chain(error).find_map(|error| {
            let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            let inner = inner.and_then(|error| error.downcast_ref::<rustls::Error>());
            inner.or_else(|| error.downcast_ref())
        });
        found.map(Self::from).or_else(|| {
            let words = chain(error).map(ToString::to_string).find(|words| words.contains(ALERT))?;
            let (_, alert) = words.split_once(ALERT)?;
            Some(Self::alert(alert.trim()))
        })
    }

    /// By its name in RFC 8446, in the library's spelling.
    fn alert(name: &str) -> Self {
        match name {
            "CertificateRequired" => Self::CertificateWanted,
            "BadCertificate"
            | "UnsupportedCertificate"
            | "CertificateRevoked"
            | "CertificateExpired"
            | "CertificateUnknown"
            | "UnknownCA"
            | "AccessDenied"
            | "DecryptError" => Self::CertificateRefused(printable(name)),
            _ => Self::Other(format!("it ended the handshake with the alert {}", printable(name))),
        }
    }

    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Untrusted => "does --tls-ca name the authority that made the server's certificate?",
            Self::OtherName(_) => "name the server in --server as its certificate does",
            Self::NotNow(_) => "is the clock right here and there? else the certificate must be renewed",
            Self::Certificate(_) => "the certificate of maglev-brain must be reissued",
            Self::CertificateWanted => "show one with --tls-cert and --tls-key",
            Self::CertificateRefused(_) => {
                "is your certificate (--tls-cert) from an authority that maglev-brain trusts, and valid now?"
            }
            Self::NotSpoken => "is that its address for TLS? without TLS, write HOST:PORT without tls:",
            Self::Other(_) => "is that its address for TLS?",
        }
    }
}

/// Start of the library's message for an alert.
const ALERT: &str = "received fatal alert: ";

impl From<&rustls::Error> for TlsProblem {
    fn from(error: &rustls::Error) -> Self {
        use rustls::Error as Tls;
        match error {
            Tls::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                Self::Untrusted
            }
            Tls::InvalidCertificate(
                reason
                @ (CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }),
            ) => Self::OtherName(printable(&reason.to_string())),
            Tls::InvalidCertificate(
                reason @ (CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }),
            ) => Self::NotNow(printable(&reason.to_string())),
            Tls::InvalidCertificate(reason) => Self::Certificate(printable(&reason.to_string())),
            Tls::AlertReceived(alert) => Self::alert(&name(*alert)),
            Tls::InvalidMessage(_) => Self::NotSpoken,
            other => Self::Other(printable(&other.to_string())),
        }
    }
}

fn name(alert: AlertDescription) -> String {
    format!("{alert:?}")
}

#[cfg(test)]
mod tests;
