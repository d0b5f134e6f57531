use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use vppapi::messages::{
    CliInband, ControlPing, IpRouteLookupV2, LbAddDelAs, LbAddDelAsV2, LbAddDelVipV2, LbAsDetails, LbAsDump,
    LbAsSetWeight, LbAsV2Details, LbAsV2Dump, LbConf, LbFlushVip, LbVipDetails, LbVipDump, Message,
    ShowVersion, SockclntDelete, decode_reply, message_id,
};
use vppapi::types::{Encap, Prefix, VipId};

use super::super::messages::{API_JSON, ApiVersions, GetApiJson};
use super::super::trace::Direction;
use super::super::{MessageIds, fixed};
use super::{NOW, call, connected, encode, send};

fn web() -> VipId {
    VipId { prefix: Prefix::host(IpAddr::from([203, 0, 113, 10])), protocol: 6, port: 80 }
}

fn add_vip(vip: VipId) -> LbAddDelVipV2 {
    LbAddDelVipV2::gre(vip, Encap::Gre4, 1024)
}

fn add_as(last: u8) -> LbAddDelAsV2 {
    LbAddDelAsV2 {
        vip: web(),
        as_address: [10, 0, 0, last].into(),
        weight: 100,
        is_del: false,
        is_flush: false,
    }
}

#[test]
fn return_values_reach_the_client() {
    let (mut simulator, client) = connected(MessageIds::recorded());
    let wide = VipId { prefix: Prefix { length: 33, ..web().prefix }, ..web() };
    assert_eq!(call(&mut simulator, client, &add_vip(web())).retval, 0);
    assert_eq!(call(&mut simulator, client, &add_vip(web())).retval, -81);
    assert_eq!(call(&mut simulator, client, &add_vip(wide)).retval, -73);
    assert_eq!(call(&mut simulator, client, &LbAddDelVipV2 { is_del: true, ..add_vip(wide) }).retval, -6);
    let short = LbAddDelVipV2 { new_flows_table_length: 7, ..add_vip(VipId { port: 81, ..web() }) };
    assert_eq!(call(&mut simulator, client, &short).retval, -70);
    assert_eq!(call(&mut simulator, client, &add_as(1)).retval, 0);
    let ipv6 = LbAddDelAsV2 { as_address: "2001:db8::1".parse().unwrap(), ..add_as(1) };
    assert_eq!(call(&mut simulator, client, &ipv6).retval, -97);
    assert_eq!(call(&mut simulator, client, &LbAddDelAsV2 { vip: wide, ..add_as(2) }).retval, -6);
    let weight = LbAsSetWeight { vip: web(), as_address: [10, 9, 9, 9].into(), weight: 1, is_flush: false };
    assert_eq!(call(&mut simulator, client, &weight).retval, -6);
    let absent = LbFlushVip { vip: VipId { port: 99, ..web() } };
    assert_eq!(call(&mut simulator, client, &absent).retval, 0, "VPP does not look");
    let conf = LbConf {
        ip4_src_address: Ipv4Addr::LOCALHOST,
        ip6_src_address: std::net::Ipv6Addr::LOCALHOST,
        sticky_buckets_per_core: 1000,
        flow_timeout: 40,
    };
    assert_eq!(call(&mut simulator, client, &conf).retval, -70);
    assert_eq!(call(&mut simulator, client, &LbConf { sticky_buckets_per_core: 0, ..conf }).retval, 0);
}

#[test]
fn a_request_of_which_vpp_dies_is_not_answered() {
    let (mut simulator, client) = connected(MessageIds::recorded());
    let outcome =
        send(&mut simulator, client, &LbAddDelVipV2 { new_flows_table_length: 0, ..add_vip(web()) });
    assert!(outcome.answers.is_empty());
    assert!(outcome.deadly.unwrap().contains("new_flows_table_length is 0"));
}

#[test]
fn a_wrong_client_index_is_obeyed_but_not_answered() {
    let (mut simulator, client) = connected(MessageIds::recorded());
    let mut body = encode(&simulator, client, 7, &add_vip(web())).to_vec();
    body[2..6].copy_from_slice(&(client.index() ^ 0x40).to_be_bytes());
    assert!(simulator.handle(client, &body, NOW).answers.is_empty());
    assert_eq!(simulator.lb().vips().count(), 1);
    let mut dump = encode(&simulator, client, 7, &LbVipDump::default()).to_vec();
    dump[2..6].fill(0);
    assert!(simulator.handle(client, &dump, NOW).answers.is_empty());
}

#[test]
fn what_vpp_drops_is_dropped() {
    let (mut simulator, client) = connected(MessageIds::recorded());
    let whole = encode(&simulator, client, 7, &add_vip(web()));
    for length in 0..whole.len() {
        assert!(simulator.handle(client, &whole[..length], NOW).answers.is_empty());
    }
    let ping = encode(&simulator, client, 7, &ControlPing {});
    for id in [60_000_u16, 24, 22, 21] {
        let mut body = ping.to_vec();
        body[..2].copy_from_slice(&id.to_be_bytes());
        assert!(simulator.handle(client, &body, NOW).answers.is_empty(), "id {id}");
    }
    assert!(simulator.handle(client, &[0, 15, 0], NOW).answers.is_empty());
    assert_eq!(simulator.lb().vips().count(), 0);
}

#[test]
fn bytes_behind_a_message_and_unknown_families_are_taken_as_vpp_takes_them() {
    let (mut simulator, client) = connected(MessageIds::recorded());
    let mut body = encode(&simulator, client, 7, &add_vip(web())).to_vec();
    body.extend_from_slice(b"junk");
    assert_eq!(simulator.handle(client, &body, NOW).answers.len(), 1);
    assert_eq!(simulator.lb().vips().count(), 1);
    let mut body = encode(&simulator, client, 7, &add_as(1)).to_vec();
    body[10] = 7;
    let outcome = simulator.handle(client, &body, NOW);
    let (_, reply) = decode_reply::<vppapi::messages::LbAddDelAsV2Reply>(&outcome.answers[0]).unwrap();
    assert_eq!(reply.retval, -6, "taken for IPv6");
}

#[test]
fn dumps_filter_as_vpp_does() {
    let (mut simulator, client) = connected(MessageIds::recorded());
    let ipv6 = VipId { prefix: Prefix::host("2001:db8::1".parse().unwrap()), ..web() };
    for vip in [web(), ipv6] {
        call(&mut simulator, client, &add_vip(vip));
        call(&mut simulator, client, &LbAddDelAsV2 { vip, ..add_as(1) });
    }
    let mut servers = |vip| send(&mut simulator, client, &LbAsV2Dump { vip }).answers.len();
    assert_eq!(servers(LbAsV2Dump::default().vip), 2);
    assert_eq!(servers(web()), 0, "an IPv4 prefix finds nothing");
    assert_eq!(servers(ipv6), 1);
    assert_eq!(servers(VipId { port: 81, ..ipv6 }), 0);
    assert_eq!(servers(VipId { protocol: 17, ..ipv6 }), 0);
}

#[test]
fn details_have_the_oddities_of_vpp() {
    let (mut simulator, client) = connected(MessageIds::recorded());
    let long = LbAddDelVipV2 { new_flows_table_length: 65536, ..add_vip(web()) };
    let nat = LbAddDelVipV2 {
        encap: Encap::Nat4,
        srv_type: 1,
        target_port: 8080,
        ..add_vip(VipId { prefix: Prefix::host([198, 51, 100, 3].into()), ..web() })
    };
    let l3dsr = LbAddDelVipV2 {
        encap: Encap::L3dsr,
        dscp: 10,
        ..add_vip(VipId { prefix: Prefix::host([198, 51, 100, 2].into()), protocol: 6, port: 0 })
    };
    for vip in [long, nat, l3dsr] {
        assert_eq!(call(&mut simulator, client, &vip).retval, 0);
    }
    let details: Vec<LbVipDetails> = send(&mut simulator, client, &LbVipDump::default())
        .answers
        .iter()
        .map(|answer| decode_reply(answer).unwrap().1)
        .collect();
    assert_eq!(details[0].flow_table_length, 0, "65536 in 16 bits");
    assert_eq!((details[1].srv_type, details[1].target_port), (0, 36895));
    assert_eq!((details[2].dscp, details[2].srv_type, details[2].vip.protocol), (10, 167_772_160, 255));
}

#[test]
fn routes_are_found_as_in_vpp() {
    let (mut simulator, client) = connected(MessageIds::recorded());
    call(&mut simulator, client, &add_vip(web()));
    call(&mut simulator, client, &add_as(1));
    let mut look = |address: &str, length, exact, table_id| {
        let prefix = Prefix { address: address.parse().unwrap(), length };
        let reply = call(&mut simulator, client, &IpRouteLookupV2 { table_id, exact, prefix });
        let path_type = reply.route.paths.first().map(|path| path.path_type);
        (reply.retval, reply.route.stats_index, reply.route.source, path_type)
    };
    assert_eq!(look("203.0.113.10", 32, 1, 0), (0, 8, 23, Some(0)));
    assert_eq!(look("10.0.0.1", 32, 1, 0), (0, 9, 18, Some(2)));
    assert_eq!(look("203.0.113.9", 32, 0, 0), (0, 1, 20, Some(2)));
    assert_eq!(look("2001:db8::1", 128, 0, 0), (0, 6, 20, Some(2)));
    assert_eq!(look("fe80::1", 128, 0, 0), (0, 7, 1, Some(0)));
    assert_eq!(look("203.0.113.9", 32, 1, 0), (-6, 0, 0, None));
    assert_eq!(look("203.0.113.9", 33, 0, 0), (-6, 0, 0, None));
    assert_eq!(look("203.0.113.10", 32, 1, 7), (-3, 0, 0, None));
}

#[test]
fn the_default_route_is_of_its_family() {
    let (mut simulator, client) = connected(MessageIds::recorded());
    for prefix in [
        Prefix { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 0 },
        Prefix { address: IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), length: 0 },
    ] {
        let reply = call(&mut simulator, client, &IpRouteLookupV2 { table_id: 0, exact: 1, prefix });
        assert_eq!(reply.route.prefix, prefix);
    }
}

#[test]
fn clients_have_indexes_of_their_own() {
    let (mut simulator, first) = connected(MessageIds::recorded());
    let second = simulator.connect();
    assert_eq!((first.index(), second.index()), (0x8000_0001, 0x8000_0002));
    assert_eq!(simulator.client_name(first), "test");
    let foreign = send(&mut simulator, first, &SockclntDelete { index: second.index() });
    assert!(!foreign.close);
    assert_eq!(call(&mut simulator, first, &SockclntDelete { index: 85 }).response, -1);
    let own = send(&mut simulator, first, &SockclntDelete { index: first.index() });
    assert!(own.close);
    simulator.disconnect(first);
    assert_eq!(simulator.connect(), first);
    assert_eq!(simulator.client_name(first), "");
}

#[test]
fn shuffled_ids_serve_a_client_that_reads_the_table() {
    let (mut simulator, client) = connected(MessageIds::shuffled(5));
    assert_eq!(call(&mut simulator, client, &add_vip(web())).retval, 0);
    assert_eq!(call(&mut simulator, client, &ControlPing {}).client_index, client.index());
    let outcome = send(&mut simulator, client, &LbVipDump::default());
    assert_eq!(message_id(&outcome.answers[0]), simulator.ids.id(LbVipDetails::NAME_CRC));
}

#[test]
fn shuffled_ids_differ_from_the_recorded_ones_and_from_each_other() {
    let recorded = MessageIds::recorded();
    for seed in 0..50 {
        let shuffled = MessageIds::shuffled(seed);
        let ids: BTreeSet<_> = shuffled.table().map(|(_, id)| id).collect();
        assert_eq!(ids.len(), recorded.table().count());
        let kept: Vec<_> = shuffled.table().filter(|(name, id)| recorded.id(name) == Some(*id)).collect();
        assert_eq!(kept.len(), 6, "only the handshake and its like keep their ids: {kept:?}");
    }
    assert_ne!(
        MessageIds::shuffled(1).id("control_ping_51077d14"),
        MessageIds::shuffled(2).id("control_ping_51077d14")
    );
}

#[test]
fn tables_are_chosen_by_name() {
    assert_eq!("recorded".parse::<MessageIds>().unwrap().id("control_ping_51077d14"), Some(23));
    let shuffled: MessageIds = "shuffled".parse().unwrap();
    let again: MessageIds = shuffled.name().parse().unwrap();
    assert_eq!(again.table().collect::<Vec<_>>(), shuffled.table().collect::<Vec<_>>());
    assert_eq!(
        "shuffled:9".parse::<MessageIds>().unwrap().id("lb_conf_56cd3261"),
        MessageIds::shuffled(9).id("lb_conf_56cd3261")
    );
    for wrong in ["", "other", "shuffled:", "shuffled:x", "recorded:1"] {
        let error = wrong.parse::<MessageIds>().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{wrong:?} found, expected recorded, shuffled, or shuffled:SEED with a number")
        );
    }
}

#[test]
fn every_message_known_here_is_in_the_table_and_described() {
    let ids = MessageIds::recorded();
    let described: Value = serde_json::from_str(API_JSON).unwrap();
    let described: BTreeSet<String> = described["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            let message = message.as_array().unwrap();
            let crc = message.last().unwrap()["crc"].as_str().unwrap();
            format!("{}_{}", message[0].as_str().unwrap(), crc.trim_start_matches("0x"))
        })
        .collect();
    let old = [LbAddDelAs::NAME, LbAsDump::NAME, "lb_add_del_as_reply", LbAsDetails::NAME];
    let old = |name: &str| old.iter().any(|old| name.rsplit_once('_').is_some_and(|(name, _)| name == *old));
    for name in vppapi::messages::name_crcs().filter(|name| !old(name)) {
        assert!(ids.id(name).is_some(), "{name} has no id");
        assert!(described.contains(name), "{name} is not described");
    }
    for name in &described {
        assert!(ids.id(name).is_some(), "{name} is described, but has no id");
    }
}

#[test]
fn the_own_messages_of_vpps_clients_are_answered() {
    let (mut simulator, client) = connected(MessageIds::recorded());
    assert_eq!(call(&mut simulator, client, &ApiVersions).retval, 0);
    let json = call(&mut simulator, client, &GetApiJson).json;
    let files: Vec<Value> = serde_json::from_str(&json.as_str()).unwrap();
    assert_eq!(files.len(), 1);
    let reply = call(&mut simulator, client, &ShowVersion {});
    assert_eq!((reply.program, reply.version), (fixed("vpe"), fixed("26.10-rc0~374-gb575ec2c56d")));
    let text = call(&mut simulator, client, &CliInband { cmd: "show version".into() });
    assert_eq!(
        text.reply.as_str(),
        "vpp v26.10-rc0~374-gb575ec2c56d built by vppsim on /usr/src/vpp26 at 2026-11-21T02:10:28\n"
    );
}

#[test]
fn long_strings_are_cut_to_their_field() {
    assert_eq!(fixed::<4>("abcdef").as_str(), "abc");
    assert_eq!(fixed::<4>("abé").as_str(), "ab");
    assert_eq!(fixed::<4>("").as_str(), "");
}

#[test]
fn a_trace_tells_requests_and_answers() {
    let (mut simulator, client) = connected(MessageIds::recorded());
    assert!(send(&mut simulator, client, &add_vip(web())).trace.is_empty());
    simulator.set_tracing(true);
    let entries = send(&mut simulator, client, &add_as(1)).trace;
    assert_eq!(
        serde_json::to_value(&entries).unwrap(),
        json!([
            {
                "dir": "received", "name": "lb_add_del_as_v2", "context": 7,
                "fields": {
                    "prefix": "203.0.113.10/32", "protocol": 6, "port": 80,
                    "as_address": "10.0.0.1", "weight": 100, "is_del": false, "is_flush": false,
                },
            },
            { "dir": "sent", "name": "lb_add_del_as_v2_reply", "context": 7, "retval": 0 },
        ])
    );
    let dump = send(&mut simulator, client, &LbAsV2Dump::default()).trace;
    let names: Vec<_> = dump.iter().map(|entry| (entry.dir, entry.name)).collect();
    assert_eq!(names, [(Direction::Received, "lb_as_v2_dump"), (Direction::Sent, LbAsV2Details::NAME)]);
}
