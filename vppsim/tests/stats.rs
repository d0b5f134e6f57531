//! Reading the stats segment under its faults.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::net::IpAddr;
use std::time::Duration;

use common::{Vppsim, add_vip, soon};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use vppapi::client::Client;
use vppapi::messages::IpRouteLookupV2;
use vppapi::stats::{StatsError, StatsSegment};
use vppapi::types::{Prefix, VipId};

async fn start(arguments: &[&str]) -> (TempDir, Vppsim, StatsSegment) {
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), arguments).await;
    let stats = StatsSegment::connect(vppsim.stats(), Duration::from_secs(5)).await.unwrap();
    (folder, vppsim, stats)
}

/// The counter `no server configured` of a VIP whose connections are all reset, so that it counts them.
struct Counted {
    client: Client,
    vip: VipId,
    connections: u64,
}

impl Counted {
    async fn new(vppsim: &Vppsim, last: u8) -> Self {
        let client = vppsim.client().await;
        let probe = TcpListener::bind((IpAddr::from([127, 98, 0, last]), 0)).await.unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let vip = VipId { prefix: Prefix::host([127, 98, 0, last].into()), protocol: 6, port };
        client.call(add_vip(vip)).await.unwrap();
        Self { client, vip, connections: 0 }
    }

    async fn connect(&mut self) {
        self.connections += 1;
        let address = (self.vip.prefix.address, self.vip.port);
        let reset = async { TcpStream::connect(address).await?.read_u8().await };
        soon(reset).await.unwrap_err();
    }

    async fn stats_index(&self) -> u32 {
        let route = IpRouteLookupV2 { table_id: 0, exact: 1, prefix: self.vip.prefix };
        self.client.call(route).await.unwrap().route.stats_index
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_wrong_is_read_while_vectors_move_and_grow() {
    let (_folder, vppsim, stats) = start(&["--fault", "churn-stats 1ms"]).await;
    let mut counted = Counted::new(&vppsim, 1).await;
    let index = counted.stats_index().await;
    let boot_time = stats.read(|view| view.boot_time()).await.unwrap();
    // The churn begins a moment after the simulator.
    let churns = async {
        while stats.read(|view| view.simple_counters("/if/drops").map(drop)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    soon(churns).await;
    let (mut last_count, mut last_epoch, mut epochs) = (0, 0, 0);
    while epochs < 300 {
        if epochs % 30 == 0 {
            counted.connect().await;
        }
        let (epoch, count, route, rx, drops, began) = stats
            .read(|view| {
                Ok((
                    view.epoch(),
                    view.simple_sums("no server configured", &[1])?,
                    view.combined_sums("/net/route/to", &[index])?,
                    view.combined_counters("/if/rx")?,
                    view.simple_counters("/if/drops")?,
                    view.boot_time()?,
                ))
            })
            .await
            .unwrap();
        assert_eq!(began, boot_time);
        let count = count[0].unwrap();
        assert!((last_count..=counted.connections).contains(&count), "{count} after {last_count}");
        assert!(route[0].unwrap().0 <= counted.connections);
        // One step of the churn gives all of these one value, and their number.
        let step = drops[0][0];
        assert_eq!(drops, [vec![step; 1 + usize::try_from(step).unwrap() % 200]]);
        assert_eq!(rx, [vec![(step, step); drops[0].len()]]);
        epochs += u64::from(epoch != last_epoch);
        (last_count, last_epoch) = (count, epoch);
    }
    soon(async {
        while stats.read(|view| view.simple_sums("no server configured", &[1])).await.unwrap()
            != [Some(counted.connections)]
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_busy_segment_is_not_read_until_it_is_no_longer() {
    let (_folder, vppsim, stats) = start(&[]).await;
    vppsim.told("busy-stats on").await;
    let error = stats.read(|view| view.boot_time()).await.unwrap_err();
    assert!(matches!(error, StatsError::Busy { .. }), "{error}");
    assert_eq!(vppsim.told("list").await, "busy-stats on");
    vppsim.told("busy-stats off").await;
    stats.read(|view| view.boot_time()).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_grows_is_read_whole() {
    let (_folder, vppsim, stats) = start(&[]).await;
    for round in 1..=3_u32 {
        vppsim.told("grow-stats 1000").await;
        let name = format!("/vppsim/filler/{}", 1000 * round);
        let value = stats.read(|view| view.scalar(&name)).await.unwrap().as_u64();
        assert_eq!(value, u64::from(1000 * round));
    }
    vppsim.told("grow-stats 10000").await;
    let error = vppsim.control("grow-stats 10000").await;
    assert_eq!(error, "error the stats directory has 20000 entries, which is the most");
    vppsim.told("restart").await;
    let fresh = StatsSegment::connect(vppsim.stats(), Duration::from_secs(5)).await.unwrap();
    assert!(fresh.read(|view| view.directory()).await.unwrap().len() < 64);
}

#[tokio::test]
async fn garbage_is_noticed_and_clear_ends_it() {
    let (_folder, vppsim, stats) = start(&[]).await;
    for what in ["version", "directory", "pointers", "lengths"] {
        vppsim.told(&format!("break-stats {what}")).await;
        let read = stats.read(|view| view.combined_counters("/net/route/to")).await;
        assert!(read.is_err(), "{what}");
        assert_eq!(vppsim.told("list").await, format!("break-stats {what}"));
        vppsim.told("clear").await;
        stats.read(|view| view.combined_counters("/net/route/to")).await.unwrap();
    }
}
