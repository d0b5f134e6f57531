//! Clients with certificates, with invalid ones, and without.

use std::net::SocketAddr;

use maglev_proto::maglev_client::MaglevClient;
use rcgen::SanType;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tonic::Code;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::changes::{Brain, CONFIG};
use super::pki::{Authority, Folder, Issued, client, trusting, years};
use super::roles::{CHANGES, READS, call, code};
use super::*;
use crate::grpc::access::{Access, AccessSettings};

/// A brain that listens with TLS, and two authorities: of servers, and of clients.
struct Encrypted {
    brain: Brain,
    folder: Folder,
    servers: Authority,
    clients: Authority,
    tls: Arc<Tls>,
    address: SocketAddr,
    _server: JoinHandle<Result<(), ListenError>>,
}

impl Encrypted {
    async fn start() -> Self {
        let (servers, clients) = (Authority::new("of servers"), Authority::new("of clients"));
        let folder = Folder::new(&servers.server(), &clients.pem());
        let tls = Arc::new(Tls::new(folder.files()).await.unwrap());
        let listener = Listener::bind_tls(([127, 0, 0, 1], 0).into(), Arc::clone(&tls)).await.unwrap();
        let &ListenAddress::Tls(address) = listener.address() else { panic!("{listener:?}") };
        let settings = AccessSettings { admin_group: None, reader_group: None, loopback: Loopback::Off };
        let admins = ["alice", "bob@example.org", "spiffe://example.org/carol", "dave.example.org"];
        let access = Access::new(settings).unwrap().with_admin_certificates(admins.map(str::to_owned).into());
        let brain = Brain::start(CONFIG);
        let server = serve(listener, brain.service.clone(), Gate::new(access), std::future::pending::<()>());
        Self { brain, folder, servers, clients, tls, address, _server: tokio::spawn(server) }
    }

    /// A connection with this client certificate.
    async fn connect(&self, shown: &Issued) -> Channel {
        self.endpoint(trusting(&self.servers, Some(shown))).connect().await.unwrap()
    }

    fn endpoint(&self, config: ClientTlsConfig) -> Endpoint {
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address)).unwrap();
        endpoint.tls_config(config).unwrap()
    }

    /// The error that a disconnected client sees: in TLS 1.3 its own part of the handshake may be complete by
    /// then.
    async fn refused(&self, shown: Option<&Issued>) -> String {
        let channel = match self.endpoint(trusting(&self.servers, shown)).connect().await {
            Ok(channel) => channel,
            Err(error) => return format!("{error:?}"),
        };
        let mut client = MaglevClient::new(channel);
        let status = client.list_frontends(ListFrontendsRequest {}).await.unwrap_err();
        format!("{status:?}")
    }

    async fn is_served(&self, shown: &Issued) -> bool {
        code(&self.connect(shown).await, "ListFrontends").await == Code::Ok
    }
}

#[tokio::test]
async fn certificate_without_an_admin_name_changes_nothing() {
    let encrypted = Encrypted::start().await;
    let channel = encrypted.connect(&encrypted.clients.client("eve")).await;
    for method in CHANGES {
        let status = call(&channel, method).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{method}");
        let message = status.message();
        assert!(message.starts_with("cert eve, from 127.0.0.1:"), "{message}");
        let right = "may not change anything: to change things, use a certificate with a name for which the brain \
                     was started with --grpc-admin-cert NAME";
        assert!(message.ends_with(right), "{message}");
    }
    for method in READS {
        assert_ne!(code(&channel, method).await, Code::PermissionDenied, "{method}");
    }
    assert_eq!(code(&channel, "ListFrontends").await, Code::Ok);
    assert!(encrypted.brain.service.snapshot().overrides.is_empty());
}

#[tokio::test]
async fn certificate_with_an_admin_name_changes_everything() {
    let encrypted = Encrypted::start().await;
    let authority = &encrypted.clients;
    let below = authority.below("of some clients");
    let named = |names: &[SanType]| {
        authority.client_with("somebody", |params| params.subject_alt_names = names.to_vec())
    };
    let text = |text: &str| text.try_into().unwrap();
    for admin in [
        authority.client("alice"),
        below.client("alice").with(&below),
        named(&[SanType::Rfc822Name(text("bob@example.org"))]),
        named(&[SanType::DnsName(text("other.example")), SanType::DnsName(text("Dave.Example.ORG"))]),
        named(&[SanType::URI(text("spiffe://example.org/carol"))]),
    ] {
        let channel = encrypted.connect(&admin).await;
        for method in READS.into_iter().chain(CHANGES) {
            assert_ne!(code(&channel, method).await, Code::PermissionDenied, "{method}");
        }
    }
    for reader in [
        authority.client("Alice"),
        named(&[SanType::Rfc822Name(text("Bob@example.org"))]),
        named(&[SanType::DnsName(text("x.dave.example.org")), SanType::DnsName(text("*.example.org"))]),
        named(&[SanType::URI(text("spiffe://example.org/carol/"))]),
    ] {
        let channel = encrypted.connect(&reader).await;
        assert_eq!(code(&channel, "PauseBackend").await, Code::PermissionDenied);
        assert_eq!(code(&channel, "ListFrontends").await, Code::Ok);
    }
}

#[tokio::test]
async fn without_a_valid_certificate_nobody_is_let_in() {
    let encrypted = Encrypted::start().await;
    let authority = &encrypted.clients;
    let stranger = Authority::new("of clients");
    let for_servers = authority.client_with("alice", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let below = authority.below("of some clients");
    for (shown, alert) in [
        (None, "CertificateRequired"),
        // The same name with another key.
        (Some(stranger.client("alice")), ""),
        (Some(encrypted.servers.client("alice")), "UnknownCA"),
        (Some(authority.client_with("alice", years(2020, 2021))), "CertificateExpired"),
        (Some(authority.client_with("alice", years(2100, 2110))), ""),
        (Some(for_servers), ""),
        (Some(below.client("alice")), "UnknownCA"),
    ] {
        let said = encrypted.refused(shown.as_ref()).await;
        assert!(said.contains("received fatal alert") && said.contains(alert), "{alert}: {said}");
    }
    assert!(encrypted.is_served(&authority.client("eve")).await);
}

#[tokio::test]
async fn each_handshake_is_a_full_one_in_either_version() {
    let encrypted = Encrypted::start().await;
    let eve = encrypted.clients.client("eve");
    for version in [&TLS12, &TLS13] {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(encrypted.servers.pem().as_bytes()).unwrap()).unwrap();
        let chain = CertificateDer::from_pem_slice(eve.chain.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(eve.key.as_bytes()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![chain], key)
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        // A client that would resume its session: it keeps the server's tickets.
        for _ in 0..2 {
            let stream = TcpStream::connect(encrypted.address).await.unwrap();
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let mut stream = connector.connect(name, stream).await.unwrap();
            // HTTP/2's initial settings; any session ticket would come before the answer.
            stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
            stream.read_u8().await.unwrap();
            let (_, connection) = stream.get_ref();
            assert_eq!(connection.alpn_protocol(), Some(&b"h2"[..]));
            assert_eq!(connection.handshake_kind(), Some(HandshakeKind::Full), "{version:?}");
        }
    }
}

#[tokio::test]
async fn crowd_of_certificates_is_not_looked_at() {
    let encrypted = Encrypted::start().await;
    let unrelated: Vec<_> = (0..17).map(|number| Authority::new(&number.to_string())).collect();
    let chain = unrelated.iter().fold(encrypted.clients.client("eve"), Issued::with);
    assert!(encrypted.is_served(&chain).await);
    let mut path = vec![encrypted.clients.below("0")];
    for number in 1..17 {
        path.push(path[number - 1].below(&number.to_string()));
    }
    let said = encrypted.refused(Some(&path.iter().fold(path[16].client("eve"), Issued::with))).await;
    assert!(said.contains("received fatal alert"), "{said}");
}

#[tokio::test]
async fn plain_text_is_answered_with_an_alert() {
    let encrypted = Encrypted::start().await;
    let mut stream = TcpStream::connect(encrypted.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.shutdown().await.unwrap();
    stream.read_to_end(&mut answer).await.unwrap();
    // A record of type alert, fatal (RFC 8446, 6).
    assert!(matches!(answer[..], [21, 3, _, 0, 2, 2, _]), "{answer:?}");
    let plain = Endpoint::from_shared(format!("http://{}", encrypted.address)).unwrap();
    let channel = plain.connect().await.unwrap();
    assert_ne!(code(&channel, "ListFrontends").await, Code::Ok);
}

#[tokio::test]
async fn silent_clients_hold_up_nobody() {
    let encrypted = Encrypted::start().await;
    let mut silent = Vec::new();
    // More clients than may be in a handshake at once, some of them in the middle of a record.
    for number in 0..200 {
        let mut stream = TcpStream::connect(encrypted.address).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        }
        silent.push(stream);
    }
    assert!(encrypted.is_served(&encrypted.clients.client("eve")).await);
    // The oldest was replaced by later ones.
    silent[0].read_to_end(&mut Vec::new()).await.ok();
}

#[tokio::test]
async fn new_certificates_count_from_the_next_connection_on() {
    let mut encrypted = Encrypted::start().await;
    let eve = encrypted.clients.client("eve");
    let stands = encrypted.connect(&eve).await;
    assert_eq!(code(&stands, "ListFrontends").await, Code::Ok);

    // No usable client authority in the file: the previous configuration stays.
    let successors = Authority::new("of other clients");
    encrypted.folder.write("ca.pem", "");
    encrypted.tls.reload().await;
    assert!(encrypted.is_served(&eve).await);
    // A key without its certificate, as in the middle of a renewal.
    encrypted.folder.write("ca.pem", successors.pem());
    let servers = Authority::new("of other servers");
    let renewed = servers.server();
    encrypted.folder.write("key.pem", &renewed.key);
    encrypted.tls.reload().await;
    assert!(encrypted.is_served(&eve).await, "refused as a whole");

    encrypted.folder.write("cert.pem", &renewed.chain);
    encrypted.tls.reload().await;
    let before = std::mem::replace(&mut encrypted.servers, servers);
    assert!(encrypted.is_served(&successors.client("eve")).await);
    let said = encrypted.refused(Some(&eve)).await;
    assert!(said.contains("UnknownCA"), "{said}");
    assert!(encrypted.endpoint(trusting(&before, Some(&eve))).connect().await.is_err());
    assert_eq!(code(&stands, "ListFrontends").await, Code::Ok, "what stands is not cut");
}

#[tokio::test]
async fn client_is_named_in_the_log_without_what_a_terminal_obeys() {
    let mut params = client("al\u{1b}[2Jice");
    params.extended_key_usages.clear();
    let encrypted = Encrypted::start().await;
    let channel = encrypted.connect(&encrypted.clients.issue(&params)).await;
    let status = call(&channel, "PauseBackend").await.unwrap_err();
    assert!(status.message().starts_with(r"cert al\u{1b}[2Jice, from "), "{}", status.message());
}
