use proptest::prelude::*;

use super::*;
use crate::tests::get;

/// Feeds the pieces until there is a verdict, or to the end, and returns it. Asserts the bound on memory.
fn judged<'a>(check: &HttpCheck, pieces: impl IntoIterator<Item = &'a [u8]>) -> Finding {
    let mut answer = Answer::new(check);
    for piece in pieces {
        let finding = answer.feed(piece);
        assert!(answer.held() <= Answer::MOST_HELD, "holds {} bytes", answer.held());
        if let Some(finding) = finding {
            return finding;
        }
    }
    answer.end()
}

fn whole(check: &HttpCheck, bytes: impl AsRef<[u8]>) -> Finding {
    judged(check, [bytes.as_ref()])
}

fn found(code: ProbeCode, words: &str) -> Finding {
    (code, words.into())
}

#[test]
fn the_status_decides() {
    for (answer, finding) in [
        ("HTTP/1.1 200 OK\r\n\r\n", found(ProbeCode::L7Ok, "HTTP 200")),
        ("HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n", found(ProbeCode::L7Ok, "HTTP 302")),
        ("HTTP/1.1 503 Busy\r\n\r\nsorry", found(ProbeCode::L7Sts, "HTTP 503")),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", found(ProbeCode::L7Sts, "HTTP 101")),
        ("HTTP/1.1 700 Odd\r\n\r\n", found(ProbeCode::L7Sts, "HTTP 700")),
    ] {
        assert_eq!(whole(&get(None), answer), finding, "{answer:?}");
        assert_eq!(whole(&get(Some("sorry")), answer).0, ProbeCode::L7Sts, "{answer:?}");
    }
}

#[test]
fn a_verdict_without_a_body_takes_no_memory() {
    let check = get(None);
    let mut answer = Answer::new(&check);
    assert!(answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").is_some());
    assert_eq!(answer.held(), 0);
}

#[test]
fn the_regexp_is_searched_for_at_the_bodys_end() {
    let check = get(Some("^good$"));
    for (answer, finding) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood", found(ProbeCode::L7Ok, "HTTP 200")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodness", found(ProbeCode::L7Ok, "HTTP 200")),
        ("HTTP/1.1 200 OK\r\n\r\ngood", found(ProbeCode::L7Ok, "HTTP 200")),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\ng\r\n3\r\nood\r\n0\r\n",
            found(ProbeCode::L7Ok, "HTTP 200"),
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\ngoodness",
            found(ProbeCode::L7Sts, "HTTP 200, body does not match ^good$: 8 bytes, \"goodness\""),
        ),
        (
            "HTTP/1.1 204 X\r\n\r\ngood",
            found(ProbeCode::L7Sts, "HTTP 204, body does not match ^good$: it is empty"),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngood",
            found(ProbeCode::L7Rsp, "closed after 4 of 9 bytes of the body"),
        ),
    ] {
        assert_eq!(whole(&check, answer), finding, "{answer:?}");
    }
    let head = HttpCheck { method: HttpMethod::Head, ..check };
    let finding = whole(&head, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    assert_eq!(finding.0, ProbeCode::L7Sts, "an answer to HEAD has no body");
}

/// Answers that never end, in various ways.
#[test]
fn a_match_that_nothing_can_undo_passes_at_once_or_when_no_more_comes() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let endless = [
        "HTTP/1.0 200 OK\r\n\r\nnode is synced".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nnode is synced".to_owned(),
        format!("{chunked}16\r\ndata: node is synced\n\n\r\n"),
        format!("{chunked}9\r\nnode is s\r\n99\r\nynced"),
    ];
    let reset = io::Error::from_raw_os_error(104);
    for answer in &endless {
        for piece in [1, 7, 1000] {
            for (pattern, code) in [
                ("is synced", Some(ProbeCode::L7Ok)),
                ("^(node|data: node) is synced", Some(ProbeCode::L7Ok)),
                ("is synced$", None),
                (r"is synced\z", None),
                (r"is synced\b.{9}", None),
                ("is not synced", None),
            ] {
                let check = get(Some(pattern));
                let mut judged = Answer::new(&check);
                let found = answer.as_bytes().chunks(piece).find_map(|piece| judged.feed(piece));
                assert_eq!(found.map(|found| found.0), code, "{pattern} in {answer:?}");
                if code.is_none() {
                    assert_eq!(judged.late().0, ProbeCode::L7Tout, "{pattern} in {answer:?}");
                    assert_eq!(judged.broken(&reset).0, ProbeCode::L7Rsp, "{pattern} in {answer:?}");
                }
            }
        }
    }
}

/// A response sent byte by byte must not be searched from the start at each byte.
#[test]
fn what_comes_in_small_pieces_is_searched_a_few_times_only() {
    let check = get(Some("needle"));
    let mut answer = Answer::new(&check);
    assert!(answer.feed(b"HTTP/1.1 200 OK\r\n\r\n").is_none());
    let mut come = 0;
    while answer.searched.as_ref().unwrap().early + come <= MOST_SEARCHED_EARLY {
        assert!(answer.feed(b"x").is_none());
        come += 1;
    }
    let early = answer.searched.as_ref().unwrap().early;
    for byte in b"a needle and more" {
        assert!(answer.feed(&[*byte]).is_none());
    }
    assert_eq!((answer.searched.as_ref().unwrap().early, come > 1400), (early, true));
    let passed = found(ProbeCode::L7Ok, "HTTP 200");
    assert_eq!(
        (answer.late(), answer.broken(&io::ErrorKind::ConnectionReset.into())),
        (passed.clone(), passed.clone())
    );
    assert_eq!(answer.end(), passed);
}

#[test]
fn a_mismatch_shows_what_there_was() {
    let check = get(Some("^good$"));
    let with = |headers: &str, body: &[u8]| {
        whole(&check, [format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes(), body].concat()).1
    };
    let intro = "HTTP 200, body does not match ^good$: ";
    for (headers, body, words) in [
        ("", &b""[..], "it is empty".to_owned()),
        ("", b"bad\n\x1b[2J\xe2\x80\xae", r#"11 bytes, "bad\n\x1b[2J\xe2\x80\xae""#.to_owned()),
        ("Content-Encoding: gzip\r\n", b"\x1f\x8b", r#"2 bytes encoded as "gzip", "\x1f\x8b""#.to_owned()),
        ("", &[b'x'; 61], format!("61 bytes, \"{}...\"", "x".repeat(60))),
        ("", &[b'x'; BODY_LIMIT + 9], format!("its first 65536 bytes, \"{}...\"", "x".repeat(60))),
        (
            "Transfer-Encoding: gzip, chunked\r\n",
            b"1\r\nx\r\n0\r\n",
            r#"1 bytes encoded as "gzip", "x""#.to_owned(),
        ),
    ] {
        assert_eq!(with(headers, body), format!("{intro}{words}"));
    }
}

/// The headers of a response to HEAD describe a body that is not sent.
#[test]
fn no_header_of_a_body_matters_to_head() {
    let head = HttpCheck { method: HttpMethod::Head, ..get(None) };
    for header in ["Content-Length: 5, 6", "Content-Length: x", "Transfer-Encoding: chunked;x"] {
        let answer = format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n");
        assert_eq!(whole(&head, &answer), found(ProbeCode::L7Ok, "HTTP 200"), "{header}");
        assert_eq!(whole(&get(None), &answer).0, ProbeCode::L7Rsp, "{header}");
        let interim = format!("HTTP/1.1 103 Hints\r\n{header}\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(whole(&get(None), interim), found(ProbeCode::L7Ok, "HTTP 200"), "{header}");
    }
}

#[test]
fn what_lies_behind_the_first_64_kib_is_not_seen() {
    let check = get(Some("needle"));
    for (position, code) in [(BODY_LIMIT - 6, ProbeCode::L7Ok), (BODY_LIMIT - 5, ProbeCode::L7Sts)] {
        for framing in ["", "Content-Length: 100000\r\n"] {
            let mut answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n").into_bytes();
            answer.extend(vec![b'x'; position]);
            answer.extend(b"needle");
            answer.resize(answer.len() + 50_000, b'x');
            assert_eq!(judged(&check, answer.chunks(1000)).0, code, "{framing:?} {position}");
        }
    }
}

#[test]
fn interim_answers_are_passed_over_up_to_a_number() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let answer = |count| format!("{}HTTP/1.1 200 OK\r\n\r\n", interim.repeat(count));
    assert_eq!(whole(&get(None), answer(8)), found(ProbeCode::L7Ok, "HTTP 200"));
    assert_eq!(whole(&get(None), answer(9)), found(ProbeCode::L7Rsp, "more than 8 interim answers"));
    assert_eq!(whole(&get(None), interim), found(ProbeCode::L7Rsp, "closed after an interim answer"));
    let long = format!("HTTP/1.1 100 Continue\r\nX: {}\r\n\r\n", "x".repeat(10_000));
    let finding = judged(&get(None), long.repeat(4).as_bytes().chunks(700));
    assert_eq!(finding, found(ProbeCode::L7Rsp, "more than 32 KiB of headers"));
}

#[test]
fn heads_may_be_as_long_as_the_limit() {
    let head = |length: usize| {
        let empty = "HTTP/1.1 200 OK\r\nX: \r\n\r\n".len();
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(length - empty))
    };
    let too_large = found(ProbeCode::L7Rsp, "more than 32 KiB of headers");
    for piece in [1, 1000, 1 << 20] {
        let finding = judged(&get(None), head(HEADER_LIMIT).as_bytes().chunks(piece));
        assert_eq!(finding, found(ProbeCode::L7Ok, "HTTP 200"));
        let finding = judged(&get(None), head(HEADER_LIMIT + 1).as_bytes().chunks(piece));
        assert_eq!(finding, too_large);
        let bomb = judged(&get(None), head(1 << 20).as_bytes().chunks(piece));
        assert_eq!(bomb, too_large);
    }
}

#[test]
fn a_head_that_comes_byte_by_byte_is_parsed_a_few_times_only() {
    let check = get(None);
    let mut answer = Answer::new(&check);
    let (mut parsed, mut times) = (0, 0);
    for byte in b"HTTP/1.1 200 OK\r\nX: ".iter().chain(&[b'x'; 30_000]) {
        assert!(answer.feed(&[*byte]).is_none());
        if answer.parsed != parsed {
            (parsed, times) = (answer.parsed, times + 1);
        }
    }
    assert!((10..=20).contains(&times), "{times} times, last at {parsed} bytes");
}

/// Valid and invalid, short, with every kind of framing.
const ANSWERS: [&str; 15] = [
    "HTTP/1.2 200 OK\r\nContent-Length: 4, 4,\r\n\r\ngood",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: ,chunked,\r\n\r\n2\r\ngo\r\n2\r\nod\r\n",
    "HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\ngood",
    "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n",
    "HTTP/1.0 503 Busy\n\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood",
    "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\nit is good",
    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ngoods and more",
    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbadly",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\ngo\r\n0A\r\nod enough \r\n0\r\nT: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\ngood",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ngood\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\ngoods",
    "HTTP/1.1 200 OK\r\nX: y\r\nnot a header\r\n\r\ngood",
    "HTTP/1.1 2x0 OK\r\n\r\n",
];

#[test]
fn answers_closed_after_any_byte_pass_only_with_the_whole_of_what_counts() {
    for (check, answer, needed) in [
        (get(None), ANSWERS[3], ANSWERS[3].len()),
        (get(Some("good")), ANSWERS[5], ANSWERS[5].len()),
        // As far as it matches, whatever follows.
        (get(Some("good")), ANSWERS[9], ANSWERS[9].find(" enough").unwrap()),
        // Up to the last chunk's size; the trailers behind it are not read.
        (get(Some("good en.*$")), ANSWERS[9], ANSWERS[9].len() - "T: x\r\n\r\n".len()),
    ] {
        for cut in 0..=answer.len() {
            let finding = whole(&check, answer.get(..cut).unwrap());
            let code = if cut >= needed { ProbeCode::L7Ok } else { ProbeCode::L7Rsp };
            assert_eq!(finding.0, code, "{cut} bytes: {}", finding.1);
            assert!(code == ProbeCode::L7Ok || finding.1.starts_with("closed"), "{}", finding.1);
        }
    }
    assert_eq!(whole(&get(None), ""), found(ProbeCode::L7Rsp, "closed without an answer"));
    let middle = whole(&get(None), "HTTP/1.1 200 OK\r\nX");
    assert_eq!(middle, found(ProbeCode::L7Rsp, "closed in the middle of the head, after 18 bytes"));
}

/// Without the quoted part, which depends on what had arrived.
fn unquoted((code, words): Finding) -> Finding {
    (code, words.split('"').next().unwrap().into())
}

fn split<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.extend([0, bytes.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).filter(|piece| !piece.is_empty()).collect()
}

fn any_check() -> impl Strategy<Value = HttpCheck> {
    prop::option::of(prop::sample::select(vec!["good", "^good$", "x$", r"good\b", "(?m)^good"])).prop_map(get)
}

/// Random responses: valid and invalid lines in any order, and bytes.
fn any_answer() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.0 404\n",
        "Content-Length: 7\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: , gzip, chunked ,\r\n",
        "Content-Length: 7,\r\n",
        "Content-Encoding: gzip\r\n",
        "HTTP/1.3 200 OK\r\n",
        "X: y\r\n",
        " folded\r\n",
        "bad header\r\n",
        "\r\n",
        "\n",
        "\r",
        "4\r\ngood\r\n",
        "FFFFFFFFFFFFFFFF\r\n",
        "0\r\n\r\n",
    ]);
    let piece = prop_oneof![
        8 => line.prop_map(|line| line.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (1usize..40_000).prop_map(|length| vec![b'x'; length]),
    ];
    (any::<bool>(), prop::collection::vec(piece, 0..12)).prop_map(|(begins_well, pieces)| {
        let start: &[u8] = if begins_well { b"HTTP/1.1 200 OK\r\n" } else { b"" };
        [start, &pieces.concat()].concat()
    })
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        answer in any_answer(), check in any_check(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let pieces = judged(&check, split(&answer, &cuts));
        prop_assert_eq!(unquoted(pieces), unquoted(whole(&check, &answer)));
    }

    #[test]
    fn known_answers_are_judged_alike_in_any_pieces(
        answer in prop::sample::select(ANSWERS.to_vec()), check in any_check(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let in_pieces = judged(&check, split(answer.as_bytes(), &cuts));
        prop_assert_eq!(unquoted(in_pieces), unquoted(whole(&check, answer)));
        let bytewise = judged(&check, answer.as_bytes().chunks(1));
        prop_assert_eq!(unquoted(bytewise), unquoted(whole(&check, answer)));
    }

    #[test]
    fn bytes_of_any_kind_get_a_verdict_in_bounded_words(
        bytes in prop::collection::vec(any::<u8>(), 0..2000), check in any_check(),
    ) {
        for start in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
            let (_, words) = whole(&check, [start, &bytes].concat());
            prop_assert!(words.len() < 400 && !words.chars().any(char::is_control), "{}", words);
        }
    }
}
