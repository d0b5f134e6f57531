//! Target: a web server's response to a health check. The server may be malicious.

use maglev_engine::config::{HttpCheck, HttpMethod, StatusCodes};
use maglev_engine::outcome::{Finding, ProbeCode};
use maglev_probe::Answer;

/// Longest detail that is shown to an operator, in bytes.
const LONGEST_DETAIL: usize = 400;

/// The first byte selects the check, the second how the response, which is the rest, is split.
pub fn check(data: &[u8]) {
    let Some(([wish, cut], answer)) = data.split_first_chunk() else { return };
    let check = HttpCheck {
        method: if wish & 1 == 0 { HttpMethod::Get } else { HttpMethod::Head },
        path: "/".to_owned(),
        host: None,
        headers: Vec::new(),
        body: String::new(),
        keepalive: false,
        response_codes: StatusCodes(vec![(200, 399)]),
        response_regexp: (wish & 2 != 0).then(|| "o+k".parse().expect("a regular expression")),
        drain_codes: if wish & 4 != 0 {
            StatusCodes(vec![(404, 404), (503, 503)])
        } else {
            StatusCodes::default()
        },
        agent_header: (wish & 8 != 0).then(|| "X-Weight".to_owned()),
    };
    let whole = judge(&check, answer, answer.len().max(1));
    let pieces = judge(&check, answer, usize::from(*cut).max(1));
    assert_eq!(pieces.0, whole.0, "in pieces of {cut}: {} and {}", pieces.1, whole.1);
    // Anything but HTTP is quoted as far as it had arrived.
    assert!(pieces.1 == whole.1 || whole.0 == ProbeCode::L7Rsp, "{} and {}", pieces.1, whole.1);

    let (code, detail) = whole;
    assert!(
        matches!(code, ProbeCode::L7Ok | ProbeCode::L7Okc | ProbeCode::L7Sts | ProbeCode::L7Rsp),
        "{code}"
    );
    assert!(!detail.is_empty() && detail.len() <= LONGEST_DETAIL, "{} bytes: {detail}", detail.len());
    assert!(!detail.chars().any(char::is_control), "{detail:?}");
    if code != ProbeCode::L7Rsp {
        assert!(answer.windows(5).any(|start| start == b"HTTP/"), "{code}: {detail}");
    }
}

/// The verdict on an answer that comes in pieces of this size, after which the peer hangs up.
fn judge(check: &HttpCheck, answer: &[u8], size: usize) -> Finding {
    let mut judged = Answer::new(check);
    for piece in answer.chunks(size) {
        if let Some(finding) = judged.feed(piece) {
            return judged.complete(finding).0;
        }
        assert!(judged.held() <= Answer::MOST_HELD, "{} bytes held", judged.held());
    }
    let finding = judged.end();
    judged.complete(finding).0
}
