use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

#[tokio::test]
async fn words_of_a_peer_that_is_gone_are_read_after_writes_fail() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    server.write_all(b"no").await.unwrap();
    server.shutdown().await.unwrap();
    drop(server);
    let mut stream = LastWord(client);
    // The first write makes the kernel of the peer answer with a reset, after which others fail.
    for _ in 0..3 {
        stream.write_all(b"hello").await.unwrap();
        stream.flush().await.unwrap();
        stream.0.ready(tokio::io::Interest::READABLE).await.unwrap();
    }
    let mut word = [0; 2];
    stream.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"no");
    assert!(matches!(stream.read(&mut word).await, Ok(0) | Err(_)));
}

#[test]
fn other_failures_stay() {
    let failed = |kind: io::ErrorKind| heed(Poll::Ready(Err(kind.into())), 3);
    assert!(matches!(failed(io::ErrorKind::BrokenPipe), Poll::Ready(Ok(3))));
    assert!(matches!(failed(io::ErrorKind::ConnectionReset), Poll::Ready(Ok(3))));
    assert!(matches!(failed(io::ErrorKind::TimedOut), Poll::Ready(Err(_))));
    assert!(matches!(heed(Poll::Ready(Ok(2)), 3), Poll::Ready(Ok(2))));
    assert!(heed(Poll::<io::Result<usize>>::Pending, 3).is_pending());
}
