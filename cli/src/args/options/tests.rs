use super::*;

#[test]
fn socket_of_the_package_goes_before_the_port() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("brain.sock");
    assert_eq!(default_server(&socket).to_string(), "127.0.0.1:17090");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert_eq!(default_server(&socket), ServerAddress::Unix(socket));
}
