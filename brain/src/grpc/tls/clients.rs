//! Verification of client certificates.

use std::sync::Arc;

use maglev_tls::chain;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// Accepts certificates signed by these authorities, unless they are restricted to other uses than client
/// authentication.
///
/// # Errors
/// If none of the authorities can be used.
pub(super) fn signed_by(
    authorities: &[CertificateDer<'static>],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().cloned());
    let webpki = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let webpki = webpki.build().map_err(|error| format!("no authority in it can be used: {error}"))?;
    Ok(Arc::new(Bounded(webpki)))
}

/// Limits the number of certificates examined, so that a hostile chain cannot hold up others.
#[derive(Debug)]
struct Bounded(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Bounded {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let (_, own) = X509Certificate::from_der(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        let plausible = chain::plausible(&own, intermediates, now, |usage| usage.client_auth)
            .map_err(|crowd| CertificateError::Other(OtherError(Arc::new(crowd))))?;
        let intermediates: Vec<CertificateDer<'_>> =
            plausible.certificates.iter().map(|read| read.as_raw().into()).collect();
        self.0.verify_client_cert(end_entity, &intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
