use std::fs;
use std::os::unix::net::UnixListener;

use super::{RunDir, RunDirError};

#[test]
fn a_missing_folder_is_made_and_sockets_are_removed_at_the_end() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/b");
    let run_dir = RunDir::claim(&folder).unwrap();
    let _listener = UnixListener::bind(run_dir.api()).unwrap();
    assert!(folder.join("api.sock").exists());
    drop(run_dir);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn a_socket_of_a_dead_process_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(folder.path().join("api.sock")).unwrap());
    let run_dir = RunDir::claim(folder.path()).unwrap();
    assert!(!run_dir.api().exists());
}

#[test]
fn a_live_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let error = RunDir::claim(folder.path()).unwrap_err();
    assert!(matches!(error, RunDirError::InUse(_)), "{error}");
    assert!(path.exists());
}

#[test]
fn what_is_not_a_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stats.sock");
    fs::write(&path, "precious").unwrap();
    let error = RunDir::claim(folder.path()).unwrap_err();
    assert!(matches!(error, RunDirError::NotASocket(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let error = RunDir::claim(&path).unwrap_err();
    assert!(matches!(error, RunDirError::Folder { .. }), "{error}");
}
