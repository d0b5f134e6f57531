//! Misbehaving backends, and the expected result of a check of each.

use std::time::Duration;

use maglev_tests::hostile::{Answer, End, Script};

/// A check's request and expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    Http,
    /// Looks for `needle` in the body.
    Body,
    Https,
    HttpsBody,
    /// A handshake, and nothing else.
    Tls,
    /// Over a connection that is kept.
    Kept,
    /// Sends something, and looks for `needle` in the answer.
    Talk,
    /// The same in datagrams.
    Udp,
    Dns,
    DnsTcp,
    Grpc,
    /// A connection, and the server's own word on another one.
    Agent,
}

impl Check {
    pub(crate) const ALL: [Self; 12] = [
        Self::Http,
        Self::Body,
        Self::Https,
        Self::HttpsBody,
        Self::Tls,
        Self::Kept,
        Self::Talk,
        Self::Udp,
        Self::Dns,
        Self::DnsTcp,
        Self::Grpc,
        Self::Agent,
    ];

    /// Its type and parameters.
    pub(crate) fn yaml(self) -> &'static str {
        match self {
            Self::Http => "type: http",
            Self::Body => "type: http, params: { response-regexp: needle }",
            Self::Https => "type: https, params: { ssl-verify: false }",
            Self::HttpsBody => "type: https, params: { ssl-verify: false, response-regexp: needle }",
            Self::Tls => "type: tcp, params: { ssl: true, ssl-verify: false }",
            Self::Kept => "type: http, params: { keepalive: true }",
            Self::Talk => "type: tcp, params: { send: ping, expect: needle }",
            Self::Udp => "type: udp, params: { send: ping, expect: needle }",
            Self::Dns => "type: dns, params: { name: ., answer-regexp: needle }",
            Self::DnsTcp => "type: dns, params: { name: ., transport: tcp }",
            Self::Grpc => "type: grpc",
            Self::Agent => "type: tcp, agent-port: PORT, agent-send: web1",
        }
    }
}

/// Who is there.
#[derive(Debug, Clone)]
pub(crate) enum Backend {
    Plays(Script),
    /// Answers datagrams.
    Datagrams(Vec<Answer>),
    /// Does not answer attempts to connect.
    Deaf,
    Nobody,
}

/// One way to behave.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) check: Check,
    pub(crate) backend: Backend,
    /// Any of these.
    pub(crate) codes: &'static [&'static str],
    /// How the words begin.
    pub(crate) words: &'static str,
}

impl Kind {
    pub(crate) fn is_healthy(&self) -> bool {
        self.codes.iter().all(|code| code.ends_with("OK"))
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\n";
const NO_MATCH: &str = "HTTP 200, body does not match needle";
const LATE: &str = "connected, but no complete answer in time";
const NO_HANDSHAKE: &str = "connected, but no complete TLS handshake in time";

fn says(first: impl AsRef<[u8]>, end: End) -> Script {
    Script { first: first.as_ref().to_vec(), end, ..Script::default() }
}

fn floods(first: impl AsRef<[u8]>, again: impl AsRef<[u8]>) -> Script {
    Script { again: again.as_ref().to_vec(), ..says(first, End::Hold) }
}

/// Goes on with a byte a second.
fn trickles(first: impl AsRef<[u8]>) -> Script {
    Script { pause: Duration::from_secs(1), ..floods(first, "x") }
}

fn in_tls(script: Script) -> Script {
    Script { tls: true, ..script }
}

/// A TLS record of the type handshake.
fn record(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[22, 3, 3], &length[..], content].concat()
}

fn chunked(body: &str) -> String {
    format!("{OK}Transfer-Encoding: chunked\r\n\r\n{body}")
}

pub(crate) fn all() -> Vec<Kind> {
    let mut kinds = Vec::new();
    let mut add = |name, check, script, code: &'static [&'static str], words| {
        kinds.push(Kind { name, check, backend: Backend::Plays(script), codes: code, words });
    };
    healthy(&mut add);
    http(&mut add);
    bodies(&mut add);
    tls(&mut add);
    talk(&mut add);
    grpc(&mut add);
    kinds.extend(datagrams());
    for (name, backend, code, words) in [
        ("deaf", Backend::Deaf, &["L4TOUT"], "no answer to the connection attempt"),
        ("refuses", Backend::Nobody, &["L4CON"], "connection refused"),
    ] {
        kinds.push(Kind { name, check: Check::Http, backend, codes: code, words });
    }
    kinds
}

type Add<'a> = &'a mut dyn FnMut(&'static str, Check, Script, &'static [&'static str], &'static str);

fn healthy(add: Add<'_>) {
    let whole = format!("{OK}Content-Length: 6\r\n\r\nneedle");
    let pieces = chunked("2\r\nne\r\n4;x=y\r\nedle\r\n0\r\n\r\n");
    add("healthy", Check::Http, says(&whole, End::Close), &["L7OK"], "HTTP 200");
    add("healthy-body", Check::Body, says(pieces, End::Close), &["L7OK"], "HTTP 200");
    add("healthy-tls", Check::Https, in_tls(says(whole, End::Close)), &["L7OK"], "HTTP 200");
}

fn http(add: Add<'_>) {
    let check = Check::Http;
    let bad = &["L7RSP"];
    let late = &["L7TOUT"];
    let long = "x".repeat(16 << 10);
    let headers = "X: y\r\n".repeat(1000);
    add("endless-headers", check, floods(OK, &headers), bad, "more than 128 headers");
    add("endless-header", check, floods(format!("{OK}X: "), &long), bad, "more than 32 KiB of headers");
    add("endless-status", check, floods("HTTP/1.1 200 ", &long), bad, "more than 32 KiB of headers");
    let bomb = format!("{OK}{}\r\n", headers.repeat(20));
    add("header-bomb", check, says(bomb, End::Close), bad, "more than 128 headers");
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    add("endless-interim", check, floods("", interim), bad, "more than 8 interim answers");
    add("interim-only", check, says(interim, End::Hold), late, LATE);
    add("interim-closed", check, says(interim, End::Close), bad, "closed after an interim answer");
    // As much as is kept of a head, without its end.
    let head = format!("{OK}X: {}", "x".repeat((32 << 10) - 100));
    add("stalled-head", check, says(head, End::Hold), late, LATE);
    add("trickle", check, trickles("HTTP/1.1 200 "), late, LATE);
    add("silent", check, says("", End::Hold), late, "connected, but no answer in time");
    let garbage: Vec<u8> = (0..=255).rev().cycle().take(5000).collect();
    add("garbage", check, floods(garbage, "\0\0\0\0"), bad, "not HTTP: ");
    add("closed", check, says("", End::Close), bad, "closed without an answer");
    add(
        "half-head",
        check,
        says("HTTP/1.1 200 OK\r\nX", End::Close),
        bad,
        "closed in the middle of the head",
    );
    // The kernel may learn of it before the probe has learned that it is connected.
    add("reset", check, says("", End::Reset), &["L7RSP", "L4CON"], "connection reset by peer");
    add("reset-late", check, says(&OK[..9], End::Reset), &["L7RSP"], "connection reset by peer");
}

fn bodies(add: Add<'_>) {
    let check = Check::Body;
    let bad = &["L7RSP"];
    let long = "x".repeat(16 << 10);
    add("endless-body", check, floods(format!("{OK}\r\n"), &long), &["L7STS"], NO_MATCH);
    let extension = format!("1;{}\r\nx\r\n", "x".repeat(200)).repeat(50);
    let framing = "more than 512 KiB of chunk sizes and extensions";
    add("endless-chunks", check, floods(chunked(""), extension), bad, framing);
    let line = "a line of more than 256 bytes with a chunk's size";
    add("endless-chunk-line", check, floods(chunked("1;"), &long), bad, line);
    add("huge-chunk", check, floods(chunked("FFFFFFFFFFFFFFFF\r\n"), &long), &["L7STS"], NO_MATCH);
    let overflow = chunked("FFFFFFFFFFFFFFFFF\r\n");
    add("huger-chunk", check, says(overflow, End::Hold), bad, "bad size of a chunk");
    let length = |digits| format!("{OK}Content-Length: {digits}\r\n\r\nbody");
    let largest = "18446744073709551615";
    let cut = "closed after 4 of 18446744073709551615 bytes of the body";
    add("huge-length", check, says(length(largest), End::Close), bad, cut);
    add("huger-length", check, says(length("99999999999999999999"), End::Hold), bad, "bad content-length: ");
    // As much as is kept of a body, but for its last byte.
    let body = format!("{OK}\r\n{}", "x".repeat((64 << 10) - 1));
    add("stalled-body", check, says(&body, End::Hold), &["L7TOUT"], LATE);
    let check = Check::HttpsBody;
    add("stalled-body-tls", check, in_tls(says(body, End::Hold)), &["L7TOUT"], LATE);
    let endless = in_tls(floods(format!("{OK}\r\n"), &long));
    add("endless-body-tls", check, endless, &["L7STS"], NO_MATCH);
    let headers = in_tls(floods(OK, "X: y\r\n".repeat(1000)));
    add("endless-headers-tls", check, headers, bad, "more than 128 headers");
    let silent = in_tls(says("", End::Hold));
    add("silent-tls", check, silent, &["L7TOUT"], "connected, but no answer in time");
}

fn tls(add: Add<'_>) {
    let check = Check::Tls;
    let bad = &["L6RSP"];
    let late = &["L6TOUT"];
    let other = "not TLS: the server answered in another protocol";
    add("plain-http", Check::Https, says(format!("{OK}\r\n"), End::Hold), bad, other);
    let garbage: Vec<u8> = (128..=255).cycle().take(5000).collect();
    add("tls-garbage", check, floods(&garbage, &garbage), bad, other);
    add("tls-broken", check, says(record(&[2, 0, 0, 2, 3, 3]), End::Hold), bad, "broken TLS: ");
    add("tls-silent", check, says("", End::Hold), late, NO_HANDSHAKE);
    // The first bytes of a ServerHello.
    let half = record(&[2, 0, 0, 70, 3, 3]);
    add("half-hello", check, says(&half, End::Hold), late, NO_HANDSHAKE);
    add("half-hello-reset", check, says(&half, End::Reset), bad, "connection reset during the TLS handshake");
    add(
        "half-hello-closed",
        check,
        says(half, End::Close),
        bad,
        "connection closed during the TLS handshake",
    );
    add("tls-trickle", check, trickles([22, 3, 3, 1, 0, 2, 0, 0, 252]), late, NO_HANDSHAKE);
    let begun = record(&[2, 0, 0xff, 0xff]);
    let large = "broken TLS: a message is larger than 64 KiB";
    add("endless-handshake", check, floods(&begun, record(&[0; 16_000])), bad, large);
    add("empty-records", check, floods("", record(&[]).repeat(100)), bad, "broken TLS: ");
    add("endless-alerts", check, floods("", [21, 3, 3, 0, 2, 1, 90].repeat(100)), bad, "broken TLS: ");
    // Nearly as much as is kept of a handshake.
    let stalled = [begun, record(&[0; 16_000]).repeat(3)].concat();
    add("stalled-handshake", check, says(stalled, End::Hold), late, NO_HANDSHAKE);
}

fn talk(add: Add<'_>) {
    let long = "x".repeat(16 << 10);
    let first = "answer does not match needle: its first 16384 bytes, ";
    let silent = "connected, but no answer in time";
    add("healthy-talk", Check::Talk, says("a needle", End::Hold), &["L7OK"], "expected answer");
    add("endless-talk", Check::Talk, floods("", &long), &["L7RSP"], first);
    // As much as is kept of an answer, but for its last byte.
    let most = &long[1..];
    add(
        "stalled-talk",
        Check::Talk,
        says(most, End::Hold),
        &["L7TOUT"],
        "answer does not match needle in time",
    );
    add("trickling-talk", Check::Talk, trickles(""), &["L7TOUT"], "answer does not match needle in time");
    add("silent-talk", Check::Talk, says("", End::Hold), &["L7TOUT"], silent);
    add("closed-talk", Check::Talk, says("", End::Close), &["L7RSP"], "closed without an answer");

    let unclear = "connected, agent ignored: \"xxxx";
    add("endless-agent", Check::Agent, floods("", &long), &["L4OK"], unclear);
    let late = "connected, no word of its agent on port ";
    add("trickling-agent", Check::Agent, trickles("up"), &["L4OK"], late);
    add(
        "agent-down",
        Check::Agent,
        says("fail # no disk\n", End::Close),
        &["L7STS"],
        "connected, agent: down",
    );

    let kept = format!("{OK}Content-Length: 0\r\n\r\n");
    add("healthy-kept", Check::Kept, says(&kept, End::Hold), &["L7OK"], "HTTP 200");
    // The next answers come before they are asked for.
    add("flooding-kept", Check::Kept, floods(&kept, &kept), &["L7OK"], "HTTP 200");
    let late = &["L7TOUT"];
    add("stalled-kept", Check::Kept, says(format!("{OK}Content-Length: 9\r\n\r\nx"), End::Hold), late, LATE);

    let late = "connected, but no complete answer in time";
    let longest = [&[0xff, 0xff][..], &[0; 0xfffe]].concat();
    add("stalled-dns", Check::DnsTcp, says(longest, End::Hold), &["L7TOUT"], late);
    add("dns-garbage", Check::DnsTcp, floods("", &long), &["L7RSP"], "the answer is to another query");
    add("dns-empty", Check::DnsTcp, floods("", [0, 0]), &["L7RSP"], "the answer is to another query");
}

/// A frame of HTTP/2, of the connection or of its first stream.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

fn grpc(add: Add<'_>) {
    let check = Check::Grpc;
    let (bad, late) = (&["L7RSP"], &["L7TOUT"]);
    let settings = frame(4, 0, 0, &[]);
    // `:status: 200` of HPACK's static table.
    let head = [&settings[..], &frame(1, 4, 1, &[0x88])].concat();
    let much = "more than 64 KiB were sent before a complete answer";
    add("grpc-http", check, says(format!("{OK}\r\n"), End::Hold), bad, "not HTTP/2, or broken: ");
    add("grpc-silent", check, says("", End::Hold), late, LATE);
    add("grpc-settings", check, says(&settings, End::Hold), late, LATE);
    add("grpc-closed", check, says(&settings, End::Close), bad, "");
    add("grpc-pings", check, floods(&settings, frame(6, 0, 0, &[0; 8]).repeat(100)), bad, much);
    let data = frame(0, 0, 1, &[0; 1000]);
    add("grpc-endless", check, floods(&head, &data), bad, "a message of more than ");
    add("grpc-stalled", check, says([&head[..], &data.repeat(4)].concat(), End::Hold), late, LATE);
}

fn datagrams() -> Vec<Kind> {
    let say = |bytes: &[u8]| vec![Answer { bytes: bytes.to_vec(), echoes: false }];
    // A response to a query for the root's address, with these flags and as many records.
    let response = |flags: [u8; 2], records: [u8; 2]| {
        let head = [&[0, 0], &flags[..], &[0, 1], &records[..], &[0; 4], &[0, 0, 1, 0, 1]].concat();
        vec![Answer { bytes: head, echoes: true }]
    };
    let refused = "the answer over UDP is truncated; over TCP: connection refused";
    let strays = "64 datagrams, none of which answers the query";
    let kinds: [(_, _, _, &'static [&'static str], _); 8] = [
        ("healthy-udp", Check::Udp, say(b"a needle"), &["L7OK"], "expected answer"),
        ("udp-other", Check::Udp, say(b"no"), &["L7RSP"], "answer does not match needle: 2 bytes"),
        ("udp-long", Check::Udp, say(&[b'x'; 9000]), &["L7RSP"], "answer does not match needle: 4096 bytes"),
        ("udp-silent", Check::Udp, Vec::new(), &["L4TOUT"], "no answer in time"),
        ("dns-strays", Check::Dns, vec![say(&[0; 12]).remove(0); 100], &["L7RSP"], strays),
        ("dns-truncated", Check::Dns, response([0x82, 0], [0, 0]), &["L4CON"], refused),
        ("dns-cut", Check::Dns, response([0x80, 0], [0, 1]), &["L7RSP"], "malformed DNS message: "),
        (
            "dns-many",
            Check::Dns,
            response([0x80, 0], [0xff, 0xff]),
            &["L7RSP"],
            "the answer has 65535 records",
        ),
    ];
    let kind = |(name, check, answers, codes, words)| Kind {
        name,
        check,
        backend: Backend::Datagrams(answers),
        codes,
        words,
    };
    kinds.into_iter().map(kind).collect()
}
