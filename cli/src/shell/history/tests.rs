use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn state_directory_goes_before_home() {
    let path = |state: &str, home: &str| {
        let given = |text| Some(OsStr::new(text)).filter(|_| text != "-");
        super::path(given(state), given(home)).map(|path| path.to_str().unwrap().to_owned())
    };
    assert_eq!(path("/s", "/h").as_deref(), Some("/s/maglevc/history"));
    assert_eq!(path("-", "/h").as_deref(), Some("/h/.local/state/maglevc/history"));
    assert_eq!(path("", "/h").as_deref(), Some("/h/.local/state/maglevc/history"));
    assert_eq!(path("s", "/h").as_deref(), Some("/h/.local/state/maglevc/history"));
    assert_eq!(path("-", "-"), None);
    assert_eq!(path("-", "h"), None);
}

#[test]
fn directory_is_made_for_its_owner() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state/maglevc/history");
    assert_eq!(prepared(Some(path.clone())), Some(path.clone()));
    let mode = path.parent().unwrap().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn what_cannot_be_a_history_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("file"), "").unwrap();
    assert_eq!(prepared(Some(home.path().join("file/maglevc/history"))), None);
    assert_eq!(prepared(Some(home.path().join("."))), None);
    assert_eq!(prepared(None), None);
}
