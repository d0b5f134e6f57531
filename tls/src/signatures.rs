//! Algorithms for the signatures of certificates and handshakes.

use std::sync::LazyLock;

use aws_lc_rs::signature::{
    ECDSA_P256K1_SHA256_ASN1, EcdsaVerificationAlgorithm, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPssSaltLength, VerificationAlgorithm,
};
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, alg_id,
};
use webpki::{Error, RawPublicKeyEntity, UnsupportedSignatureAlgorithmForPublicKeyContext};
use x509_parser::asn1_rs::{Oid, oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::OID_PKCS1_RSASSAPSS;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::der::{content, signature_id};

const OID_MGF1: Oid<'static> = oid!(1.2.840.113549.1.1.8);
const NIST_HASHES: &str = "2.16.840.1.101.3.4.2.";

type Algorithm = dyn SignatureVerificationAlgorithm;

/// AlgorithmIdentifier of an RSASSA-PSS key without limits on its use (RFC 4055, 1.2).
const PSS_KEY: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10]);

/// An algorithm of aws-lc-rs that rustls' provider lacks.
#[derive(Debug)]
pub struct More<A> {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    algorithm: A,
}

impl<A: VerificationAlgorithm + Send> SignatureVerificationAlgorithm for More<A> {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        self.algorithm.verify_sig(key, message, signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

/// An algorithm for RSASSA-PSS.
pub type Pss = More<RsaParameters>;

const fn pss(key: AlgorithmIdentifier, signature: AlgorithmIdentifier, algorithm: RsaParameters) -> Pss {
    More { key, signature, algorithm }
}

/// RSASSA-PSS keys, by TLS's code point of the scheme (RFC 8446, 4.2.3). Such a key may be limited to one hash.
static PSS: [(u16, [Pss; 2]); 3] = {
    use alg_id::{RSA_PSS_SHA256 as ID256, RSA_PSS_SHA384 as ID384, RSA_PSS_SHA512 as ID512};
    use {
        RSA_PSS_2048_8192_SHA256 as P256, RSA_PSS_2048_8192_SHA384 as P384, RSA_PSS_2048_8192_SHA512 as P512,
    };
    [
        (0x0809, [pss(PSS_KEY, ID256, P256), pss(ID256, ID256, P256)]),
        (0x080a, [pss(PSS_KEY, ID384, P384), pss(ID384, ID384, P384)]),
        (0x080b, [pss(PSS_KEY, ID512, P512), pss(ID512, ID512, P512)]),
    ]
};

static SECP256K1: More<EcdsaVerificationAlgorithm> =
    More { key: alg_id::ECDSA_P256K1, signature: alg_id::ECDSA_SHA256, algorithm: ECDSA_P256K1_SHA256_ASN1 };

static PROVIDED: LazyLock<WebPkiSupportedAlgorithms> =
    LazyLock::new(|| super::provider().signature_verification_algorithms);

/// Algorithms that certificates may be signed with.
pub static ALGORITHMS: LazyLock<Vec<&'static Algorithm>> = LazyLock::new(|| {
    let pss = PSS.iter().flat_map(|(_, algorithms)| algorithms).map(|algorithm| algorithm as &Algorithm);
    PROVIDED.all.iter().copied().chain(pss).chain([&SECP256K1 as &Algorithm]).collect()
});

/// Schemes that cannot be verified: Ed448 and the Brainpool curves. They are offered all the same, so that a
/// server with such a key presents its certificate and we can say why it is refused, instead of its
/// "handshake failure". Last, so that a server prefers any other key it has.
const UNVERIFIABLE: [u16; 4] = [0x0808, 0x081a, 0x081b, 0x081c];

/// The schemes that a check offers.
pub fn schemes() -> Vec<SignatureScheme> {
    let more = PSS.iter().map(|(number, _)| *number).chain(UNVERIFIABLE).map(SignatureScheme::from);
    PROVIDED.supported_schemes().into_iter().chain(more).collect()
}

/// Verifies the signature of a handshake.
///
/// # Errors
/// `UnsupportedSignatureAlgorithm...` if it cannot be verified, another one if it is wrong.
pub fn verify_handshake(
    scheme: SignatureScheme,
    is_tls13: bool,
    key: &SubjectPublicKeyInfo<'_>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Error> {
    let mut algorithms: Vec<&Algorithm> = PROVIDED
        .mapping
        .iter()
        .filter(|(it, _)| *it == scheme)
        .flat_map(|(_, all)| all.iter().copied())
        .collect();
    if is_tls13 {
        // The first one has the curve that TLS 1.3 requires.
        algorithms.truncate(1);
    }
    let pss = PSS.iter().filter(|(number, _)| *number == u16::from(scheme)).flat_map(|(_, all)| all);
    algorithms.extend(pss.map(|algorithm| algorithm as &Algorithm));
    let spki = SubjectPublicKeyInfoDer::from(key.raw);
    let entity = RawPublicKeyEntity::try_from(&spki)?;
    let id = content(key.raw).and_then(content).unwrap_or_default();
    match algorithms.iter().find(|algorithm| algorithm.public_key_alg_id().as_ref() == id) {
        Some(algorithm) => entity.verify_signature(*algorithm, message, signature),
        None => Err(Error::UnsupportedSignatureAlgorithmForPublicKeyContext(
            UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: Vec::new(),
                public_key_algorithm_id: id.to_vec(),
            },
        )),
    }
}

/// Whether `child` is signed with this key; `None` if that cannot be verified.
pub fn is_signed_by(child: &X509Certificate<'_>, key: &SubjectPublicKeyInfo<'_>) -> Option<bool> {
    let id = signature_id(child)?;
    let key_id = content(key.raw).and_then(content)?;
    let algorithm = ALGORITHMS
        .iter()
        .find(|it| it.signature_alg_id().as_ref() == id && it.public_key_alg_id().as_ref() == key_id)?;
    let spki = SubjectPublicKeyInfoDer::from(key.raw);
    let entity = RawPublicKeyEntity::try_from(&spki).ok()?;
    let signed =
        entity.verify_signature(*algorithm, child.tbs_certificate.as_ref(), &child.signature_value.data);
    Some(signed.is_ok())
}

/// The algorithms for one certificate's RSASSA-PSS signature, one for each kind of key, if they are not among
/// [`ALGORITHMS`]; `id` is what replaces its AlgorithmIdentifier.
pub fn unusual_pss(certificate: &X509Certificate<'_>, id: AlgorithmIdentifier) -> Option<[Pss; 3]> {
    if certificate.signature_algorithm.algorithm != OID_PKCS1_RSASSAPSS
        || ALGORITHMS.iter().any(|it| Some(it.signature_alg_id().as_ref()) == signature_id(certificate))
    {
        return None;
    }
    let parameters = RsaSsaPssParams::try_from(certificate.signature_algorithm.parameters()?).ok()?;
    let hash = parameters.hash_algorithm_oid();
    let mask = parameters.mask_gen_algorithm().ok()?;
    let salt = RsaPssSaltLength::Custom(u16::try_from(parameters.salt_length()).ok()?);
    if mask.hash != *hash || mask.mgf != OID_MGF1 || parameters.trailer_field() != 1 {
        return None;
    }
    // The last arc of the hash's OID.
    let (limited, algorithm): (_, fn() -> RsaParameters) =
        match hash.to_id_string().strip_prefix(NIST_HASHES)? {
            "1" => (alg_id::RSA_PSS_SHA256, || RSA_PSS_2048_8192_SHA256),
            "2" => (alg_id::RSA_PSS_SHA384, || RSA_PSS_2048_8192_SHA384),
            "3" => (alg_id::RSA_PSS_SHA512, || RSA_PSS_2048_8192_SHA512),
            _ => return None,
        };
    let keys = [alg_id::RSA_ENCRYPTION, PSS_KEY, limited];
    Some(keys.map(|key| pss(key, id, algorithm().with_pss_salt_length(salt))))
}
