//! Which certificates are accepted.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use tracing::warn;
use webpki::EndEntityCert;

use crate::tls_chain::{self, Crowd, MOST_INTERMEDIATES};

/// Why a certificate is refused, where rustls has no reason of its own.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// It names itself as its authority.
    #[error("certificate is self-signed and not trusted")]
    SelfSigned,
    /// It is one of an authority, used by a server.
    #[error("certificate is one of an authority, not of a server")]
    Authority,
    /// An authority has the name that it wants, but another key: made anew under its old name, most likely.
    #[error(
        "certificate is not signed with its authority's key, or that is an RSA key of less than 2048 bits"
    )]
    Signature,
    /// So many certificates that looking for a path through them is an attack.
    #[error(
        "the server sent {0} certificates besides its own, more than the {MOST_INTERMEDIATES} that a chain may have"
    )]
    Crowd(usize),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        CertificateError::Other(OtherError(Arc::new(refusal))).into()
    }
}

/// The system's authorities, read once for all checks. `None` if there are none, which is logged once.
pub(super) fn system() -> Option<Arc<dyn ServerCertVerifier>> {
    static SYSTEM: OnceLock<Option<Arc<dyn ServerCertVerifier>>> = OnceLock::new();
    SYSTEM.get_or_init(load_system).clone()
}

fn load_system() -> Option<Arc<dyn ServerCertVerifier>> {
    let loaded = rustls_native_certs::load_native_certs();
    let Some(webpki) = webpki_verifier(&loaded.certs) else {
        let reason = loaded.errors.first().map(ToString::to_string);
        warn!(
            reason = reason.as_deref().unwrap_or("no file of certificates was found"),
            "this machine has no certificate authorities: TLS checks without `ca-file` cannot be made; \
             install ca-certificates and restart, or set `ca-file`"
        );
        return None;
    };
    Some(Arc::new(Authorities { webpki, named: Arc::from([]) }))
}

/// These authorities and no others. `None` if none of them can be used.
pub(super) fn only(authorities: &Arc<[CertificateDer<'static>]>) -> Option<Arc<dyn ServerCertVerifier>> {
    let webpki = webpki_verifier(authorities)?;
    Some(Arc::new(Authorities { webpki, named: Arc::clone(authorities) }))
}

fn webpki_verifier(authorities: &[CertificateDer<'static>]) -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().cloned());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), super::provider()).build().ok()
}

#[derive(Debug)]
struct Authorities {
    webpki: Arc<WebPkiServerVerifier>,
    /// Certificates that a server may have for its own.
    named: Arc<[CertificateDer<'static>]>,
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let intermediates =
            tls_chain::plausible(intermediates).map_err(|Crowd(count)| Refusal::Crowd(count))?;
        let verdict =
            self.webpki.verify_server_cert(end_entity, &intermediates, server_name, ocsp_response, now);
        let Err(Error::InvalidCertificate(reason)) = &verdict else { return verdict };
        let is_authority = is_used_authority(reason);
        // The usual self-signed certificate calls itself an authority, and webpki takes none for a server's. As
        // OpenSSL does, it is accepted where it is named; webpki has looked at its dates before.
        if is_authority && self.named.iter().any(|named| named == end_entity) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        if (is_authority || *reason == CertificateError::UnknownIssuer) && is_self_signed(end_entity) {
            return Err(Refusal::SelfSigned.into());
        }
        match reason {
            _ if is_authority => Err(Refusal::Authority.into()),
            CertificateError::BadSignature => Err(Refusal::Signature.into()),
            _ => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

fn is_used_authority(reason: &CertificateError) -> bool {
    let CertificateError::Other(OtherError(reason)) = reason else { return false };
    matches!(reason.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    EndEntityCert::try_from(certificate).is_ok_and(|parsed| parsed.subject() == parsed.issuer())
}

/// Anybody's certificate will do.
pub(super) fn nobody() -> Arc<dyn ServerCertVerifier> {
    Arc::new(Unverified { algorithms: super::provider().signature_verification_algorithms })
}

/// Takes every certificate. The handshake must still be signed with its key, unless it is of a kind that cannot be
/// read, such as X.509 version 1: old devices are why verification is turned off.
#[derive(Debug)]
struct Unverified {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if EndEntityCert::try_from(certificate).is_err() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if EndEntityCert::try_from(certificate).is_err() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
