//! The files that `ca-file` names.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

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

/// A disk with these files.
pub(in crate::config) fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let Pem { certificate, der, key } = &*AUTHORITY;
    let text = match path.to_str().unwrap() {
        "/ca.pem" => certificate.clone(),
        "/bundle.pem" => format!("Two of them\r\n\r\n{certificate}\nand\n{certificate}"),
        "/with-key.pem" => format!("{key}{certificate}"),
        "/half-damaged.pem" => format!("{certificate}{DAMAGED}{certificate}"),
        "/damaged.pem" => DAMAGED.to_owned(),
        "/all-damaged.pem" => DAMAGED.repeat(3),
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
    let loaded = parse_with("maglev.yaml", &text(path), &contents).unwrap();
    let CheckKind::Http { tls: Some(tls), .. } = &loaded.config.healthchecks["new"].kind else {
        panic!("no TLS")
    };
    let mut warnings = told(&loaded.warnings);
    warnings.retain(|line| line.contains("ca-file"));
    (tls.ca_file.clone().unwrap(), warnings)
}

#[test]
fn authorities_are_kept() {
    for (path, count) in [("/ca.pem", 1), ("/bundle.pem", 2), ("/with-key.pem", 1)] {
        let (file, warnings) = authorities(path);
        assert_eq!((file.path.as_str(), file.authorities.len()), (path, count));
        assert!(file.authorities.iter().all(|authority| authority.as_ref() == AUTHORITY.der), "{path}");
        assert_eq!(warnings, Vec::<String>::new());
    }
}

#[test]
fn a_damaged_one_among_them_is_warned_of() {
    let (file, warnings) = authorities("/half-damaged.pem");
    assert_eq!(file.authorities.len(), 2);
    assert_eq!(
        warnings,
        ["15:44 warning: `ca-file` of `params` of health check `new` is `/half-damaged.pem`, \
          whose certificate 2 of 3 is damaged (the others are trusted; remove it from the file)"]
    );
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
        ("/key.pem", format!("which has no certificate, but a `PRIVATE KEY` {pem}")),
        ("/cut.pem", format!("which is not whole: a section has no `-----END` line {pem}")),
        ("/garbled.pem", format!("which is not whole: a section is not base64 {pem}")),
        ("/damaged.pem", format!("whose only certificate is damaged {pem}")),
        ("/all-damaged.pem", format!("whose 3 certificates are all damaged {pem}")),
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
    let loaded = parse_with("f", &changed("port: 22\n", &format!("port: 22\n{checks}")), &count).unwrap();
    assert_eq!(reads.get(), 1);
    let shared = loaded.config.healthchecks.values().filter_map(|check| match &check.kind {
        CheckKind::Http { tls: Some(tls), .. } => Some(Arc::strong_count(&tls.ca_file.as_ref()?.authorities)),
        _ => None,
    });
    assert_eq!(shared.collect::<Vec<_>>(), [50; 50]);
}

#[test]
fn the_disk_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (file, authorities) = (folder.path().join("maglev.yaml"), folder.path().join("ca.pem"));
    let named = authorities.display().to_string();
    std::fs::write(&file, text(&named)).unwrap();
    let refusal = || load(&file).unwrap_err().to_string();
    assert!(refusal().contains("No such file or directory"), "{}", refusal());

    std::fs::write(&authorities, &AUTHORITY.certificate).unwrap();
    load(&file).unwrap();

    std::fs::write(&authorities, vec![b'-'; (4 << 20) + 1]).unwrap();
    assert!(refusal().contains("it is larger than 4194304 bytes"), "{}", refusal());

    for (path, reason) in [("/dev/zero", "it is not a regular file"), ("/", "it is not a regular file")] {
        std::fs::write(&file, text(path)).unwrap();
        assert!(refusal().contains(reason), "{}", refusal());
    }
}
