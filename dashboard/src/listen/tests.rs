use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

fn routes() -> Router {
    Router::new().route(
        "/",
        axum::routing::get(|Extension(peer): Extension<Peer>| async move {
            match peer {
                Peer::Unix => "unix",
                Peer::Loopback(_) => "loopback",
                Peer::Tls(_) => "tls",
            }
        }),
    )
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn requests_know_over_which_kind_of_socket_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.sock");
    let unix = Listener::bind(&ListenAddress::Unix(path.clone()), None).await.unwrap();
    let tcp = Listener::bind(&"127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    let ListenAddress::Tcp(address) = tcp.address else { panic!("no TCP") };
    for listener in [unix, tcp] {
        tokio::spawn(serve(listener, routes(), Control::new()));
    }
    assert!(ask(tokio::net::UnixStream::connect(&path).await.unwrap()).await.ends_with("unix"));
    assert!(ask(TcpStream::connect(address).await.unwrap()).await.ends_with("loopback"));
}

#[tokio::test]
async fn tls_needs_a_certificate() {
    let refused = Listener::bind(&"tls:127.0.0.1:0".parse().unwrap(), None).await.unwrap_err();
    assert!(refused.to_string().contains("--https-cert"), "{refused}");
    let missing = Tls::new("/nonexistent/cert".into(), "/nonexistent/key".into()).unwrap_err();
    assert!(missing.to_string().starts_with("--https-cert /nonexistent/cert: "), "{missing}");
}

/// Certificate and key of `localhost`, written to these files.
fn certify(folder: &std::path::Path) -> rustls::pki_types::CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

async fn ask_trusting(
    address: std::net::SocketAddr,
    certificate: &rustls::pki_types::CertificateDer<'static>,
) -> io::Result<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await?;
    Ok(ask(connector.connect("localhost".try_into().unwrap(), stream).await?).await)
}

#[tokio::test]
async fn certificates_are_read_again_and_those_that_are_no_good_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = certify(folder.path());
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let tls = Arc::new(Tls::new(cert.clone(), key).unwrap());
    let listener = Listener::bind(&"tls:127.0.0.1:0".parse().unwrap(), Some(&tls)).await.unwrap();
    let ListenAddress::Tls(address) = listener.address else { panic!("no TLS") };
    tokio::spawn(serve(listener, routes(), Control::new()));
    assert!(ask_trusting(address, &first).await.unwrap().ends_with("tls"));
    let second = certify(folder.path());
    tls.reload().unwrap();
    assert!(ask_trusting(address, &second).await.unwrap().ends_with("tls"));
    assert!(ask_trusting(address, &first).await.is_err(), "the old one is still shown");
    std::fs::write(&cert, "no certificate").unwrap();
    let refused = tls.reload().unwrap_err().to_string();
    assert!(refused.starts_with("--https-cert ") && refused.contains("no certificate in it"), "{refused}");
    assert!(ask_trusting(address, &second).await.unwrap().ends_with("tls"));
}
