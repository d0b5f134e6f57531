//! Limits on certificate chains, whichever side has sent them.

use rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ExtendedKeyUsage;
use x509_parser::prelude::FromDer;

use super::{date, kinds, signatures, subject};

/// Intermediate certificates that may be part of a path. Real chains have one to four.
pub const MOST_INTERMEDIATES: usize = 16;
/// Certificates of one authority that are tried. Two are real: its new certificate and its old one.
const MOST_OF_ONE_SUBJECT: usize = 3;
/// Maximum number of signatures verified to tell an authority's certificates from others of the same name.
const MOST_SIGNATURES: usize = 64;

/// So many certificates that looking for a path through them is an attack.
#[derive(Debug, thiserror::Error)]
#[error(
    "the chain has {0} intermediates that could lead to an authority; at most {MOST_INTERMEDIATES} are tried"
)]
pub struct Crowd(usize);

/// Intermediates sorted by whether a path may use them.
#[derive(Debug, Default)]
pub struct Plausible<'c> {
    /// Those that a path may use.
    pub certificates: Vec<X509Certificate<'c>>,
    /// Why others cannot be used, although a path would lead through them.
    pub unfit: Vec<String>,
}

/// Selects the intermediates that issuers' names lead to and that can be used; `usage` is what extKeyUsage must allow.
///
/// webpki takes up to 200,000 steps, each of which reads all certificates (`Budget` in its `verify_cert`). In
/// 64 KiB there is room for enough that name each other to keep it busy for seconds. With at most three issuers to
/// go on with, and its six levels, it takes 1092 steps.
///
/// # Errors
/// If there are more than [`MOST_INTERMEDIATES`].
pub fn plausible<'c>(
    own: &X509Certificate<'_>,
    intermediates: &'c [CertificateDer<'_>],
    now: UnixTime,
    usage: fn(&ExtendedKeyUsage<'_>) -> bool,
) -> Result<Plausible<'c>, Crowd> {
    let mut pool: Vec<X509Certificate<'c>> = Vec::new();
    let mut found = Plausible::default();
    for (at, der) in (2..).zip(intermediates) {
        match X509Certificate::from_der(der) {
            Ok(([], read)) if !pool.contains(&read) => pool.push(read),
            Ok(([], _)) => {}
            _ => found.unfit.push(format!("certificate {at} of the chain is malformed")),
        }
    }
    let mut signatures = MOST_SIGNATURES;
    for at in 0.. {
        let child = match at {
            0 => own,
            _ => match found.certificates.get(at - 1) {
                Some(child) => child,
                None => break,
            },
        };
        let issuer = child.issuer().as_raw();
        let mut issuers: Vec<_> = pool.extract_if(.., |read| read.subject().as_raw() == issuer).collect();
        issuers.retain(|read| match unfit(read, now, usage) {
            Some(why) => {
                found.unfit.push(format!("intermediate certificate `{}` {why}", subject(read)));
                false
            }
            None => true,
        });
        if issuers.len() > MOST_OF_ONE_SUBJECT {
            issuers.truncate(signatures);
            signatures -= issuers.len();
            issuers.retain(|read| signatures::is_signed_by(child, read.public_key()) != Some(false));
        }
        issuers.truncate(MOST_OF_ONE_SUBJECT);
        found.certificates.append(&mut issuers);
    }
    match found.certificates.len() {
        0..=MOST_INTERMEDIATES => Ok(found),
        more => Err(Crowd(more)),
    }
}

/// Why no path may use an authority's certificate, as the rest of a sentence.
fn unfit(
    read: &X509Certificate<'_>,
    now: UnixTime,
    usage: fn(&ExtendedKeyUsage<'_>) -> bool,
) -> Option<String> {
    let validity = read.validity();
    let seconds = |time: i64| u64::try_from(time).unwrap_or_default();
    let (from, until) = (seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp()));
    if now.as_secs() > until {
        return Some(format!("expired on {}", date(until)));
    }
    if now.as_secs() < from {
        return Some(format!("is not valid before {}", date(from)));
    }
    if !read.is_ca() {
        return Some("is not a CA certificate".to_owned());
    }
    if read
        .extended_key_usage()
        .is_ok_and(|extension| extension.is_some_and(|extension| !usage(extension.value)))
    {
        return Some("does not allow this use (extKeyUsage)".to_owned());
    }
    if let Some(extension) = kinds::unknown_extension(read.extensions(), false) {
        return Some(format!(
            "has the unsupported critical extension {extension}; to trust it all the same, put it into `ca-file`"
        ));
    }
    kinds::unusable_key(read.public_key()).map(|why| format!("cannot be used: its key is {why}"))
}
