//! Target: a full read of VPP, from the bytes of both dumps and the CLI text to a plan based on them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arbitrary::{Arbitrary, Unstructured};
use maglev_dpagent::cli_text::{self, Text, TextServer, TextVip};
use maglev_dpagent::dialect::weighted;
use maglev_dpagent::mirror::{Mirror, MirrorVip};
use maglev_dpagent::policy::{Limits, Policy};
use maglev_dpagent::read::{Dumps, Reading};
use maglev_dpagent::reconcile::{Plans, Wanted, check as check_wanted, plan_all};
use maglev_dpagent::step::{Step, Write};
use maglev_protocol::{Encap, LbConf, Prefix, ServerSpec, VipKey, VipSpec};
use vppapi::messages::{LbAsV2Details, LbVipDetails, Message, decode_reply, encode_reply};
use vppapi::types::{self, VipId};

/// A VIP as each part of the read reports it. Keys have few values, so that they collide.
#[derive(Arbitrary, Debug)]
struct Vip {
    key: u8,
    length: Option<u8>,
    encap: u8,
    table_length: u16,
    index: u8,
    src_ip_sticky: bool,
    removed: bool,
    dumped: bool,
    printed: bool,
    servers: Vec<Server>,
}

#[derive(Arbitrary, Debug)]
struct Server {
    address: u8,
    removed: bool,
    weight: u8,
    /// The text may report another weight.
    printed_weight: Option<u8>,
    buckets: u16,
    flows: u32,
}

/// One read: its VIPs, and the bytes to change in the text.
#[derive(Arbitrary, Debug)]
struct Read {
    vips: Vec<Vip>,
    damage: Vec<(u16, u8)>,
}

/// The bytes describe two consecutive reads.
pub fn check(data: &[u8]) {
    let Ok((before, now)) = Unstructured::new(data).arbitrary::<(Read, Read)>() else { return };
    let remembered = check_read(&before, &Mirror::default());
    let found = check_read(&now, &remembered);
    if remembered.set_aside().is_empty() && found.set_aside().is_empty() {
        let drifted = !remembered.drift(&found, |_| true).is_empty();
        assert_eq!(drifted, without_flows(&remembered) != without_flows(&found));
        check_plan(remembered, &found);
    }
}

/// Flows that end are not drift.
fn without_flows(mirror: &Mirror) -> Mirror {
    let mut vips = mirror.vips().clone();
    vips.values_mut().for_each(|vip| vip.drained.clear());
    Mirror::new(vips)
}

/// The mirror that a read gives.
fn check_read(read: &Read, remembered: &Mirror) -> Mirror {
    let dumped = read.vips.iter().filter(|vip| vip.dumped).map(vip_details).map(resent).collect::<Vec<_>>();
    let servers: Vec<_> = read.vips.iter().flat_map(server_details).map(resent).collect();
    let mut dumps = Dumps { servers: servers.iter().map(weighted::server_row).collect(), ..Dumps::default() };
    for row in dumped.iter().map(weighted::vip_row) {
        match row {
            Ok(row) => dumps.vips.push(row),
            Err(strange) => dumps.strange.push(strange),
        }
    }
    assert_eq!((dumps.vips.len() + dumps.strange.len(), dumps.servers.len()), (dumped.len(), servers.len()));
    if !dumps.need_text(remembered) {
        let Reading { mirror, torn } = dumps.mirror_like(remembered);
        check_mirror(&mirror, &dumps);
        if torn.is_empty() {
            assert!(mirror.vips().keys().eq(remembered.vips().keys()), "a VIP came or went unnoticed");
        }
    }

    let text = text(read);
    let Reading { mirror, .. } = dumps.mirror(&text);
    check_mirror(&mirror, &dumps);
    if !dumps.need_text(&mirror) {
        assert_eq!(dumps.mirror_like(&mirror).mirror, mirror);
    }
    check_state(&dumps, &text, &mirror);
    mirror
}

fn check_mirror(mirror: &Mirror, dumps: &Dumps) {
    for row in &dumps.vips {
        let blocked = mirror.set_aside().blocks(&row.key);
        let vip = mirror.get(&row.key);
        assert_eq!(vip.is_none(), blocked.is_some(), "a dumped VIP is either in the mirror or set aside");
        if let Some(vip) = vip {
            assert_eq!((vip.encap, vip.table_length), (row.encap, row.table_length));
        }
    }
    let used = dumps.servers.iter().filter(|row| row.used && mirror.get(&row.vip).is_some());
    assert_eq!(mirror.server_count(), used.clone().count(), "servers got lost");
    for row in used {
        assert_eq!(mirror.vips()[&row.vip].servers.get(&row.address), Some(&row.weight));
    }
    assert_eq!(mirror.drift(mirror, |_| true), Vec::<String>::new());
}

fn check_state(dumps: &Dumps, text: &Text, mirror: &Mirror) {
    let conf = LbConf {
        ip4_src_address: [192, 0, 2, 254].into(),
        ip6_src_address: Ipv6Addr::UNSPECIFIED,
        sticky_buckets_per_core: 1024,
        flow_timeout: 40,
    };
    let (state, Reading { torn, .. }) = dumps.state(conf, text);
    assert!(state.vips.iter().map(|vip| &vip.key).eq(mirror.vips().keys()));
    for (vip, mirrored) in state.vips.iter().zip(mirror.vips().values()) {
        assert_eq!((Some(vip.index), vip.encap), (mirrored.index, mirrored.encap));
        let servers = vip.servers.iter().map(|server| (server.address, server.weight));
        let mut mirrored = mirrored.servers.iter().map(|(address, weight)| (*address, *weight));
        // In an inconsistent read, the parts on which dumps and text agree.
        assert!(
            torn.is_empty() && mirrored.clone().eq(servers.clone())
                || !torn.is_empty() && servers.clone().all(|server| mirrored.any(|other| other == server))
        );
    }
}

/// A plan from one mirror to a desired state derived from another must be accepted step by step, and reach
/// it.
fn check_plan(mut mirror: Mirror, goal: &Mirror) {
    let spec = |(key, vip): (&VipKey, &MirrorVip)| {
        let reachable = vip.servers.iter().filter(|(address, _)| vip.encap == Encap::gre_to(**address));
        let servers = reachable.map(|(address, weight)| {
            (*address, ServerSpec { weight: *weight.min(&100), flush: weight % 2 == 0 })
        });
        VipSpec {
            key: *key,
            encap: vip.encap,
            src_ip_sticky: vip.src_ip_sticky == Some(true),
            new_flows_table_length: vip.table_length.next_power_of_two(),
            servers: servers.collect(),
        }
    };
    let specs = goal.vips().iter().map(spec).filter(|spec| spec.validate().is_ok());
    let wanted = check_wanted(specs.collect(), Vec::new()).unwrap_or_default();
    check_bounds(&mirror, &wanted);
    take(&mut mirror, &wanted);
}

/// Nothing outside the policy may be touched.
fn check_bounds(mirror: &Mirror, wanted: &Wanted) {
    let prefix = |address: [u8; 4], length| vec![Prefix { address: address.into(), length }];
    let (vips, servers) = (prefix([192, 0, 2, 0], 24), prefix([10, 0, 0, 0], 30));
    let policy = Policy { vips, servers, ..Policy::default() };
    let Plans { plans, foreign } = plan_all(wanted, mirror, &policy);
    assert!(foreign.iter().all(|key| !policy.allows_vip(&key.prefix)));
    for plan in plans {
        for step in plan.clear.iter().chain(&plan.raise).chain(&plan.lower) {
            assert!(policy.allows_vip(&plan.vip.prefix), "{} is outside: {step}", plan.vip);
            if let Step::AddServer { server, .. } = step {
                assert!(policy.allows_server(*server), "{server} is outside");
            }
        }
    }
}

fn take(mirror: &mut Mirror, wanted: &Wanted) {
    let all = |address: IpAddr| Prefix { address, length: 0 };
    let everything = vec![all(Ipv4Addr::UNSPECIFIED.into()), all(Ipv6Addr::UNSPECIFIED.into())];
    let limits = Limits { vips: u32::MAX, servers_per_vip: u32::MAX, ..Limits::default() };
    let policy = Policy { vips: everything.clone(), servers: everything, limits, ..Policy::default() };
    let Plans { plans, foreign } = plan_all(wanted, mirror, &policy);
    assert_eq!(foreign, []);
    let mut send = |vip, steps: &[Step]| {
        for step in steps {
            let write = Write { vip, step: *step };
            assert!(mirror.would_take(&write), "{write:?} is refused");
            mirror.acknowledge(&write);
        }
    };
    assert!(plans.iter().all(|plan| plan.errors.is_empty()));
    plans.iter().for_each(|plan| send(plan.vip, &plan.clear));
    plans.iter().for_each(|plan| send(plan.vip, &plan.raise));
    plans.iter().for_each(|plan| send(plan.vip, &plan.lower));
    assert!(mirror.vips().keys().eq(wanted.vips.keys()));
    for (vip, spec) in mirror.vips().values().zip(wanted.vips.values()) {
        assert_eq!((vip.encap, vip.src_ip_sticky), (spec.encap, Some(spec.src_ip_sticky)));
        assert!(
            vip.servers.iter().eq(spec.servers.iter().map(|(address, server)| (address, &server.weight)))
        );
    }
}

/// A message as it comes over the wire.
fn resent<M: Message>(message: M) -> M {
    decode_reply(&encode_reply(1, 2, &message)).expect("what was encoded is decoded").1
}

fn key(vip: &Vip) -> VipKey {
    let address: IpAddr = match vip.key & 3 {
        0 => [192, 0, 2, 1].into(),
        1 => [192, 0, 2, 0].into(),
        2 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
        _ => Ipv6Addr::from(u128::from(vip.key >> 5)).into(),
    };
    let (protocol, port) = match vip.key >> 2 & 7 {
        0 => (255, 0),
        1 => (17, 53),
        2 => (0, 0),
        3 => (255, 80),
        other => (6, 76 + u16::from(other)),
    };
    let prefix = Prefix { length: vip.length.unwrap_or(Prefix::host(address).length), address };
    VipKey { prefix, protocol, port }
}

fn vip_id(vip: &Vip) -> VipId {
    let VipKey { prefix, protocol, port } = key(vip);
    VipId { prefix: types::Prefix { address: prefix.address, length: prefix.length }, protocol, port }
}

fn vip_details(vip: &Vip) -> LbVipDetails {
    LbVipDetails {
        vip: vip_id(vip),
        encap: types::Encap::from(u32::from(vip.encap % 6)),
        dscp: 0,
        srv_type: 0,
        target_port: 0,
        flow_table_length: vip.table_length,
    }
}

fn address(server: &Server) -> IpAddr {
    let last = server.address & 7;
    match server.address >> 6 {
        0 | 1 => [10, 0, 0, last].into(),
        2 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).into(),
        _ => Ipv6Addr::from(u128::from(last)).into(),
    }
}

fn server_details(vip: &Vip) -> impl Iterator<Item = LbAsV2Details> {
    vip.servers.iter().map(|server| LbAsV2Details {
        vip: vip_id(vip),
        as_address: address(server),
        flags: u8::from(!vip.removed && !server.removed),
        in_use_since: 0,
        weight: server.weight,
        num_buckets: server.buckets.into(),
    })
}

/// The VIPs of the text, as far as its damage leaves it readable.
fn text(read: &Read) -> Text {
    let server = |server: &Server| TextServer {
        address: address(server),
        weight: server.printed_weight.unwrap_or(server.weight),
        buckets: server.buckets.into(),
        flows: server.flows.into(),
        route: Some(7),
        removed: server.removed,
    };
    let printed = read.vips.iter().filter(|vip| vip.printed).map(|vip| TextVip {
        key: key(vip),
        index: vip.index.into(),
        encap: None,
        table_length: None,
        src_ip_sticky: vip.src_ip_sticky,
        removed: vip.removed,
        servers: vip.servers.iter().map(server).collect(),
    });
    let mut text = super::cli_text::print(&printed.collect::<Vec<_>>()).into_bytes();
    for (at, byte) in &read.damage {
        if let Some(place) = text.get_mut(usize::from(*at)) {
            *place = *byte;
        }
    }
    cli_text::parse(&String::from_utf8_lossy(&text))
}
