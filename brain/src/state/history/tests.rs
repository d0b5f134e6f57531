use std::os::unix::fs::PermissionsExt;

use super::*;

fn files() -> (tempfile::TempDir, HistoryFiles) {
    let directory = tempfile::tempdir().unwrap();
    let files = StateDirectory::open(directory.path()).unwrap().history();
    (directory, files)
}

#[test]
fn lines_follow_each_other_also_after_a_torn_one() {
    let (directory, files) = files();
    assert!(files.read().unwrap().iter().all(Vec::is_empty));
    files.append("one\n", || "head\n".to_owned()).unwrap();
    files.append("two\n", || unreachable!("the file exists")).unwrap();
    let path = directory.path().join(NEWER);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "head\none\ntwo\n");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    std::fs::write(&path, "one\ntw").unwrap();
    files.append("three\n", || unreachable!("the file exists")).unwrap();
    assert_eq!(files.read().unwrap(), [b"".to_vec(), b"one\ntw\nthree\n".to_vec()]);
}

#[test]
fn full_file_becomes_the_older_one() {
    let (directory, files) = files();
    let line = format!("{}\n", "x".repeat(1 << 20));
    for _ in 0..16 {
        files.append(&line, || "head\n".to_owned()).unwrap();
    }
    files.append("new\n", || unreachable!("the file exists")).unwrap();
    let [older, newer] = files.read().unwrap();
    assert_eq!((older.len(), newer.len()), (5 + 15 * line.len(), 5 + line.len() + 4));
    assert!(older.starts_with(b"head\nx") && newer.starts_with(b"head\nx") && newer.ends_with(b"\nnew\n"));
    assert!(directory.path().join(OLDER).exists());
}

#[test]
fn something_else_of_that_name_is_left_alone() {
    let (directory, files) = files();
    std::fs::create_dir(directory.path().join(NEWER)).unwrap();
    assert!(files.append("one\n", String::new).is_err());
    assert!(files.read().is_err());
    std::fs::remove_dir(directory.path().join(NEWER)).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", directory.path().join(NEWER)).unwrap();
    assert!(files.append("one\n", String::new).is_err());
}
