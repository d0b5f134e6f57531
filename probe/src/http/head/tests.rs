use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Result<Option<Head>, String> {
    parse(text.as_bytes()).map_err(|malformed| malformed.to_string())
}

fn with_headers(headers: &str) -> Result<Framing, String> {
    let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
    let head = parsed(&text).unwrap().expect("complete");
    head.framing.map_err(|malformed| malformed.to_string())
}

#[test]
fn heads_of_both_versions_are_taken() {
    for (text, status) in [
        ("HTTP/1.1 200 OK\r\n\r\n", 200),
        ("HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\n", 404),
        ("HTTP/1.1 200\r\n\r\n", 200),
        ("HTTP/1.1 200 \r\n\r\n", 200),
        ("HTTP/1.1 999 Odd\n\n", 999),
        ("HTTP/1.2 200 OK\r\n\r\n", 200),
        ("HTTP/1.9 404 Not Found\r\nServer: x\r\n\r\n", 404),
        ("HTTP/1.1  200  OK\r\n\r\n", 200),
        ("HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n", 200),
    ] {
        let head = parsed(text).unwrap_or_else(|error| panic!("{text}: {error}")).expect(text);
        assert_eq!((head.status, head.length), (status, text.len()), "{text}");
    }
    let head = parsed("HTTP/1.1 200 OK\r\n\r\nbody").unwrap().unwrap();
    assert_eq!(head.length, 19);
}

#[test]
fn what_is_wrong_is_told_in_words() {
    let long = format!("{}\n", "A".repeat(1000));
    let quoted = format!("not HTTP: \"{}...\"", "A".repeat(60));
    for (text, words) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "not HTTP: \"SSH-2.0-OpenSSH_9.2\""),
        ("HTTP/2 200\r\n", "not HTTP/1.1, but another version: \"HTTP/2 200\""),
        ("HTTP/2.0 200 OK\r\n\r\n", "not HTTP/1.1, but another version: \"HTTP/2.0 200 OK\""),
        ("HTTP/3", "not HTTP/1.1, but another version: \"HTTP/3\""),
        ("HTTP/0.9 200 OK\r\n\r\n", "not HTTP/1.1, but another version: \"HTTP/0.9 200 OK\""),
        (
            "\0\0\x12\x04\0\0\0\0\0\0\x03",
            "not HTTP/1.1, but HTTP/2: the server speaks nothing else on this port",
        ),
        ("HTTP/1.10 200 OK\r\n\r\n", "not HTTP: \"HTTP/1.10 200 OK\""),
        ("HTTP/1.2.1 200 OK\r\n\r\n", "not HTTP: \"HTTP/1.2.1 200 OK\""),
        ("HTTP/1. 200 OK\r\n\r\n", "not HTTP: \"HTTP/1. 200 OK\""),
        ("http/1.1 200 OK\r\n\r\n", "not HTTP: \"http/1.1 200 OK\""),
        ("<html>\r\n", "not HTTP: \"<html>\""),
        ("\x15\x03\x01\x00\x02\x02F", "not HTTP: \"\\x15\\x03\\x01\\x00\\x02\\x02F\""),
        ("\x1b[2Jx\"y\r\n", "not HTTP: \"\\x1b[2Jx\\\"y\""),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", "not HTTP: \"\""),
        (long.as_str(), quoted.as_str()),
        ("HTTP/1.1 2000 OK\r\n\r\n", "bad status line: \"HTTP/1.1 2000 OK\""),
        ("HTTP/1.1 OK\r\n\r\n", "bad status line: \"HTTP/1.1 OK\""),
        ("HTTP/1.1 099 No\r\n\r\n", "bad status line: \"HTTP/1.1 099 No\""),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "bad header: invalid header name"),
        ("HTTP/1.1 200 OK\r\nX : y\r\n\r\n", "bad header: invalid header name"),
        ("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "bad header: invalid header value"),
    ] {
        assert_eq!(parsed(text), Err(words.to_owned()), "{text:?}");
    }
}

#[test]
fn more_headers_than_allowed_are_refused() {
    let head = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert!(parsed(&head(MOST_HEADERS)).unwrap().is_some());
    assert_eq!(parsed(&head(MOST_HEADERS + 1)), Err("more than 128 headers".to_owned()));
}

#[test]
fn framing_follows_the_headers() {
    for (headers, framing) in [
        ("", Framing::UntilClose),
        ("Content-Length: 0\r\n", Framing::Length(0)),
        ("content-length:12\r\n", Framing::Length(12)),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", Framing::Length(5)),
        ("Content-Length: 5, 5\r\n", Framing::Length(5)),
        ("Content-Length: 5,\r\n", Framing::Length(5)),
        ("Content-Length: ,\t5 ,, 05\r\nCONTENT-LENGTH:\r\n", Framing::Length(5)),
        ("Content-Length: 5,\r\n 5\r\n", Framing::Length(5)),
        ("Content-Length: 000000000000000000000000000005\r\n", Framing::Length(5)),
        ("Content-Length: 18446744073709551615\r\n", Framing::Length(u64::MAX)),
        ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
        ("Transfer-Encoding: gzip, Chunked\r\n", Framing::Chunked),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", Framing::Chunked),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Framing::Chunked),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Framing::Chunked),
        ("Content-Length: 5\r\nTransfer-Encoding: identity\r\n", Framing::UntilClose),
        ("Transfer-Encoding: xchunked\r\n", Framing::UntilClose),
        ("Transfer-Encoding: chunked,\r\n", Framing::Chunked),
        ("Transfer-Encoding: , chunked\r\n", Framing::Chunked),
        ("Transfer-Encoding: ,,gzip ,\t, chunked , ,\r\n", Framing::Chunked),
        ("Transfer-Encoding: gzip,\r\n\tchunked\r\n", Framing::Chunked),
        ("Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: ,\r\n", Framing::Chunked),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Framing::Chunked),
        ("Transfer-Encoding: chunked, gzip\r\n", Framing::UntilClose),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", Framing::UntilClose),
        ("Transfer-Encoding: x;y=\", chunked\"\r\n", Framing::UntilClose),
        // No coding was applied.
        ("Transfer-Encoding:\r\nContent-Length: 5\r\n", Framing::Length(5)),
        ("Transfer-Encoding: ,\r\nContent-Length: 5\r\n", Framing::Length(5)),
        // A transfer coding overrides any length, and also what is none.
        ("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", Framing::Chunked),
        ("Content-Length: 1, 2\r\nTransfer-Encoding: chunked\r\n", Framing::Chunked),
        ("X-Content-Length: 5\r\n", Framing::UntilClose),
    ] {
        assert_eq!(with_headers(headers), Ok(framing), "{headers:?}");
    }
    for status in [100, 101, 103, 199, 204, 304] {
        for header in ["Content-Length: 9", "Content-Length: x", "Transfer-Encoding: chunked"] {
            let head = parsed(&format!("HTTP/1.1 {status} X\r\n{header}\r\n\r\n")).unwrap().unwrap();
            assert_eq!(head.framing, Ok(Framing::Empty), "{status}, {header}");
        }
    }
}

#[test]
fn content_lengths_that_tell_no_length_are_refused() {
    for (value, words) in [
        ("-1", "bad content-length: \"-1\""),
        ("+1", "bad content-length: \"+1\""),
        ("", "bad content-length: \"\""),
        ("0x10", "bad content-length: \"0x10\""),
        (",", "bad content-length: \"\""),
        ("5 5", "bad content-length: \"5 5\""),
        ("5\r\n 5", "bad content-length: \"5\""),
        ("5;x", "bad content-length: \"5;x\""),
        ("18446744073709551616", "bad content-length: \"18446744073709551616\""),
        ("5, , 6", "contradictory content-lengths: 5 and 6"),
        ("5\r\nContent-Length: 6", "contradictory content-lengths: 5 and 6"),
    ] {
        assert_eq!(with_headers(&format!("Content-Length: {value}\r\n")), Err(words.to_owned()), "{value:?}");
    }
}

#[test]
fn chunked_with_parameters_is_refused() {
    for value in ["chunked;a=b", "gzip, Chunked ; q=1", "chunked;"] {
        let words = with_headers(&format!("Transfer-Encoding: {value}\r\n")).unwrap_err();
        assert!(
            words.starts_with("bad transfer-encoding: \"") && words.ends_with("chunked has no parameters"),
            "{words}"
        );
    }
}

#[test]
fn the_encoding_is_told_unless_there_is_none() {
    for (headers, encoding) in [
        ("", None),
        ("Content-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", None),
        ("Content-Encoding: gzip\r\n", Some("\"gzip\"")),
        ("Content-Encoding: br,\r\nTransfer-Encoding: GZIP, chunked\r\n", Some("\"br, GZIP\"")),
        ("Content-Encoding: xxxxxxxxxxxxxxxxxxxxx\r\n", Some("\"xxxxxxxxxxxxxxxxxxxx...\"")),
    ] {
        let head = parsed(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).unwrap().unwrap();
        assert_eq!(head.encoding.map(|quote| quote.to_string()).as_deref(), encoding, "{headers:?}");
    }
}

#[test]
fn interim_answers_are_those_below_200_without_101() {
    for (status, interim) in [(100, true), (101, false), (103, true), (199, true), (200, false)] {
        let head = parsed(&format!("HTTP/1.1 {status} X\r\n\r\n")).unwrap().unwrap();
        assert_eq!(head.is_interim(), interim, "{status}");
    }
}

proptest! {
    #[test]
    fn no_beginning_of_a_good_head_is_refused(
        cut in 0usize..200,
        ends in prop::sample::select(vec!["\r\n", "\n"]),
    ) {
        let text = ["HTTP/1.1 200 OK", "Server: nginx", "X-Empty:", "X: a", "\tfolded", "Content-Length: 5", ""]
            .join(ends) + ends;
        let part = text.get(..cut.min(text.len() - 1)).unwrap();
        prop_assert_eq!(parsed(part), Ok(None));
    }
}
