//! Certificate authorities, certificates, and their files.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType, date_time_ymd,
};
use tempfile::TempDir;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::grpc::tls::TlsFiles;

/// A certificate authority.
pub(in crate::grpc) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate, possibly with intermediates, and its key, in PEM.
#[derive(Clone)]
pub(in crate::grpc) struct Issued {
    pub(in crate::grpc) chain: String,
    pub(in crate::grpc) key: String,
}

impl Authority {
    pub(in crate::grpc) fn new(name: &str) -> Self {
        Self(CertifiedIssuer::self_signed(Self::params(name), KeyPair::generate().unwrap()).unwrap())
    }

    pub(in crate::grpc) fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(Self::params(name), key, &self.0).unwrap())
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    pub(in crate::grpc) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A client certificate with this common name.
    pub(in crate::grpc) fn client(&self, name: &str) -> Issued {
        self.client_with(name, |_| {})
    }

    pub(in crate::grpc) fn client_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let mut params = client(name);
        change(&mut params);
        self.issue(&params)
    }

    /// A server certificate for 127.0.0.1.
    pub(in crate::grpc) fn server(&self) -> Issued {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress(IpAddr::from([127, 0, 0, 1]))];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&params)
    }

    pub(in crate::grpc) fn issue(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued { chain: certificate.pem(), key: key.serialize_pem() }
    }
}

/// Parameters of a client certificate with this common name.
pub(in crate::grpc) fn client(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// Sets the years of validity.
pub(in crate::grpc) fn years(from: i32, to: i32) -> impl FnOnce(&mut CertificateParams) {
    move |params| {
        params.not_before = date_time_ymd(from, 1, 2);
        params.not_after = date_time_ymd(to, 3, 4);
    }
}

impl Issued {
    /// Appends the authority's certificate.
    pub(in crate::grpc) fn with(mut self, authority: &Authority) -> Self {
        self.chain.push_str(&authority.pem());
        self
    }

    pub(in crate::grpc) fn identity(&self) -> Identity {
        Identity::from_pem(&self.chain, &self.key)
    }
}

/// A client configuration that trusts this authority for the server, with this client certificate.
pub(in crate::grpc) fn trusting(authority: &Authority, shown: Option<&Issued>) -> ClientTlsConfig {
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    match shown {
        Some(issued) => config.identity(issued.identity()),
        None => config,
    }
}

/// A directory with the brain's three files.
pub(in crate::grpc) struct Folder(TempDir);

impl Folder {
    pub(in crate::grpc) fn new(server: &Issued, clients: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("cert.pem", &server.chain);
        folder.write("key.pem", &server.key);
        folder.write("ca.pem", clients);
        folder
    }

    pub(in crate::grpc) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(in crate::grpc) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), contents).unwrap();
    }

    pub(in crate::grpc) fn files(&self) -> TlsFiles {
        let path = |name: &str| Path::new(self.0.path()).join(name);
        TlsFiles { certificate: path("cert.pem"), key: path("key.pem"), client_ca: path("ca.pem") }
    }
}
