use maglev_engine::config::{HttpCheck, StatusCodes};
use proptest::prelude::*;

use super::*;
use crate::Answer;
use crate::tests::get;

fn asking() -> HttpCheck {
    HttpCheck {
        drain_codes: StatusCodes(vec![(404, 404), (503, 503)]),
        agent_header: Some("X-Weight".into()),
        ..get(None)
    }
}

/// The verdict on a response in pieces of this size, with what the server asks for in percent.
fn judged(check: &HttpCheck, response: &[u8], size: usize) -> (ProbeCode, String, Option<u8>) {
    let mut answer = Answer::new(check);
    let mut pieces = response.chunks(size);
    let found = pieces.find_map(|piece| answer.feed(piece));
    let found = found.unwrap_or_else(|| answer.end());
    let ((code, detail), asked) = answer.complete(found);
    (code, detail.into(), asked.map(Share::percent))
}

fn told(check: &HttpCheck, status: u16, header: &str) -> (ProbeCode, String, Option<u8>) {
    let response = format!("HTTP/1.1 {status} X\r\nServer: x\r\n{header}Content-Length: 0\r\n\r\n");
    let whole = judged(check, response.as_bytes(), response.len());
    assert_eq!(judged(check, response.as_bytes(), 1), whole, "in pieces");
    whole
}

#[test]
fn a_server_s_word_is_read_from_its_answer() {
    use ProbeCode::{L7Ok, L7Okc, L7Sts};
    let words = "is not up, drain, down or a percentage to 100%";
    for (status, header, code, detail, asked) in [
        (200, "", L7Ok, "HTTP 200".to_owned(), Some(100)),
        (200, "X-Weight: up\r\n", L7Ok, "HTTP 200".to_owned(), Some(100)),
        (200, "x-weight:  40% \r\n", L7Ok, "HTTP 200, X-Weight: 40%".to_owned(), Some(40)),
        (200, "X-Weight: drain\r\n", L7Ok, "HTTP 200, X-Weight: drain".to_owned(), Some(0)),
        (200, "X-Weight: down # disk\r\n", L7Sts, "HTTP 200, X-Weight: down".to_owned(), None),
        (200, "X-Weight: 101%\r\n", L7Ok, format!("HTTP 200, X-Weight ignored: \"101%\" {words}"), None),
        (200, "X-Weight:\r\n", L7Ok, format!("HTTP 200, X-Weight ignored: \"\" {words}"), None),
        (
            200,
            "X-Weight: \u{1b}[2J\r\n",
            ProbeCode::L7Rsp,
            "bad header: invalid header value".to_owned(),
            None,
        ),
        (404, "", L7Okc, "HTTP 404: the server drains".to_owned(), Some(0)),
        (503, "X-Weight: up\r\n", L7Okc, "HTTP 503: the server drains".to_owned(), Some(0)),
        (500, "X-Weight: up\r\n", L7Sts, "HTTP 500".to_owned(), None),
    ] {
        assert_eq!(told(&asking(), status, header), (code, detail, asked), "{status} {header:?}");
    }
    // The first of several headers counts.
    assert_eq!(told(&asking(), 200, "X-Weight: 10%\r\nX-Weight: 90%\r\n").2, Some(10));
}

#[test]
fn a_check_that_does_not_ask_hears_nothing() {
    assert_eq!(told(&get(None), 200, "X-Weight: drain\r\n"), (ProbeCode::L7Ok, "HTTP 200".into(), None));
    let codes = HttpCheck { agent_header: None, ..asking() };
    assert_eq!(told(&codes, 200, "X-Weight: drain\r\n").2, Some(100), "a code that does not drain ends it");
    // With a pattern, the word counts once the body passes.
    let pattern = HttpCheck { agent_header: Some("X-Weight".into()), ..get(Some("ok")) };
    let response = |body: &str| format!("HTTP/1.1 200 X\r\nX-Weight: 30%\r\n\r\n{body}");
    assert_eq!(judged(&pattern, response("ok").as_bytes(), 7).2, Some(30));
    assert_eq!(judged(&pattern, response("no").as_bytes(), 7).2, None);
}

proptest! {
    #[test]
    fn hostile_values_are_shown_in_bounds_and_only_lower_the_weight(
        value in prop_oneof![
            prop::collection::vec(any::<u8>().prop_filter("a line", |byte| !matches!(byte, b'\r' | b'\n')), 0..300),
            "[0-9]{0,30}%".prop_map(String::into_bytes),
        ],
    ) {
        let mut response = b"HTTP/1.1 200 OK\r\nX-Weight: ".to_vec();
        response.extend(&value);
        response.extend(b"\r\n\r\n");
        let (code, detail, asked) = judged(&asking(), &response, response.len());
        prop_assert!(matches!(code, ProbeCode::L7Ok | ProbeCode::L7Sts | ProbeCode::L7Rsp), "{}", code);
        prop_assert!(detail.len() < 400 && !detail.chars().any(char::is_control), "{}", detail);
        prop_assert!(asked.is_none_or(|percent| percent <= 100));
    }
}
