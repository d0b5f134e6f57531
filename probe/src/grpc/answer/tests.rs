use super::*;

/// An answer with these headers and trailers.
fn answer(headers: &[(&str, &str)], body: &[u8], trailers: &[(&str, &str)]) -> GrpcAnswer {
    let of = |pairs: &[(&str, &str)], name: &str| {
        pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_bytes().to_vec())
    };
    let mut answer = GrpcAnswer::new(200, |name| of(headers, name));
    assert!(answer.add(body));
    answer.end(|name| of(trailers, name));
    answer
}

const GRPC: (&str, &str) = ("content-type", "application/grpc+proto");
const OK: (&str, &str) = ("grpc-status", "0");

#[test]
fn state_of_the_service_decides() {
    for (body, code, words) in [
        (&b"\0\0\0\0\x02\x08\x01"[..], ProbeCode::L7Ok, "gRPC SERVING"),
        (b"\0\0\0\0\x02\x08\x02", ProbeCode::L7Sts, "gRPC NOT_SERVING"),
        (b"\0\0\0\0\x02\x08\x03", ProbeCode::L7Sts, "gRPC SERVICE_UNKNOWN"),
        (b"\0\0\0\0\x02\x08\x09", ProbeCode::L7Sts, "gRPC in an unknown state"),
        // The default is not encoded.
        (b"\0\0\0\0\0", ProbeCode::L7Sts, "gRPC UNKNOWN"),
        // A field of a later version.
        (b"\0\0\0\0\x05\x12\x01x\x08\x01", ProbeCode::L7Ok, "gRPC SERVING"),
        (b"", ProbeCode::L7Rsp, "0 bytes instead of a message"),
        (b"\x01\0\0\0\x02\x08\x01", ProbeCode::L7Rsp, "a message of 2 bytes in 2, or a compressed one"),
        (b"\0\0\0\0\x03\x08\x01", ProbeCode::L7Rsp, "a message of 3 bytes in 2, or a compressed one"),
    ] {
        let (found, detail) = answer(&[GRPC], body, &[OK]).verdict();
        assert_eq!((found, detail.as_str()), (code, words));
    }
    let (code, words) = answer(&[GRPC], b"\0\0\0\0\x02\x08\xff", &[OK]).verdict();
    assert!(code == ProbeCode::L7Rsp && words.starts_with("malformed message: "), "{words}");
}

#[test]
fn status_of_the_call_goes_first() {
    let serving = b"\0\0\0\0\x02\x08\x01";
    let message = ("grpc-message", "unknown%20service");
    for (headers, trailers, code, words) in [
        // In the headers, without a message.
        (
            &[GRPC, ("grpc-status", "5"), message][..],
            &[][..],
            ProbeCode::L7Sts,
            "gRPC status 5, NOT_FOUND: \"unknown%20service\"",
        ),
        (&[GRPC], &[("grpc-status", "12")], ProbeCode::L7Sts, "gRPC status 12, UNIMPLEMENTED"),
        (&[GRPC], &[("grpc-status", "99")], ProbeCode::L7Sts, "gRPC status 99, an unknown status"),
        (&[GRPC], &[("grpc-status", "x\ny")], ProbeCode::L7Rsp, "bad grpc-status: \"x\""),
        (&[GRPC], &[], ProbeCode::L7Rsp, "the answer has no grpc-status"),
        (
            &[("content-type", "text/html")],
            &[OK],
            ProbeCode::L7Rsp,
            "not gRPC, but content-type \"text/html\"",
        ),
    ] {
        let (found, detail) = answer(headers, serving, trailers).verdict();
        assert_eq!((found, detail.as_str()), (code, words));
    }
    let (code, words) = GrpcAnswer::new(502, |_| None).verdict();
    assert_eq!((code, words.as_str()), (ProbeCode::L7Sts, "HTTP 502"));
}

#[test]
fn message_is_bounded() {
    let mut answer = GrpcAnswer::new(200, |_| None);
    assert!(answer.add(&[0; LONGEST_MESSAGE]));
    assert!(!answer.add(&[0]));
}
