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
