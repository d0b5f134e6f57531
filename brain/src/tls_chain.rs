//! What holds for chains of certificates whichever side has sent them.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Certificates besides the sender's own. Real chains have one to four.
pub(crate) const MOST_INTERMEDIATES: usize = 16;
/// Certificates of one authority in a chain. Two are real: an authority's new certificate and its old one.
const MOST_OF_ONE_SUBJECT: usize = 2;

/// So many certificates that looking for a path through them is an attack.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} certificates were sent besides its own, more than the {MOST_INTERMEDIATES} that a chain may have"
)]
pub(crate) struct Crowd(pub(crate) usize);

/// The certificates among which a path may be looked for.
///
/// webpki takes up to 200,000 steps, each of which reads all certificates (`Budget` in its `verify_cert`). In
/// 64 KiB there is room for enough that name each other to keep it busy for seconds. With at most two issuers to
/// go on with, and its six levels, it takes 126 steps.
///
/// # Errors
/// If there are more than [`MOST_INTERMEDIATES`].
pub(crate) fn plausible<'c>(
    certificates: &'c [CertificateDer<'_>],
) -> Result<Vec<CertificateDer<'c>>, Crowd> {
    if certificates.len() > MOST_INTERMEDIATES {
        return Err(Crowd(certificates.len()));
    }
    let mut plausible: Vec<(EndEntityCert<'c>, CertificateDer<'c>)> = Vec::new();
    for certificate in certificates {
        let Ok(parsed) = EndEntityCert::try_from(certificate) else { continue };
        if plausible.iter().any(|(_, before)| before == certificate) {
            continue;
        }
        let same = plausible.iter().filter(|(before, _)| before.subject() == parsed.subject()).count();
        if same < MOST_OF_ONE_SUBJECT {
            plausible.push((parsed, CertificateDer::from(certificate.as_ref())));
        }
    }
    Ok(plausible.into_iter().map(|(_, certificate)| certificate).collect())
}
