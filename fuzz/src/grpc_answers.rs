//! Target: what a gRPC server answers to a health check, behind HTTP/2. The server may be malicious.

use maglev_engine::outcome::ProbeCode;
use maglev_probe::GrpcAnswer;

/// Longest detail that is shown to an operator, in bytes.
const LONGEST_DETAIL: usize = 400;

/// The first byte selects what the headers have, the second and third are the lengths of `grpc-status` and
/// `grpc-message`, which come next; the rest is the body.
pub fn check(data: &[u8]) {
    let Some(([wish, status, message], rest)) = data.split_first_chunk() else { return };
    let Some((status, rest)) = rest.split_at_checked(usize::from(*status)) else { return };
    let Some((message, body)) = rest.split_at_checked(usize::from(*message)) else { return };
    let headers = |name: &str| match name {
        "content-type" => (wish & 1 == 0).then(|| b"application/grpc".to_vec()),
        "grpc-status" => (wish & 2 != 0).then(|| status.to_vec()),
        _ => None,
    };
    let trailers = |name: &str| match name {
        "grpc-status" => (wish & 4 == 0).then(|| status.to_vec()),
        "grpc-message" => Some(message.to_vec()),
        _ => None,
    };
    let http = if wish & 8 == 0 { 200 } else { 503 };
    let mut answer = GrpcAnswer::new(http, headers);
    let fits = body.chunks(usize::from(wish >> 4) + 1).all(|piece| answer.add(piece));
    answer.end(trailers);
    let (code, detail) = answer.verdict();
    assert!(matches!(code, ProbeCode::L7Ok | ProbeCode::L7Sts | ProbeCode::L7Rsp), "{code}");
    assert!(!detail.is_empty() && detail.len() <= LONGEST_DETAIL, "{} bytes: {detail}", detail.len());
    assert!(!detail.chars().any(char::is_control), "{detail:?}");
    if code == ProbeCode::L7Ok {
        let zero = std::str::from_utf8(status).is_ok_and(|status| status.parse() == Ok(0_u16));
        assert!(http == 200 && wish & 1 == 0 && zero && fits, "{detail}");
        assert!(body.first() == Some(&0) && body.contains(&8), "no field of a state: {body:?}");
    }
}
