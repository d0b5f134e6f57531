use super::*;

fn sorted(given: Vec<(&str, OwnedFd)>) -> Result<Inherited, InheritedError> {
    sort(given.into_iter().map(|(name, descriptor)| (name.to_owned(), descriptor)))
}

fn loopback() -> OwnedFd {
    TcpListener::bind("127.0.0.1:0").unwrap().into()
}

#[test]
fn sockets_are_known_by_name_and_kind() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("brain.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let given = vec![
        ("grpc", loopback()),
        ("metrics", loopback()),
        ("grpc", unix.into()),
        ("grpc-tls", TcpListener::bind("0.0.0.0:0").unwrap().into()),
    ];
    let inherited = sorted(given).unwrap();
    assert!(inherited.metrics.is_some());
    let [InheritedSocket::Tcp(_, tcp), InheritedSocket::Unix(_, file), InheritedSocket::Tls(_, tls)] =
        &inherited.grpc[..]
    else {
        panic!("{inherited:?}")
    };
    assert!(tcp.ip().is_loopback() && tcp.port() != 0);
    assert!(tls.ip().is_unspecified() && tls.port() != 0);
    assert_eq!(*file, path);
    drop(inherited);
    assert!(path.exists(), "the file is not ours to remove");
}

#[test]
fn what_cannot_be_served_is_refused() {
    let said = |given| sorted(given).unwrap_err().to_string();
    let words = "the socket unit has a socket named \"maglev-brain.socket\": set its purpose with \
        FileDescriptorName=grpc, grpc-tls or metrics";
    assert_eq!(said(vec![("maglev-brain.socket", loopback())]), words);
    let two = vec![("metrics", loopback()), ("metrics", loopback())];
    assert!(said(two).starts_with("the socket units have two sockets for metrics"));
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    assert!(said(vec![("grpc", udp.into())]).starts_with("the socket named grpc is no stream: it must be"));
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    assert!(
        said(vec![("grpc", one.into())]).starts_with("the socket named grpc is one connection: it must be")
    );
    let directory = tempfile::tempdir().unwrap();
    let unix = UnixListener::bind(directory.path().join("metrics.sock")).unwrap();
    let for_tls = UnixListener::bind(directory.path().join("tls.sock")).unwrap();
    assert!(
        said(vec![("grpc-tls", for_tls.into())]).starts_with("the socket named grpc-tls is of the family")
    );
    assert!(
        said(vec![("metrics", unix.into())]).ends_with("it must be one of TCP, by ListenStream=ADDRESS:PORT")
    );
}
