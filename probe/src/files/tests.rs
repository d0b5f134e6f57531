use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::*;

const FINE: &str = "\
maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1 } }
  backends:
    web1: { address: 10.0.0.1 }
  frontends:
    www:
      address: 198.51.100.1
      pools: [ { name: primary, backends: { web1: {} } } ]
";

/// A configuration with a check that names a file of authorities.
fn text(path: &str) -> String {
    format!("{FINE}  healthchecks:\n    new: {{ type: https, params: {{ ca-file: {path} }} }}\n")
}

fn authority() -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

#[test]
fn load_reads_a_file_and_says_what_it_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("maglev.yaml");
    std::fs::write(&file, FINE).unwrap();
    assert_eq!(load(&file).unwrap().config.frontends.len(), 1);

    let absent = folder.path().join("absent.yaml");
    let error = load(&absent).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert_eq!(
        error.to_string(),
        format!("cannot read the configuration {}: No such file or directory (os error 2)", absent.display())
    );
    let error = load(folder.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot read the configuration {}: it is not a regular file", folder.path().display())
    );

    std::fs::write(&file, b"maglev: {}\n# caf\xe9\n").unwrap();
    let error = load(&file).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert_eq!(
        error.to_string(),
        format!(
            "{}:2:6: error: the byte 0xe9 is not UTF-8\n  |\n2 | # caf\u{fffd}\n  |      ^\n  \
             = help: save the file in UTF-8\n\n1 error",
            file.display()
        )
    );

    std::fs::write(&file, FINE.replace("10.0.0.1", "10.0.0")).unwrap();
    let error = load(&file).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().starts_with(&format!("{}:4:22: error: ", file.display())));
}

#[test]
fn a_file_without_end_is_refused() {
    let error = load(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the configuration /dev/zero: it is not a regular file");
}

#[test]
fn the_disk_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (file, authorities) = (folder.path().join("maglev.yaml"), folder.path().join("ca.pem"));
    let named = authorities.display().to_string();
    std::fs::write(&file, text(&named)).unwrap();
    let refusal = || load(&file).unwrap_err().to_string();
    assert!(refusal().contains("No such file or directory"), "{}", refusal());

    std::fs::write(&authorities, authority()).unwrap();
    load(&file).unwrap();

    std::fs::write(&authorities, vec![b'-'; (4 << 20) + 1]).unwrap();
    assert!(refusal().contains("it is larger than 4194304 bytes"), "{}", refusal());

    for (path, reason) in [("/dev/zero", "it is not a regular file"), ("/", "it is not a regular file")] {
        std::fs::write(&file, text(path)).unwrap();
        assert!(refusal().contains(reason), "{}", refusal());
    }
}
