//! Copies of certificates, adapted so that webpki accepts what OpenSSL accepts by default.
//!
//! Only these bytes of a copy differ:
//!
//! - Policy extensions are marked as not critical: they have no effect unless a policy is required.
//! - Name constraints of forms that webpki does not implement get a form that no certificate uses; [`super::names`] checks
//!   them instead.
//! - A server's own certificate with `CA:TRUE` gets `CA:FALSE`.
//! - The AlgorithmIdentifier of an unusual RSASSA-PSS signature is replaced by a mark that has its own algorithm.
//!
//! webpki judges everything else. Signatures are verified over the original.

use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};

use super::der::{content, elements, signature_id};
use super::signatures::{self, ALGORITHMS, Pss};

/// Maximum length of an AlgorithmIdentifier that is replaced, in bytes. Those of RSASSA-PSS have up to 70.
const LONGEST_MARK: usize = 127;
/// Replaces an AlgorithmIdentifier. A real one begins with an OID, never with zero.
static MARKS: [u8; LONGEST_MARK] = [0; LONGEST_MARK];
/// The tag of ediPartyName, which nothing uses.
const UNUSED_FORM: u8 = 0xa5;

/// The offset of `part` in `whole`.
fn place(part: &[u8], whole: &[u8]) -> usize {
    part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr())
}

/// Whether a critical extension can be ignored when no policy is required.
pub(super) fn is_passed_over(extension: &X509Extension<'_>, is_own: bool) -> bool {
    match extension.parsed_extension() {
        // The predecessor of extKeyUsage. For authorities, basicConstraints takes precedence.
        ParsedExtension::NSCertType(kinds) => !is_own || kinds.ssl_server(),
        // certificatePolicies, policyMappings, policyConstraints, inhibitAnyPolicy
        _ => ["2.5.29.32", "2.5.29.33", "2.5.29.36", "2.5.29.54"]
            .contains(&extension.oid.to_id_string().as_str()),
    }
}

/// A certificate beside its adapted copy.
#[derive(Debug)]
pub struct Adapted<'c> {
    /// The original.
    pub read: &'c X509Certificate<'c>,
    /// For webpki.
    pub copy: CertificateDer<'c>,
    /// Whether it constrains names of forms that webpki does not implement.
    pub constrains: bool,
    pss: Option<[Pss; 3]>,
}

impl<'c> Adapted<'c> {
    /// Adapts a certificate; `is_own` for the server's, as opposed to an authority's.
    pub fn new(read: &'c X509Certificate<'c>, is_own: bool) -> Adapted<'c> {
        let original = read.as_raw();
        let mut changes = Vec::new();
        let mut constrains = false;
        for extension in read.extensions() {
            if extension.critical && is_passed_over(extension, is_own) {
                changes.extend(critical_mark(extension.value, original).map(|at| (at, 0)));
            }
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(constraints) if is_own && constraints.ca => {
                    // SEQUENCE, its length, BOOLEAN, its length
                    changes.push((place(extension.value, original) + 4, 0));
                }
                ParsedExtension::NameConstraints(constraints) => {
                    let subtrees = [&constraints.permitted_subtrees, &constraints.excluded_subtrees];
                    let mut bases = subtrees.into_iter().flatten().flatten().map(|subtree| &subtree.base);
                    // Unreadable ones stay as they are: webpki refuses them.
                    if bases.all(|base| !matches!(base, GeneralName::Invalid(..))) {
                        let kinds = foreign_forms(extension.value);
                        changes.extend(kinds.map(|kind| (place(kind, original), UNUSED_FORM)));
                        constrains = true;
                    }
                }
                _ => {}
            }
        }
        let id = signature_id(read).unwrap_or_default();
        let mark = MARKS.get(..id.len()).map(AlgorithmIdentifier::from_slice);
        let pss = mark.and_then(|mark| signatures::unusual_pss(read, mark));
        if pss.is_some() {
            // After the version and the serial number.
            let inner = content(read.tbs_certificate.as_ref()).and_then(|tbs| content(elements(tbs).nth(2)?));
            for id in [Some(id), inner].into_iter().flatten() {
                changes.extend((place(id, original)..).zip(id.iter().map(|_| 0)));
            }
        }
        let copy = match changes.is_empty() {
            true => CertificateDer::from(original),
            false => changed(original, &changes).into(),
        };
        Adapted { read, copy, constrains, pss }
    }

    fn is_unchanged(&self) -> bool {
        std::ptr::eq(self.copy.as_ref(), self.read.as_raw())
    }

    /// The copy of the signed part.
    fn signed_part(&self) -> Option<&[u8]> {
        let part = self.read.tbs_certificate.as_ref();
        self.copy.get(place(part, self.read.as_raw())..)?.get(..part.len())
    }
}

fn changed(original: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut copy = original.to_vec();
    for (at, value) in changes {
        if let Some(byte) = copy.get_mut(*at) {
            *byte = *value;
        }
    }
    copy
}

/// The position of the `critical` flag in front of an extension's value.
fn critical_mark(value: &[u8], original: &[u8]) -> Option<usize> {
    let header = match value.len() {
        0..=0x7f => 2,
        0x80..=0xff => 3,
        _ => 4,
    };
    let at = place(value, original).checked_sub(header + 1)?;
    original.get(at.checked_sub(2)?..=at).filter(|mark| *mark == [1, 1, 0xff]).map(|_| at)
}

/// The tags of the constraints on e-mail addresses, directory names and URIs.
fn foreign_forms(constraints: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lists = elements(content(constraints).unwrap_or_default());
    let subtrees = lists.flat_map(|list| elements(content(list).unwrap_or_default()));
    subtrees.filter_map(content).filter(|base| matches!(base.first(), Some(0x81 | 0xa4 | 0x86)))
}

/// An algorithm that verifies signatures of adapted certificates over the originals.
#[derive(Debug)]
pub struct OverOriginals<'c> {
    chain: &'c [Adapted<'c>],
    algorithm: &'c dyn SignatureVerificationAlgorithm,
}

/// The algorithms for the signatures in a chain of adapted certificates.
pub fn algorithms<'c>(chain: &'c [Adapted<'c>]) -> Vec<OverOriginals<'c>> {
    let more = chain.iter().flat_map(|adapted| adapted.pss.iter().flatten()).map(|pss| pss as &_);
    let all = ALGORITHMS.iter().map(|known| *known as &_).chain(more);
    all.map(|algorithm| OverOriginals { chain, algorithm }).collect()
}

impl SignatureVerificationAlgorithm for OverOriginals<'_> {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let mut changed = self.chain.iter().filter(|adapted| !adapted.is_unchanged());
        let Some(signed) = changed.find(|adapted| adapted.signed_part() == Some(message)) else {
            return self.algorithm.verify_signature(key, message, signature);
        };
        let original = signed.read.tbs_certificate.as_ref();
        let kind = self.public_key_alg_id();
        match signed.pss.iter().flatten().find(|pss| pss.public_key_alg_id() == kind) {
            Some(pss) => pss.verify_signature(key, original, signature),
            None => self.algorithm.verify_signature(key, original, signature),
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}
