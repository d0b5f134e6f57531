use proptest::prelude::*;

use super::*;

fn tcp(host: &str, port: u16) -> Result<ServerAddress, AddressError> {
    Ok(ServerAddress::Tcp { host: host.into(), port })
}

#[test]
fn every_form_is_understood() {
    assert_eq!("127.0.0.1:9090".parse(), tcp("127.0.0.1", 9090));
    assert_eq!("lb-1.example.net:9090".parse(), tcp("lb-1.example.net", 9090));
    assert_eq!("[::1]:9090".parse(), tcp("::1", 9090));
    assert_eq!("[fe80::1%eth0.7]:9090".parse(), tcp("fe80::1%eth0.7", 9090));
    assert_eq!("http://localhost:9090".parse(), tcp("localhost", 9090));
    assert_eq!("http://[2001:db8::1]:65535/".parse(), tcp("2001:db8::1", 65_535));
    let tls = |host: &str, port| Ok(ServerAddress::Tls { host: host.into(), port });
    assert_eq!("tls:lb1.example.net:9443".parse(), tls("lb1.example.net", 9443));
    assert_eq!("tls:[2001:db8::1]:9443".parse(), tls("2001:db8::1", 9443));
    assert_eq!("unix:/run/brain.sock".parse(), Ok(ServerAddress::Unix("/run/brain.sock".into())));
    assert_eq!("unix:relative: path".parse(), Ok(ServerAddress::Unix("relative: path".into())));
}

#[test]
fn refusal_says_what_would_be_right() {
    let error = |text: &str| text.parse::<ServerAddress>().unwrap_err();
    assert_eq!(error("unix:"), AddressError::NoPath);
    assert_eq!(error(&format!("unix:/{}", "x".repeat(107))), AddressError::Path(108));
    assert_eq!(error("https://lb:9090"), AddressError::Https);
    assert_eq!(error("tls:lb"), AddressError::NoPort);
    assert_eq!(error("tls:::1:9090"), AddressError::Brackets);
    for portless in ["", "localhost", "[::1]", "[::1]9090", "http://lb"] {
        assert_eq!(error(portless), AddressError::NoPort, "{portless}");
    }
    for (text, port) in
        [("lb:", ""), ("lb:0", "0"), ("lb:65536", "65536"), ("lb:http", "http"), ("[::1]:+", "+")]
    {
        assert_eq!(error(text), AddressError::Port(port.into()), "{text}");
    }
    for bare in ["::1:9090", "fe80::1%eth0:9090", "[::1:9090"] {
        assert_eq!(error(bare), AddressError::Brackets, "{bare}");
    }
    let hosts =
        [(":9090", ""), ("a b:1", "a b"), ("[lb]:1", "lb"), ("[::1%]:1", "::1%"), ("user@lb:1", "user@lb")];
    for (text, host) in hosts {
        assert_eq!(error(text), AddressError::Host(host.into()), "{text}");
    }
    assert_eq!(error("lb:9090/path"), AddressError::Port("9090/path".into()));
}

#[test]
fn authority_has_no_zone() {
    let authority = |text: &str| text.parse::<ServerAddress>().unwrap().authority();
    assert_eq!(authority("[fe80::1%eth0]:9090"), "[fe80::1]:9090");
    assert_eq!(authority("[::1]:9090"), "[::1]:9090");
    assert_eq!(authority("lb:9090"), "lb:9090");
    assert_eq!(authority("unix:/run/brain.sock"), "localhost");
}

proptest! {
    /// What is taken can be shown and read again, and is a URI's authority.
    #[test]
    fn shown_as_it_is_read(text in "(http://|tls:)?(\\[[0-9a-f:%]{0,12}\\]|[a-z0-9._:-]{0,12}):?[0-9]{0,6}/?|\\PC{0,20}") {
        if let Ok(address) = text.parse::<ServerAddress>() {
            prop_assert_eq!(address.to_string().parse(), Ok(address.clone()));
            let uri = format!("http://{}", address.authority());
            prop_assert!(tonic::transport::Endpoint::from_shared(uri).is_ok(), "{}", text);
        }
    }
}

#[test]
fn socket_of_the_package_goes_before_the_port() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("brain.sock");
    assert_eq!(ServerAddress::at_or_over_tcp(&socket).to_string(), "127.0.0.1:17090");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert_eq!(ServerAddress::at_or_over_tcp(&socket), ServerAddress::Unix(socket));
}
