use std::io;

use rustls::Error as Tls;

use super::*;

/// Wraps an error like the connection.
fn problem(error: Tls) -> Option<TlsProblem> {
    TlsProblem::of(&io::Error::new(io::ErrorKind::InvalidData, error))
}

#[test]
fn every_distrust_has_its_words() {
    let untrusted = problem(Tls::InvalidCertificate(CertificateError::UnknownIssuer));
    assert_eq!(untrusted, Some(TlsProblem::Untrusted));
    let expired = problem(Tls::InvalidCertificate(CertificateError::Expired)).unwrap();
    assert_eq!(expired.to_string(), "its certificate is not valid now: Expired");
    let wanted = problem(Tls::AlertReceived(AlertDescription::CertificateRequired));
    assert_eq!(wanted, Some(TlsProblem::CertificateWanted));
    let refused = problem(Tls::AlertReceived(AlertDescription::UnknownCA)).unwrap();
    assert_eq!(refused.to_string(), "it refused the client certificate: UnknownCA");
    let other = problem(Tls::AlertReceived(AlertDescription::HandshakeFailure)).unwrap();
    assert_eq!(other.to_string(), "it ended the handshake with the alert HandshakeFailure");
    let plain = problem(Tls::InvalidMessage(rustls::InvalidMessage::InvalidContentType));
    assert_eq!(plain, Some(TlsProblem::NotSpoken));
}

#[test]
fn alert_is_known_by_its_words_too() {
    let error = io::Error::other("received fatal alert: CertificateRequired");
    assert_eq!(TlsProblem::of(&error), Some(TlsProblem::CertificateWanted));
    assert_eq!(TlsProblem::of(&io::Error::other("connection reset")), None);
}
