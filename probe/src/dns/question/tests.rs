use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::{A, TXT};

use super::*;

const ID: u16 = 0x1234;

fn question(rcode: u8, regexp: Option<&str>) -> Question {
    Question::new(DnsCheck {
        name: "www.example.org".to_owned(),
        record_type: 1,
        rcode,
        answer_regexp: regexp.map(|regexp| regexp.parse().unwrap()),
        transport: DnsTransport::Udp,
    })
}

/// An answer to the question, changed before it is encoded.
fn answer(change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message::new(ID, MessageType::Response, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii("WWW.example.ORG.").unwrap(), RecordType::A));
    for last in [7, 8] {
        message.add_answer(record(RData::A(A::new(192, 0, 2, last))));
    }
    change(&mut message);
    message.to_vec().unwrap()
}

fn record(data: RData) -> Record {
    Record::from_rdata(Name::from_ascii("www.example.org.").unwrap(), 60, data)
}

fn judged(question: &Question, message: &[u8]) -> (ProbeCode, String) {
    match question.judge(ID, message) {
        Reply::Judged((code, words)) => (code, words.into()),
        other => panic!("{other:?}"),
    }
}

/// By the format of RFC 1035, 4.1.
#[test]
fn query_is_encoded() {
    let expected = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\
        \x03www\x07example\x03org\x00\x00\x01\x00\x01";
    assert_eq!(question(0, None).message(ID).unwrap(), expected);
    let root = DnsCheck { name: ".".to_owned(), ..question(0, None).check };
    assert!(Question::new(root).message(ID).unwrap().ends_with(b"\x00\x00\x00\x00\x01\x00\x01"));
}

#[test]
fn response_code_and_data_decide() {
    let nothing = |_: &mut Message| {};
    let missing = |message: &mut Message| {
        message.metadata.response_code = ResponseCode::NXDomain;
        message.answers.clear();
    };
    let without = |message: &mut Message| message.answers.clear();
    let strange = |message: &mut Message| message.metadata.response_code = ResponseCode::from(0, 11);
    for (question, answer, code, words) in [
        (question(0, None), answer(nothing), ProbeCode::L7Ok, "DNS NOERROR"),
        (question(0, None), answer(without), ProbeCode::L7Ok, "DNS NOERROR"),
        (question(0, None), answer(missing), ProbeCode::L7Sts, "DNS NXDOMAIN"),
        (question(3, None), answer(missing), ProbeCode::L7Ok, "DNS NXDOMAIN"),
        (question(0, None), answer(strange), ProbeCode::L7Sts, "DNS response code 11"),
        (question(0, Some(r"^192\.0\.2\.8$")), answer(nothing), ProbeCode::L7Ok, "DNS NOERROR"),
        (
            question(0, Some(r"^192\.0\.2\.9$")),
            answer(nothing),
            ProbeCode::L7Sts,
            r#"DNS NOERROR, no record matches ^192\.0\.2\.9$: "192.0.2.7", "192.0.2.8""#,
        ),
        (
            question(0, Some("x")),
            answer(without),
            ProbeCode::L7Sts,
            "DNS NOERROR, no record matches x: there is none",
        ),
    ] {
        assert_eq!(judged(&question, &answer), (code, words.to_owned()));
    }
    let many = answer(|message| {
        message.add_answer(record(RData::TXT(TXT::new(vec!["\u{1b}[31m".to_owned()]))));
        message.add_answer(record(RData::TXT(TXT::new(vec!["b".to_owned()]))));
    });
    let (code, words) = judged(&question(0, Some("x")), &many);
    assert!(code == ProbeCode::L7Sts && words.ends_with("1 others"), "{words}");
    assert!(!words.chars().any(char::is_control), "{words}");
}

#[test]
fn only_answers_to_the_question_count() {
    let question = question(0, None);
    let good = answer(|_| {});
    assert_eq!(question.judge(ID + 1, &good), Reply::Stray, "another identifier");
    let mut query = good.clone();
    query[2] &= 0x7f;
    assert_eq!(question.judge(ID, &query), Reply::Stray, "a query, not a response");
    for length in 0..HEADER {
        assert_eq!(question.judge(ID, &good[..length]), Reply::Stray, "{length} bytes");
    }
    for other in [
        Query::query(Name::from_ascii("example.org.").unwrap(), RecordType::A),
        Query::query(Name::from_ascii("www.example.org.").unwrap(), RecordType::AAAA),
    ] {
        let other = answer(|message| message.queries = vec![other]);
        assert_eq!(question.judge(ID, &other), Reply::Stray);
    }
    let truncated = answer(|message| message.metadata.truncation = true);
    assert_eq!(question.judge(ID, &truncated), Reply::Truncated);
    let refused = answer(|message| {
        (message.queries, message.answers) = (Vec::new(), Vec::new());
        message.metadata.response_code = ResponseCode::FormErr;
    });
    assert_eq!(judged(&question, &refused), (ProbeCode::L7Sts, "DNS FORMERR".to_owned()));
}

#[test]
fn malformed_answers_are_bad_ones() {
    let question = question(0, Some("x"));
    let good = answer(|_| {});
    for cut in HEADER..good.len() {
        let (code, words) = judged(&question, &good[..cut]);
        assert!(code == ProbeCode::L7Rsp && words.starts_with("malformed DNS message: "), "{cut}: {words}");
    }
    for (field, words) in
        [(4, "the answer has 65535 questions"), (6, "the answer has 65535 records, more than 256")]
    {
        let mut announced = good.clone();
        announced[field..field + 2].fill(0xff);
        assert_eq!(judged(&question, &announced), (ProbeCode::L7Rsp, words.to_owned()));
    }
    let mut looping = good.clone();
    looping[HEADER..HEADER + 2].copy_from_slice(&[0xc0, 12]);
    assert_eq!(judged(&question, &looping).0, ProbeCode::L7Rsp);
}
