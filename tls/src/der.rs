//! Parts of DER values.

use x509_parser::asn1_rs::{Any, FromDer};
use x509_parser::certificate::X509Certificate;

/// The contents of a DER value.
pub fn content(der: &[u8]) -> Option<&[u8]> {
    Any::from_der(der).ok().map(|(_, any)| any.data)
}

/// The DER values in the contents of another.
pub(super) fn elements(mut content: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (rest, _) = Any::from_der(content).ok()?;
        let (element, _) = content.split_at_checked(content.len() - rest.len())?;
        content = rest;
        Some(element)
    })
}

/// The contents of the AlgorithmIdentifier that a certificate is signed with.
pub(super) fn signature_id<'c>(certificate: &X509Certificate<'c>) -> Option<&'c [u8]> {
    content(elements(content(certificate.as_raw())?).nth(1)?)
}
