//! Names of unsupported keys, signatures and extensions, for messages.

use std::sync::LazyLock;

use aws_lc_rs::signature::RsaParameters;
use rustls::pki_types::alg_id;
use x509_parser::asn1_rs::{Any, FromDer, Oid};
use x509_parser::extensions::X509Extension;
use x509_parser::oid_registry::{OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_RSASSAPSS, OidEntry, OidRegistry};
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::adapted;
use super::der::content;
use super::signatures::ALGORITHMS;

static REGISTRY: LazyLock<OidRegistry<'static>> =
    LazyLock::new(|| OidRegistry::default().with_all_crypto().with_x509());

/// Names an object identifier, as in `ecdsa-with-SHA224 (1.2.840.10045.4.3.1)`.
fn name(oid: &Oid<'_>) -> String {
    match REGISTRY.get(&oid.to_owned()).map(OidEntry::sn) {
        Some(name) => format!("{name} ({oid})"),
        None => oid.to_string(),
    }
}

/// Names an algorithm by the contents of its AlgorithmIdentifier.
pub fn algorithm(id: &[u8]) -> String {
    let Ok((parameters, oid)) = Oid::from_der(id) else { return "a malformed algorithm".to_owned() };
    let parameters = Any::from_der(parameters).ok().map(|(_, parameters)| parameters);
    let curve =
        parameters.as_ref().filter(|_| oid == OID_KEY_TYPE_EC_PUBLIC_KEY).and_then(|any| any.as_oid().ok());
    match (curve, parameters.as_ref().map(RsaSsaPssParams::try_from)) {
        (Some(curve), _) => format!("{} with the curve {}", name(&oid), name(&curve)),
        (None, Some(Ok(pss))) if oid == OID_PKCS1_RSASSAPSS => {
            let mask =
                pss.mask_gen_algorithm().map_or_else(|_| "unknown".to_owned(), |mask| name(&mask.hash));
            let (hash, salt) = (name(pss.hash_algorithm_oid()), pss.salt_length());
            format!("{} with {hash}, a mask of {mask}, and a salt of {salt} bytes", name(&oid))
        }
        _ => name(&oid),
    }
}

/// Why signatures by a key cannot be verified, as the rest of a sentence: `its key is ...`.
pub fn unusable_key(key: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    let id = content(key.raw).and_then(content).unwrap_or_default();
    if !ALGORITHMS.iter().any(|known| known.public_key_alg_id().as_ref() == id) {
        return Some(format!("of an unsupported kind: {}", algorithm(id)));
    }
    let is_rsa = id == alg_id::RSA_ENCRYPTION.as_ref() || id.starts_with(&alg_id::RSA_PSS_SHA256[..11]);
    let bits = is_rsa.then(|| RsaParameters::public_modulus_len(&key.subject_public_key.data));
    match bits {
        Some(Ok(2048..=8192)) => None,
        Some(Ok(bits)) => Some(format!("RSA with {bits} bits; 2048 to 8192 are supported")),
        Some(Err(_)) => Some("malformed".to_owned()),
        None => None,
    }
}

/// The first critical extension that neither webpki nor [`adapted`] knows.
pub fn unknown_extension(extensions: &[X509Extension<'_>], is_own: bool) -> Option<String> {
    let known = |extension: &X509Extension<'_>| {
        adapted::is_passed_over(extension, is_own) || KNOWN.contains(&extension.oid.to_id_string().as_str())
    };
    let unknown = extensions.iter().find(|extension| extension.critical && !known(extension))?;
    Some(name(&unknown.oid))
}

/// Extensions that webpki implements: keyUsage, subjectAltName, basicConstraints, nameConstraints,
/// cRLDistributionPoints and extKeyUsage.
const KNOWN: [&str; 6] = ["2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.30", "2.5.29.31", "2.5.29.37"];
