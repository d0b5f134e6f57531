//! Tests against recordings of VPP 26.10 and 26.06.

use std::net::{Ipv4Addr, Ipv6Addr};

use maglev_protocol::ServerState;
use serde_json::Value;
use vppapi::messages::{SockclntCreateReply, decode_bare, decode_reply};
use vppapi::table::MessageTable;

use super::*;
use crate::read::Reading;

struct Frame {
    name: String,
    body: Vec<u8>,
}

fn recording(version: &str) -> Vec<Frame> {
    let path = format!("{}/../tests/vectors/api-{version}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let frames = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    frames
        .map(|frame| {
            let digits = frame["body"].as_str().unwrap();
            let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            Frame {
                name: frame["name"].as_str().unwrap().to_owned(),
                body: (0..digits.len()).step_by(2).map(byte).collect(),
            }
        })
        .collect()
}

fn table(frames: &[Frame]) -> MessageTable {
    let reply = frames.iter().find(|frame| frame.name == "sockclnt_create_reply").unwrap();
    MessageTable::from(&decode_bare::<SockclntCreateReply>(&reply.body).unwrap())
}

fn all<M: Message>(frames: &[Frame]) -> Vec<M> {
    let own = frames.iter().filter(|frame| frame.name == M::NAME_CRC);
    own.map(|frame| decode_reply(&frame.body).unwrap().1).collect()
}

/// The dumps and the CLI text at the end of the recording, after a VIP was removed and added again.
fn at_the_end() -> (Dumps, Text) {
    let frames = recording("26.10");
    let frames = &frames[130..153];
    let text = all::<CliInbandReply>(frames).pop().unwrap().reply;
    let vips = all(frames).iter().map(vip_row).collect::<Result<_, _>>().unwrap();
    let servers = all(frames).iter().map(server_row).collect();
    (Dumps { vips, servers, ..Dumps::default() }, cli_text::parse(&text.as_str()))
}

#[test]
fn vpp_26_10_has_all_that_is_needed_and_26_06_has_not() {
    assert_eq!(table(&recording("26.10")).missing(NEEDED), Vec::<String>::new());
    assert_eq!(
        table(&recording("26.06")).missing(NEEDED),
        [
            "lb_conf_get_51077d14",
            "lb_conf_get_reply_923427ac",
            "lb_add_del_as_v2_2f1d3b0e",
            "lb_add_del_as_v2_reply_e8d4e804",
            "lb_as_set_weight_2d89bdbd",
            "lb_as_set_weight_reply_e8d4e804",
            "lb_as_v2_dump_1063f819",
            "lb_as_v2_details_90064aae",
        ]
    );
}

#[test]
fn dumps_and_text_of_vpp_make_a_mirror_without_ghosts() {
    let (dumps, text) = at_the_end();
    assert_eq!(dumps.servers.iter().filter(|row| !row.used).count(), 3);
    let Reading { mirror, torn } = dumps.mirror(&text);
    assert!(torn.is_empty() && mirror.set_aside().is_empty());
    let told: Vec<_> = mirror
        .vips()
        .iter()
        .map(|(key, vip)| {
            (key.to_string(), vip.index.unwrap(), vip.encap, vip.src_ip_sticky, vip.servers.len())
        })
        .collect();
    let expected = [
        ("203.0.113.10 tcp/80", 7, Encap::Gre4, true, 1),
        ("203.0.113.10 tcp/443", 2, Encap::Gre4, false, 0),
        ("203.0.113.11 udp/53", 5, Encap::Gre4, false, 1),
        ("203.0.113.12 all ports", 6, Encap::Gre6, false, 1),
        ("2001:db8:1::1 tcp/80", 3, Encap::Gre6, true, 2),
        ("2001:db8:2::1 tcp/80", 4, Encap::Gre4, false, 1),
    ];
    assert_eq!(
        told,
        expected.map(|(key, index, encap, sticky, n)| (key.to_owned(), index, encap, Some(sticky), n))
    );
    let anew = mirror.get(&VipKey::port([203, 0, 113, 10].into(), 6, 80)).unwrap();
    assert_eq!(anew.servers, [([10, 0, 0, 2].into(), 30)].into());
}

#[test]
fn an_operator_sees_what_vpp_has() {
    let (dumps, text) = at_the_end();
    let conf = LbConf {
        ip4_src_address: Ipv4Addr::BROADCAST,
        ip6_src_address: Ipv6Addr::from(u128::MAX),
        sticky_buckets_per_core: 1024,
        flow_timeout: 40,
    };
    let (state, reading) = dumps.state(conf, &text);
    assert_eq!(reading.torn, [].into());
    assert_eq!((state.conf, state.vips.len()), (conf, 6));
    assert_eq!(state.vips[2].new_flows_table_length, 4096);
    let server = |last, weight, buckets| ServerState {
        address: Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, last).into(),
        weight,
        buckets,
        flows: 0,
    };
    assert_eq!(state.vips[4].servers, [server(1, 100, 1013), server(2, 1, 11)]);

    // Whatever is missing in one of them is left out; everything else is there.
    let left = |dumps: &Dumps, text: &Text| {
        let (state, reading) = dumps.state(conf, text);
        (state.vips.len(), state.vips.iter().map(|vip| vip.servers.len()).sum::<usize>(), reading.torn.len())
    };
    let without = Text { vips: text.vips[..6].to_vec(), ..Text::default() };
    assert_eq!(left(&dumps, &without), (5, 5, 1));
    let (mut fewer, mut other) = (dumps.clone(), dumps.clone());
    fewer.vips.remove(0);
    assert_eq!(left(&fewer, &text).0, 5);
    other.servers.iter_mut().for_each(|row| row.weight = 99);
    assert_eq!(left(&other, &text), (6, 0, 6));
}

#[test]
fn a_length_that_vpp_cuts_is_read_back() {
    let (frames, mut lengths) = (recording("26.10"), Vec::new());
    let details = all::<LbVipDetails>(&frames)[0];
    for flow_table_length in [0, 1, 1024, 32_768] {
        lengths.push(vip_row(&LbVipDetails { flow_table_length, ..details }).unwrap().table_length);
    }
    assert_eq!(lengths, [65_536, 1, 1024, 32_768]);
    let unknown = LbVipDetails { encap: types::Encap::Other(9), ..details };
    let (key, reason) = vip_row(&unknown).unwrap_err();
    assert_eq!(key.to_string(), "203.0.113.10 tcp/80");
    assert_eq!(reason, "it has encapsulation 9: expected 0 to 4");
}

#[test]
fn only_refusals_about_what_vpp_has_cast_doubt_on_the_mirror() {
    for (code, doubt) in [(-6, true), (-81, true), (-73, true), (-70, false), (-97, false), (-1, false)] {
        let refused = ClientError::Refused { message: "lb_as_set_weight", retval: Retval(code) };
        let Answer::Refused { code: told, about_state, .. } = answer(Err(refused)) else { panic!() };
        assert_eq!((told, about_state), (code, doubt));
    }
    let late = ClientError::Timeout {
        message: "lb_as_set_weight",
        after: std::time::Duration::from_secs(5),
        sent: true,
    };
    assert!(matches!(answer(Err(late)), Answer::Lost(_)));
}
