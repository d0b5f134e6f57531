//! TLS, and the errors if the two sides do not trust each other.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::fake_brain;
use crate::program::{answer, refusal};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key, in PEM.
    fn issue(&self, names: &[&str], purpose: ExtendedKeyUsagePurpose) -> (String, String) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

/// An operator's files, and a server that requires a client certificate of `authority`.
struct Site {
    directory: TempDir,
    authority: Authority,
    server: String,
}

async fn site(names: &[&str]) -> Site {
    let authority = Authority::new("ours");
    let (certificate, key) = authority.issue(names, ExtendedKeyUsagePurpose::ServerAuth);
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(authority.pem()));
    let server = format!("tls:{}", fake_brain::on_tls(tls).await);
    let site = Site { directory: tempfile::tempdir().unwrap(), authority, server };
    site.put("ca.pem", &site.authority.pem());
    site.client(&site.authority);
    site
}

impl Site {
    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Issues the operator's certificate with this authority.
    fn client(&self, authority: &Authority) {
        let (certificate, key) = authority.issue(&["operator"], ExtendedKeyUsagePurpose::ClientAuth);
        self.put("me.pem", &certificate);
        self.put("me.key", &key);
    }

    fn words(&self, options: &[(&str, &str)]) -> Vec<String> {
        let named = |(option, file): &(&str, &str)| {
            [format!("--tls-{option}"), self.path(file).display().to_string()]
        };
        let words = ["show", "frontends"].map(str::to_owned).into_iter();
        words.chain(options.iter().flat_map(named)).collect()
    }

    async fn refusal(&self, options: &[(&str, &str)]) -> (i32, String) {
        let words = self.words(options);
        refusal(&self.server, &words.iter().map(String::as_str).collect::<Vec<_>>()).await
    }
}

const ALL: [(&str, &str); 3] = [("ca", "ca.pem"), ("cert", "me.pem"), ("key", "me.key")];

#[tokio::test]
async fn both_sides_prove_who_they_are() {
    let site = site(&["127.0.0.1"]).await;
    let words = site.words(&ALL);
    let text = answer(&site.server, &words.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert!(text.contains("\nshop    "), "{text}");
}

#[tokio::test]
async fn distrust_of_the_server_is_told() {
    let site = site(&["lb2.example.net"]).await;
    let (code, stderr) = site.refusal(&ALL).await;
    assert_eq!(code, 3);
    let expected = format!("maglevc: no TLS with {}: its certificate is for another name: ", site.server);
    assert!(stderr.starts_with(&expected) && stderr.contains("lb2.example.net"), "{stderr}");
    site.put("ca.pem", &Authority::new("theirs").pem());
    let expected = format!(
        "maglevc: no TLS with {}: its certificate is not from an authority of --tls-ca\n  \
         does --tls-ca name the authority that made the server's certificate?\n",
        site.server
    );
    assert_eq!(site.refusal(&ALL).await, (3, expected));
}

#[tokio::test]
async fn distrust_of_the_client_is_told() {
    let site = site(&["127.0.0.1"]).await;
    let expected = format!(
        "maglevc: no TLS with {}: it requires a client certificate, and none was presented\n  \
         show one with --tls-cert and --tls-key\n",
        site.server
    );
    assert_eq!(site.refusal(&ALL[..1]).await, (3, expected));
    site.client(&Authority::new("theirs"));
    let (code, stderr) = site.refusal(&ALL).await;
    assert_eq!(code, 3);
    let expected = format!("maglevc: no TLS with {}: it refused the client certificate: ", site.server);
    assert!(stderr.starts_with(&expected), "{stderr}");
}

#[tokio::test]
async fn server_without_tls_is_told() {
    let mut site = site(&["127.0.0.1"]).await;
    let plain = fake_brain::on_tcp("127.0.0.1:0", fake_brain::Vpp::Connected).await;
    site.server = format!("tls:{plain}");
    let (code, stderr) = site.refusal(&ALL).await;
    assert_eq!(code, 3);
    assert!(stderr.starts_with(&format!("maglevc: no TLS with {}: ", site.server)), "{stderr}");
}

#[tokio::test]
async fn files_that_do_not_fit_are_named() {
    let site = site(&["127.0.0.1"]).await;
    let path = |name: &str| site.path(name).display().to_string();
    site.put("empty.pem", "");
    site.put("torn.pem", "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n");
    for (options, words) in [
        (vec![], "a tls: server needs --tls-ca, the certificates of the authorities to trust".to_owned()),
        (ALL[..2].to_vec(), "--tls-cert needs its key: --tls-key FILE".to_owned()),
        (vec![ALL[0], ALL[2]], "--tls-key needs its certificate: --tls-cert FILE".to_owned()),
        (vec![("ca", "none.pem")], format!("cannot read {}: No such file or directory", path("none.pem"))),
        (
            vec![("ca", "empty.pem")],
            format!("{} has no line `-----BEGIN CERTIFICATE-----`: it must be in PEM", path("empty.pem")),
        ),
        (
            vec![ALL[0], ("cert", "me.pem"), ("key", "me.pem")],
            format!("{} has no line `-----BEGIN PRIVATE KEY-----`: it must be in PEM", path("me.pem")),
        ),
        (
            vec![("ca", "torn.pem")],
            "the files of --tls-ca, --tls-cert and --tls-key cannot be used".to_owned(),
        ),
    ] {
        let (code, stderr) = site.refusal(&options).await;
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.starts_with(&format!("maglevc: {words}")), "{stderr}");
    }
}
