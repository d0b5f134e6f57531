use super::*;

#[test]
fn listening_addresses_have_four_forms() {
    assert!(matches!("127.0.0.1:9090".parse(), Ok(ListenAddress::Tcp(_))));
    assert!(matches!("[::1]:9090".parse(), Ok(ListenAddress::Tcp(_))));
    assert_eq!("unix:/run/x.sock".parse(), Ok(ListenAddress::Unix("/run/x.sock".into())));
    for tls in ["tls:0.0.0.0:9443", "tls:[::]:9443", "tls:192.0.2.1:9443", "tls:127.0.0.1:9443"] {
        let address = tls.parse();
        assert!(matches!(address, Ok(ListenAddress::Tls(_))), "{tls}");
        assert_eq!(address.unwrap().to_string(), tls);
    }
    for wrong in [
        "tls:9443",
        "tls:localhost:9443",
        "tls:unix:/x",
        "TLS:[::]:9443",
        "",
        "9090",
        "tls:",
        "0.0.0.0:9090",
        "[::]:9090",
        "192.0.2.1:9090",
        "localhost",
        "unix:",
        "127.0.0.1",
    ] {
        assert!(wrong.parse::<ListenAddress>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn stale_socket_is_replaced_and_a_live_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("brain.sock");
    let address = ListenAddress::Unix(path.clone());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let live = Listener::bind(address.clone()).await.unwrap();
    assert!(matches!(Listener::bind(address.clone()).await, Err(ListenError::InUse(_))));
    drop(live);
    assert!(!path.exists(), "a socket's file goes with it");
    std::fs::write(&path, "not a socket").unwrap();
    assert!(matches!(Listener::bind(address).await, Err(ListenError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a socket");
}

#[tokio::test]
async fn only_loopback_is_served_in_the_clear() {
    let everywhere = ListenAddress::Tcp(([0, 0, 0, 0], 0).into());
    assert!(matches!(Listener::bind(everywhere).await, Err(ListenError::NotLoopback(_))));
    let encrypted = ListenAddress::Tls(([127, 0, 0, 1], 0).into());
    assert!(matches!(Listener::bind(encrypted).await, Err(ListenError::NoCertificates(_))));
    let given = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let address = given.local_addr().unwrap();
    let plain = InheritedSocket::Tcp(given.try_clone().unwrap(), address);
    let error = Listener::inherited(plain, None).unwrap_err().to_string();
    assert!(error.contains("FileDescriptorName=grpc-tls"), "{error}");
    let encrypted = Listener::inherited(InheritedSocket::Tls(given, address), None);
    assert!(matches!(encrypted, Err(ListenError::NoCertificates(_))));
}
