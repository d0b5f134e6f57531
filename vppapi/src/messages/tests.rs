use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::frame::FrameCodec;
use crate::retval::Retval;
use crate::table::MessageTable;
use crate::types::{Encap, Prefix, VipId};
use crate::wire::{DecodeError, DecodeErrorKind, FixedString};
use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

#[derive(Deserialize)]
struct Recorded {
    dir: String,
    name: String,
    header: String,
    body: String,
}

impl Recorded {
    fn body(&self) -> Vec<u8> {
        unhex(&self.body)
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The recorded conversation with VPP 26.10, frame by frame.
fn recording() -> Vec<Recorded> {
    recording_of("26.10")
}

fn recording_of(version: &str) -> Vec<Recorded> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
    let path = vectors.join(format!("api-{version}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Decodes a body as the named message, and encodes the result.
fn recode(name: &str, body: &[u8]) -> Result<Bytes, DecodeError> {
    fn request<M: Message>(body: &[u8]) -> Result<Bytes, DecodeError> {
        let (client_index, context, message) = decode_request::<M>(body)?;
        Ok(encode_request(message_id(body).unwrap(), client_index, context, &message))
    }
    fn reply<M: Message>(body: &[u8]) -> Result<Bytes, DecodeError> {
        let (context, message) = decode_reply::<M>(body)?;
        Ok(encode_reply(message_id(body).unwrap(), context, &message))
    }
    fn bare<M: Message>(body: &[u8]) -> Result<Bytes, DecodeError> {
        let message = decode_bare::<M>(body)?;
        Ok(encode_bare(message_id(body).unwrap(), &message))
    }
    macro_rules! by_name {
        ($($how:ident: $($message:ident)*;)*) => {
            match name {
                "sockclnt_create" => bare::<SockclntCreate>(body),
                "sockclnt_create_reply" => bare::<SockclntCreateReply>(body),
                $($($message::NAME_CRC => $how::<$message>(body),)*)*
                other => panic!("{other} was recorded and is not covered"),
            }
        };
    }
    by_name! {
        request: SockclntDelete ControlPing ShowVersion CliInband LbConf LbConfGet LbAddDelVipV2 LbAddDelAs LbAddDelAsV2
            LbAsDump LbAsSetWeight LbFlushVip LbVipDump LbAsV2Dump IpRouteLookupV2;
        reply: SockclntDeleteReply ControlPingReply ShowVersionReply CliInbandReply LbConfReply LbConfGetReply
            LbAddDelVipV2Reply LbAddDelAsReply LbAddDelAsV2Reply LbAsDetails LbAsSetWeightReply LbFlushVipReply LbVipDetails LbAsV2Details
            IpRouteLookupV2Reply;
    }
}

fn nth<'a>(frames: &'a [Recorded], name: &str, nth: usize) -> &'a Recorded {
    frames.iter().filter(|frame| frame.name == name).nth(nth).unwrap()
}

fn request<M: Message>(frames: &[Recorded], index: usize) -> (u32, M) {
    let frame = nth(frames, M::NAME_CRC, index);
    assert_eq!(frame.dir, "client");
    let (client_index, context, message) = decode_request(&frame.body()).unwrap();
    assert_eq!(client_index, 0x8000_0001);
    (context, message)
}

fn reply<M: Message>(frames: &[Recorded], index: usize) -> (u32, M) {
    let frame = nth(frames, M::NAME_CRC, index);
    assert_eq!(frame.dir, "vpp");
    decode_reply(&frame.body()).unwrap()
}

fn vip(address: &str, protocol: u8, port: u16) -> VipId {
    VipId { prefix: Prefix::host(address.parse().unwrap()), protocol, port }
}

#[test]
fn every_recorded_frame_decodes_and_encodes_to_the_same_bytes() {
    let frames = recording();
    assert_eq!(frames.len(), 161);
    let mut names = BTreeSet::new();
    for (number, frame) in frames.iter().enumerate() {
        let body = frame.body();
        let again = recode(&frame.name, &body).unwrap_or_else(|error| panic!("frame {number}: {error}"));
        assert_eq!(again, body, "frame {number}, {}", frame.name);
        names.insert(frame.name.as_str());

        let mut stream = BytesMut::from(&unhex(&frame.header)[..]);
        stream.extend_from_slice(&body);
        let sent = stream.clone();
        let mut codec = FrameCodec::default();
        assert_eq!(codec.decode(&mut stream).unwrap().unwrap(), body, "frame {number}");
        assert!(stream.is_empty());
        codec.encode(again, &mut stream).unwrap();
        assert_eq!(stream[8..], sent[8..], "frame {number}: header");
    }
    assert_eq!(names.len(), 28, "{names:?}");
}

#[test]
fn the_handshake_carries_the_whole_table() {
    let frames = recording();
    let create: SockclntCreate = decode_bare(&nth(&frames, "sockclnt_create", 0).body()).unwrap();
    assert_eq!((create.context, create.name.as_str().as_ref()), (124, "maglev-vectors"));
    let body = nth(&frames, "sockclnt_create_reply", 0).body();
    assert_eq!(message_id(&body), Some(SOCKCLNT_CREATE_REPLY_ID));
    let created: SockclntCreateReply = decode_bare(&body).unwrap();
    assert_eq!((created.client_index, created.context, created.response), (0, 124, 0));
    assert_eq!((created.index, created.table.len()), (0x8000_0001, 886));
    let listed: BTreeSet<String> = created.table.iter().map(|entry| entry.name_crc.to_string()).collect();
    assert_eq!(listed.len(), 886);
    for name_crc in name_crcs() {
        assert!(listed.contains(name_crc), "{name_crc} is not in VPP's table");
    }
    assert_eq!(name_crcs().count(), 32);
    let delete = SockclntDelete { index: 0x8000_0001 };
    assert_eq!(request::<SockclntDelete>(&frames, 0), (0x31, delete));
    let (context, deleted) = reply::<SockclntDeleteReply>(&frames, 0);
    assert_eq!((context, deleted.response, deleted.retval()), (0x31, 1, 0));
}

#[test]
fn version_ping_and_cli_have_the_recorded_values() {
    let frames = recording();
    let (context, version) = reply::<ShowVersionReply>(&frames, 0);
    assert_eq!((context, version.retval()), (1, 0));
    assert_eq!(version.program.as_str(), "vpe");
    assert_eq!(version.version.as_str(), "26.10-rc0~374-gb575ec2c56d");
    assert_eq!(version.build_date.as_str(), "2026-11-21T02:10:28");
    assert_eq!(version.build_directory.as_str(), "/usr/src/vpp26");
    assert_eq!(
        reply::<ControlPingReply>(&frames, 0),
        (2, ControlPingReply { retval: 0, client_index: 0x8000_0001, vpe_pid: 6365 })
    );
    assert_eq!(request::<CliInband>(&frames, 0).1.cmd.as_str(), "show lb vips verbose");
    let (_, text) = reply::<CliInbandReply>(&frames, 0);
    assert_eq!(text.reply.0.len(), 0x69f);
    assert!(text.reply.as_str().starts_with(" ip4-gre4 [1] 203.0.113.10/32\n"));
    let (context, refused) = reply::<CliInbandReply>(&frames, 2);
    assert_eq!((context, refused.retval()), (0x30, -1));
    assert_eq!(refused.reply.as_str(), "show: unknown input `nonsense'\n");
}

#[test]
fn configuration_has_the_recorded_values() {
    let frames = recording();
    let unset = reply::<LbConfGetReply>(&frames, 0).1;
    assert_eq!((unset.ip4_src_address.to_bits(), unset.ip6_src_address.to_bits()), (u32::MAX, u128::MAX));
    assert_eq!((unset.sticky_buckets_per_core, unset.flow_timeout), (1024, 40));
    let conf = LbConf {
        ip4_src_address: "192.0.2.1".parse().unwrap(),
        ip6_src_address: "2001:db8::1".parse().unwrap(),
        sticky_buckets_per_core: 65536,
        flow_timeout: 40,
    };
    assert_eq!(request::<LbConf>(&frames, 0), (4, conf));
    let set = reply::<LbConfGetReply>(&frames, 1).1;
    assert_eq!(set.ip4_src_address, conf.ip4_src_address);
    assert_eq!(set.ip6_src_address, conf.ip6_src_address);
    assert_eq!((set.sticky_buckets_per_core, set.flow_timeout), (65536, 40));
}

#[test]
fn vip_and_server_requests_have_the_recorded_values() {
    let frames = recording();
    let made = LbAddDelVipV2 {
        vip: vip("203.0.113.10", 6, 80),
        encap: Encap::Gre4,
        dscp: 0,
        srv_type: 0,
        target_port: 0,
        node_port: 0,
        new_flows_table_length: 1024,
        src_ip_sticky: false,
        is_del: false,
    };
    assert_eq!(request::<LbAddDelVipV2>(&frames, 0), (6, made));
    let sticky =
        LbAddDelVipV2 { vip: vip("2001:db8:1::1", 6, 80), encap: Encap::Gre6, src_ip_sticky: true, ..made };
    assert_eq!(request::<LbAddDelVipV2>(&frames, 2), (8, sticky));
    let all_ports = LbAddDelVipV2 { vip: vip("203.0.113.12", 255, 0), encap: Encap::Gre6, ..made };
    assert_eq!(request::<LbAddDelVipV2>(&frames, 5), (11, all_ports));
    let odd = LbAddDelVipV2 { vip: vip("203.0.113.13", 6, 80), new_flows_table_length: 1000, ..made };
    assert_eq!(request::<LbAddDelVipV2>(&frames, 7), (0x15, odd));
    let removed = LbAddDelVipV2 { vip: vip("203.0.113.99", 6, 80), is_del: true, ..made };
    assert_eq!(request::<LbAddDelVipV2>(&frames, 8), (0x1a, removed));

    let added = LbAddDelAsV2 {
        vip: vip("203.0.113.10", 6, 80),
        as_address: "10.0.0.1".parse().unwrap(),
        weight: 100,
        is_del: false,
        is_flush: false,
    };
    assert_eq!(request::<LbAddDelAsV2>(&frames, 0), (12, added));
    let seven = LbAddDelAsV2 { vip: vip("203.0.113.11", 17, 53), weight: 7, ..added };
    assert_eq!(request::<LbAddDelAsV2>(&frames, 6), (0x12, seven));
    let flushed =
        LbAddDelAsV2 { as_address: "10.0.0.2".parse().unwrap(), is_del: true, is_flush: true, ..added };
    assert_eq!(request::<LbAddDelAsV2>(&frames, 10), (0x24, flushed));
    let drained =
        LbAsSetWeight { vip: added.vip, as_address: "10.0.0.1".parse().unwrap(), weight: 0, is_flush: true };
    assert_eq!(request::<LbAsSetWeight>(&frames, 3), (0x1e, drained));
    assert_eq!(request::<LbFlushVip>(&frames, 0), (0x2f, LbFlushVip { vip: added.vip }));
}

#[test]
fn every_recorded_return_value_reads_right() {
    let frames = recording();
    let retvals = |name: &str| -> Vec<i32> {
        let named = frames.iter().filter(|frame| frame.name == name);
        named.map(|frame| decode_reply::<LbConfReply>(&frame.body()).unwrap().1.retval()).collect()
    };
    let vips = retvals(LbAddDelVipV2Reply::NAME_CRC);
    assert_eq!(vips, [0, 0, 0, 0, 0, 0, -81, -70, -6, -81, -73, 0, 0]);
    let servers = retvals(LbAddDelAsV2Reply::NAME_CRC);
    assert_eq!(servers, [0, 0, 0, 0, 0, 0, 0, 0, -81, -97, 0, 0]);
    assert_eq!(retvals(LbAsSetWeightReply::NAME_CRC), [-6, -6, 0, 0]);
    assert_eq!(retvals(LbConfReply::NAME_CRC), [0]);
    assert_eq!(retvals(LbFlushVipReply::NAME_CRC), [0]);
    for code in vips.into_iter().chain(servers) {
        assert!(Retval(code).meaning().is_some(), "{code} has no words");
    }
}

#[test]
fn dumps_ask_as_recorded_and_their_details_have_the_recorded_values() {
    let frames = recording();
    let asked = LbVipDump { protocol: 255, ..LbVipDump::default() };
    assert_eq!(request::<LbVipDump>(&frames, 0), (0x1f, asked));
    assert_eq!(request::<LbAsV2Dump>(&frames, 0), (0x20, LbAsV2Dump::default()));
    assert_eq!(request::<LbAsV2Dump>(&frames, 2).1.vip, vip("2001:db8:1::1", 6, 80));

    let vips: Vec<(VipId, Encap, u16)> = (0..6)
        .map(|index| {
            let (context, details) = reply::<LbVipDetails>(&frames, index);
            assert_eq!(context, 0x1f);
            assert_eq!((details.dscp, details.srv_type, details.target_port), (0, 0, 0));
            (details.vip, details.encap, details.flow_table_length)
        })
        .collect();
    let expected = [
        (vip("203.0.113.10", 6, 80), Encap::Gre4, 1024),
        (vip("203.0.113.10", 6, 443), Encap::Gre4, 1024),
        (vip("2001:db8:1::1", 6, 80), Encap::Gre6, 1024),
        (vip("2001:db8:2::1", 6, 80), Encap::Gre4, 1024),
        (vip("203.0.113.11", 17, 53), Encap::Gre4, 4096),
        (vip("203.0.113.12", 255, 0), Encap::Gre6, 1024),
    ];
    assert_eq!(vips, expected);

    let servers: Vec<(VipId, String, u8, u32)> = (0..8)
        .map(|index| {
            let (context, details) = reply::<LbAsV2Details>(&frames, index);
            assert_eq!((context, details.is_used(), details.in_use_since), (0x20, true, 0));
            (details.vip, details.as_address.to_string(), details.weight, details.num_buckets)
        })
        .collect();
    let expected = [
        (vip("203.0.113.10", 6, 80), "10.0.0.1", 0, 0),
        (vip("203.0.113.10", 6, 80), "10.0.0.2", 50, 350),
        (vip("203.0.113.10", 6, 80), "10.0.0.3", 100, 674),
        (vip("2001:db8:1::1", 6, 80), "2001:db8:ffff::1", 100, 1013),
        (vip("2001:db8:1::1", 6, 80), "2001:db8:ffff::2", 1, 11),
        (vip("2001:db8:2::1", 6, 80), "10.0.0.9", 100, 1024),
        (vip("203.0.113.11", 17, 53), "10.0.0.1", 7, 4096),
        (vip("203.0.113.12", 255, 0), "2001:db8:ffff::3", 100, 1024),
    ]
    .map(|(vip, address, weight, buckets)| (vip, address.to_owned(), weight, buckets));
    assert_eq!(servers, expected);

    let removed: Vec<bool> =
        (0..35).map(|index| !reply::<LbAsV2Details>(&frames, index).1.is_used()).collect();
    let ghosts: Vec<usize> = (0..35).filter(|index| removed[*index]).collect();
    assert_eq!(ghosts, [11, 18, 19, 20, 26, 27, 28]);
}

#[test]
fn a_route_has_the_recorded_values() {
    let frames = recording();
    let prefix = Prefix::host("203.0.113.10".parse().unwrap());
    let asked = IpRouteLookupV2 { table_id: 0, exact: 1, prefix };
    assert_eq!(request::<IpRouteLookupV2>(&frames, 0), (0x2e, asked));
    let (context, found) = reply::<IpRouteLookupV2Reply>(&frames, 0);
    assert_eq!((context, found.retval()), (0x2e, 0));
    let route = &found.route;
    assert_eq!((route.table_id, route.stats_index, route.prefix, route.source), (0, 8, prefix, 0x17));
    let [path] = &route.paths[..] else { panic!("{} paths", route.paths.len()) };
    assert_eq!((path.sw_if_index, path.weight, path.preference), (u32::MAX, 1, 0));
}

#[test]
fn errors_name_message_field_and_place() {
    let frames = recording();
    let mut body = nth(&frames, LbAsV2Details::NAME_CRC, 0).body();
    body[27] = 9;
    let error = decode_reply::<LbAsV2Details>(&body).unwrap_err();
    assert_eq!((error.message(), error.field(), error.offset()), ("lb_as_v2_details", "as_address.af", 27));
    assert_eq!(
        error.to_string(),
        "lb_as_v2_details: field as_address.af at byte 27: value 9 found, expected 0 (IPv4) or 1 (IPv6)"
    );
    let error = decode_reply::<LbAsV2Details>(&body[..20]).unwrap_err();
    assert_eq!((error.field(), error.offset()), ("vip.prefix.address.un", 11));
    body[27] = 0;
    body.push(0);
    let error = decode_reply::<LbAsV2Details>(&body).unwrap_err();
    assert_eq!((error.offset(), error.kind()), (54, DecodeErrorKind::LeftOver { count: 1 }));
    assert!(decode_request_head(&[0; 9]).is_err() && decode_reply_head(&[0; 5]).is_err());
    assert_eq!(message_id(&[1]), None);
}

#[test]
fn every_frame_of_an_older_vpp_reads_alike_and_what_it_lacks_is_named() {
    let frames = recording_of("26.06");
    for frame in &frames {
        assert_eq!(recode(&frame.name, &frame.body()).unwrap(), frame.body(), "{}", frame.name);
    }
    assert_eq!(frames.len(), 64);

    let created: SockclntCreateReply = decode_bare(&nth(&frames, "sockclnt_create_reply", 0).body()).unwrap();
    let known: Vec<&str> = name_crcs().collect();
    let expected = [
        "lb_conf_get_51077d14",
        "lb_conf_get_reply_923427ac",
        "lb_add_del_as_v2_2f1d3b0e",
        "lb_add_del_as_v2_reply_e8d4e804",
        "lb_as_set_weight_2d89bdbd",
        "lb_as_set_weight_reply_e8d4e804",
        "lb_as_v2_dump_1063f819",
        "lb_as_v2_details_90064aae",
    ];
    assert_eq!(MessageTable::from(&created).missing(&known), expected);
}

#[test]
fn an_unknown_encap_does_not_hide_its_vip() {
    let frames = recording();
    let mut body = nth(&frames, LbVipDetails::NAME_CRC, 0).body();
    body[27..31].copy_from_slice(&[1, 0, 0, 0]);
    let (_, details) = decode_reply::<LbVipDetails>(&body).unwrap();
    assert_eq!(details.encap, Encap::Other(0x0100_0000));
    assert_eq!(encode_reply(106, 0x1f, &details), body);
}

#[test]
fn counts_that_exceed_their_field_are_cut() {
    let entry = TableEntry { id: 1, name_crc: FixedString::new("x_00000000").unwrap() };
    let create =
        SockclntCreateReply { client_index: 0, context: 0, response: 0, index: 0, table: vec![entry; 65540] };
    let again: SockclntCreateReply = decode_bare(&encode_bare(16, &create)).unwrap();
    assert_eq!(again.table.len(), 65535);
}

fn any_frame() -> impl Strategy<Value = (String, Vec<u8>)> {
    let frames: Vec<_> = recording().into_iter().map(|frame| (frame.name.clone(), frame.body())).collect();
    prop::sample::select(frames)
}

proptest! {
    #[test]
    fn random_bodies_give_messages_or_errors((name, _) in any_frame(), body: Vec<u8>) {
        if let Ok(again) = recode(&name, &body) {
            prop_assert_eq!(again.len(), body.len());
        }
    }

    #[test]
    fn mutated_frames_give_messages_or_errors(
        (name, mut body) in any_frame(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        keep: prop::sample::Index,
        cut: bool,
    ) {
        for (at, value) in changes {
            let at = at.index(body.len());
            body[at] = value;
        }
        if cut {
            body.truncate(keep.index(body.len()));
        }
        if let Ok(again) = recode(&name, &body) {
            prop_assert_eq!(again.len(), body.len());
        }
    }

    #[test]
    fn frames_cut_short_are_errors((name, body) in any_frame(), keep: prop::sample::Index) {
        prop_assert!(recode(&name, &body[..keep.index(body.len())]).is_err());
    }
}
