//! Replays the recorded conversations with VPP 26.10 and 26.06 against the simulator.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Deserialize;
use vppapi::messages::{SOCKCLNT_CREATE_ID, SockclntCreateReply, decode_bare, message_id};

use super::super::{Identity, LbApi, MessageIds, Simulator};
use super::{NOW, identity};
use crate::lb::Uptime;

const V26_10: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/api-26.10.jsonl"));
const V26_06: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/api-26.06.jsonl"));

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

#[test]
fn every_answer_is_that_of_vpp() {
    let simulator = Simulator::new(identity(), MessageIds::recorded());
    assert_eq!(replay(V26_10, simulator, NOW), (59, 102, true));
}

#[test]
fn every_answer_is_that_of_vpp_26_06() {
    let ids = MessageIds::recorded().of_lb_api(LbApi::V1_1_0);
    let simulator = Simulator::new(Identity { pid: 0x71ac, ..identity() }, ids);
    assert_eq!(replay(V26_06, simulator, Duration::from_secs(1)), (25, 39, false));
}

/// Number of requests and of answers, and whether the connection was closed.
fn replay(recording: &str, mut simulator: Simulator, now: Uptime) -> (usize, usize, bool) {
    let frames = recording.lines().map(|line| serde_json::from_str(line).unwrap());
    let (requests, answers): (Vec<Frame>, Vec<_>) = frames.partition(|frame: &Frame| frame.dir == "client");
    // Some requests are recorded after their answers: they belong together by context, in order.
    let mut expected: BTreeMap<u32, VecDeque<Frame>> = BTreeMap::new();
    for answer in answers {
        expected.entry(answer.context()).or_default().push_back(answer);
    }
    let client = simulator.connect();
    let (mut compared, mut closed) = (0, false);
    for request in &requests {
        let outcome = simulator.handle(client, &request.bytes(), now);
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
    (requests.len(), compared, closed)
}

/// The only answer that differs: the simulator lists the messages it knows, VPP all 886.
fn compare_tables(given: &SockclntCreateReply, recorded: &SockclntCreateReply) {
    let head = |reply: &SockclntCreateReply| (reply.client_index, reply.context, reply.response, reply.index);
    assert_eq!(head(given), head(recorded));
    for entry in &given.table {
        assert!(recorded.table.contains(entry), "{entry:?} is not in VPP's table");
    }
}
