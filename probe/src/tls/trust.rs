//! Verification of server certificates.

use std::sync::{Arc, PoisonError, RwLock};

use maglev_tls::adapted::{self, Adapted};
use maglev_tls::authorities::{self, Authorities};
use maglev_tls::chain::{self, Plausible};
use maglev_tls::der::content;
use maglev_tls::{kinds, names, signatures, subject};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::words::{self, Refusal};

fn refusal(why: impl Into<String>) -> Error {
    CertificateError::Other(OtherError(Arc::new(Refusal(why.into())))).into()
}

/// The system's authorities as last read: `None` if not read yet, or if there are none.
#[derive(Debug)]
pub(super) struct System(RwLock<Option<Arc<Authorities>>>);

/// The system's authorities of this process.
pub(super) static SYSTEM: System = System::new();

impl System {
    pub(super) const fn new() -> System {
        System(RwLock::new(None))
    }

    pub(super) fn get(&self) -> Option<Arc<Authorities>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, authorities: Arc<Authorities>) {
        let authorities = (!authorities.anchors().is_empty()).then_some(authorities);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = authorities;
    }
}

/// Uses these authorities as the system's in handshakes from now on.
pub fn trust_system(authorities: Arc<Authorities>) {
    SYSTEM.set(authorities);
}

/// Whose certificates are accepted.
#[derive(Debug, Clone)]
pub(super) enum Trust {
    /// Those issued under one of these authorities.
    Only(Arc<Authorities>),
    /// Those issued under one of the system's authorities.
    System(&'static System),
    /// Any. The handshake must still be signed with the certificate's key, unless that cannot be verified:
    /// old devices are the reason to disable verification.
    Anybody,
}

impl Trust {
    pub(super) fn is_possible(&self) -> bool {
        !matches!(self, Trust::System(system) if system.get().is_none())
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authorities = match self {
            Trust::Anybody => return Ok(ServerCertVerified::assertion()),
            Trust::Only(authorities) => Arc::clone(authorities),
            Trust::System(system) => system.get().unwrap_or_default(),
        };
        verify(&authorities, end_entity, intermediates, server_name, now).map_err(refusal)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_handshake(false, message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_handshake(true, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signatures::schemes()
    }
}

impl Trust {
    fn verify_handshake(
        &self,
        is_tls13: bool,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let is_lenient = matches!(self, Trust::Anybody);
        let key = match X509Certificate::from_der(certificate) {
            Ok((_, read)) => read.tbs_certificate.subject_pki,
            Err(_) if is_lenient => return Ok(HandshakeSignatureValid::assertion()),
            Err(_) => return Err(refusal("certificate is malformed")),
        };
        let unusable = kinds::unusable_key(&key);
        match signatures::verify_handshake(signed.scheme, is_tls13, &key, message, signed.signature()) {
            Ok(()) => Ok(HandshakeSignatureValid::assertion()),
            Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) if is_lenient => {
                Ok(HandshakeSignatureValid::assertion())
            }
            Err(_) if is_lenient && unusable.is_some() => Ok(HandshakeSignatureValid::assertion()),
            Err(webpki::Error::InvalidSignatureForPublicKey) if unusable.is_none() => {
                Err(refusal("the handshake is not signed with the certificate's key"))
            }
            Err(other) => Err(refusal(match unusable {
                Some(why) => format!("the server's key is {why}"),
                None => words::verdict(&other),
            })),
        }
    }
}

/// Verifies that a server's certificate was issued under one of the authorities, and is for the name.
///
/// # Errors
/// The reason.
pub(super) fn verify(
    authorities: &Authorities,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), String> {
    let Ok((_, own)) = X509Certificate::from_der(end_entity) else {
        return Err("certificate is malformed".to_owned());
    };
    if let Some(extension) = kinds::unknown_extension(own.extensions(), true) {
        return Err(format!("certificate refused: unsupported critical extension {extension}"));
    }
    let Plausible { certificates, unfit } =
        chain::plausible(&own, intermediates, now, |usage| usage.server_auth)
            .map_err(|crowd| crowd.to_string())?;
    let mut chain = vec![Adapted::new(&own, true)];
    chain.extend(certificates.iter().map(|read| Adapted::new(read, false)));
    let copies: Vec<_> = chain.iter().skip(1).map(|adapted| adapted.copy.clone()).collect();
    let algorithms = adapted::algorithms(&chain);
    let algorithms: Vec<_> = algorithms.iter().map(|algorithm| algorithm as _).collect();
    let [first, ..] = &chain[..] else { return Ok(()) };
    let entity = EndEntityCert::try_from(&first.copy).map_err(|error| words::verdict(&error))?;
    let path = |path: &VerifiedPath<'_>| verify_path(authorities, &chain, path);
    let verdict = entity.verify_for_usage(
        &algorithms,
        authorities.anchors(),
        &copies,
        now,
        KeyUsage::server_auth(),
        None,
        Some(&path),
    );
    match verdict {
        Ok(_) => entity.verify_is_valid_for_subject_name(server_name).map_err(|error| words::verdict(&error)),
        Err(webpki::Error::UnknownIssuer) if own.subject() == own.issuer() => {
            Err("certificate is self-signed and not trusted".to_owned())
        }
        Err(webpki::Error::UnknownIssuer) if !unfit.is_empty() => Err(unfit.join("; ")),
        Err(error) => {
            Err(issuer_fault(authorities, &chain, &error).unwrap_or_else(|| words::verdict(&error)))
        }
    }
}

/// Verifies what webpki does not, for an otherwise valid path.
fn verify_path(
    authorities: &Authorities,
    chain: &[Adapted<'_>],
    path: &VerifiedPath<'_>,
) -> Result<(), webpki::Error> {
    let copies = path.intermediate_certificates().map(|certificate| certificate.der());
    let copies: Vec<_> = [path.end_entity().der()].into_iter().chain(copies).collect();
    let of = |copy: &CertificateDer<'_>| chain.iter().find(|adapted| adapted.copy == *copy);
    let mut below: Vec<&X509Certificate<'_>> = Vec::new();
    for adapted in copies.iter().filter_map(of) {
        verify_names(adapted, &below)?;
        below.push(adapted.read);
    }
    let anchor = authorities.certificate_of(path.anchor()).ok_or(webpki::Error::UnknownIssuer)?;
    // webpki also accepts certificates without extensions.
    let Ok((_, read)) = X509Certificate::from_der(anchor) else { return Ok(()) };
    verify_names(&Adapted::new(&read, false), &below)?;
    let is_itself = below.len() == 1 && below.iter().all(|own| own.public_key() == read.public_key());
    if is_itself || authorities::may_sign(&read) { Ok(()) } else { Err(webpki::Error::EndEntityUsedAsCa) }
}

/// Verifies the names below an authority against its constraints. Self-issued authorities are exempt.
fn verify_names(authority: &Adapted<'_>, below: &[&X509Certificate<'_>]) -> Result<(), webpki::Error> {
    let constraints = authority.read.name_constraints().ok().flatten().filter(|_| authority.constrains);
    let Some(constraints) = constraints else { return Ok(()) };
    let is_kept = |(at, read): (usize, &&X509Certificate<'_>)| {
        (at > 0 && read.subject() == read.issuer()) || names::are_within(read, constraints.value)
    };
    below.iter().enumerate().all(is_kept).then_some(()).ok_or(webpki::Error::NameConstraintViolation)
}

/// The reason why a signature cannot be verified, if it is the trusted issuer's key.
fn issuer_fault(authorities: &Authorities, chain: &[Adapted<'_>], error: &webpki::Error) -> Option<String> {
    if !matches!(
        error,
        webpki::Error::InvalidSignatureForPublicKey
            | webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
    ) {
        return None;
    }
    let is_issuer = |anchor: &TrustAnchor<'_>| {
        chain.iter().any(|adapted| content(adapted.read.issuer().as_raw()) == Some(&*anchor.subject))
    };
    let mut issuers = authorities.anchors().iter().filter(|anchor| is_issuer(anchor));
    issuers.find_map(|anchor| {
        let (_, read) = X509Certificate::from_der(authorities.certificate_of(anchor)?).ok()?;
        let why = kinds::unusable_key(read.public_key())?;
        Some(format!("the authority `{}` cannot be used: its key is {why}", subject(&read)))
    })
}
