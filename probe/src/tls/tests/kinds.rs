//! Keys and signatures: what OpenSSL 3 verifies by default, and which of these no library here can.

use rustls::SignatureAlgorithm;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{Error, SignatureScheme};
use x509_parser::asn1_rs::{Any, FromDer};

use super::*;

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

/// The verdict on a file's first certificate by its second one.
fn verdict(pem: &str) -> Result<(), String> {
    let [own, authority] = certificates(pem).try_into().unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_893_456_000));
    let name = ServerName::try_from("a.example").unwrap();
    trust::verify(&parties::trusted(&[authority]), &own, &[], &name, now)
}

#[test]
fn signatures_pass_that_openssl_verifies() {
    for (name, pem) in [
        ("P-521 with SHA-512", include_str!("kinds/p521-sha512.pem")),
        ("P-256 with SHA-512", include_str!("kinds/p256-sha512.pem")),
        ("P-384 with SHA-512", include_str!("kinds/p384-sha512.pem")),
        ("secp256k1", include_str!("kinds/secp256k1.pem")),
        ("RSASSA-PSS with the largest salt", include_str!("kinds/pss-largest-salt.pem")),
        ("RSASSA-PSS with the default salt", include_str!("kinds/pss-salt-20.pem")),
        ("RSASSA-PSS by a key for it alone", include_str!("kinds/pss-key.pem")),
        ("RSASSA-PSS by a key for it with SHA-256 alone", include_str!("kinds/pss-key-of-sha256.pem")),
        ("a key for RSASSA-PSS alone", include_str!("kinds/own-pss-key.pem")),
    ] {
        assert_eq!(verdict(pem), Ok(()), "{name}");
    }
}

#[test]
fn kinds_that_cannot_be_verified_are_named() {
    for (pem, expected) in [
        (
            include_str!("kinds/sha224.pem"),
            "a certificate in the chain is signed with an unsupported algorithm: ecdsa-with-SHA224 (1.2.840.10045.4.3.1)",
        ),
        (
            include_str!("kinds/sha3.pem"),
            "a certificate in the chain is signed with an unsupported algorithm: 2.16.840.1.101.3.4.3.14",
        ),
        (
            include_str!("kinds/ed448.pem"),
            "a certificate in the chain is signed with an unsupported algorithm: ed448 (1.3.101.113)",
        ),
        (
            include_str!("kinds/pss-other-mask.pem"),
            "a certificate in the chain is signed with an unsupported algorithm: rsassa-pss (1.2.840.113549.1.1.10) with sha256 \
             (2.16.840.1.101.3.4.2.1), a mask of id-SHA1 (1.3.14.3.2.26), and a salt of 32 bytes",
        ),
        (
            include_str!("kinds/brainpool.pem"),
            "the authority `CN=brainpool` cannot be used: its key is of an unsupported kind: id-ecPublicKey \
             (1.2.840.10045.2.1) with the curve 1.3.36.3.3.2.8.1.1.7",
        ),
        (
            include_str!("kinds/rsa-1024.pem"),
            "the authority `CN=rsa1024` cannot be used: its key is RSA with 1024 bits; 2048 to 8192 are supported",
        ),
    ] {
        assert_eq!(verdict(pem), Err(expected.to_owned()));
    }
}

/// Signatures are over what was signed, whatever is changed for the verifying library.
#[test]
fn damaged_signatures_are_refused() {
    for pem in [include_str!("kinds/pss-largest-salt.pem"), include_str!("kinds/p521-sha512.pem")] {
        let [own, authority] = certificates(pem).try_into().unwrap();
        let authorities = parties::trusted(&[authority]);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_893_456_000));
        let name = ServerName::try_from("a.example").unwrap();
        for at in [own.len() / 2, own.len() - 1] {
            let mut damaged = own.to_vec();
            damaged[at] ^= 1;
            let verdict = trust::verify(&authorities, &damaged.into(), &[], &name, now);
            assert!(verdict.is_err(), "{at}");
        }
    }
}

#[tokio::test]
async fn servers_with_a_key_of_p521_pass() {
    let root = Authority::new("root");
    let leaf = root.issue_for(&rcgen::PKCS_ECDSA_P521_SHA512, &["a.example"], |_| {});
    for version in [&TLS12, &TLS13] {
        let server = Server::speaking(&leaf, &[version]);
        for client in [parties::client(&[root.der()], Some("a.example")), Client::new(&check(false), None)] {
            let result = meet(&client, &server).await;
            assert!(result.is_ok(), "{result:?}");
        }
    }
}

/// An RSA key as a server has it whose certificate allows RSASSA-PSS alone.
#[derive(Debug)]
struct PssOnly(Arc<dyn SigningKey>);

#[derive(Debug)]
struct PssSigner(Box<dyn Signer>);

/// rsa_pss_pss_sha256
const SCHEME: SignatureScheme = SignatureScheme::Unknown(0x0809);

impl SigningKey for PssOnly {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let signer = self.0.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]);
        signer.filter(|_| offered.contains(&SCHEME)).map(|signer| Box::new(PssSigner(signer)) as _)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

impl Signer for PssSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.sign(message)
    }

    fn scheme(&self) -> SignatureScheme {
        SCHEME
    }
}

#[tokio::test]
async fn servers_with_a_key_for_pss_alone_pass() {
    let pem = include_str!("kinds/own-pss-key.pem");
    let [own, authority] = certificates(pem).try_into().unwrap();
    let PrivateKeyDer::Pkcs8(key) = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap() else {
        panic!("PKCS #8")
    };
    // SEQUENCE { version, algorithm, OCTET STRING { the RSA key } }
    let (_, whole) = Any::from_der(key.secret_pkcs8_der()).unwrap();
    let (rest, _) = Any::from_der(whole.data).unwrap();
    let (rest, _) = Any::from_der(rest).unwrap();
    let (_, inner) = Any::from_der(rest).unwrap();
    let key = PrivateKeyDer::Pkcs1(inner.data.to_vec().into());
    let key = provider().key_provider.load_private_key(key).unwrap();
    let server = Server::signing(CertifiedKey::new(vec![own], Arc::new(PssOnly(key))));
    for client in [parties::client(&[authority], Some("a.example")), Client::new(&check(false), None)] {
        let result = meet(&client, &server).await;
        assert!(result.is_ok(), "{result:?}");
    }
}

/// An unverifiable kind of key is reported where certificates are verified, and ignored otherwise.
#[tokio::test]
async fn servers_with_an_unknown_kind_of_key_are_told() {
    let other = Authority::new("other").issue(&["a.example"]);
    for (pem, expected) in [
        (
            include_str!("kinds/own-ed448-key.pem"),
            "the server's key is of an unsupported kind: ed448 (1.3.101.113)",
        ),
        (
            include_str!("kinds/own-rsa1024-key.pem"),
            "the server's key is RSA with 1024 bits; 2048 to 8192 are supported",
        ),
    ] {
        let [own, authority] = certificates(pem).try_into().unwrap();
        let leaf = Leaf { chain: vec![own], ..other.clone() };
        let client = parties::client(&[authority], Some("a.example"));
        for version in [&TLS12, &TLS13] {
            let server = Server::speaking(&leaf, &[version]);
            assert_eq!(failure(&client, &server).await, (ProbeCode::L6Rsp, expected.into()));
            assert!(meet(&Client::new(&check(false), None), &server).await.is_ok());
        }
    }
}
