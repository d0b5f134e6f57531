use super::*;

fn fed(framing: Framing, pieces: &[&[u8]]) -> Result<Body, String> {
    let mut body = Body::new(framing);
    for piece in pieces {
        body.feed(piece).map_err(|malformed| malformed.to_string())?;
    }
    Ok(body)
}

fn end(body: &Body) -> Result<(), String> {
    body.end().map_err(|cut| cut.to_string())
}

#[test]
fn bodies_end_where_their_framing_says() {
    for (framing, bytes, data, complete) in [
        (Framing::Empty, "abc", "", true),
        (Framing::Length(0), "abc", "", true),
        (Framing::Length(2), "abc", "ab", true),
        (Framing::Length(3), "abc", "abc", true),
        (Framing::UntilClose, "abc", "abc", false),
        (Framing::Chunked, "0\r\n", "", true),
        (Framing::Chunked, "1;x=\"y\"\r\na\r\n002 \r\nbc\r\n0\r\nTrailer: x\r\n\r\nrest", "abc", true),
        (Framing::Chunked, "3\r\nabc\r\n", "abc", false),
        (Framing::Chunked, "00000000000000000003\t;x;y=\";\"\r\nabc\r\n000\r\n", "abc", true),
        (Framing::Chunked, "aB\r\nabc", "abc", false),
    ] {
        let body = fed(framing, &[bytes.as_bytes()]).unwrap();
        assert_eq!((body.data(), body.is_complete()), (data.as_bytes(), complete), "{framing:?} {bytes:?}");
        let bytewise: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
        let same = fed(framing, &bytewise).unwrap();
        assert_eq!((same.data(), same.is_complete()), (data.as_bytes(), complete), "{framing:?} {bytes:?}");
    }
}

#[test]
fn bodies_that_were_cut_short_are_known() {
    for (framing, bytes, words) in [
        (Framing::Length(5), "abc", Err("closed after 3 of 5 bytes of the body")),
        (Framing::Length(u64::MAX), "", Err("closed after 0 of 18446744073709551615 bytes of the body")),
        (Framing::Chunked, "5\r\nabc", Err("closed after 3 bytes of the body, before its last chunk")),
        (Framing::Chunked, "3\r\nabc\r\n", Err("closed after 3 bytes of the body, before its last chunk")),
        (Framing::Chunked, "3\r\nabc\r\n0\r\n", Ok(())),
        (Framing::UntilClose, "abc", Ok(())),
        (Framing::Empty, "", Ok(())),
    ] {
        let body = fed(framing, &[bytes.as_bytes()]).unwrap();
        assert_eq!(end(&body), words.map_err(str::to_owned), "{framing:?} {bytes:?}");
    }
}

#[test]
fn bad_chunks_are_told_in_words() {
    for (bytes, words) in [
        ("\r\n", "bad size of a chunk: \"\""),
        (" \r\n", "bad size of a chunk: \"\""),
        (";x\r\n", "bad size of a chunk: \";x\""),
        ("-1\r\n", "bad size of a chunk: \"-1\""),
        ("+1\r\n", "bad size of a chunk: \"+1\""),
        ("1\r;\r\n", "bad size of a chunk: \"1\\r;\""),
        ("\u{661}\r\n", "bad size of a chunk: \"\\xd9\\xa1\""),
        ("0x1\r\n", "bad size of a chunk: \"0x1\""),
        ("1 2\r\n", "bad size of a chunk: \"1 2\""),
        ("1\n", "bad size of a chunk: \"1\""),
        ("10000000000000000\r\n", "bad size of a chunk: \"10000000000000000\""),
        ("1\r\nabc\r\n", "a chunk of the body is longer than its size: \"bc\" follows"),
    ] {
        assert_eq!(fed(Framing::Chunked, &[bytes.as_bytes()]).unwrap_err(), words, "{bytes:?}");
    }
}

#[test]
fn chunks_of_any_size_take_no_more_than_the_limit() {
    let mut body = fed(Framing::Chunked, &[b"FFFFFFFFFFFFFFFF\r\n"]).unwrap();
    for _ in 0..200 {
        body.feed(&[b'x'; 1000]).unwrap();
    }
    assert!(body.is_complete());
    assert_eq!(body.data().len(), BODY_LIMIT);
    assert!(body.capacity() <= BODY_LIMIT + CHUNK_LINE_LIMIT, "{}", body.capacity());
}

#[test]
fn floods_of_extensions_are_cut_off() {
    let line = |length: usize| format!("1;{}\r\n", "x".repeat(length - 4));
    assert!(fed(Framing::Chunked, &[line(CHUNK_LINE_LIMIT).as_bytes()]).is_ok());
    let words = "a line of more than 256 bytes with a chunk's size";
    assert_eq!(fed(Framing::Chunked, &[line(CHUNK_LINE_LIMIT + 1).as_bytes()]).unwrap_err(), words);

    // The longest lines that are allowed, each with one byte of data.
    let chunk = format!("{}a\r\n", line(CHUNK_LINE_LIMIT));
    let mut body = Body::new(Framing::Chunked);
    let mut taken = 0;
    let words = loop {
        match body.feed(chunk.as_bytes()) {
            Ok(()) => taken += chunk.len(),
            Err(malformed) => break malformed.to_string(),
        }
    };
    assert_eq!(words, "more than 512 KiB of chunk sizes and extensions");
    assert!(taken <= FRAMING_LIMIT + BODY_LIMIT, "{taken}");
}

#[test]
fn a_body_of_one_byte_chunks_is_within_the_limits() {
    let bytes = "1\r\nx\r\n".repeat(BODY_LIMIT);
    let body = fed(Framing::Chunked, &[bytes.as_bytes()]).unwrap();
    assert!(body.is_complete());
    assert_eq!(body.data().len(), BODY_LIMIT);
}

#[test]
fn buffers_grow_to_their_limit_and_no_further() {
    for piece in [1, 3, 100, 999, 5000] {
        let mut buffer = Vec::new();
        let mut kept = 0;
        for _ in 0..=(1000 / piece + 1) {
            kept += keep(&mut buffer, &vec![b'x'; piece], 1000);
            assert!(buffer.capacity() <= 1000, "{piece}: {}", buffer.capacity());
        }
        assert_eq!((kept, buffer.len()), (1000, 1000), "{piece}");
        assert_eq!(keep(&mut buffer, b"x", 1000), 0);
    }
}
