use rustls::crypto::aws_lc_rs;

use super::*;
use crate::grpc::tests::pki::{Authority, Folder, Issued};

struct Files {
    authority: Authority,
    server: Issued,
    folder: Folder,
}

impl Files {
    fn new() -> Self {
        let authority = Authority::new("of all");
        let server = authority.server();
        Self { folder: Folder::new(&server, &authority.pem()), authority, server }
    }

    /// The error when one of the files has these contents, with FOLDER for their directory.
    fn said(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        let before = std::fs::read(self.folder.path(name)).unwrap();
        self.folder.write(name, contents);
        let said = self.found();
        self.folder.write(name, before);
        said
    }

    fn found(&self) -> String {
        let (certificate, key, ca) =
            (self.folder.path("cert.pem"), self.folder.path("key.pem"), self.folder.path("ca.pem"));
        let identity = identity(&certificate, &key, &aws_lc_rs::default_provider()).map(|_| ());
        let error = identity.and_then(|()| authorities(&ca).map(|_| ())).expect_err("nothing is wrong");
        error.to_string().replace(&self.folder.path("").display().to_string(), "FOLDER/")
    }
}

fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

#[test]
fn right_files_are_taken() {
    let files = Files::new();
    let path = |name| files.folder.path(name);
    let chain = format!("Subject: some text\n{}\n{}", files.server.chain, files.authority.pem());
    files.folder.write("cert.pem", chain);
    // One file may contain both, as some tools write it.
    files.folder.write("both.pem", format!("{}{}", files.server.key, files.server.chain));
    for (certificate, key, count) in [("cert.pem", "key.pem", 2), ("both.pem", "both.pem", 1)] {
        let identity = identity(&path(certificate), &path(key), &aws_lc_rs::default_provider()).unwrap();
        assert_eq!(identity.cert.len(), count);
    }
    let found = authorities(&path("ca.pem")).unwrap();
    assert_eq!((found.certificates.len(), found.doubt), (1, None));
}

#[test]
fn authorities_among_others_are_taken_with_a_word() {
    let files = Files::new();
    files.folder.write("ca.pem", format!("{}{}", files.server.chain, files.authority.pem()));
    let path = files.folder.path("ca.pem");
    let found = authorities(&path).unwrap();
    assert_eq!(found.certificates.len(), 1);
    let doubt = format!(
        "--grpc-client-ca {}: 1 of its 2 certificates are not CA certificates and are ignored",
        path.display()
    );
    assert_eq!(found.doubt.as_deref(), Some(doubt.as_str()));
}

#[test]
fn wrong_certificates_are_told() {
    let files = Files::new();
    let said = |contents: &[u8]| files.said("cert.pem", contents);
    let right = "it must have the brain's own certificate first, then its intermediates, in PEM";
    let start = "--grpc-cert FOLDER/cert.pem: ";
    assert_eq!(said(b" \n"), format!("{start}it is empty; {right}"));
    assert_eq!(said(b"certificate"), format!("{start}it is not PEM; {right}"));
    let key = files.server.key.as_bytes();
    assert_eq!(
        said(key),
        format!(
            "{start}it has no certificate: the section at line 1 is a `PRIVATE KEY`, which is not a certificate; {right}"
        )
    );
    let convert = "convert it with `openssl x509 -inform der -in FILE -out FILE.pem`";
    assert_eq!(
        said(&der(&files.server.chain)),
        format!("{start}it is not PEM, but seems to be DER; {convert}")
    );
    let cut = &files.server.chain[..200];
    let whole = "each section belongs between a line `-----BEGIN ...-----` and a line `-----END ...-----`";
    assert_eq!(
        said(cut.as_bytes()),
        format!("{start}it is damaged: its section at line 1 has no `-----END` line; {whole}")
    );
    let strange = "-----BEGIN CERTIFICATE-----\n!secret!\n-----END CERTIFICATE-----\n";
    assert_eq!(
        said(strange.as_bytes()),
        format!("{start}it is damaged: its section at line 1 is not base64; {whole}")
    );
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let damaged = said(no_certificate.as_bytes());
    assert!(damaged.starts_with(&format!("{start}its first certificate cannot be used: ")), "{damaged}");
    let huge = said(&vec![b'-'; (4 << 20) + 1]);
    assert!(
        huge.starts_with(&format!("{start}it is larger than 4194304 bytes, the most that is read; ")),
        "{huge}"
    );
}

#[test]
fn wrong_keys_are_told() {
    let files = Files::new();
    let said = |contents: &[u8]| files.said("key.pem", contents);
    let right = "it must have the key of the certificate of --grpc-cert, in PEM";
    let start = "--grpc-key FOLDER/key.pem: ";
    assert_eq!(said(b""), format!("{start}it is empty; {right}"));
    let chain = files.server.chain.as_bytes();
    assert_eq!(said(chain), format!("{start}it has no key, but a CERTIFICATE; {right}"));
    let other = files.authority.server().key;
    let mismatch = format!("{start}it is not the key of the first certificate in FOLDER/cert.pem; {right}");
    assert_eq!(said(other.as_bytes()), mismatch);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let takes_off = "the brain cannot ask for a passphrase: `openssl pkey -in FILE -out FILE.pem` removes it";
    assert_eq!(said(encrypted.as_bytes()), format!("{start}its key is encrypted; {takes_off}"));
    let key = PrivateKeyDer::from_pem_slice(files.server.key.as_bytes()).unwrap();
    let convert = "convert it with `openssl pkey -inform der -in FILE -out FILE.pem`";
    assert_eq!(said(key.secret_der()), format!("{start}it is not PEM, but seems to be DER; {convert}"));
    let unusable = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let told = said(unusable.as_bytes());
    assert!(told.starts_with(&format!("{start}its key cannot be used: ")), "{told}");
    assert!(
        told.ends_with("; it must be of RSA (2048 to 8192 bits), ECDSA (P-256 or P-384) or Ed25519"),
        "{told}"
    );
}

#[test]
fn wrong_authorities_are_told() {
    let files = Files::new();
    let said = |contents: &str| files.said("ca.pem", contents);
    let right = "it must have, in PEM, the CA certificates (CA:TRUE) that issue the clients' certificates";
    let start = "--grpc-client-ca FOLDER/ca.pem: ";
    let leaf = &files.server.chain;
    assert_eq!(said(leaf), format!("{start}its certificate is not a CA certificate; {right}"));
    let two = format!("{leaf}{leaf}");
    assert_eq!(said(&two), format!("{start}none of its 2 certificates is a CA certificate; {right}"));
    assert_eq!(
        said(&files.server.key),
        format!(
            "{start}it has no certificate: the section at line 1 is a `PRIVATE KEY`, which is not a certificate; {right}"
        )
    );
}

#[test]
fn files_that_are_none_are_told() {
    let files = Files::new();
    let right = "it must be a PEM file that the brain's user may read, and be in the unit's root directory";
    std::fs::remove_file(files.folder.path("key.pem")).unwrap();
    let missing = "it cannot be read: No such file or directory (os error 2)";
    assert_eq!(files.found(), format!("--grpc-key FOLDER/key.pem: {missing}; {right}"));
    // Opening it would wait for a writer.
    nix::unistd::mkfifo(&files.folder.path("key.pem"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(files.found(), format!("--grpc-key FOLDER/key.pem: it is not a regular file; {right}"));
}
