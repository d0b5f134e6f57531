//! VPP 26.06, and changing the release.

use vppapi::messages::{ControlPing, LbAddDelAsV2, LbConfGet, Message, ShowVersion, encode_request};

use super::super::{LbApi, MessageIds, Simulator};
use super::{NOW, call, connected, identity, send};

const RECORDING: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/api-26.06.jsonl"));

/// Bodies of the recorded handshake: request and reply.
fn handshake() -> [Vec<u8>; 2] {
    let mut frames = RECORDING.lines().map(|line| {
        let frame: serde_json::Value = serde_json::from_str(line).unwrap();
        let digits = frame["body"].as_str().unwrap().as_bytes().chunks(2);
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    });
    [frames.next().unwrap(), frames.next().unwrap()]
}

fn of_26_06() -> MessageIds {
    MessageIds::recorded().of_lb_api(LbApi::V1_1_0)
}

#[test]
fn the_handshake_of_26_06_comes_out_as_recorded() {
    let [request, reply] = handshake();
    let mut simulator = Simulator::new(identity(), of_26_06());
    let client = simulator.connect();
    let outcome = simulator.handle(client, &request, NOW);
    assert_eq!(outcome.answers.len(), 1);
    assert!(outcome.answers[0] == reply, "the reply differs");
}

#[test]
fn what_26_06_lacks_or_is_unknown_here_gets_no_answer() {
    let (mut simulator, client) = connected(of_26_06());
    assert_eq!(call(&mut simulator, client, &ShowVersion {}).retval, 0);
    for name_crc in ["lb_conf_get_51077d14", "lb_add_del_as_v2_2f1d3b0e", "lb_as_v2_dump_1063f819"] {
        assert_eq!(simulator.ids().id(name_crc), None);
    }
    let unknown_here = simulator.ids().id("lb_add_del_vip_6fa569c7").unwrap();
    for id in [unknown_here, 881, u16::MAX] {
        let body = encode_request(id, client.index(), 1, &LbConfGet {});
        assert!(simulator.handle(client, &body, NOW).answers.is_empty());
    }
    assert_eq!(call(&mut simulator, client, &ControlPing {}).vpe_pid, identity().pid);
}

#[test]
fn a_release_is_shuffled_as_a_whole() {
    let shuffled = MessageIds::shuffled(3).of_lb_api(LbApi::V1_1_0);
    assert_eq!(shuffled.table().count(), 880);
    assert_eq!(shuffled.lb_api(), LbApi::V1_1_0);
    let kept = shuffled.table().filter(|(name, id)| of_26_06().id(name) == Some(*id));
    assert_eq!(kept.count(), 18, "only the ids of the handshake and those below stay");
    let oldest = MessageIds::recorded().of_lb_api(LbApi::V1_0_0);
    assert_eq!((oldest.table().count(), oldest.id("lb_add_del_vip_v2_7c520e0f")), (878, None));
    assert_eq!("1.2.0".parse(), Ok(LbApi::V1_2_0));
    let error = "1.3.0".parse::<LbApi>().unwrap_err();
    assert_eq!(error.to_string(), "\"1.3.0\" found, expected 1.2.0, 1.1.0 or 1.0.0");
}

#[test]
fn a_restart_forgets_clients_and_may_change_the_release() {
    let (mut simulator, old) = connected(MessageIds::recorded());
    simulator.restart(Some(of_26_06()));
    let outcome = send(&mut simulator, old, &ControlPing {});
    assert!(outcome.close && outcome.answers.is_empty());
    let new = simulator.connect();
    assert_eq!(new.index(), old.index());
    simulator.disconnect(old);
    let reply = call(&mut simulator, new, &ControlPing {});
    // VPP 26.06 does not fill the index in.
    assert_eq!((reply.vpe_pid, reply.client_index), (identity().pid + 1, 0));
    assert!(call(&mut simulator, new, &ShowVersion {}).version.as_str().starts_with("26.06-rc0"));
    assert_eq!(simulator.ids().id(LbAddDelAsV2::NAME_CRC), None);
    simulator.restart(None);
    assert_eq!(simulator.ids().lb_api(), LbApi::V1_1_0);
}
