//! CA files named by `ca-file`.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    date_time_ymd,
};

use super::*;

struct Pem {
    certificate: String,
    der: Vec<u8>,
    key: String,
}

static AUTHORITY: LazyLock<Pem> = LazyLock::new(|| {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    Pem { certificate: certificate.pem(), der: certificate.der().to_vec(), key: key.serialize_pem() }
});

/// A certificate's frame around something else.
const DAMAGED: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/// Made with `openssl genpkey -algorithm ed448` and `openssl req -x509`.
const ED448: &str = include_str!("ed448.pem");

fn dated(from: i32, until: i32) -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(from, 1, 2);
    params.not_after = date_time_ymd(until, 3, 4);
    named(params, "dated").self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

/// A server's certificate, of an authority that the file does not have.
fn issued() -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(named(params, "issuer"), KeyPair::generate().unwrap()).unwrap();
    let server = named(CertificateParams::default(), "server");
    server.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().pem()
}

fn named(mut params: CertificateParams, name: &str) -> CertificateParams {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A disk with these files.
pub(in crate::config) fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let Pem { certificate, der, key } = &*AUTHORITY;
    let text = match path.to_str().unwrap() {
        "/ca.pem" => certificate.clone(),
        "/bundle.pem" => format!("Two of them\r\n\r\n{certificate}\nand\n{certificate}"),
        "/with-key.pem" => format!("{key}{certificate}"),
        "/half-damaged.pem" => format!("{certificate}{DAMAGED}{certificate}"),
        "/damaged.pem" => DAMAGED.repeat(3),
        "/joined.pem" => format!("{}{certificate}", certificate.trim_end()),
        "/nested.pem" => format!("-----BEGIN CERTIFICATE-----\n{certificate}"),
        "/bom.pem" => format!("\u{feff}{certificate}"),
        "/old-label.pem" => certificate.replace("CERTIFICATE", "X509 CERTIFICATE"),
        "/trusted.pem" => format!("{certificate}{}", DAMAGED.replace("CERTIFICATE", "TRUSTED CERTIFICATE")),
        "/with-crl.pem" => format!("{certificate}{}", DAMAGED.replace("CERTIFICATE", "X509 CRL")),
        "/indented.pem" => format!("{certificate}\n    {}", certificate.replace('\n', "\n    ")),
        "/dashes.pem" => format!("{certificate}{}", DAMAGED.replace("-----", "\u{2014}")),
        "/expired.pem" => dated(2001, 2002),
        "/future.pem" => dated(4000, 4001),
        "/server.pem" => issued(),
        "/ed448.pem" => ED448.to_owned(),
        "/many.pem" => format!("{certificate}{}", DAMAGED.repeat(25)),
        "/utf-16.pem" => {
            return Ok(certificate.encode_utf16().flat_map(u16::to_le_bytes).fold(
                vec![0xff, 0xfe],
                |mut all, byte| {
                    all.push(byte);
                    all
                },
            ));
        }
        "/key.pem" => key.clone(),
        "/cut.pem" => certificate[..200].to_owned(),
        "/garbled.pem" => certificate.replace("\nMII", "\n!!!"),
        "/empty.pem" => " \n".to_owned(),
        "/text.pem" => "nothing of the kind".to_owned(),
        "/ca.der" => return Ok(der.clone()),
        "/secret.pem" => return Err(ErrorKind::PermissionDenied.into()),
        _ => return Err(ErrorKind::NotFound.into()),
    };
    Ok(text.into_bytes())
}

fn text(path: &str) -> String {
    changed("port: 22\n", &format!("port: 22\n    new: {{ type: https, params: {{ ca-file: {path} }} }}\n"))
}

/// The authorities that a check gets, and the warnings about them.
fn authorities(path: &str) -> (CaFile, Vec<String>) {
    let loaded = parse_with("maglev.yaml", &text(path), &contents, today()).unwrap();
    let CheckKind::Http { tls: Some(tls), .. } = &loaded.config.healthchecks["new"].kind else {
        panic!("no TLS")
    };
    let mut warnings = told(&loaded.warnings);
    warnings.retain(|line| line.contains("ca-file"));
    (tls.ca_file.clone().unwrap(), warnings)
}

#[test]
fn authorities_are_kept() {
    for (path, count) in [("/ca.pem", 1), ("/bundle.pem", 1)] {
        let (file, warnings) = authorities(path);
        assert_eq!((file.path.as_str(), file.authorities.certificates().len()), (path, count));
        assert!(
            file.authorities.certificates().iter().all(|authority| authority.as_ref() == AUTHORITY.der),
            "{path}"
        );
        assert_eq!(warnings, Vec::<String>::new());
    }
}

/// Everything that OpenSSL accepts is accepted.
#[test]
fn marks_and_labels_of_other_programs_are_taken() {
    for path in ["/bom.pem", "/old-label.pem"] {
        let (file, warnings) = authorities(path);
        assert_eq!(file.authorities.certificates(), [AUTHORITY.der.clone().into()], "{path}");
        assert_eq!(warnings, Vec::<String>::new());
    }
}

#[test]
fn what_is_left_out_or_doubtful_is_told_with_its_line() {
    let left_out = "(it is ignored; the others are trusted)";
    for (path, count, expected) in [
        ("/half-damaged.pem", 1, format!("11 is a certificate, which is damaged {left_out}")),
        ("/with-key.pem", 1, format!("1 is a `PRIVATE KEY`, which is not a certificate {left_out}")),
        ("/with-crl.pem", 1, format!("11 is a `X509 CRL`, which is not a certificate {left_out}")),
        (
            "/trusted.pem",
            1,
            format!(
                "11 is a `TRUSTED CERTIFICATE`, which is not plain: `openssl x509 -in FILE` makes it so {left_out}"
            ),
        ),
        (
            "/indented.pem",
            1,
            format!("12 is indented, which is not valid PEM: remove the leading spaces {left_out}"),
        ),
        (
            "/dashes.pem",
            1,
            format!(
                "11 begins with something like `-----BEGIN CERTIFICATE-----`, which is not exactly that {left_out}"
            ),
        ),
        (
            "/expired.pem",
            1,
            "1 is the certificate `CN=dated`, which expired on 2002-03-04T00:00:00Z (what it has signed still passes here, \
             but other programs refuse it: renew it)"
                .to_owned(),
        ),
        (
            "/future.pem",
            1,
            "1 is the certificate `CN=dated`, which is not valid before 4000-01-02T00:00:00Z (what it has signed passes \
             here, but other programs refuse it until then)"
                .to_owned(),
        ),
        (
            "/server.pem",
            1,
            "1 is the certificate `CN=server`, which is not a CA certificate (it is trusted for itself alone; a CA \
             certificate has `CA:TRUE`)"
                .to_owned(),
        ),
        (
            "/ed448.pem",
            1,
            "1 is the certificate `CN=Ed448`, whose key is of an unsupported kind: ed448 (1.3.101.113) (nothing \
             it has signed can be verified)"
                .to_owned(),
        ),
    ] {
        let (file, warnings) = authorities(path);
        assert_eq!(file.authorities.certificates().len(), count, "{path}");
        let expected = format!(
            "15:44 warning: `ca-file` of `params` of health check `new` is `{path}`, whose section at line {expected}"
        );
        assert_eq!(warnings, [expected]);
    }
    let (_, warnings) = authorities("/many.pem");
    assert_eq!(warnings.len(), 11);
    assert!(warnings[10].contains("in which 15 more sections have warnings"), "{}", warnings[10]);
}

#[test]
fn files_without_authorities_are_refused() {
    let pem =
        "(each certificate stands between `-----BEGIN CERTIFICATE-----` and `-----END CERTIFICATE-----`)";
    let readable = "(write the path of a PEM file that this process may read)";
    for (path, expected) in [
        ("/none.pem", format!("which cannot be read: entity not found {readable}")),
        ("/secret.pem", format!("which cannot be read: permission denied {readable}")),
        ("/empty.pem", format!("which is empty {pem}")),
        ("/text.pem", format!("which is not PEM {pem}")),
        (
            "/key.pem",
            format!(
                "which has no certificate to trust: its section at line 1 is a `PRIVATE KEY`, which is not a certificate {pem}"
            ),
        ),
        ("/cut.pem", format!("which is damaged: its section at line 1 has no `-----END` line {pem}")),
        ("/garbled.pem", format!("which is damaged: its section at line 1 is not base64 {pem}")),
        (
            "/joined.pem",
            format!(
                "which is damaged: its section at line 10 follows the end of the previous section on the same \
                line: insert a line break {pem}"
            ),
        ),
        ("/nested.pem", format!("which is damaged: its section at line 1 has no `-----END` line {pem}")),
        (
            "/damaged.pem",
            format!(
                "which has no certificate to trust: its section at line 1 is a certificate, which is damaged {pem}"
            ),
        ),
        ("/utf-16.pem", "which is in UTF-16 (save it in UTF-8 or ASCII)".to_owned()),
        (
            "/ca.der",
            "which is not PEM, but seems to be DER \
             (convert it with `openssl x509 -inform der -in FILE -out FILE.pem`)"
                .to_owned(),
        ),
    ] {
        let (code, mut found) = findings(&text(path));
        found.retain(|line| line.contains(" error: "));
        let expected =
            format!("15:44 error: `ca-file` of `params` of health check `new` is `{path}`, {expected}");
        assert_eq!((code, found), (2, vec![expected]));
    }
}

#[test]
fn a_file_that_many_checks_name_is_read_once() {
    let mut checks = String::new();
    for number in 0..50 {
        checks.push_str(&format!("    c{number}: {{ type: https, params: {{ ca-file: /ca.pem }} }}\n"));
    }
    let reads = Cell::new(0);
    let count = |path: &Path| {
        reads.set(reads.get() + 1);
        contents(path)
    };
    let loaded =
        parse_with("f", &changed("port: 22\n", &format!("port: 22\n{checks}")), &count, today()).unwrap();
    assert_eq!(reads.get(), 1);
    let shared = loaded.config.healthchecks.values().filter_map(|check| match &check.kind {
        CheckKind::Http { tls: Some(tls), .. } => Some(Arc::strong_count(&tls.ca_file.as_ref()?.authorities)),
        _ => None,
    });
    assert_eq!(shared.collect::<Vec<_>>(), [50; 50]);
}
