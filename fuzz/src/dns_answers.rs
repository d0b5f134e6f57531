//! Target: a name server's answer to a health check. The server may be malicious.

use maglev_engine::config::{DnsCheck, DnsTransport};
use maglev_engine::outcome::ProbeCode;
use maglev_probe::{Question, Reply};

/// Longest detail that is shown to an operator, in bytes.
const LONGEST_DETAIL: usize = 400;

/// The first byte selects the check; the rest is the message, with the identifier that is expected.
pub fn check(data: &[u8]) {
    let Some((wish, message)) = data.split_first() else { return };
    let rcode = if wish & 2 == 0 { 0 } else { 3 };
    let question = Question::new(DnsCheck {
        name: "www.example.org".to_owned(),
        record_type: if wish & 1 == 0 { 1 } else { 16 },
        rcode,
        answer_regexp: (wish & 4 != 0).then(|| "o+k".parse().expect("a regular expression")),
        transport: DnsTransport::Udp,
    });
    let Some(id) = message.first_chunk().copied().map(u16::from_be_bytes) else { return };
    assert_eq!(question.judge(!id, message), Reply::Stray, "another identifier");
    let Reply::Judged((code, detail)) = question.judge(id, message) else { return };
    assert!(matches!(code, ProbeCode::L7Ok | ProbeCode::L7Sts | ProbeCode::L7Rsp), "{code}");
    assert!(!detail.is_empty() && detail.len() <= LONGEST_DETAIL, "{} bytes: {detail}", detail.len());
    assert!(!detail.chars().any(char::is_control), "{detail:?}");
    // A response with the expected code, and nothing that makes it malformed.
    let flags = message.get(2..4).expect("a header");
    assert!(code != ProbeCode::L7Ok || flags[0] & 0xfa == 0x80 && flags[1] & 0x0f == rcode);
}
