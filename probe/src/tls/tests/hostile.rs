//! Servers without TLS, and malicious ones. None costs more than the deadline and bounded memory.

use proptest::prelude::*;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::*;

const L6RSP: ProbeCode = ProbeCode::L6Rsp;

/// The maximum that rustls accepts of an incomplete handshake, plus what the pipe holds.
const MOST_TAKEN: usize = (64 << 10) + PIPE + 1;

#[tokio::test]
async fn other_protocols_are_not_tls() {
    for answer in [
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "220 mail.example ESMTP\r\n",
        "\0\0\0\0\0\0\0\0",
        "\u{16}\u{7f}\u{7f}\0\u{1}x",
    ] {
        let found = failure_with(answer.into()).await;
        assert_eq!(found, (L6RSP, "not TLS: the server answered in another protocol".into()), "{answer:?}");
    }
}

/// A record of type handshake with this content.
fn record(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[22, 3, 3], &length[..], content].concat()
}

#[tokio::test]
async fn broken_tls_is_told() {
    let records_of = |content: &[u8], count| record(content).repeat(count);
    for (answer, expected) in [
        (Vec::new(), "connection closed during the TLS handshake"),
        (vec![22, 3], "connection closed during the TLS handshake"),
        (record(&[2, 0, 0, 70, 3, 3]), "connection closed during the TLS handshake"),
        (record(&[2, 0, 0, 2, 3, 3]), "broken TLS: missing data"),
        (record(&[2, 255, 255, 255]), "broken TLS: handshake payload too large"),
        (vec![22, 3, 3, 0xff, 0xff], "broken TLS: message too large"),
        (vec![23, 3, 3, 0, 1, 0], "broken TLS: received unexpected message"),
        (record(&[11, 0, 0, 0]), "broken TLS: "),
        (records_of(&[], 1000), "broken TLS: "),
        ([21, 3, 3, 0, 2, 1, 90].repeat(1000), "broken TLS: "),
        ([20, 3, 3, 0, 1, 1].repeat(1000), "broken TLS: "),
    ] {
        let start: Vec<u8> = answer.iter().take(10).copied().collect();
        let (code, detail) = failure_with(answer).await;
        assert_eq!(code, L6RSP, "{start:?}");
        assert!(detail.starts_with(expected), "{start:?}: {detail}");
    }
}

#[tokio::test]
async fn resets_are_told() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        stream.set_zero_linger().unwrap();
    });
    let stream = TcpStream::connect(address).await.unwrap();
    let client = Client::new(&check(false), None);
    let found = client.handshake(stream, address.ip(), deadline()).await.unwrap_err();
    assert_eq!(found, (L6RSP, "connection reset during the TLS handshake".into()));
}

/// Handshakes with a script, and gives how long that took.
async fn times_out(near: DuplexStream) {
    let client = Client::new(&check(false), None);
    let started = Instant::now();
    let found = client.handshake(near, BACKEND, deadline()).await.expect_err("no handshake");
    assert_eq!(found, (ProbeCode::L6Tout, "connected, but no complete TLS handshake in time".into()));
    assert_eq!(started.elapsed(), TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_deadline() {
    let (near, _far) = duplex(PIPE);
    times_out(near).await;
    // Nor does a server that does not even read hold it up.
    let (near, _far) = duplex(1);
    times_out(near).await;
    let (near, mut far) = duplex(PIPE);
    far.shutdown().await.unwrap();
    let client = Client::new(&check(false), None);
    let (code, detail) = client.handshake(near, BACKEND, deadline()).await.expect_err("no handshake");
    assert_eq!((code, detail.as_str()), (L6RSP, "connection closed during the TLS handshake"));
}

#[tokio::test(start_paused = true)]
async fn one_byte_a_second_ends_at_the_deadline() {
    let (near, mut far) = duplex(PIPE);
    tokio::spawn(async move {
        for byte in record(&[2, 0, 0, 70, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0]) {
            far.write_all(&[byte]).await.unwrap();
            sleep(Duration::from_millis(999)).await;
        }
    });
    times_out(near).await;
}

/// A handshake that never ends, sent as fast as it is read: no more than the limit is accepted.
#[tokio::test(start_paused = true)]
async fn endless_handshakes_are_bounded() {
    // A message of the largest length that is allowed, in one piece and in records of one byte, and then more.
    let begun = record(&[2, 0, 0xff, 0xff]);
    for filler in [record(&[0; 16_000]), record(&[0])] {
        let (near, mut far) = duplex(PIPE);
        let begun = begun.clone();
        let flood = tokio::spawn(async move {
            let mut written = 0;
            let mut next = begun;
            loop {
                match far.write(&next).await {
                    Ok(count) => {
                        written += count;
                        next.drain(..count);
                    }
                    Err(_) => return written,
                }
                if next.is_empty() {
                    next.clone_from(&filler);
                }
            }
        });
        let client = Client::new(&check(false), None);
        let (code, detail) = client.handshake(near, BACKEND, deadline()).await.expect_err("no handshake");
        assert_eq!((code, detail.as_str()), (L6RSP, "broken TLS: a message is larger than 64 KiB"));
        let written = flood.await.unwrap();
        assert!(written <= MOST_TAKEN, "{written} bytes were taken");
    }
}

/// Certificates that cannot lead to an authority do not count.
#[tokio::test]
async fn large_chains_are_refused() {
    let root = Authority::new("root");
    let client = parties::client(&[root.der()], Some("a.example"));
    // Each is below the next one.
    let mut chain = vec![root.below("0")];
    for number in 1..17 {
        chain.push(chain[number - 1].below(&number.to_string()));
    }
    let leaf = chain.iter().rev().fold(chain[16].issue(&["a.example"]), Leaf::with);
    let (code, detail) = failure(&client, &Server::new(&leaf)).await;
    assert_eq!(code, L6RSP);
    assert_eq!(
        detail,
        "the chain has 17 intermediates that could lead to an authority; at most 16 are tried"
    );
    let leaf = chain[..16].iter().rev().fold(chain[15].issue(&["a.example"]), Leaf::with);
    let (code, detail) = failure(&client, &Server::new(&leaf)).await;
    assert_eq!((code, detail.as_str()), (L6RSP, "certificate chain has more than 6 intermediates"));
    let leaf = chain[..6].iter().rev().fold(chain[5].issue(&["a.example"]), Leaf::with);
    assert!(meet(&client, &Server::new(&leaf)).await.is_ok());

    // More than rustls takes at all.
    let hundreds = chain.iter().cycle().take(200).fold(root.issue(&["a.example"]), Leaf::with);
    let (code, detail) = failure(&client, &Server::new(&hundreds)).await;
    assert_eq!(code, L6RSP, "{detail}");
}

/// Authorities of one name that have all signed each other: the search for a path is bounded.
#[tokio::test]
async fn webs_of_authorities_are_bounded() {
    let root = Authority::new("root");
    let client = parties::client(&[root.der()], Some("a.example"));
    let first = Authority::new("web");
    let mut web = vec![first.below("web")];
    for _ in 0..60 {
        web.push(web[web.len() - 1].below("web"));
    }
    let leaf = web.iter().fold(web[60].issue(&["a.example"]), Leaf::with);
    let (code, detail) = failure(&client, &Server::new(&leaf)).await;
    assert_eq!((code, detail.as_str()), (L6RSP, "certificate is signed by an unknown authority"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever a server answers, the probe ends at once with a printable description.
    #[test]
    fn arbitrary_answers_are_refused(content in any::<Vec<u8>>(), kind in 20u8..26, framed in any::<bool>()) {
        let mut answer = content;
        if framed {
            answer = record(&answer);
            answer[0] = kind;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().start_paused(true).enable_time().build().unwrap();
        let (code, detail) = runtime.block_on(failure_with(answer));
        assert_eq!(code, L6RSP);
        assert!(!detail.is_empty() && detail.len() <= 500, "{detail}");
        assert!(detail.chars().all(|char| char.is_ascii_graphic() || char == ' '), "{detail:?}");
    }
}

/// A certificate's names are untrusted text.
#[tokio::test]
async fn names_are_shown_short_and_plain() {
    let root = Authority::new("root");
    let client = parties::client(&[root.der()], Some("a.example"));
    let long = format!("{}.example", ["x".repeat(60), "y".repeat(60), "z".repeat(60)].join("."));
    let many: Vec<String> = (0..1500).map(|number| format!("{number}-{long}")).take(200).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let strange = ["\u{1b}[2Jclear", "two\nlines", "\u{7f}"];
    for names in [&many[..], &strange[..]] {
        let (code, detail) = failure(&client, &Server::new(&root.issue(names))).await;
        assert_eq!(code, L6RSP);
        assert!(
            detail.starts_with("certificate is for ") && detail.ends_with("not for a.example"),
            "{detail}"
        );
        assert!(detail.chars().count() <= 500, "{detail}");
        assert!(detail.chars().all(|char| !char.is_control()), "{detail:?}");
    }
}
