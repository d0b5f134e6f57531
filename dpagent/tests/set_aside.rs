//! Foreign VIPs that a full read cannot understand.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;

use common::{Agent, Bench, context, is_connected, soon, spec, until};
use maglev_protocol::{AgentError, Demands, InvalidSpec, Prefix, VipKey};
use vppapi::messages::{LbAddDelAsV2, LbAddDelVipV2};
use vppapi::types::{self, VipId};

/// A VIP for TCP port 80 of a prefix.
fn id(prefix: &str) -> VipId {
    let (address, length) = prefix.split_once('/').unwrap();
    let prefix = types::Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() };
    VipId { prefix, protocol: 6, port: 80 }
}

fn key(prefix: &str) -> VipKey {
    let types::Prefix { address, length } = id(prefix).prefix;
    VipKey { prefix: Prefix { address, length }, protocol: 6, port: 80 }
}

/// Adds a VIP with a server by hand.
async fn make(bench: &Bench, prefix: &str) {
    let hand = bench.vpp.client(bench.path()).await;
    let vip = id(prefix);
    soon(hand.call(LbAddDelVipV2::gre(vip, types::Encap::Gre6, 1024))).await.unwrap();
    let as_address = "2001:db8::9".parse().unwrap();
    let server = LbAddDelAsV2 { vip, as_address, weight: 7, is_del: false, is_flush: false };
    soon(hand.call(server)).await.unwrap();
}

/// Both an agent that finds the VIP at its start and one that meets it later must cope with it.
#[tokio::test]
async fn a_foreign_vip_that_vpp_dumps_as_ipv4_is_set_aside_and_all_else_goes_on() {
    for prefix in ["::/0", "::/1", "::/32", "::/33", "::/64", "::/95"] {
        let bench = Bench::start().await;
        let ours = vec![spec(80, &[100, 0]), spec(81, &[1])];
        soon(bench.client.sync_all(context(), ours.clone(), vec![])).await.unwrap().unwrap();
        make(&bench, prefix).await;
        let before = bench.vpp.vips();
        let dumped = format!("0.0.0.0/{} tcp/80", prefix.split_once('/').unwrap().1);

        for _ in 0..2 {
            let report = soon(bench.client.sync_all(context(), ours.clone(), vec![])).await.unwrap().unwrap();
            assert_eq!((report.changes(), report.errors().next()), (0, None), "{prefix}");
            assert_eq!(report.drift, Vec::<String>::new(), "{prefix}");
            assert_eq!(report.foreign, [key(prefix)], "{prefix}");
        }
        let state = soon(bench.client.lb_state(context())).await.unwrap().unwrap();
        assert_eq!(state.vips.iter().map(|vip| vip.key).collect::<Vec<_>>(), [ours[0].key, ours[1].key]);
        let counters = soon(bench.client.counters(context(), true)).await.unwrap().unwrap();
        assert_eq!(counters.vips.len(), 2, "{prefix}");

        // A second agent, which finds the VIP at its start.
        drop(bench.client);
        bench.agent.end().await;
        let agent = Agent::start(bench.directory.path()).await;
        let client = agent.client().await;
        until(&client, is_connected).await;
        let other = spec(80, &[0, 100]);
        let report = soon(client.sync_vip(context(), other, Demands::default())).await.unwrap().unwrap();
        assert_eq!((report.changes(), report.read), (2, None), "{prefix}");
        let mut expected = before.clone();
        let weights = expected.values_mut().next().unwrap();
        assert_eq!(weights.len(), 2, "{prefix}: {before:?}");
        for weight in weights.values_mut() {
            *weight = 100 - *weight;
        }
        assert_eq!(bench.vpp.vips(), expected, "{prefix}: {dumped}");
        agent.end().await;
    }
}

#[tokio::test]
async fn a_wanted_vip_that_vpp_cannot_tell_from_one_set_aside_is_refused() {
    let mut bench = Bench::start().await;
    drop(bench.client);
    bench.agent.end().await;
    let policy = "vips: [0.0.0.0/0]\nservers: [10.0.0.0/8]";
    bench.agent = Agent::with_policy(bench.directory.path(), policy).await;
    bench.client = bench.agent.client().await;
    until(&bench.client, is_connected).await;
    make(&bench, "::/0").await;
    let mut all = spec(80, &[1]);
    all.key.prefix = Prefix { address: [0, 0, 0, 0].into(), length: 0 };
    let (before, wanted) = (bench.vpp.vips(), vec![all.clone(), spec(81, &[1])]);
    let report = soon(bench.client.sync_all(context(), wanted, vec![])).await.unwrap().unwrap();
    let errors: Vec<_> = report.errors().collect();
    assert_eq!((errors.len(), *errors[0].0), (1, all.key));
    assert_eq!(errors[0].1.code, None);
    assert!(errors[0].1.meaning.contains("VIP ::/0 tcp/80"), "{}", errors[0].1.meaning);
    let report = soon(bench.client.sync_vip(context(), all, Demands::default())).await.unwrap().unwrap();
    assert_eq!(report.errors().count(), 1);
    let mut after = bench.vpp.vips();
    after.retain(|vip, _| before.contains_key(vip));
    assert_eq!((after, bench.vpp.vips().len()), (before, 2));
}

#[tokio::test]
async fn prefixes_that_vpp_cannot_tell_from_ipv4_are_not_programmed() {
    let bench = Bench::start().await;
    for length in 0..=128 {
        let mut wanted = spec(80, &[1]);
        wanted.key.prefix = Prefix { address: "::".parse().unwrap(), length };
        let refused =
            soon(bench.client.sync_vip(context(), wanted.clone(), Demands::default())).await.unwrap();
        let key = wanted.key;
        assert!(
            matches!(
                refused,
                Err(AgentError::Invalid {
                    error: InvalidSpec::CoversIpv4(_) | InvalidSpec::LooksLikeIpv4(_),
                    ..
                })
            ),
            "{key}: {refused:?}"
        );
        assert!(soon(bench.client.sync_all(context(), vec![wanted], vec![])).await.unwrap().is_err());
    }
    assert_eq!(bench.vpp.writes(), Vec::<String>::new());
}

/// A known inconsistency must not make every full read take three reads.
#[tokio::test]
async fn what_was_set_aside_once_costs_one_read() {
    let bench = Bench::start().await;
    make(&bench, "::/64").await;
    let reads = || bench.vpp.requests().iter().filter(|name| *name == "lb_vip_dump").count();
    for _ in 0..3 {
        let before = reads();
        soon(bench.client.sync_all(context(), vec![], vec![])).await.unwrap().unwrap();
        assert_eq!(reads() - before, 1);
        soon(bench.client.lb_state(context())).await.unwrap().unwrap();
        assert_eq!(reads() - before, 2);
    }
}
