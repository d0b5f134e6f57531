//! Tests against recordings of VPP 26.10 and 26.06.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use maglev_protocol::{LbConf as Conf, ServerSpec, ServerState};
use serde_json::Value;
use vppapi::messages::{
    LbAddDelAs, LbVipDetails, RequestHead, SockclntCreateReply, decode_bare, decode_reply, decode_request,
};

use super::in_out::{Request, Summary};
use super::weighted::{server_row, vip_row};
use super::*;
use crate::cli_text::{self, Text};
use crate::read::{Dumps, Reading};

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

fn without(table: &MessageTable, names: &[&str]) -> MessageTable {
    let listed = (0..u16::MAX).filter_map(|id| Some((id, table.name_crc(id)?.to_owned())));
    MessageTable::new(listed.filter(|(_, name_crc)| !names.contains(&name_crc.as_str())))
}

#[test]
fn the_messages_of_vpp_decide_on_the_dialect() {
    let (new, old) = (table(&recording("26.10")), table(&recording("26.06")));
    assert_eq!(choose(&new), Ok(Dialect::Weighted));
    assert_eq!(choose(&old), Ok(Dialect::InOut));
    assert_eq!(choose(&without(&new, &["lb_as_set_weight_2d89bdbd"])), Ok(Dialect::InOut));
    let oldest = without(&old, &["lb_add_del_vip_v2_7c520e0f", "lb_add_del_as_35d72500"]);
    let missing = ["lb_add_del_vip_v2_7c520e0f", "lb_add_del_as_35d72500"].map(str::to_owned);
    assert_eq!(choose(&oldest), Err(missing.into()));
    // An additive message changes nothing.
    let later = (0..u16::MAX).filter_map(|id| Some((id, new.name_crc(id)?.to_owned())));
    let later = MessageTable::new(later.chain([(60_000, "lb_add_del_vip_v3_00000000".to_owned())]));
    assert_eq!(choose(&later), Ok(Dialect::Weighted));
}

fn web() -> VipKey {
    VipKey::port([203, 0, 113, 11].into(), 6, 80)
}

/// The requests of the recorded VPP 26.06 come out of the steps byte for byte.
#[test]
fn steps_become_the_recorded_requests_of_26_06() {
    let frames = recording("26.06");
    let vip = |address: &str| VipKey::port(address.parse().unwrap(), 6, 80);
    let add = |encap| Step::AddVip { encap, src_ip_sticky: false, table_length: 1024 };
    let server = |address: &str| address.parse::<IpAddr>().unwrap();
    let add_server = |address: &str| Step::AddServer { server: server(address), weight: 1, flush: false };
    let one = server("10.0.0.1");
    let steps = [
        ("203.0.113.11", add(Encap::Gre4)),
        ("2001:db8::1", add(Encap::Gre4)),
        ("2001:db8::2", add(Encap::Gre6)),
        ("203.0.113.12", add(Encap::Gre6)),
        ("203.0.113.11", add_server("10.0.0.1")),
        ("203.0.113.11", add_server("10.0.0.2")),
        ("2001:db8::1", add_server("10.0.0.3")),
        ("2001:db8::2", add_server("2001:db8:f::1")),
        ("203.0.113.12", add_server("2001:db8:f::2")),
        ("203.0.113.11", Step::Reweight { server: one, from: 1, to: 0, flush: false }),
        ("203.0.113.11", Step::Reweight { server: one, from: 1, to: 0, flush: false }),
        ("203.0.113.11", Step::Reweight { server: one, from: 0, to: 1, flush: false }),
        ("203.0.113.11", Step::RemoveVip { anew: None }),
    ];
    let recorded = frames
        .iter()
        .filter(|frame| frame.name == LbAddDelVipV2::NAME_CRC || frame.name == LbAddDelAs::NAME_CRC);
    for ((address, step), frame) in steps.into_iter().zip(recorded) {
        let write = Write { vip: vip(address), step };
        let request = request(Dialect::InOut, &write).unwrap();
        let id = u16::from_be_bytes([frame.body[0], frame.body[1]]);
        let context = u32::from_be_bytes(frame.body[6..10].try_into().unwrap());
        let body = request.body(RequestHead { id, client_index: 0x8000_0001, context });
        // Recorded in network order, which VPP takes for an unknown encap, and that for GRE6.
        let mut recorded = frame.body.clone();
        if let Some(encap @ [0, 0, 0, 1]) = recorded.get_mut(31..35) {
            encap.reverse();
        }
        assert_eq!(body, recorded, "{write:?}");
    }
}

#[test]
fn in_out_knows_only_removal_and_addition() {
    let server: IpAddr = [10, 0, 0, 1].into();
    let of = |step| in_out::request(&Write { vip: web(), step });
    let asked = |step| match of(step) {
        Some(Request::Server(LbAddDelAs { vip, as_address, is_del, is_flush })) => {
            assert_eq!((vip.prefix.length, as_address), (128, server));
            Some((is_del, is_flush))
        }
        other => panic!("{other:?}"),
    };
    for weight in [1, 50] {
        assert_eq!(asked(Step::AddServer { server, weight, flush: false }), Some((false, false)));
        assert_eq!(asked(Step::RemoveServer { server, weight }), Some((true, true)));
    }
    assert_eq!(asked(Step::Reweight { server, from: 1, to: 0, flush: false }), Some((true, false)));
    assert_eq!(asked(Step::Reweight { server, from: 1, to: 0, flush: true }), Some((true, true)));
    assert_eq!(asked(Step::Reweight { server, from: 0, to: 1, flush: false }), Some((false, false)));
    assert_eq!(asked(Step::Flush { server, weight: 0 }), Some((true, true)));
    assert_eq!(of(Step::AddServer { server, weight: 0, flush: true }), None);
    assert_eq!(of(Step::Flush { server, weight: 1 }), None);
    // VPP looks an IPv4 VIP up by the bytes as they are.
    let Some(Request::FlushVip(flush)) = of(Step::FlushVip) else { panic!() };
    assert_eq!(flush.vip.prefix.to_string(), "::cb00:710b/128");
    let request = request(Dialect::InOut, &Write { vip: web(), step: Step::FlushVip }).unwrap();
    let body = request.body(RequestHead { id: 7, client_index: 1, context: 2 });
    assert_eq!(decode_request::<LbFlushVip>(&body).unwrap(), (1, 2, flush));
}

#[test]
fn what_vpp_has_forgotten_is_out() {
    let server: IpAddr = [10, 0, 0, 1].into();
    let told = |dialect, step| answer(dialect, &Write { vip: web(), step }, Retval::NO_SUCH_ENTRY);
    let (gone, out) = (Step::RemoveServer { server, weight: 0 }, Step::Flush { server, weight: 0 });
    for step in [gone, out] {
        assert_eq!(told(Dialect::InOut, step), Answer::Accepted);
        assert!(matches!(told(Dialect::Weighted, step), Answer::Refused { about_state: true, .. }));
    }
    for step in [
        Step::RemoveServer { server, weight: 1 },
        Step::Reweight { server, from: 1, to: 0, flush: true },
        Step::RemoveVip { anew: None },
    ] {
        assert!(matches!(told(Dialect::InOut, step), Answer::Refused { about_state: true, .. }));
    }
}

/// The texts of the recorded VPP 26.06: in use, and after the first VIP and its servers were removed.
fn texts_of_26_06() -> Vec<Text> {
    all::<CliInbandReply>(&recording("26.06"))
        .iter()
        .map(|reply| cli_text::parse(&reply.reply.as_str()))
        .collect()
}

#[test]
fn the_text_of_26_06_has_all_that_dumps_lack() {
    let texts = texts_of_26_06();
    let told = |text: &Text| {
        let Reading { mirror, torn } = in_out::dumps(text).mirror(text);
        assert!(torn.is_empty() && mirror.set_aside().is_empty());
        let vip = |(key, vip): (&VipKey, &crate::mirror::MirrorVip)| {
            (key.to_string(), vip.index.unwrap(), vip.encap, vip.table_length, vip.servers.len())
        };
        mirror.vips().iter().map(vip).collect::<Vec<_>>()
    };
    let expected = [
        ("203.0.113.11 tcp/80", 1, Encap::Gre4, 2),
        ("203.0.113.12 tcp/80", 4, Encap::Gre6, 1),
        ("2001:db8::1 tcp/80", 2, Encap::Gre4, 1),
        ("2001:db8::2 tcp/80", 3, Encap::Gre6, 1),
    ];
    let expected = expected.map(|(key, index, encap, servers)| (key.to_owned(), index, encap, 1024, servers));
    assert_eq!(told(&texts[0]), expected);
    assert_eq!(told(&texts[1]), expected[1..]);
}

fn server_of(text: &mut Text, vip: usize, server: usize) -> &mut cli_text::TextServer {
    &mut text.vips[vip].servers[server]
}

#[test]
fn ghosts_count_only_while_flows_are_pinned_to_them_or_the_mirror_has_them() {
    let mut text = texts_of_26_06().remove(0);
    for flows in [0, 3] {
        let ghost = server_of(&mut text, 0, 0);
        (ghost.removed, ghost.weight, ghost.flows, ghost.buckets) = (true, 0, flows, 0);
        let read = in_out::complete(text.clone(), None);
        let mirror = in_out::dumps(&read).mirror(&read).mirror;
        let weights = &mirror.get(&web()).unwrap().servers;
        let expected: &[(IpAddr, u8)] = match flows {
            0 => &[([10, 0, 0, 2].into(), 1)],
            _ => &[([10, 0, 0, 1].into(), 0), ([10, 0, 0, 2].into(), 1)],
        };
        assert_eq!(*weights, expected.iter().copied().collect::<BTreeMap<_, _>>());
        assert!(mirror.get(&web()).unwrap().drained.is_empty());
    }
    // One that was added out of service is nothing in VPP, and no drift.
    let read = in_out::complete(text.clone(), None);
    let mut known = in_out::dumps(&read).mirror(&read).mirror;
    let step = Step::AddServer { server: [10, 0, 0, 9].into(), weight: 0, flush: true };
    known.acknowledge(&Write { vip: web(), step });
    server_of(&mut text, 0, 0).flows = 0;
    let read = in_out::complete(text, Some(&known));
    let again = in_out::dumps(&read).mirror(&read).mirror;
    assert_eq!(known.drift(&again, |_| true), Vec::<String>::new());
    let vip = again.get(&web()).unwrap();
    assert_eq!(vip.servers.values().copied().collect::<Vec<_>>(), [0, 1, 0]);
    assert!(
        again.is_drained(&web(), &[10, 0, 0, 1].into()) && again.is_drained(&web(), &[10, 0, 0, 9].into())
    );
    // The same for operators.
    let (state, reading) = in_out::dumps(&read).state(conf(1024, 40), &read);
    assert!(reading.torn.is_empty());
    assert_eq!(state.vips[0].servers.len(), 3);
}

#[test]
fn a_vip_whose_text_cannot_be_parsed_is_set_aside() {
    let recorded = all::<CliInbandReply>(&recording("26.06")).remove(0).reply.as_str().into_owned();
    for (from, to) in [("512 buckets", "x buckets"), ("ip4-gre4", "ip4-gre7"), ("new_size:1024", "size:1")] {
        let text = cli_text::parse(&recorded.replacen(from, to, 1));
        let mirror = in_out::dumps(&text).mirror(&text).mirror;
        assert_eq!(mirror.vips().len(), 3);
        assert!(mirror.set_aside().blocks(&web()).is_some(), "{to}");
    }
}

#[test]
fn refining_keeps_what_vpp_needs_and_can_do() {
    let text = texts_of_26_06().remove(0);
    let mut mirror = in_out::dumps(&text).mirror(&text).mirror;
    let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 9]));
    mirror.acknowledge(&Write { vip: web(), step: Step::AddServer { server: two, weight: 0, flush: true } });
    let spec = |servers: &[(IpAddr, u8)]| VipSpec {
        key: web(),
        encap: Encap::Gre4,
        src_ip_sticky: false,
        new_flows_table_length: 1024,
        servers: servers
            .iter()
            .map(|(server, weight)| (*server, ServerSpec { weight: *weight, flush: false }))
            .collect(),
    };
    // Weights are one or nothing, and equal ones need no write.
    let wanted = spec(&[(one, 100), ([10, 0, 0, 2].into(), 50), (two, 0)]);
    let wanted = desired(Dialect::InOut, &wanted).into_owned();
    assert!(wanted.servers.values().all(|server| server.weight < 2));
    let flush = maglev_protocol::Demands { flush: [one].into(), recreate: false };
    let mut plan = crate::reconcile::diff(&wanted, &flush, mirror.get(&web()));
    refine(Dialect::InOut, &mut plan, &mut mirror);
    assert!(plan.is_empty());
    assert_eq!(plan.errors.len(), 1, "a server in service cannot be flushed");
    // One that is not in VPP is forgotten without a write; one that is goes with its flows.
    let mut plan = crate::reconcile::diff(&spec(&[(one, 1)]), &flush, mirror.get(&web()));
    refine(Dialect::InOut, &mut plan, &mut mirror);
    assert_eq!(plan.lower, [Step::RemoveServer { server: [10, 0, 0, 2].into(), weight: 1 }]);
    assert!(!mirror.get(&web()).unwrap().servers.contains_key(&two));
}

fn conf(sticky_buckets_per_core: u32, flow_timeout: u32) -> Conf {
    Conf {
        ip4_src_address: Ipv4Addr::BROADCAST,
        ip6_src_address: Ipv6Addr::from(u128::MAX),
        sticky_buckets_per_core,
        flow_timeout,
    }
}

fn summary(tables: &[(u32, u32)]) -> Summary {
    let mut text = "lb_main ip4-src-address: 255.255.255.255 \n ip6-src-address: \
                    ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \n #vips: 3\n #ass: 7\n"
        .to_owned();
    for (thread, (buckets, timeout)) in tables.iter().enumerate() {
        let usage = format!("core {thread}\n  timeout: {timeout}s\n  usage: 9 / {}\n", buckets + 3);
        text.push_str(&usage);
    }
    Summary::parse(&text).unwrap()
}

#[test]
fn settings_are_those_of_the_tables_unless_newer_ones_were_sent() {
    assert_eq!(summary(&[]).size, (3, 7));
    assert_eq!(summary(&[]).conf(None), conf(0, 0));
    assert_eq!(summary(&[(1024, 40), (1024, 40)]).conf(None), conf(1024, 40));
    let sent = summary(&[(1024, 40)]).sending(conf(4096, 60));
    // The table changes with the thread's next packet; a thread that had none gets the new settings.
    for tables in [&[(1024, 40)][..], &[(4096, 60)], &[(1024, 40), (4096, 60)], &[]] {
        assert_eq!(summary(tables).conf(Some(&sent)), conf(4096, 60));
    }
    assert_eq!(summary(&[(4096, 30)]).conf(Some(&sent)), conf(4096, 30), "somebody else's");
    for broken in ["", "lb_main", "lb_main ip4-src-address: 1.2.3.4 \n ip6-src-address: :: \n #vips: 1\n"] {
        assert_eq!(Summary::parse(broken), None);
    }
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
    let conf = conf(1024, 40);
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
        for dialect in [Dialect::Weighted, Dialect::InOut] {
            let refused = answer(dialect, &Write { vip: web(), step: Step::FlushVip }, Retval(code));
            let Answer::Refused { code: told, about_state, .. } = refused else { panic!() };
            assert_eq!((told, about_state), (code, doubt));
        }
    }
}
