//! Names in client certificates. Their authority vouches for them.

use maglev_protocol::printable;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// Maximum length of a name that is shown, in characters.
const LONGEST: usize = 100;

/// The names in a certificate, unmodified.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// The subject's common name. `None` also if there are several, since programs disagree which one counts.
    common: Option<String>,
    dns: Vec<String>,
    /// E-mail addresses and URIs.
    others: Vec<String>,
}

impl Names {
    /// Empty for a certificate that cannot be parsed.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
            return Self::default();
        };
        let mut common = certificate.subject().iter_common_name();
        let common = match (common.next(), common.next()) {
            (Some(name), None) => name.as_str().ok().map(str::to_owned),
            _ => None,
        };
        let mut names = Self { common, ..Self::default() };
        let alternative = certificate.subject_alternative_name().ok().flatten();
        for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
                GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
                    names.others.push((*name).to_owned())
                }
                _ => {}
            }
        }
        names
    }

    /// The first name that is one of these. Only DNS names are compared case-insensitively (RFC 4343).
    pub(super) fn admin<'a>(&self, admins: &'a [String]) -> Option<&'a str> {
        let is_one = |admin: &&String| {
            self.common.iter().chain(&self.others).any(|name| name == *admin)
                || self.dns.iter().any(|name| name.eq_ignore_ascii_case(admin))
        };
        admins.iter().find(is_one).map(String::as_str)
    }

    /// The name to show for its owner.
    pub(super) fn known_by(&self) -> String {
        let mut names = self.common.iter().chain(&self.dns).chain(&self.others);
        names.find(|name| !name.is_empty()).map_or_else(|| "without a name".to_owned(), |name| shown(name))
    }
}

/// A name, sanitized for the log.
pub(super) fn shown(name: &str) -> String {
    printable(name, LONGEST)
}

#[cfg(test)]
mod tests;
