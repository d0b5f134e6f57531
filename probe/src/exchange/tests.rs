use std::time::Duration;

use maglev_engine::config::Pattern;
use proptest::prelude::*;
use tokio::io::{DuplexStream, duplex};
use tokio::time::sleep;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(1);

fn expect(pattern: &str) -> Expect {
    Expect { key: "expect-regexp", text: pattern.to_owned(), pattern: pattern.parse::<Pattern>().unwrap() }
}

/// Talks with a server of this behaviour, which ignores errors: the probe hangs up.
async fn talked<F: Future<Output = io::Result<()>> + Send + 'static>(
    expect: &Expect,
    server: impl FnOnce(DuplexStream) -> F,
) -> (ProbeCode, String) {
    let (mut ours, theirs) = duplex(1 << 16);
    let server = tokio::spawn(server(theirs));
    let started = Instant::now();
    let (code, words) = converse(&mut ours, b"PING\r\n", expect, started + TIMEOUT).await;
    assert!(started.elapsed() <= TIMEOUT + Duration::from_millis(1), "took {:?}", started.elapsed());
    server.abort();
    (code, words.into())
}

async fn answered(expect: &Expect, answer: &'static [u8]) -> (ProbeCode, String) {
    talked(expect, async move |mut stream| {
        let mut asked = [0; 6];
        stream.read_exact(&mut asked).await?;
        assert_eq!(&asked, b"PING\r\n");
        stream.write_all(answer).await
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn answers_are_searched() {
    let pong = expect(r"^\+PONG");
    for (answer, code, words) in [
        (&b"+PONG\r\n"[..], ProbeCode::L7Ok, "expected answer"),
        (b"-NOAUTH\r\n", ProbeCode::L7Rsp, "answer does not match ^\\+PONG: 9 bytes, \"-NOAUTH\\r\\n\""),
        (b"", ProbeCode::L7Rsp, "closed without an answer"),
    ] {
        assert_eq!(answered(&pong, answer).await, (code, words.to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn match_decides_at_once_and_silence_at_the_timeout() {
    let started = Instant::now();
    let ready = expect("ready");
    let held = talked(&ready, async |mut stream| {
        stream.write_all(b"220 rea").await?;
        sleep(Duration::from_millis(10)).await;
        stream.write_all(b"dy").await?;
        std::future::pending().await
    });
    assert_eq!(held.await.0, ProbeCode::L7Ok);
    assert_eq!(started.elapsed(), Duration::from_millis(10));
    let silent = async |stream| {
        let _held: DuplexStream = stream;
        std::future::pending().await
    };
    let late = (ProbeCode::L7Tout, "connected, but no answer in time".to_owned());
    assert_eq!(talked(&ready, silent).await, late);
    let wrong = async |mut stream: DuplexStream| {
        stream.write_all(b"busy").await?;
        std::future::pending().await
    };
    let late = (ProbeCode::L7Tout, "answer does not match ready in time: 4 bytes, \"busy\"".to_owned());
    assert_eq!(talked(&ready, wrong).await, late);
}

/// However fast or slow the pieces come.
#[tokio::test(start_paused = true)]
async fn endless_answers_end_at_the_limit_or_at_the_timeout() {
    for (piece, pause, code, words) in [
        (4096, 0, ProbeCode::L7Rsp, "answer does not match ready: its first 16384 bytes, \"xxx"),
        (1, 0, ProbeCode::L7Rsp, "answer does not match ready: its first 16384 bytes, \"xxx"),
        (1, 100, ProbeCode::L7Tout, "answer does not match ready in time: 10 bytes, \"xxx"),
    ] {
        let (found, detail) = talked(&expect("ready"), async move |mut stream| {
            loop {
                stream.write_all(&vec![b'x'; piece]).await?;
                sleep(Duration::from_millis(pause)).await;
            }
        })
        .await;
        assert!(found == code && detail.starts_with(words), "{found}: {detail}");
    }
}

proptest! {
    /// What is searched early, and what only at the end, agree.
    #[test]
    fn verdict_does_not_depend_on_the_pieces(
        answer in prop::collection::vec(prop::sample::select(b"abc\n".to_vec()), 0..200),
        pattern in prop::sample::select(vec!["abc", "^a+b", "c$", r"\bab\b", "(?m)^cab$"]),
        size in 1..20_usize,
    ) {
        let expect = expect(pattern);
        let whole = match answer.is_empty() {
            true => ProbeCode::L7Rsp,
            false => judge_whole(&expect, &answer).0,
        };
        let mut reply = Reply::new(&expect);
        let early = answer.chunks(size).find_map(|piece| reply.feed(piece));
        prop_assert_eq!(early.unwrap_or_else(|| reply.end()).0, whole);
    }
}
