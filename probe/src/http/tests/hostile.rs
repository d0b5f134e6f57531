//! Malicious and broken backends, on a paused clock.

use std::future::Future;
use std::task::{Context, Poll};

use proptest::prelude::*;
use tokio::io::{DuplexStream, ReadBuf, duplex, join, sink};
use tokio::time::sleep;

use super::*;
use crate::tests::get;

const TIMEOUT: Duration = Duration::from_secs(1);
const TARGET: SocketAddr = SocketAddr::new(LOCAL, 80);
/// Bytes that a server can send before they are read.
const PIPE: usize = 1 << 16;

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    check: &HttpCheck,
) -> Result<Finding, NotSent> {
    let started = Instant::now();
    let result = request(stream, TARGET, false, check, started + TIMEOUT, |_| {}).await;
    assert!(started.elapsed() <= TIMEOUT + Duration::from_millis(1), "took {:?}", started.elapsed());
    result.map(|(finding, _)| finding)
}

/// Probes a server with this behaviour. The server ignores errors, since the probe closes the connection.
async fn asked<F: Future<Output = io::Result<()>> + Send + 'static>(
    check: &HttpCheck,
    server: impl FnOnce(DuplexStream) -> F,
) -> Finding {
    let (mut ours, theirs) = duplex(PIPE);
    let server = tokio::spawn(server(theirs));
    let finding = ask(&mut ours, check).await.unwrap();
    server.abort();
    finding
}

/// Sends a start, and then the same piece over and over, with a pause in between.
async fn endless(
    check: &HttpCheck,
    first: &'static str,
    again: &[u8],
    (piece, pause): (usize, Duration),
) -> Finding {
    let again = again.to_vec();
    asked(check, async move |mut stream| {
        stream.write_all(first.as_bytes()).await?;
        loop {
            for piece in again.chunks(piece) {
                stream.write_all(piece).await?;
                sleep(pause).await;
            }
        }
    })
    .await
}

const FAST: (usize, Duration) = (usize::MAX, Duration::ZERO);
const SLOW: (usize, Duration) = (6, Duration::from_millis(90));
const NO_NEEDLE: &str = "HTTP 200, body does not match needle: its first 65536 bytes, ";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn endless_answers_end_at_a_limit_or_at_the_timeout() {
    let start = "HTTP/1.1 200 OK\r\n";
    let line = vec![b'x'; 1 << 20];
    let (plain, needle, x) = (get(None), get(Some("needle")), get(Some("^x+$")));
    for (check, first, again, fast) in [
        (&plain, start, b"X: y\r\n".to_vec(), (ProbeCode::L7Rsp, "more than 128 headers")),
        (&plain, start, line.clone(), (ProbeCode::L7Rsp, "more than 32 KiB of headers")),
        (&plain, "HTTP/1.1 200 ", line.clone(), (ProbeCode::L7Rsp, "more than 32 KiB of headers")),
        (&plain, "", b"HTTP/1.1 100 X\r\n\r\n".to_vec(), (ProbeCode::L7Rsp, "more than 8 interim answers")),
        (&needle, "HTTP/1.1 200 OK\r\n\r\n", line.clone(), (ProbeCode::L7Sts, NO_NEEDLE)),
        (&x, "HTTP/1.1 200 OK\r\n\r\n", line.clone(), (ProbeCode::L7Ok, "HTTP 200")),
        (&needle, CHUNKED, b"FFFFFFFFFFFFFFFF\r\n".to_vec(), (ProbeCode::L7Sts, NO_NEEDLE)),
        (
            &needle,
            CHUNKED,
            [b"1;", &line[..200], b"\r\nx\r\n"].concat(),
            (ProbeCode::L7Rsp, "more than 512 KiB of chunk sizes and extensions"),
        ),
        (
            &needle,
            CHUNKED,
            [b"1;", &line[..]].concat(),
            (ProbeCode::L7Rsp, "a line of more than 256 bytes with a chunk's size"),
        ),
    ] {
        let (code, words) = endless(check, first, &again, FAST).await;
        assert!(code == fast.0 && words.starts_with(fast.1), "{first:?}: {words}");
        // Too slow to reach any limit in time.
        let started = Instant::now();
        let (code, words) = endless(check, first, &again, SLOW).await;
        assert_eq!(code, ProbeCode::L7Tout, "{first:?}: {words}");
        assert!(words.starts_with("connected, but no complete answer in time: "), "{words}");
        assert!(started.elapsed() >= TIMEOUT);
    }
    let scratch = SCRATCH.take().capacity();
    assert_eq!(scratch, READ_SIZE, "all probes of a thread share one buffer, which does not grow");
}

#[tokio::test(start_paused = true)]
async fn one_byte_a_second_ends_at_the_timeout() {
    let finding = asked(&get(None), async |mut stream| {
        for byte in b"HTTP/1.1 200 OK\r\n\r\n" {
            stream.write_all(&[*byte]).await?;
            sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    })
    .await;
    assert_eq!(
        finding,
        (ProbeCode::L7Tout, "connected, but no complete answer in time: 1 bytes came".into())
    );
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_timeout() {
    let finding = asked(&get(None), async |stream| {
        let _held = stream;
        std::future::pending().await
    })
    .await;
    assert_eq!(finding, (ProbeCode::L7Tout, "connected, but no answer in time".into()));
}

#[tokio::test(start_paused = true)]
async fn closing_after_any_byte_is_a_bad_answer() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
    for cut in 0..answer.len() {
        let (code, words) = asked(&get(Some("good")), async move |mut stream| {
            stream.write_all(&answer.as_bytes()[..cut]).await
        })
        .await;
        assert_eq!(code, ProbeCode::L7Rsp, "{cut} bytes: {words}");
        assert!(words.starts_with("closed "), "{words}");
    }
}

/// Fails every read.
struct Broken(io::ErrorKind);

impl AsyncRead for Broken {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.0.into()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_tls_did_not_announce_is_an_end() {
    let answer = b"HTTP/1.1 200 OK\r\n\r\ngood";
    for (pattern, kind, code) in [
        ("good$", io::ErrorKind::UnexpectedEof, ProbeCode::L7Ok),
        ("good$", io::ErrorKind::ConnectionReset, ProbeCode::L7Rsp),
        // Missing bytes could not undo the match.
        ("good", io::ErrorKind::ConnectionReset, ProbeCode::L7Ok),
        ("bad", io::ErrorKind::ConnectionReset, ProbeCode::L7Rsp),
    ] {
        let mut stream = join(answer.chain(Broken(kind)), sink());
        let (found, words) = ask(&mut stream, &get(Some(pattern))).await.unwrap();
        assert_eq!(found, code, "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_piece_but_the_last_is_acknowledged_at_once() {
    for (pieces, expected) in
        [(["HTTP/1.1 200 OK\r\n\r\n", "", ""], 0), (["HTTP/1.1 2", "00 OK\r\n", "\r\n"], 2)]
    {
        let [first, second, third] = pieces.map(str::as_bytes);
        let mut stream = join(first.chain(second).chain(third), sink());
        let acknowledged = Cell::new(0);
        let count = |_: &_| acknowledged.set(acknowledged.get() + 1);
        let deadline = Instant::now() + TIMEOUT;
        let ((code, words), _) =
            request(&mut stream, TARGET, false, &get(None), deadline, count).await.unwrap();
        assert_eq!(code, ProbeCode::L7Ok, "{words}");
        assert_eq!(acknowledged.get(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_do_not_fit_into_one_write_arrive_whole() {
    let mut check = get(None);
    check.headers = vec![("X-Long".into(), "x".repeat(100_000))];
    let (mut ours, mut theirs) = duplex(7);
    let server = tokio::spawn(async move {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            theirs.read_buf(&mut request).await.unwrap();
        }
        theirs.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        request
    });
    assert_eq!(ask(&mut ours, &check).await.unwrap(), (ProbeCode::L7Ok, "HTTP 200".into()));
    let mut whole = Vec::new();
    request::put(&mut whole, TARGET, false, false, &check);
    assert_eq!(server.await.unwrap(), whole);
}

#[tokio::test(start_paused = true)]
async fn what_hinders_the_first_write_is_told_apart() {
    let (mut ours, theirs) = duplex(1);
    // Full, so that it accepts no more.
    ours.write_all(b"x").await.unwrap();
    let late = ask(&mut ours, &get(None)).await.unwrap_err();
    assert!(matches!(late, NotSent::Late), "{late:?}");
    assert_eq!(late.after_connecting().0, ProbeCode::L7Tout);

    drop(theirs);
    let failed = ask(&mut ours, &get(None)).await.unwrap_err();
    assert!(matches!(&failed, NotSent::Failed(error) if error.kind() == io::ErrorKind::BrokenPipe));
    assert_eq!(failed.after_connecting(), (ProbeCode::L7Rsp, "broken pipe before the request".into()));

    // A peer that accepts a single byte has been reached.
    let (mut ours, _theirs) = duplex(1);
    assert_eq!(ask(&mut ours, &get(None)).await.unwrap().0, ProbeCode::L7Tout);
}

/// Accepts no byte: the peer has answered and reset the connection.
struct Reset<'a>(&'a [u8]);

impl AsyncRead for Reset<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Reset<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_before_the_connection_broke_counts() {
    let answer = b"HTTP/1.1 200 OK\r\n\r\nnode is synced\n";
    for (check, expected) in [
        (get(None), ProbeCode::L7Ok),
        (get(Some("is synced")), ProbeCode::L7Ok),
        (get(Some("is synced\n$")), ProbeCode::L7Rsp),
        (get(Some("is lost")), ProbeCode::L7Rsp),
    ] {
        let found = ask(&mut Reset(answer), &check).await.unwrap_or_else(NotSent::after_connecting);
        assert_eq!(found.0, expected, "{}", found.1);
    }
    let nothing = ask(&mut Reset(b""), &get(None)).await.unwrap_err().after_connecting();
    assert_eq!(nothing, (ProbeCode::L7Rsp, "connection reset before the request".into()));
}

#[tokio::test(start_paused = true)]
async fn probes_at_the_same_time_do_not_see_each_others_bytes() {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200u16 {
        tasks.spawn(async move {
            let status = 200 + number;
            let finding = asked(&get(None), async move |mut stream| {
                for piece in format!("HTTP/1.1 {status} X\r\nX: {number}\r\n\r\n").as_bytes().chunks(9) {
                    stream.write_all(piece).await?;
                    sleep(Duration::from_millis(1 + u64::from(number) % 7)).await;
                }
                Ok(())
            })
            .await;
            assert_eq!(finding.1, format!("HTTP {status}"));
        });
    }
    assert_eq!(tasks.join_all().await.len(), 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn garbage_never_passes(bytes in prop::collection::vec(any::<u8>(), 0..3000), piece in 1usize..500) {
        prop_assume!(!b"HTTP/1.".starts_with(bytes.get(..7).unwrap_or(&bytes)));
        let runtime =
            tokio::runtime::Builder::new_current_thread().start_paused(true).enable_time().build().unwrap();
        let (code, words) = runtime.block_on(asked(&get(None), async move |mut stream| {
            for piece in bytes.chunks(piece) {
                stream.write_all(piece).await?;
            }
            Ok(())
        }));
        prop_assert_eq!(code, ProbeCode::L7Rsp);
        prop_assert!(words.starts_with("not HTTP: "), "{}", words);
    }
}
