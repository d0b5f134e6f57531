use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
    let ListenAddress::Tcp(address) = *tcp.address() else { panic!("no TCP") };
    for listener in [unix, tcp] {
        tokio::spawn(serve(listener, routes(), std::future::pending()));
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
