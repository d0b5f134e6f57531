//! Authorities, certificates, servers and checks for the tests.

use maglev_engine::config::{Authorities, CaFile};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, SignatureAlgorithm, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A self-signed certificate of X.509 version 1, as old devices have, and its key.
const VERSION_1: &str = include_str!("kinds/version-1.pem");

/// A certificate authority.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new(name: &str) -> Authority {
        Self::new_with(name, |_| {})
    }

    pub(super) fn new_with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Authority {
        let key = KeyPair::generate().unwrap();
        Authority(CertifiedIssuer::self_signed(Self::params(name, change), key).unwrap())
    }

    /// An authority below this one.
    pub(super) fn below(&self, name: &str) -> Authority {
        self.below_with(name, |_| {})
    }

    pub(super) fn below_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Authority {
        let key = KeyPair::generate().unwrap();
        Authority(CertifiedIssuer::signed_by(Self::params(name, change), key, &self.0).unwrap())
    }

    /// A second certificate for the authority `middle`.
    pub(super) fn signed_also_by(&self, other: &Authority) -> CertificateDer<'static> {
        let params = Self::params("middle", |_| {});
        params.signed_by(self.0.key(), &other.0).unwrap().der().clone()
    }

    fn params(name: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        params
    }

    pub(super) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A certificate for these names.
    pub(super) fn issue(&self, names: &[&str]) -> Leaf {
        self.issue_with(names, |_| {})
    }

    pub(super) fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        self.issue_for(&rcgen::PKCS_ECDSA_P256_SHA256, names, change)
    }

    pub(super) fn issue_for(
        &self,
        kind: &'static SignatureAlgorithm,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let (_, params) = Leaf::params(names, change);
        let key = KeyPair::generate_for(kind).unwrap();
        Leaf { chain: vec![params.signed_by(&key, &self.0).unwrap().der().clone()], key: key.serialize_der() }
    }
}

/// A server's certificates and key.
#[derive(Clone)]
pub(super) struct Leaf {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: Vec<u8>,
}

impl Leaf {
    pub(super) fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let (key, params) = Self::params(names, change);
        Leaf { chain: vec![params.self_signed(&key).unwrap().der().clone()], key: key.serialize_der() }
    }

    /// One that no verifier can read.
    pub(super) fn version_1() -> Leaf {
        let certificate = CertificateDer::from_pem_slice(VERSION_1.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(VERSION_1.as_bytes()).unwrap();
        Leaf { chain: vec![certificate], key: key.secret_der().to_vec() }
    }

    fn params(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (KeyPair, CertificateParams) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        (KeyPair::generate().unwrap(), params)
    }

    pub(super) fn with(mut self, intermediate: &Authority) -> Leaf {
        self.chain.push(intermediate.der());
        self
    }
}

/// Sets the years in which a certificate is valid.
pub(super) fn years(from: i32, to: i32) -> impl FnOnce(&mut CertificateParams) {
    move |params| {
        params.not_before = date_time_ymd(from, 1, 2);
        params.not_after = date_time_ymd(to, 3, 4);
    }
}

/// Presents its certificate, whether it fits or not.
#[derive(Debug)]
struct Present(Arc<CertifiedKey>);

impl ResolvesServerCert for Present {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        (!self.0.cert.is_empty()).then(|| Arc::clone(&self.0))
    }
}

/// A server that serves one connection after the other.
#[derive(Clone)]
pub(super) struct Server {
    config: Arc<ServerConfig>,
    /// The name that each client asked for.
    asked: Option<mpsc::UnboundedSender<Option<String>>>,
}

impl Server {
    pub(super) fn new(leaf: &Leaf) -> Server {
        Self::speaking(leaf, &[&TLS12, &TLS13])
    }

    pub(super) fn speaking(leaf: &Leaf, versions: &[&'static SupportedProtocolVersion]) -> Server {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth();
        Server { config: Arc::new(builder.with_cert_resolver(present(leaf))), asked: None }
    }

    /// A TLS 1.3 server that signs with this.
    pub(super) fn signing(key: CertifiedKey) -> Server {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth();
        Server { config: Arc::new(builder.with_cert_resolver(Arc::new(Present(Arc::new(key))))), asked: None }
    }

    /// A server that wants a client certificate.
    pub(super) fn wanting(
        leaf: &Leaf,
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Server {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier);
        Server { config: Arc::new(builder.with_cert_resolver(present(leaf))), asked: None }
    }

    pub(super) fn telling(mut self) -> (Server, mpsc::UnboundedReceiver<Option<String>>) {
        let (asked, names) = mpsc::unbounded_channel();
        self.asked = Some(asked);
        (self, names)
    }

    /// Shakes hands, says `hello`, and reads to the end.
    pub(super) async fn serve(self, stream: DuplexStream) {
        let Ok(mut stream) = TlsAcceptor::from(self.config).accept(stream).await else { return };
        if let Some(asked) = &self.asked {
            asked.send(stream.get_ref().1.server_name().map(str::to_owned)).unwrap();
        }
        if stream.write_all(b"hello").await.is_ok() {
            // The way in which the client disconnects does not matter.
            drop(stream.read_to_end(&mut Vec::new()).await);
        }
    }
}

fn present(leaf: &Leaf) -> Arc<dyn ResolvesServerCert> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.key.clone()));
    let key = provider().key_provider.load_private_key(key).unwrap();
    Arc::new(Present(Arc::new(CertifiedKey::new(leaf.chain.clone(), key))))
}

pub(super) fn check(verify: bool) -> TlsCheck {
    TlsCheck { verify, sni: None, ca_file: None }
}

/// A check that trusts these certificates alone.
pub(super) fn trusting(authorities: &[CertificateDer<'static>]) -> TlsCheck {
    let file = CaFile { path: "/ca.pem".to_owned(), authorities: Arc::new(trusted(authorities)) };
    TlsCheck { ca_file: Some(file), ..check(true) }
}

pub(super) fn trusted(certificates: &[CertificateDer<'static>]) -> Authorities {
    let mut authorities = Authorities::default();
    certificates.iter().for_each(|certificate| assert!(authorities.add(certificate)));
    authorities
}

/// Its client, of an HTTP check with this host.
pub(super) fn client(authorities: &[CertificateDer<'static>], host: Option<&str>) -> Client {
    Client::new(&trusting(authorities), host)
}
