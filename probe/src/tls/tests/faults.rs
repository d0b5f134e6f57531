//! Broken but honest servers, and the descriptions of their failures.

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa};

use super::parties::years;
use super::*;

const L6RSP: ProbeCode = ProbeCode::L6Rsp;

#[tokio::test]
async fn certificates_are_told_apart() {
    let root = Authority::new("root");
    let other = Authority::new("other");
    let middle = root.below("middle");
    let of_authority = |params: &mut rcgen::CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    let of_client = |params: &mut rcgen::CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let mut wrong_key = root.issue(&["a.example"]);
    wrong_key.key = root.issue(&[]).key;
    let malformed = Leaf { chain: vec![vec![0x30, 0].into()], ..wrong_key.clone() };
    let names = ["b.example", "*.c.example", "192.0.2.7", "d.example", "e.example"];
    for (leaf, expected) in [
        (root.issue_with(&["a.example"], years(2001, 2002)), "certificate expired on 2002-03-04T00:00:00Z"),
        (
            root.issue_with(&["a.example"], years(4000, 4001)),
            "certificate not valid before 4000-01-02T00:00:00Z",
        ),
        (root.issue(&["b.example"]), "certificate is for b.example, not for a.example"),
        (
            root.issue(&names),
            "certificate is for b.example, *.c.example, 192.0.2.7 and 2 more, not for a.example",
        ),
        (
            root.issue(&[]),
            "certificate is for no server (it has no name in subjectAltName), not for a.example",
        ),
        (other.issue(&["a.example"]), "certificate is signed by an unknown authority"),
        (other.issue(&["a.example"]).with(&other), "certificate is signed by an unknown authority"),
        (middle.issue(&["a.example"]), "certificate is signed by an unknown authority"),
        (Leaf::self_signed(&["a.example"], |_| {}), "certificate is self-signed and not trusted"),
        (Leaf::self_signed(&["a.example"], of_authority), "certificate is self-signed and not trusted"),
        (Leaf::self_signed(&["a.example"], years(2001, 2002)), "certificate expired on 2002-03-04T00:00:00Z"),
        (root.issue_with(&["a.example"], of_client), "certificate is not for servers"),
        (malformed, "certificate is malformed"),
        (Leaf::version_1(), "certificate is older than X.509 version 3, and cannot be verified"),
        (Authority::new("root").issue(&["a.example"]), "certificate is not signed with its authority's key"),
        (wrong_key, "the handshake is not signed with the certificate's key"),
    ] {
        let client = parties::client(&[root.der()], Some("a.example"));
        for version in [&TLS12, &TLS13] {
            let found = failure(&client, &Server::speaking(&leaf, &[version])).await;
            assert_eq!(found, (L6RSP, expected.into()), "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_must_be_for_the_address_if_there_is_no_name() {
    let root = Authority::new("root");
    let client = parties::client(&[root.der()], None);
    let found = failure(&client, &Server::new(&root.issue(&["192.0.2.2"]))).await;
    assert_eq!(found, (L6RSP, "certificate is for 192.0.2.2, not for 192.0.2.1".into()));
}

#[tokio::test]
async fn an_unverified_handshake_must_still_be_signed() {
    let root = Authority::new("root");
    let leaf = Leaf { key: root.issue(&[]).key, ..root.issue(&["a.example"]) };
    let client = Client::new(&check(false), None);
    for version in [&TLS12, &TLS13] {
        let (code, detail) = failure(&client, &Server::speaking(&leaf, &[version])).await;
        assert_eq!(code, L6RSP);
        assert!(detail.starts_with("the handshake is not signed with"), "{detail}");
    }
}

#[tokio::test]
async fn without_authorities_the_reason_is_on_this_machine() {
    static NONE: System = System::new();
    let client = Client::with_system(&check(true), Some("a.example"), &NONE);
    let (near, _far) = duplex(PIPE);
    let (code, detail) = client.handshake(near, BACKEND, deadline()).await.expect_err("no authorities");
    assert_eq!(code, ProbeCode::SockErr);
    assert_eq!(
        detail,
        "this machine has no certificate authorities to verify with: \
         install ca-certificates and reload, or set `ca-file`"
    );
}

/// All digits in the last label: valid as a Host header, but TLS has no such name.
#[tokio::test]
async fn a_name_that_tls_cannot_have_is_told() {
    let root = Authority::new("root");
    let client = parties::client(&[root.der()], Some("10.0.0.300:443"));
    let (code, detail) = failure(&client, &Server::new(&root.issue(&["a.example"]))).await;
    assert_eq!(code, ProbeCode::SockErr);
    assert_eq!(detail, "10.0.0.300 cannot be a server's name in TLS: set `sni` to a DNS name or an address");
}

#[tokio::test]
async fn alerts_are_told() {
    let root = Authority::new("root");
    let client = parties::client(&[root.der()], Some("a.example"));
    let nothing_to_present = Leaf { chain: Vec::new(), ..root.issue(&[]) };
    let (code, detail) = failure(&client, &Server::new(&nothing_to_present)).await;
    assert_eq!((code, detail.as_str()), (L6RSP, "the server sent an alert: access denied"));

    for (number, name) in [(40, "handshake failure"), (70, "protocol version"), (112, "unrecognised name")] {
        let found = failure_with(vec![21, 3, 3, 0, 2, 2, number]).await;
        assert_eq!(found.0, L6RSP);
        assert!(found.1.starts_with(&format!("the server sent an alert: {name}")), "{}", found.1);
    }
    let found = failure_with(vec![21, 3, 3, 0, 2, 2, 200]).await;
    assert_eq!(found, (L6RSP, "the server sent an alert: number 200".into()));
}

const WANTS_CERTIFICATE: &str = "the server sent an alert: certificate required: \
                                 it requires a client certificate, and checks have none";

/// In TLS 1.2 the handshake fails; in 1.3 it is complete by then, and the first read fails.
#[tokio::test]
async fn a_server_that_wants_a_client_certificate_is_told() {
    let root = Authority::new("root");
    let client = parties::client(&[root.der()], Some("a.example"));
    let leaf = root.issue(&["a.example"]);
    let found = failure(&client, &Server::wanting(&leaf, &root, &[&TLS12])).await;
    assert_eq!(found, (L6RSP, WANTS_CERTIFICATE.into()));

    let server = Server::wanting(&leaf, &root, &[&TLS13]);
    let mut stream = meet(&client, &server).await.unwrap();
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(fault(&error).as_deref(), Some(WANTS_CERTIFICATE));
    assert_eq!(fault(&std::io::Error::from(std::io::ErrorKind::ConnectionReset)), None);
}
