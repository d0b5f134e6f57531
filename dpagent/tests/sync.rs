//! The RPCs that program VPP, against a simulated VPP.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;

use std::net::{Ipv4Addr, Ipv6Addr};

use common::{Bench, address, context, server, soon, spec};
use maglev_protocol::{
    AgentError, Change, Demands, Encap, FullRead, LbConf, LbConfSpec, ServerSpec, StepError, VipKey, VipSpec,
};
use vppapi::messages::{LbAddDelAsV2, LbAddDelVipV2, LbAsSetWeight};
use vppapi::types::{self, VipId};

fn id(key: &VipKey) -> VipId {
    let prefix = types::Prefix { address: key.prefix.address, length: key.prefix.length };
    VipId { prefix, protocol: key.protocol, port: key.port }
}

fn foreign_vip(key: &VipKey) -> LbAddDelVipV2 {
    LbAddDelVipV2::gre(id(key), types::Encap::Gre4, 1024)
}

/// VIPs of both families, with tunnels of both families.
fn mixed() -> Vec<VipSpec> {
    let gre6: Vec<_> = ["2001:db8::a", "2001:db8::9", "2001:db8::10"].map(address).into();
    let mut six = spec(443, &[]);
    six.key.prefix = maglev_protocol::Prefix::host(address("2001:db8:1::1"));
    six.encap = Encap::Gre6;
    six.src_ip_sticky = true;
    six.new_flows_table_length = 65_536;
    six.servers = gre6.iter().map(|server| (*server, ServerSpec { weight: 2, flush: false })).collect();
    let everything = VipSpec { key: VipKey::all_ports([192, 0, 2, 9].into()), ..spec(0, &[1]) };
    vec![spec(80, &[100, 100, 50]), spec(443, &[1, 0]), six, everything]
}

#[tokio::test]
async fn a_full_sync_makes_everything_and_a_second_one_writes_nothing() {
    let bench = Bench::start().await;
    let report = soon(bench.client.sync_all(context(), mixed(), Vec::new())).await.unwrap().unwrap();
    assert_eq!(report.errors().next(), None);
    assert_eq!(report.read, Some(FullRead { vips: 0, servers: 0 }));
    assert_eq!(report.changes(), 4 + 3 + 2 + 3 + 1);
    let numeric = ["2001:db8::9", "2001:db8::a", "2001:db8::10"].map(address);
    let expected: Vec<_> = [Change::VipAdded]
        .into_iter()
        .chain(numeric.map(|server| Change::ServerAdded { server, weight: 2 }))
        .collect();
    assert_eq!(report.vips[3].changes, expected);
    assert_eq!(bench.vpp.writes().len(), report.changes());

    for _ in 0..3 {
        let again = soon(bench.client.sync_all(context(), mixed(), Vec::new())).await.unwrap().unwrap();
        assert_eq!((again.vips.len(), again.drift.len()), (0, 0));
        assert_eq!(again.read, Some(FullRead { vips: 4, servers: 9 }));
        for spec in mixed() {
            let again =
                soon(bench.client.sync_vip(context(), spec, Demands::default())).await.unwrap().unwrap();
            assert_eq!((again.vips.len(), again.read), (0, None));
        }
    }
    assert_eq!(bench.vpp.writes().len(), report.changes());

    let state = soon(bench.client.lb_state(context())).await.unwrap().unwrap();
    let mut wanted = mixed();
    wanted.sort_by_key(|spec| spec.key);
    assert_eq!(state.vips.len(), wanted.len());
    for (vip, spec) in state.vips.iter().zip(&wanted) {
        assert_eq!((vip.key, vip.encap, vip.src_ip_sticky), (spec.key, spec.encap, spec.src_ip_sticky));
        assert_eq!(vip.new_flows_table_length, spec.new_flows_table_length);
        let weights: Vec<_> = vip.servers.iter().map(|server| (server.address, server.weight)).collect();
        let expected: Vec<_> = spec.servers.iter().map(|(server, spec)| (*server, spec.weight)).collect();
        assert_eq!(weights, expected);
        let buckets: u32 = vip.servers.iter().map(|server| server.buckets).sum();
        assert_eq!(buckets, spec.new_flows_table_length);
    }
}

#[tokio::test]
async fn a_failover_raises_before_it_lowers_and_reads_nothing() {
    let bench = Bench::start().await;
    soon(bench.client.sync_vip(context(), spec(80, &[100, 0, 0]), Demands::default()))
        .await
        .unwrap()
        .unwrap();
    let before = bench.vpp.requests().len();
    let report = soon(bench.client.sync_vip(context(), spec(80, &[0, 100, 1]), Demands::default()))
        .await
        .unwrap()
        .unwrap();
    let change = |last, from, to, flushed| Change::Reweighted { server: server(last), from, to, flushed };
    assert_eq!(
        report.vips[0].changes,
        [change(2, 0, 100, false), change(3, 0, 1, false), change(1, 100, 0, true)]
    );
    let set = "lb_as_set_weight";
    assert_eq!(bench.vpp.requests()[before..], ["control_ping", set, set, set]);
}

#[tokio::test]
async fn what_is_not_wanted_goes_and_what_is_kept_stays() {
    let bench = Bench::start().await;
    let all = vec![spec(80, &[1, 1]), spec(81, &[1]), spec(82, &[1])];
    soon(bench.client.sync_all(context(), all, Vec::new())).await.unwrap().unwrap();
    let wanted = vec![spec(80, &[1])];
    let report =
        soon(bench.client.sync_all(context(), wanted, vec![spec(82, &[]).key])).await.unwrap().unwrap();
    let removed = |last| Change::ServerRemoved { server: server(last), flushed: true };
    assert_eq!(report.vips.len(), 2);
    assert_eq!(report.vips[0].changes, [removed(2)]);
    let proof = Change::Reweighted { server: server(1), from: 1, to: 1, flushed: false };
    assert_eq!(report.vips[1].changes, [proof, Change::VipFlushed, Change::VipRemoved]);
    let left: Vec<_> = bench.vpp.vips().into_keys().collect();
    assert_eq!(left, ["192.0.2.1/32 protocol 6 port 80", "192.0.2.1/32 protocol 6 port 82"]);
    // VPP's dump still contains the removed servers.
    let again = soon(bench.client.sync_all(context(), vec![spec(80, &[1]), spec(81, &[1])], Vec::new()));
    assert_eq!(again.await.unwrap().unwrap().errors().next(), None);
    let state = soon(bench.client.lb_state(context())).await.unwrap().unwrap();
    let servers: Vec<_> = state.vips.iter().map(|vip| (vip.key.port, vip.servers.len())).collect();
    assert_eq!(servers, [(80, 1), (81, 1)]);
}

#[tokio::test]
async fn what_somebody_else_did_is_reported_and_put_right() {
    let bench = Bench::start().await;
    soon(bench.client.sync_all(context(), vec![spec(80, &[100, 50])], Vec::new())).await.unwrap().unwrap();
    let somebody = bench.vpp.client(bench.path()).await;
    let vip = id(&spec(80, &[]).key);
    let (as_address, is_flush) = (server(1), false);
    somebody.call(LbAsSetWeight { vip, as_address, weight: 7, is_flush }).await.unwrap();
    somebody.call(foreign_vip(&spec(99, &[]).key)).await.unwrap();
    let report = soon(bench.client.sync_all(context(), vec![spec(80, &[100, 50])], Vec::new()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        report.drift,
        [
            "VIP 192.0.2.1 tcp/80: server 10.0.0.1 has weight 7 instead of 100",
            "VIP 192.0.2.1 tcp/99 has appeared, with gre4 and 0 servers",
        ]
    );
    assert_eq!(report.changes(), 2);

    // A sync of one VIP reads nothing, so it finds the difference through VPP's refusal.
    let removal = LbAddDelAsV2 { vip, as_address, weight: 0, is_del: true, is_flush: false };
    somebody.call(removal).await.unwrap();
    let report = soon(bench.client.sync_vip(context(), spec(80, &[99, 50]), Demands::default()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(report.drift, ["VIP 192.0.2.1 tcp/80: server 10.0.0.1 of weight 100 is gone"]);
    assert_eq!(report.vips[0].changes, [Change::ServerAdded { server: server(1), weight: 99 }]);
    assert_eq!(report.errors().next(), None);
}

#[tokio::test]
async fn a_refused_step_is_named_and_others_go_on() {
    let bench = Bench::start().await;
    let all_ports = VipKey::all_ports([192, 0, 2, 1].into());
    bench.vpp.client(bench.path()).await.call(foreign_vip(&all_ports)).await.unwrap();
    let mut elsewhere = spec(80, &[1]);
    elsewhere.key.prefix = maglev_protocol::Prefix::host([192, 0, 2, 2].into());
    let wanted = vec![spec(80, &[1, 1]), elsewhere.clone()];
    let report = soon(bench.client.sync_all(context(), wanted, vec![all_ports])).await.unwrap().unwrap();
    let errors: Vec<_> = report.errors().collect();
    let meaning =
        "already exists, or the prefix mixes per-port VIPs with one of all ports (VALUE_EXIST, -81)";
    let error = StepError {
        step: "add the VIP with gre4, 1024 buckets".to_owned(),
        code: Some(-81),
        meaning: meaning.to_owned(),
    };
    assert_eq!(errors, [(&spec(80, &[]).key, &error)]);
    let left: Vec<_> = bench.vpp.vips().into_keys().collect();
    assert_eq!(left, ["192.0.2.1/32 all ports", "192.0.2.2/32 protocol 6 port 80"]);

    // Without `keep`, it is removed and makes room.
    let wanted = vec![spec(80, &[1, 1]), elsewhere];
    let report = soon(bench.client.sync_all(context(), wanted, Vec::new())).await.unwrap().unwrap();
    assert_eq!((report.errors().next(), report.changes()), (None, 4));
}

#[tokio::test]
async fn a_sticky_flag_makes_the_vip_anew_and_a_table_length_does_not() {
    let bench = Bench::start().await;
    soon(bench.client.sync_vip(context(), spec(80, &[3]), Demands::default())).await.unwrap().unwrap();
    let longer = VipSpec { new_flows_table_length: 4096, ..spec(80, &[3]) };
    let report =
        soon(bench.client.sync_vip(context(), longer.clone(), Demands::default())).await.unwrap().unwrap();
    let kept = report.vips[0].table_length.unwrap();
    assert_eq!((kept.has, kept.wanted, report.changes()), (1024, 4096, 0));

    let sticky = VipSpec { src_ip_sticky: true, ..longer };
    let report =
        soon(bench.client.sync_vip(context(), sticky.clone(), Demands::default())).await.unwrap().unwrap();
    let reason = "src_ip_sticky of a VIP cannot be changed: it is false, wanted is true".to_owned();
    assert_eq!(
        report.vips[0].changes,
        [
            Change::Reweighted { server: server(1), from: 3, to: 3, flushed: false },
            Change::VipFlushed,
            Change::VipRecreated { reason },
            Change::VipAdded,
            Change::ServerAdded { server: server(1), weight: 3 },
        ]
    );
    let report = soon(bench.client.sync_all(context(), vec![sticky], Vec::new())).await.unwrap().unwrap();
    assert_eq!((report.changes(), report.drift.len()), (0, 0));
    let state = soon(bench.client.lb_state(context())).await.unwrap().unwrap();
    assert_eq!((state.vips[0].index, state.vips[0].new_flows_table_length), (2, 4096));
}

#[tokio::test]
async fn requests_that_cannot_be_programmed_write_nothing() {
    let bench = Bench::start().await;
    let bad = VipSpec { new_flows_table_length: 0, ..spec(80, &[1]) };
    let refused = soon(bench.client.sync_vip(context(), bad.clone(), Demands::default())).await.unwrap();
    assert!(matches!(refused, Err(AgentError::Invalid { .. })));
    let refused =
        soon(bench.client.sync_all(context(), vec![spec(81, &[1]), bad], Vec::new())).await.unwrap();
    assert!(matches!(refused, Err(AgentError::Invalid { .. })));
    let twice = vec![spec(81, &[1]), spec(81, &[1])];
    let refused = soon(bench.client.sync_all(context(), twice, Vec::new())).await.unwrap();
    assert!(matches!(refused, Err(AgentError::Contradiction(_))));
    assert_eq!(bench.vpp.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn settings_are_written_only_where_they_differ() {
    let bench = Bench::start().await;
    let wanted = LbConfSpec {
        ip4_src_address: Some(Ipv4Addr::new(192, 0, 2, 254)),
        ip6_src_address: None,
        sticky_buckets_per_core: 1024,
        flow_timeout: 40,
    };
    let report = soon(bench.client.lb_conf(context(), wanted)).await.unwrap().unwrap();
    let before = LbConf {
        ip4_src_address: Ipv4Addr::BROADCAST,
        ip6_src_address: Ipv6Addr::from(u128::MAX),
        sticky_buckets_per_core: 1024,
        flow_timeout: 40,
    };
    let now = LbConf { ip4_src_address: Ipv4Addr::new(192, 0, 2, 254), ..before };
    assert_eq!((report.before, report.now), (before, now));
    assert_eq!((report.changed, report.pinned_flows_lost), (true, false));

    let report = soon(bench.client.lb_conf(context(), wanted)).await.unwrap().unwrap();
    assert_eq!((report.before, report.now, report.changed), (now, now, false));
    assert_eq!(bench.vpp.writes(), ["lb_conf"]);

    let more = LbConfSpec { sticky_buckets_per_core: 65_536, ..wanted };
    let report = soon(bench.client.lb_conf(context(), more)).await.unwrap().unwrap();
    assert!(report.changed && !report.pinned_flows_lost, "without a VIP there are no flows");
    let odd = LbConfSpec { sticky_buckets_per_core: 1000, ..wanted };
    assert!(soon(bench.client.lb_conf(context(), odd)).await.unwrap().is_err());
    assert_eq!(bench.vpp.writes().len(), 2);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_half_way() {
    let bench = Bench::start().await;
    let vips = (1..=2000).map(|port| spec(port, &[1, 0])).collect();
    let client = bench.agent.client().await;
    let call = tokio::spawn(async move { client.sync_all(context(), vips, Vec::new()).await });
    soon(async {
        while bench.vpp.vips().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    call.abort();
    assert!(soon(call).await.unwrap_err().is_cancelled());
    // Calls run one at a time, so this answer comes after the whole sync.
    let state = soon(bench.client.lb_state(context())).await.unwrap().unwrap();
    assert_eq!(state.vips.len(), 2000);
    assert!(state.vips.iter().all(|vip| vip.servers.len() == 2));
}
