use super::*;

#[test]
fn own_namespace_is_recognised_by_its_inode() {
    let directory = tempfile::tempdir().unwrap();
    let own = directory.path().join("own");
    std::fs::write(&own, "").unwrap();
    std::fs::hard_link(&own, directory.path().join("dataplane")).unwrap();
    std::fs::write(directory.path().join("other"), "").unwrap();
    assert!(compare("dataplane", directory.path(), &own).is_ok());
    let elsewhere = compare("other", directory.path(), &own).unwrap_err();
    assert!(elsewhere.to_string().contains("NetworkNamespacePath="), "{elsewhere}");
    let unknown = compare("missing", directory.path(), &own).unwrap_err();
    assert!(matches!(unknown, WrongNamespace::Unknown { .. }), "{unknown}");
}
