//! Servers that pass.

use rcgen::{BasicConstraints, IsCa};
use rustls::{HandshakeKind, ProtocolVersion};

use super::*;

#[tokio::test]
async fn both_versions_pass_with_a_chain_of_three() {
    let root = Authority::new("root");
    let middle = root.below("middle");
    let leaf = middle.issue(&["a.example"]).with(&middle);
    let client = parties::client(&[root.der()], Some("a.example"));
    for (versions, agreed) in [
        (&[&TLS12][..], ProtocolVersion::TLSv1_2),
        (&[&TLS13], ProtocolVersion::TLSv1_3),
        (&[&TLS12, &TLS13], ProtocolVersion::TLSv1_3),
    ] {
        let server = Server::speaking(&leaf, versions);
        // A second handshake is a full one as well, though the server offers to resume.
        for _ in 0..2 {
            let mut stream = meet(&client, &server).await.unwrap();
            let mut word = [0; 5];
            stream.read_exact(&mut word).await.unwrap();
            assert_eq!(&word, b"hello");
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(agreed));
            assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
            assert_eq!(session.alpn_protocol(), None);
        }
    }
}

#[tokio::test]
async fn the_name_is_sni_or_host_or_the_address() {
    let root = Authority::new("root");
    let names =
        ["a.example", "*.b.example", "under_score.example", "192.0.2.1", "198.51.100.9", "2001:db8::1"];
    let (server, mut asked) = Server::new(&root.issue(&names)).telling();
    for (sni, host, sent) in [
        (Some("a.example"), Some("c.example"), Some("a.example")),
        (None, Some("a.example"), Some("a.example")),
        (None, Some("a.example:8443"), Some("a.example")),
        (None, Some("x.b.example"), Some("x.b.example")),
        (None, Some("under_score.example"), Some("under_score.example")),
        (None, Some("198.51.100.9:8443"), None),
        (None, Some("[2001:db8::1]:8443"), None),
        (None, Some("[2001:db8::1]"), None),
        (Some("2001:db8::1"), Some("c.example"), None),
        (None, None, None),
    ] {
        let tls = TlsCheck { sni: sni.map(str::to_owned), ..parties::trusting(&[root.der()]) };
        let client = Client::new(&tls, host);
        let result = meet(&client, &server).await;
        assert!(result.is_ok(), "{sni:?} {host:?}: {result:?}");
        assert_eq!(asked.recv().await.unwrap().as_deref(), sent, "{sni:?} {host:?}");
    }
}

/// The two usual kinds: the second is what `openssl req -x509` makes.
#[tokio::test]
async fn a_self_signed_certificate_passes_where_it_is_named() {
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let leaf = Leaf::self_signed(&["a.example"], |params| params.is_ca = is_ca);
        let server = Server::new(&leaf);
        let named = &leaf.chain;
        assert!(meet(&client(named, Some("a.example")), &server).await.is_ok());
        let (code, detail) = failure(&client(named, Some("b.example")), &server).await;
        assert_eq!(
            (code, detail.as_str()),
            (ProbeCode::L6Rsp, "certificate is for a.example, not for b.example")
        );
    }
}

#[tokio::test]
async fn anything_passes_unverified() {
    let root = Authority::new("root");
    let expired = root.issue_with(&["b.example"], parties::years(2001, 2002));
    let self_signed =
        Leaf::self_signed(&[], |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let unreadable = Leaf { chain: vec![vec![0x30, 0].into()], ..expired.clone() };
    for host in [None, Some("a.example")] {
        let client = Client::new(&check(false), host);
        for leaf in [&expired, &self_signed, &unreadable, &Leaf::version_1()] {
            for version in [&TLS12, &TLS13] {
                let result = meet(&client, &Server::speaking(leaf, &[version])).await;
                assert!(result.is_ok(), "{result:?}");
            }
        }
    }
}

/// Those that were read last count, for checks that are made already too.
#[tokio::test]
async fn the_systems_authorities_may_change() {
    static SYSTEM: System = System::new();
    let [old, new] = ["old", "new"].map(Authority::new);
    let client = Client::with_system(&check(true), Some("a.example"), &SYSTEM);
    for root in [&old, &new] {
        SYSTEM.set(Arc::new(parties::trusted(&[root.der()])));
        for (issuer, passes) in [(&old, std::ptr::eq(root, &old)), (&new, std::ptr::eq(root, &new))] {
            let result = meet(&client, &Server::new(&issuer.issue(&["a.example"]))).await;
            assert_eq!(result.is_ok(), passes, "{result:?}");
        }
    }
}

/// The system's authorities are asked for only by checks that need them.
#[tokio::test]
async fn the_system_is_asked_only_if_nothing_else_is_given() {
    static NONE: System = System::new();
    let root = Authority::new("root");
    let server = Server::new(&root.issue(&["a.example"]));
    for tls in [check(false), parties::trusting(&[root.der()])] {
        let client = Client::with_system(&tls, Some("a.example"), &NONE);
        assert!(meet(&client, &server).await.is_ok());
    }
}
