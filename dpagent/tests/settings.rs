//! The lb plugin's settings, and everything else that takes room in VPP's heap.

// Clippy exempts functions marked as tests, but not their helpers.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;

use common::{Agent, Bench, POLICY, context, is_connected, soon, spec, until};
use maglev_protocol::{AgentClient, AgentError, ConfReport, Demands, LbConfSpec};
use vppapi::messages::LbAddDelVipV2;
use vppapi::types::{self, VipId};
use vppsim::control;

fn buckets(sticky_buckets_per_core: u32) -> LbConfSpec {
    LbConfSpec { ip4_src_address: None, ip6_src_address: None, sticky_buckets_per_core, flow_timeout: 40 }
}

async fn set(client: &AgentClient, wanted: LbConfSpec) -> Result<ConfReport, AgentError> {
    soon(client.lb_conf(context(), wanted)).await.unwrap()
}

/// Restarts VPP with this heap and number of workers, and an agent with this policy.
async fn restarted(bench: Bench, heap: &str, workers: u32, policy: &str) -> Bench {
    let Bench { directory, vpp, agent, client } = bench;
    drop(client);
    agent.end().await;
    let line = format!("restart heap-size {heap} workers {workers}");
    let answer = control::answer(&vpp.host, &line).await;
    assert!(answer.starts_with("ok"), "{answer}");
    let agent = Agent::with_policy(directory.path(), policy).await;
    let client = agent.client().await;
    until(&client, is_connected).await;
    Bench { directory, vpp, agent, client }
}

/// Sends packets of so many flows; false if VPP died of one.
fn packets(bench: &Bench, flows: u16) -> bool {
    let vip = bench.vpp.host.with_lb(|lb| lb.vips().next().unwrap().0);
    for port in 1..=flows {
        let client = SocketAddr::new([198, 51, 100, 1].into(), port);
        // A dead VPP has no server for the flow.
        bench.vpp.host.open_flow(vip, client, "192.0.2.1:80".parse().unwrap(), 40).ok();
    }
    bench.vpp.host.with_lb(|lb| lb.death().is_none())
}

#[tokio::test]
async fn sticky_tables_that_the_heap_has_no_room_for_are_not_set() {
    let policy = format!("{POLICY}lb-settings: {{sticky-buckets: 16777216}}");
    for (workers, fits, too_many) in [(0, 1 << 22, 1 << 23), (1, 1 << 21, 1 << 22), (4, 1 << 20, 1 << 21)] {
        let bench = restarted(Bench::start().await, "512M", workers, &policy).await;
        soon(bench.client.sync_vip(context(), spec(80, &[1]), Demands::default())).await.unwrap().unwrap();
        assert!(packets(&bench, 100));
        let refused = set(&bench.client, buckets(too_many)).await.unwrap_err();
        assert!(matches!(refused, AgentError::NotAllowed { .. }));
        let threads = workers + 1;
        let said = refused.to_string();
        assert!(
            said.starts_with(&format!(
                "the agent refused a change from 1024 to {too_many} sticky buckets: {threads} thread"
            )),
            "{said}"
        );
        assert!(said.ends_with(&format!(": {fits} buckets would fit")), "{said}");
        set(&bench.client, buckets(1 << 24)).await.unwrap_err();
        assert!(!bench.vpp.writes().contains(&"lb_conf".to_owned()));
        assert!(set(&bench.client, buckets(fits)).await.unwrap().changed);
        assert!(packets(&bench, 100), "VPP died of what was let through");
        assert!(set(&bench.client, buckets(1024)).await.unwrap().changed);
        assert!(packets(&bench, 100));
        bench.agent.end().await;
    }
}

#[tokio::test]
async fn the_type_bounds_what_the_policy_cannot() {
    let bench = Bench::start().await;
    for wanted in [0, 1 << 25, 1 << 26, 1 << 31, u32::MAX] {
        assert!(
            matches!(set(&bench.client, buckets(wanted)).await, Err(AgentError::Contradiction(_))),
            "{wanted}"
        );
    }
    for (ip4, ip6) in [
        (Some([0, 0, 0, 0]), None),
        (Some([224, 0, 0, 1]), None),
        (None, Some("::")),
        (None, Some("ff02::1")),
    ] {
        let sources = LbConfSpec {
            ip4_src_address: ip4.map(Into::into),
            ip6_src_address: ip6.map(|text| text.parse().unwrap()),
            ..buckets(1024)
        };
        assert!(
            matches!(set(&bench.client, sources).await, Err(AgentError::Contradiction(_))),
            "{sources:?}"
        );
    }
    assert_eq!(bench.vpp.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn without_stats_the_default_is_set_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let vpp = common::Vpp::start(directory.path(), 7);
    std::fs::remove_file(directory.path().join("stats.sock")).unwrap();
    let agent = Agent::start(directory.path()).await;
    let client = agent.client().await;
    until(&client, is_connected).await;
    let refused = set(&client, buckets(131_072)).await.unwrap_err().to_string();
    assert!(refused.contains("the figures of VPP's main heap cannot be read"), "{refused}");
    assert!(set(&client, buckets(65_536)).await.unwrap().changed);
    assert_eq!(vpp.writes(), ["lb_conf"]);
}

#[tokio::test]
async fn the_policy_bounds_buckets_sources_and_timeout() {
    let policy = format!(
        "{POLICY}lb-settings: {{sticky-buckets: 65536, tunnel-sources: [192.0.2.0/24], flow-timeout: [10, 60]}}"
    );
    let bench = restarted(Bench::start().await, "1G", 0, &policy).await;
    for wanted in [
        buckets(131_072),
        LbConfSpec { flow_timeout: 9, ..buckets(1024) },
        LbConfSpec { ip4_src_address: Some([198, 51, 100, 1].into()), ..buckets(1024) },
        LbConfSpec { ip6_src_address: Some("2001:db8::1".parse().unwrap()), ..buckets(1024) },
    ] {
        assert!(matches!(set(&bench.client, wanted).await, Err(AgentError::NotAllowed { .. })), "{wanted:?}");
    }
    assert_eq!(bench.vpp.writes(), Vec::<String>::new());
    let fitting = LbConfSpec { ip4_src_address: Some([192, 0, 2, 9].into()), ..buckets(65_536) };
    assert!(set(&bench.client, fitting).await.unwrap().changed);
}

/// The foreign VIP is added after the agent's last full read.
#[tokio::test]
async fn settings_stay_while_vpp_has_vips_of_others_unless_the_policy_lets_them_change() {
    for (prefix, words) in [("203.0.113.9/32", "203.0.113.9 udp/53"), ("::/64", "0.0.0.0/64 udp/53")] {
        let bench = Bench::start().await;
        let hand = bench.vpp.client(bench.path()).await;
        let (address, length) = prefix.split_once('/').unwrap();
        let prefix = types::Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() };
        let vip = VipId { prefix, protocol: 17, port: 53 };
        soon(hand.call(LbAddDelVipV2::gre(vip, types::Encap::Gre6, 1024))).await.unwrap();
        let refused = set(&bench.client, buckets(65_536)).await.unwrap_err();
        assert!(matches!(refused, AgentError::NotAllowed { .. }));
        assert!(
            refused.to_string().contains(&format!("VIP {words}, which is outside the policy")),
            "{refused}"
        );
        assert!(!set(&bench.client, buckets(1024)).await.unwrap().changed, "nothing to change");
        let report =
            soon(bench.client.sync_all(context(), vec![spec(80, &[1])], vec![])).await.unwrap().unwrap();
        assert_eq!(report.errors().next(), None);

        drop(bench.client);
        bench.agent.end().await;
        let policy = format!("{POLICY}lb-settings: {{beside-foreign-vips: true}}");
        let agent = Agent::with_policy(bench.directory.path(), &policy).await;
        let client = agent.client().await;
        until(&client, is_connected).await;
        assert!(set(&client, buckets(65_536)).await.unwrap().changed);
        agent.end().await;
    }
}

/// 65,536 buckets are 256 KiB a VIP.
#[tokio::test]
async fn vips_that_the_heap_has_no_room_for_are_refused_and_others_made() {
    let bench = restarted(Bench::start().await, "96M", 0, POLICY).await;
    let large = |port| maglev_protocol::VipSpec { new_flows_table_length: 65_536, ..spec(port, &[1]) };
    let wanted: Vec<_> = (1..=200).map(large).collect();
    let report = soon(bench.client.sync_all(context(), wanted, vec![])).await.unwrap().unwrap();
    let refused = report.errors().count();
    assert!((50..150).contains(&refused), "{refused}");
    assert_eq!(bench.vpp.vips().len(), 200 - refused);
    let error = report.errors().next().unwrap().1;
    assert_eq!((error.step.as_str(), error.code), ("add the VIP", None));
    assert!(error.meaning.contains("of the 96 MiB of VPP's main heap are free"), "{}", error.meaning);
    let free = bench.vpp.host.with_lb(|lb| lb.heap().free());
    assert!(free >= 32 << 20, "{free} bytes are left to the rest of VPP");
}
