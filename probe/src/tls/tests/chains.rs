//! Certificate chains: accepted exactly if OpenSSL 3 accepts them by default.

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, NameConstraints, SanType,
};
use rustls::pki_types::UnixTime;

use super::parties::years;
use super::*;

type Change = fn(&mut CertificateParams);

fn verdict_of(leaf: &Leaf, authorities: &[CertificateDer<'static>]) -> Result<(), String> {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_893_456_000));
    let name = ServerName::try_from("a.example").unwrap();
    let (own, intermediates) = leaf.chain.split_first().unwrap();
    trust::verify(&parties::trusted(authorities), own, intermediates, &name, now)
}

/// The verdict on a chain of three whose last two certificates are changed.
fn verdict(middle: Change, own: Change) -> Result<(), String> {
    let root = Authority::new("root");
    let middle = root.below_with("middle", middle);
    verdict_of(&middle.issue_with(&["a.example"], own).with(&middle), &[root.der()])
}

fn critical(params: &mut CertificateParams, oid: &[u64], content: &[u8]) {
    let mut extension = CustomExtension::from_oid_content(oid, content.to_vec());
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
}

fn any_policy(params: &mut CertificateParams) {
    critical(params, &[2, 5, 29, 32], &[0x30, 8, 0x30, 6, 6, 4, 0x55, 0x1d, 0x20, 0]);
}

fn none(_: &mut CertificateParams) {}

/// RFC 5280 requires some of them to be critical.
#[test]
fn critical_policies_pass() {
    let constraints: Change = |params| critical(params, &[2, 5, 29, 36], &[0x30, 3, 0x80, 1, 3]);
    let inhibit: Change = |params| critical(params, &[2, 5, 29, 54], &[2, 1, 2]);
    let mappings: Change =
        |params| critical(params, &[2, 5, 29, 33], &[0x30, 10, 0x30, 8, 6, 2, 42, 3, 6, 2, 42, 4]);
    let long: Change = |params| {
        // The extension's length takes more bytes.
        let text = [&[0x30, 0x82, 1, 0, 6, 3, 42, 3, 4, 4, 0x81, 0xf8][..], &[0; 0xf8]].concat();
        critical(params, &[2, 5, 29, 32], &text);
    };
    for change in [any_policy as Change, constraints, inhibit, mappings, long] {
        assert_eq!(verdict(change, none), Ok(()));
        assert_eq!(verdict(none, change), Ok(()));
    }
}

#[test]
fn other_critical_extensions_are_named() {
    let unknown: Change = |params| critical(params, &[1, 2, 3, 4], &[5, 0]);
    assert_eq!(
        verdict(unknown, none).unwrap_err(),
        "intermediate certificate `CN=middle` has the unsupported critical extension 1.2.3.4; to trust it all the same, put it into \
         `ca-file`"
    );
    assert_eq!(
        verdict(none, unknown).unwrap_err(),
        "certificate refused: unsupported critical extension 1.2.3.4"
    );
    // What would help.
    let root = Authority::new("root");
    let middle = root.below_with("middle", unknown);
    assert_eq!(verdict_of(&middle.issue(&["a.example"]), &[middle.der()]), Ok(()));

    // Netscape's kinds of certificates: for servers, and for clients.
    let kinds = [2, 16, 840, 1, 113_730, 1, 1];
    for (bits, passes) in [([3, 2, 6, 0x40], true), ([3, 2, 7, 0x80], false)] {
        let root = Authority::new("root");
        let leaf = root.issue_with(&["a.example"], |params| critical(params, &kinds, &bits));
        assert_eq!(verdict_of(&leaf, &[root.der()]).is_ok(), passes);
    }
}

/// Bytes that are changed in webpki's copy are still covered by the original's signature.
#[test]
fn what_is_passed_over_is_still_signed() {
    let root = Authority::new("root");
    let leaf = root.issue_with(&["a.example"], |params| {
        any_policy(params);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    assert_eq!(verdict_of(&leaf, &[root.der()]), Ok(()));
    let mut changed = leaf.clone();
    let mut der = changed.chain[0].to_vec();
    let marks: Vec<usize> = (2..der.len()).filter(|at| der[at - 2..=*at] == [1, 1, 0xff]).collect();
    assert!(marks.len() >= 2, "{marks:?}");
    for at in marks {
        der[at] = 0;
        changed.chain[0] = der.clone().into();
        assert_eq!(
            verdict_of(&changed, &[root.der()]).unwrap_err(),
            "certificate is not signed with its authority's key"
        );
        der[at] = 0xff;
    }
}

fn of_organization(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::OrganizationName, name);
    names
}

fn own_names(params: &mut CertificateParams) {
    params.distinguished_name = of_organization("Example  Inc");
    params.distinguished_name.push(DnType::CommonName, "server");
    let text = |text: &str| Ia5String::try_from(text).unwrap();
    params.subject_alt_names.push(SanType::Rfc822Name(text("root@example.org")));
    params.subject_alt_names.push(SanType::URI(text("spiffe://user@a.example.org:1/x")));
}

#[test]
fn name_constraints_are_kept() {
    use GeneralSubtree::{DirectoryName, DnsName, Rfc822Name};
    let directory = |name: &str| DirectoryName(of_organization(name));
    let email = |text: &str| Rfc822Name(text.to_owned());
    let dns = |text: &str| DnsName(text.to_owned());
    let root = Authority::new("root");
    let refused =
        Err("certificate has a name outside the name constraints of one of its authorities".to_owned());
    for (permitted, excluded, is_kept) in [
        (vec![directory("EXAMPLE INC")], vec![], true),
        (vec![directory("Other"), directory("example inc")], vec![], true),
        (vec![directory("Other")], vec![], false),
        (vec![], vec![directory("Other")], true),
        (vec![], vec![directory("Example Inc")], false),
        (vec![email("example.org")], vec![], true),
        (vec![email("root@EXAMPLE.org")], vec![], true),
        (vec![email("Root@example.org")], vec![], false),
        (vec![email(".example.org")], vec![], false),
        (vec![], vec![email("example.org")], false),
        (vec![directory("Example Inc"), dns("a.example")], vec![email("example.com")], true),
        (vec![directory("Example Inc"), dns("b.example")], vec![], false),
    ] {
        let expected = if is_kept { Ok(()) } else { refused.clone() };
        let constrain = |params: &mut CertificateParams| {
            let [permitted_subtrees, excluded_subtrees] = [permitted.clone(), excluded.clone()];
            params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees });
        };
        let middle = root.below_with("middle", constrain);
        let leaf = middle.issue_with(&["a.example"], own_names);
        assert_eq!(
            verdict_of(&leaf.clone().with(&middle), &[root.der()]),
            expected,
            "{permitted:?} {excluded:?}"
        );
        // In the trust anchor itself.
        assert_eq!(verdict_of(&leaf, &[middle.der()]), expected, "{permitted:?} {excluded:?}");
    }
}

#[test]
fn constraints_on_uris_are_kept() {
    let root = Authority::new("root");
    for (list, base, is_kept) in [
        (0xa0, ".example.org", true),
        (0xa0, "a.example.org", true),
        (0xa0, "example.org", false),
        (0xa1, ".example.org", false),
        (0xa1, "example.com", true),
    ] {
        let base = [&[0x86, u8::try_from(base.len()).unwrap()][..], base.as_bytes()].concat();
        let wrapped =
            |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()][..], content].concat();
        let constraints = wrapped(0x30, &wrapped(list, &wrapped(0x30, &base)));
        let middle = root.below_with("middle", |params| critical(params, &[2, 5, 29, 30], &constraints));
        let leaf = middle.issue_with(&["a.example"], own_names).with(&middle);
        assert_eq!(verdict_of(&leaf, &[root.der()]).is_ok(), is_kept, "{base:?}");
        // A URI without a host cannot satisfy any constraint.
        let strange = |params: &mut CertificateParams| {
            params.subject_alt_names.push(SanType::URI(Ia5String::try_from("urn:x").unwrap()));
        };
        let leaf = middle.issue_with(&["a.example"], strange).with(&middle);
        assert!(verdict_of(&leaf, &[root.der()]).is_err());
    }
}

/// A server may use an authority's certificate as its own.
#[test]
fn certificates_of_authorities_serve() {
    let of_authority: Change = |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    assert_eq!(verdict(none, of_authority), Ok(()));
}

#[test]
fn intermediates_that_cannot_serve_do_not_hide_the_one_that_can() {
    let root = Authority::new("root");
    let good = root.below("middle");
    let expired = root.below_with("middle", years(2001, 2002));
    let future = root.below_with("middle", years(4000, 4001));
    let of_clients = root.below_with("middle", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let none: Change = |params| params.is_ca = IsCa::ExplicitNoCa;
    let no_authority = root.below_with("middle", none);
    let leaf = || good.issue(&["a.example"]);
    let others: Vec<Authority> = (0..6).map(|_| root.below("middle")).collect();
    let unrelated: Vec<Authority> = (0..30).map(|number| root.below(&number.to_string())).collect();
    let before = |before: &[&Authority]| before.iter().fold(leaf(), |leaf, one| leaf.with(one)).with(&good);
    let all = |all: &'static str| all;
    for (what, chain) in [
        (all("unfit"), before(&[&expired, &expired, &future, &of_clients, &no_authority])),
        (all("of other keys"), before(&others.iter().collect::<Vec<_>>())),
        (all("unrelated"), before(&unrelated.iter().collect::<Vec<_>>())),
        (all("the same"), before(&[&good; 20])),
    ] {
        assert_eq!(verdict_of(&chain, &[root.der()]), Ok(()), "{what}");
    }
    for (only, expected) in [
        (&expired, "intermediate certificate `CN=middle` expired on 2002-03-04T00:00:00Z"),
        (&future, "intermediate certificate `CN=middle` is not valid before 4000-01-02T00:00:00Z"),
        (&of_clients, "intermediate certificate `CN=middle` does not allow this use (extKeyUsage)"),
        (&no_authority, "intermediate certificate `CN=middle` is not a CA certificate"),
    ] {
        let chain = leaf().with(only);
        assert_eq!(verdict_of(&chain, &[root.der()]).unwrap_err(), expected);
    }
    let mut malformed = leaf();
    malformed.chain.push(vec![0x30, 0].into());
    assert_eq!(verdict_of(&malformed, &[root.der()]).unwrap_err(), "certificate 2 of the chain is malformed");
}

#[test]
fn authorities_of_one_name_are_all_tried() {
    let [old, other, good] = std::array::from_fn(|_| Authority::new("root"));
    let expired = Authority::new_with("root", years(2001, 2002));
    let leaf = good.issue(&["a.example"]);
    assert_eq!(verdict_of(&leaf, &[expired.der(), old.der(), other.der(), good.der()]), Ok(()));
    // Either of two authorities that issued the same intermediate is enough.
    let cross = Authority::new("cross");
    let middle = good.below("middle");
    let crossed = middle.signed_also_by(&cross);
    let mut leaf = middle.issue(&["a.example"]);
    leaf.chain.extend([crossed, middle.der()]);
    for root in [&good, &cross] {
        assert_eq!(verdict_of(&leaf, &[root.der()]), Ok(()));
    }
}

/// A certificate in `ca-file` may issue others only if it is a CA certificate.
#[test]
fn servers_certificates_vouch_for_none_but_themselves() {
    let server = Authority::new_with("root", |params| params.is_ca = IsCa::NoCa);
    assert_eq!(
        verdict_of(&server.issue(&["a.example"]), &[server.der()]).unwrap_err(),
        "certificate is signed by a certificate in `ca-file` that is not a CA certificate"
    );
}
