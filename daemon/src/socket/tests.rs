use super::*;

fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daemon.sock");
    (directory, path)
}

#[tokio::test]
async fn socket_has_its_mode_and_goes_with_the_daemon() {
    for mode in [0o660, 0o666] {
        let (_directory, path) = directory();
        let listener = listen(&path, mode, 16).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        drop(listener);
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn stale_socket_is_replaced_and_a_live_one_is_not() {
    let (_directory, path) = directory();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let live = listen(&path, 0o660, 16).await.unwrap();
    let error = listen(&path, 0o660, 16).await.unwrap_err();
    assert!(matches!(error, SocketError::InUse(_)));
    let words = format!("cannot listen on {}: another process already does", path.display());
    assert_eq!(error.to_string(), words);
    drop(live);
}

#[tokio::test]
async fn live_socket_with_a_full_backlog_stays() {
    let (_directory, path) = directory();
    let (_listener, _file) = listen(&path, 0o660, 1).await.unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = UnixStream::connect(&path).await {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the backlog has no end");
    }
    let error = listen(&path, 0o660, 1).await.unwrap_err();
    assert!(matches!(error, SocketError::Refused { action: "find out who listens on", .. }), "{error}");
    assert!(path.exists());
}

#[tokio::test]
async fn file_that_is_not_a_socket_stays() {
    let (directory, path) = directory();
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(listen(&path, 0o660, 16).await.unwrap_err(), SocketError::NotASocket(_)));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    let nowhere = directory.path().join("missing/daemon.sock");
    assert!(matches!(
        listen(&nowhere, 0o660, 16).await.unwrap_err(),
        SocketError::Refused { action: "listen on", .. }
    ));
}

#[tokio::test]
async fn socket_of_a_successor_stays() {
    let (_directory, path) = directory();
    let old = listen(&path, 0o660, 16).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let successor = listen(&path, 0o660, 16).await.unwrap();
    drop(old);
    assert!(path.exists());
    drop(successor);
}
