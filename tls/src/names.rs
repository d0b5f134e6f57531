//! Name constraints of the forms that webpki does not implement: e-mail addresses, directory names and URIs (RFC 5280,
//! 4.2.1.10). Where the RFC leaves a choice, this follows OpenSSL.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, GeneralSubtree, NameConstraints};
use x509_parser::x509::{AttributeTypeAndValue, RelativeDistinguishedName, X509Name};

/// Whether all names of a certificate are within the constraints.
pub fn are_within(certificate: &X509Certificate<'_>, constraints: &NameConstraints<'_>) -> bool {
    let subject = certificate.subject();
    let own = (subject.iter().next().is_some()).then(|| GeneralName::DirectoryName(subject.clone()));
    let emails = subject.iter_email().map(|email| email.as_str().map(GeneralName::RFC822Name));
    // An unreadable name could violate anything.
    let Ok(emails) = emails.collect::<Result<Vec<_>, _>>() else { return false };
    let Ok(others) = certificate.subject_alternative_name() else { return false };
    let others = others.map(|others| &others.value.general_names);
    let mut names = own.iter().chain(&emails).chain(others.into_iter().flatten());
    names.all(|name| is_permitted(name, constraints))
}

fn is_permitted(name: &GeneralName<'_>, constraints: &NameConstraints<'_>) -> bool {
    let verdicts = |subtrees: &Option<Vec<GeneralSubtree<'_>>>, strange| -> Vec<bool> {
        let subtrees = subtrees.iter().flatten();
        subtrees.filter_map(|subtree| is_below(name, &subtree.base, strange)).collect()
    };
    let permitted = verdicts(&constraints.permitted_subtrees, false);
    (permitted.is_empty() || permitted.contains(&true))
        && !verdicts(&constraints.excluded_subtrees, true).contains(&true)
        && !matches!(name, GeneralName::Invalid(..))
}

/// Whether a name is within a constraint, or `None` if they are of different forms; `strange` applies to a
/// name without a host.
fn is_below(name: &GeneralName<'_>, base: &GeneralName<'_>, strange: bool) -> Option<bool> {
    match (name, base) {
        (GeneralName::DirectoryName(name), GeneralName::DirectoryName(base)) => Some(begins_with(name, base)),
        (GeneralName::RFC822Name(name), GeneralName::RFC822Name(base)) => {
            let Some((mailbox, host)) = name.rsplit_once('@') else { return Some(strange) };
            Some(match base.rsplit_once('@') {
                Some((of, at)) => mailbox == of && host.eq_ignore_ascii_case(at),
                None => is_host_in(host, base),
            })
        }
        (GeneralName::URI(name), GeneralName::URI(base)) => {
            let authority = name.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
            let host = authority.and_then(|authority| authority.rsplit('@').next()?.split(':').next());
            Some(host.filter(|host| !host.is_empty()).map_or(strange, |host| is_host_in(host, base)))
        }
        _ => None,
    }
}

/// A base with a leading dot stands for all hosts below it, any other for itself.
fn is_host_in(host: &str, base: &str) -> bool {
    let (host, base) = (host.to_ascii_lowercase(), base.to_ascii_lowercase());
    if base.starts_with('.') { host.ends_with(&base) } else { host == base }
}

fn begins_with(name: &X509Name<'_>, base: &X509Name<'_>) -> bool {
    let mut parts = name.iter();
    base.iter().all(|wanted| parts.next().is_some_and(|part| is_same(part, wanted)))
}

fn is_same(part: &RelativeDistinguishedName<'_>, wanted: &RelativeDistinguishedName<'_>) -> bool {
    let plain = |part: &RelativeDistinguishedName<'_>| part.iter().map(comparable).collect::<Vec<_>>();
    plain(part) == plain(wanted)
}

/// An attribute without insignificant differences: case, spaces, and the type of string (RFC 5280, 7.1).
fn comparable(attribute: &AttributeTypeAndValue<'_>) -> (String, Vec<u8>) {
    let value = match attribute.as_str() {
        Ok(text) => text.to_lowercase().split_ascii_whitespace().collect::<Vec<_>>().join(" ").into_bytes(),
        Err(_) => attribute.attr_value().as_bytes().to_vec(),
    };
    (attribute.attr_type().to_id_string(), value)
}
