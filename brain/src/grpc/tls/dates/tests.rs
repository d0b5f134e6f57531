use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;

/// Valid from 2 January 2026 until 2 January 2027.
fn certificate() -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2026, 1, 2);
    params.not_after = date_time_ymd(2027, 1, 2);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

#[test]
fn what_is_over_soon_is_told_in_time() {
    let said = |now: &str| {
        let now = humantime::parse_rfc3339(now).unwrap();
        doubts("--grpc-cert", Path::new("/cert.pem"), &[certificate()], now).pop()
    };
    let told = |what: &str| Some(format!("--grpc-cert /cert.pem: its certificate {what}"));
    let early = "is not valid before 2026-01-02T00:00:00Z; is this machine's clock right?";
    assert_eq!(said("2026-01-01T23:59:59Z"), told(early));
    assert_eq!(said("2026-01-02T00:00:00Z"), None);
    assert_eq!(said("2026-12-19T00:00:00Z"), None, "14 days");
    let soon = told("will expire on 2027-01-02T00:00:00Z: renew it, and reload");
    assert_eq!(said("2026-12-19T00:00:01Z"), soon);
    assert_eq!(said("2027-01-02T00:00:00Z"), soon, "its last moment (RFC 5280, 4.1.2.5)");
    let over = "has expired on 2027-01-02T00:00:00Z: renew it, and reload";
    assert_eq!(said("2027-01-02T00:00:01Z"), told(over));
}

#[test]
fn one_of_several_is_told_by_its_number() {
    let after = humantime::parse_rfc3339("2030-01-01T00:00:00Z").unwrap();
    let said = doubts("--grpc-client-ca", Path::new("/ca.pem"), &[certificate(), certificate()], after);
    let start = |number| format!("--grpc-client-ca /ca.pem: its certificate {number} has expired on ");
    assert!(said.len() == 2 && said[0].starts_with(&start(1)) && said[1].starts_with(&start(2)), "{said:?}");
}
