//! Replays the recorded conversation with VPP 26.10 against the simulator.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;
use vppapi::messages::{SOCKCLNT_CREATE_ID, SockclntCreateReply, decode_bare, message_id};

use super::super::{MessageIds, Simulator};
use super::{NOW, identity};

const RECORDING: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/api-26.10.jsonl"));

#[derive(Deserialize)]
struct Frame {
    dir: String,
    name: String,
    body: String,
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let digits = self.body.as_bytes().chunks(2);
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// A request has its client index before the context, an answer does not.
    fn context(&self) -> u32 {
        let body = self.bytes();
        let at = match (self.dir.as_str(), message_id(&body)) {
            (_, Some(SOCKCLNT_CREATE_ID)) => 2,
            ("client", _) => 6,
            _ if self.name == "sockclnt_create_reply" => 6,
            _ => 2,
        };
        u32::from_be_bytes(body[at..at + 4].try_into().unwrap())
    }
}

fn frames() -> Vec<Frame> {
    RECORDING.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_answer_is_that_of_vpp() {
    let (requests, answers): (Vec<_>, Vec<_>) = frames().into_iter().partition(|frame| frame.dir == "client");
    // Some requests are recorded after their answers: they belong together by context, in order.
    let mut expected: BTreeMap<u32, VecDeque<Frame>> = BTreeMap::new();
    for answer in answers {
        expected.entry(answer.context()).or_default().push_back(answer);
    }
    let mut simulator = Simulator::new(identity(), MessageIds::recorded());
    let client = simulator.connect();
    let (mut compared, mut closed) = (0, false);
    for request in &requests {
        let outcome = simulator.handle(client, &request.bytes(), NOW);
        closed = outcome.close;
        for answer in outcome.answers {
            let recorded = expected.get_mut(&request.context()).and_then(VecDeque::pop_front);
            let recorded = recorded.unwrap_or_else(|| panic!("{} has one answer too many", request.name));
            if recorded.name == "sockclnt_create_reply" {
                compare_tables(&decode_bare(&answer).unwrap(), &decode_bare(&recorded.bytes()).unwrap());
            } else {
                assert_eq!(answer, recorded.bytes(), "{} to {}", recorded.name, request.name);
            }
            compared += 1;
        }
    }
    expected.retain(|_, answers| !answers.is_empty());
    let left: Vec<_> = expected.into_values().flatten().map(|frame| frame.name).collect();
    assert_eq!(left, Vec::<String>::new(), "answers that were not given");
    assert_eq!((requests.len(), compared, closed), (59, 102, true));
}

/// The only answer that differs: the simulator lists the messages it knows, VPP all 886.
fn compare_tables(given: &SockclntCreateReply, recorded: &SockclntCreateReply) {
    let head = |reply: &SockclntCreateReply| (reply.client_index, reply.context, reply.response, reply.index);
    assert_eq!(head(given), head(recorded));
    for entry in &given.table {
        assert!(recorded.table.contains(entry), "{entry:?} is not in VPP's table");
    }
}
