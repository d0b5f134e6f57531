//! Misbehaving backends, and the expected result of a check of each.

use std::time::Duration;

use maglev_tests::hostile::{End, Script};

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
}

impl Check {
    pub(crate) const ALL: [Self; 5] = [Self::Http, Self::Body, Self::Https, Self::HttpsBody, Self::Tls];

    /// Its type and parameters.
    pub(crate) fn yaml(self) -> &'static str {
        match self {
            Self::Http => "type: http",
            Self::Body => "type: http, params: { response-regexp: needle }",
            Self::Https => "type: https, params: { ssl-verify: false }",
            Self::HttpsBody => "type: https, params: { ssl-verify: false, response-regexp: needle }",
            Self::Tls => "type: tcp, params: { ssl: true, ssl-verify: false }",
        }
    }
}

/// Who is there.
#[derive(Debug, Clone)]
pub(crate) enum Backend {
    Plays(Script),
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
