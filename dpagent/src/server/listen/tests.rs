use super::*;

#[tokio::test]
async fn the_socket_is_for_user_and_group_and_goes_with_the_listener() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let listener = Listener::bind(&path).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let live = Listener::bind(&path).await.unwrap();
    let error = Listener::bind(&path).await.unwrap_err();
    assert!(matches!(error, ListenError::InUse { .. }));
    assert_eq!(error.to_string(), format!("{} is in use: another agent listens there", path.display()));
    drop(live);
}

#[tokio::test]
async fn what_is_no_socket_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(Listener::bind(&path).await.unwrap_err(), ListenError::NoSocket { .. }));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    let nowhere = directory.path().join("missing/agent.sock");
    assert!(matches!(
        Listener::bind(&nowhere).await.unwrap_err(),
        ListenError::Io { action: "listen at", .. }
    ));
}

#[tokio::test]
async fn the_socket_of_a_successor_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let old = Listener::bind(&path).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let successor = Listener::bind(&path).await.unwrap();
    drop(old);
    assert!(path.exists());
    drop(successor);
}
