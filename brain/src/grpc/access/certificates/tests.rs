use proptest::prelude::*;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

use super::*;

fn certificate(common: &[&str], alternative: Vec<SanType>) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for name in common {
        params.distinguished_name.push(DnType::CommonName, *name);
    }
    params.subject_alt_names = alternative;
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn email(name: &str) -> SanType {
    SanType::Rfc822Name(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

#[test]
fn names_are_read_as_they_stand() {
    let alternative = vec![
        dns("a.example"),
        email("a@example.org"),
        SanType::IpAddress([192, 0, 2, 1].into()),
        uri("spiffe://example.org/a"),
        dns("*.example"),
    ];
    let names = Names::of(&certificate(&["Ännchen, of Tharau"], alternative));
    assert_eq!(names.common.as_deref(), Some("Ännchen, of Tharau"));
    assert_eq!(names.dns, ["a.example", "*.example"]);
    assert_eq!(names.others, ["a@example.org", "spiffe://example.org/a"]);
    assert_eq!(names.known_by(), "Ännchen, of Tharau");
    assert_eq!(Names::of(&certificate(&[], vec![email("a@x"), dns("b.x")])).known_by(), "b.x");
    assert_eq!(Names::of(&certificate(&[], vec![])).known_by(), "without a name");
    assert_eq!(Names::of(&CertificateDer::from(vec![0x30, 0])), Names::default());
}

#[test]
fn admin_is_who_has_exactly_the_name() {
    let admins = ["alice", "b.example", "c@example.org", "x://d"].map(String::from);
    let admin = |common: &[&str], alternative| {
        Names::of(&certificate(common, alternative)).admin(&admins).map(str::to_owned)
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(admin(&["alice"], vec![]), named("alice"));
    assert_eq!(admin(&["eve"], vec![dns("B.Example")]), named("b.example"));
    assert_eq!(admin(&["eve"], vec![email("x@y"), email("c@example.org")]), named("c@example.org"));
    assert_eq!(admin(&["eve"], vec![uri("x://d")]), named("x://d"));
    for common in ["Alice", "alice ", " alice", "alice\0", "alic", "alice.example", ""] {
        assert_eq!(admin(&[common], vec![]), None, "{common:?}");
    }
    for wrong in [dns("b.example."), dns("*.example"), email("C@example.org"), uri("x://D")] {
        assert_eq!(admin(&[], vec![wrong.clone()]), None, "{wrong:?}");
    }
    assert_eq!(Names::of(&certificate(&[""], vec![])).admin(&[]), None);
}

/// A certificate with several common names, which this library cannot create. Created with `openssl req -x509
/// -subj "/CN=eve/CN=alice"`.
#[test]
fn several_common_names_are_none() {
    use rustls::pki_types::pem::PemObject;
    let certificate = CertificateDer::from_pem_slice(TWO_NAMES.as_bytes()).unwrap();
    assert!(
        X509Certificate::from_der(&certificate)
            .is_ok_and(|(_, it)| it.subject().iter_common_name().count() == 2)
    );
    let names = Names::of(&certificate);
    assert_eq!(
        (names.known_by().as_str(), names.admin(&["alice".into(), "eve".into()])),
        ("without a name", None)
    );
}

#[test]
fn names_are_shown_short_and_without_control_characters() {
    assert_eq!(shown("alice"), "alice");
    assert_eq!(shown("ecila\u{202e}"), r"ecila\u{202e}");
    assert_eq!(shown("a\nwho=\u{1b}[1mroot"), r"a\nwho=\u{1b}[1mroot");
    assert_eq!(shown(&"x".repeat(LONGEST)), "x".repeat(LONGEST));
    assert_eq!(shown(&"x".repeat(LONGEST + 1)), format!("{}…", "x".repeat(LONGEST)));
}

proptest! {
    /// A damaged certificate may or may not be readable; it grants nothing and does no harm.
    #[test]
    fn damaged_certificates_have_names_or_none(
        at in any::<prop::sample::Index>(), byte: u8, length in any::<prop::sample::Index>()
    ) {
        let mut der = certificate(&["alice"], vec![dns("a.example"), email("a@example.org")]).to_vec();
        let at = at.index(der.len());
        der[at] = byte;
        der.truncate(length.index(der.len()) + 1);
        let shown = Names::of(&CertificateDer::from(der)).known_by();
        prop_assert!(!shown.is_empty() && !shown.chars().any(char::is_control));
    }
}

const TWO_NAMES: &str = "\
-----BEGIN CERTIFICATE-----
MIIBkjCCATegAwIBAgIUe5SAACJQsuD4YrO9K4aVO0uHYAYwCgYIKoZIzj0EAwIw
HjEMMAoGA1UEAwwDZXZlMQ4wDAYDVQQDDAVhbGljZTAeFw0yNjExMjExNzM0NTha
Fw0zNjExMTgxNzM0NThaMB4xDDAKBgNVBAMMA2V2ZTEOMAwGA1UEAwwFYWxpY2Uw
WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASTehtfaHnfjGQxbGAjoMkvBTg62yha
Rq5KcoaqynzSC2/ZuPJaZOOCR49vjMFip8LoBX5Mi6WpyY0bicqx8hMHo1MwUTAd
BgNVHQ4EFgQUEpuE8gPl0tT8eto0MrykAEPohSowHwYDVR0jBBgwFoAUEpuE8gPl
0tT8eto0MrykAEPohSowDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBG
AiEA4YlOhVhp0n6e1uuhbFSvGc8erK1J/i4E2PzF9SxTtcoCIQCSqlMdzv/65Hgb
64ypXQql83DsN04sErTMNC/DWyJVYw==
-----END CERTIFICATE-----
";
