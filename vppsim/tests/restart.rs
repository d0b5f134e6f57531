//! A VPP that dies and comes back, also as another release.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::time::Duration;

use common::{Vppsim, add_as, add_vip, soon};
use tokio::time::Instant;
use vppapi::client::{Client, ClientError, ConnectOptions};
use vppapi::messages::{LbAddDelAsV2, LbConf, LbConfGet, LbVipDump, Message, ShowVersion};
use vppapi::stats::{StatsSegment, View};
use vppapi::types::{Prefix, VipId};

const VIP: VipId = VipId {
    prefix: Prefix { address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 10)), length: 32 },
    protocol: 6,
    port: 80,
};

async fn stats(vppsim: &Vppsim) -> StatsSegment {
    StatsSegment::connect(vppsim.stats(), Duration::from_secs(5)).await.unwrap()
}

async fn boot_time(segment: &StatsSegment) -> u64 {
    segment.read(|view| view.boot_time()).await.unwrap()
}

async fn vips(client: &Client) -> usize {
    client.dump(LbVipDump::default()).await.unwrap().len()
}

#[tokio::test]
async fn a_restarted_vpp_is_another_one_and_has_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), &[]).await;
    let (first, before) = (vppsim.client().await, stats(&vppsim).await);
    first.call(add_vip(VIP)).await.unwrap();
    let began = boot_time(&before).await;
    let told = vppsim.told("restart").await;
    soon(first.closed()).await;
    let (second, after) = (vppsim.client().await, stats(&vppsim).await);
    assert_eq!(second.pid(), first.pid() + 1);
    assert_eq!(told, format!("restarted with pid {}", second.pid()));
    assert!(boot_time(&after).await > began);
    assert_eq!(boot_time(&before).await, began, "who has mapped the old segment keeps it");
    assert_eq!(vips(&second).await, 0);
    second.call(add_vip(VIP)).await.unwrap();
    // Once more while it hangs: the new process does not.
    vppsim.told("hang").await;
    vppsim.told("restart").await;
    assert_eq!(vppsim.told("list").await, "no faults");
    let third = vppsim.client().await;
    assert_eq!((third.pid(), vips(&third).await), (first.pid() + 2, 0));
}

#[tokio::test]
async fn it_is_gone_for_the_pause() {
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), &[]).await;
    let client = vppsim.client().await;
    let begin = Instant::now();
    vppsim.told("restart empty-for 400ms").await;
    assert!(!vppsim.api().exists());
    assert!(!vppsim.stats().exists());
    soon(client.closed()).await;
    // The socket exists slightly before anybody listens on it.
    soon(async {
        while Client::connect(vppsim.api(), ConnectOptions::default()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(begin.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn it_dies_of_the_nth_message() {
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), &["--fault", "restart lb_add_del_as_v2 nth 3"]).await;
    let client = vppsim.client().await;
    client.call(add_vip(VIP)).await.unwrap();
    let results = client.call_all(&[1, 2, 3, 4].map(|last| add_as(VIP, last))).await;
    let lost = results.iter().map(|result| matches!(result, Err(ClientError::Disconnected { .. })));
    assert_eq!(lost.collect::<Vec<_>>(), [false, false, true, true]);
    soon(client.closed()).await;
    // The old socket may still exist for a moment; its clients are disconnected.
    let again = soon(async {
        loop {
            if let Ok(client) = Client::connect(vppsim.api(), Default::default()).await {
                return client;
            }
        }
    })
    .await;
    assert_eq!(vips(&again).await, 0);
    assert_eq!(vppsim.told("wait 1").await, "fault 1 has befallen a request");
}

#[tokio::test]
async fn vpp_26_06_lacks_messages_and_may_be_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), &["--lb-api", "1.1.0", "--message-ids", "shuffled:3"]).await;
    let client = vppsim.client().await;
    assert_eq!(client.table().len(), 880);
    let lacks = |error: ClientError| assert!(matches!(error, ClientError::Unsupported { .. }), "{error}");
    lacks(client.call(LbConfGet {}).await.unwrap_err());
    lacks(client.call(add_as(VIP, 1)).await.unwrap_err());
    assert!(client.call(ShowVersion {}).await.unwrap().version.as_str().starts_with("26.06-vppsim-"));
    client.call(LbConf { flow_timeout: 50, ..conf() }).await.unwrap();
    client.call(add_vip(VIP)).await.unwrap();
    vppsim.told("restart lb-api 1.2.0").await;
    let client = vppsim.client().await;
    assert!(client.table().id(LbAddDelAsV2::NAME_CRC).is_some());
    assert!(client.call(ShowVersion {}).await.unwrap().version.as_str().starts_with("26.10-vppsim-"));
    client.call(add_vip(VIP)).await.unwrap();
    client.call(add_as(VIP, 1)).await.unwrap();
}

fn conf() -> LbConf {
    LbConf {
        ip4_src_address: [192, 0, 2, 1].into(),
        ip6_src_address: std::net::Ipv6Addr::LOCALHOST,
        sticky_buckets_per_core: 1024,
        flow_timeout: 40,
    }
}

#[tokio::test]
async fn heap_and_workers_are_those_it_was_started_with() {
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), &["--heap-size", "2G", "--workers", "3"]).await;
    let started_with = async || {
        let read = |view: &View<'_>| {
            let heap = |name| view.simple_sums(&format!("/mem/main heap/{name}"), &[0]);
            Ok([heap("total")?[0], Some(view.scalar("/sys/num_worker_threads")?.as_u64())])
        };
        stats(&vppsim).await.read(read).await.unwrap().map(Option::unwrap)
    };
    assert_eq!(started_with().await, [2 << 30, 3]);
    vppsim.told("restart").await;
    assert_eq!(started_with().await, [2 << 30, 3]);
    vppsim.told("restart heap-size 64M").await;
    assert_eq!(started_with().await, [64 << 20, 3]);
    vppsim.told("restart workers 0").await;
    assert_eq!(started_with().await, [64 << 20, 0]);
}

#[tokio::test]
async fn rebuilds_are_counted_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), &[]).await;
    let client = vppsim.client().await;
    assert_eq!(vppsim.told("rebuilds").await, "0 rebuilds");
    client.call(add_vip(VIP)).await.unwrap();
    client.call(add_as(VIP, 1)).await.unwrap();
    assert_eq!(vppsim.told("rebuilds").await, "2 rebuilds");
    vppsim.told("restart").await;
    assert_eq!(vppsim.told("rebuilds").await, "0 rebuilds");
}
