//! The whole program: start, end, and behaviour towards a VPP client.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::fs;
use std::net::IpAddr;

use common::{Vppsim, add_as, add_vip, command, soon};
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use vppapi::client::ClientError;
use vppapi::messages::{
    CliInband, IpRouteLookupV2, LbAddDelVipV2, LbAsV2Dump, LbConf, LbVipDump, ShowVersion,
};
use vppapi::stats::StatsSegment;
use vppapi::types::{Prefix, VipId};

fn documentation_vip() -> VipId {
    VipId { prefix: Prefix::host([203, 0, 113, 10].into()), protocol: 6, port: 80 }
}

#[tokio::test]
async fn help_and_version_are_told() {
    let help = soon(command().arg("--help").output()).await.unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    for flag in [
        "--run-dir",
        "--no-datapath",
        "--api-trace",
        "--message-ids",
        "--lb-api",
        "--fault",
        "MAGLEV_VPPSIM_RUN_DIR",
        "MAGLEV_VPPSIM_FAULTS",
        "MAGLEV_VPPSIM_LB_API",
        "MAGLEV_LOG",
    ] {
        assert!(text.contains(flag), "{flag} is missing in {text}");
    }
    let version = soon(command().arg("--version").output()).await.unwrap();
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        concat!("vppsim ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[tokio::test]
async fn signals_end_it_cleanly() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = folder.path().join("run");
        let vppsim = Vppsim::start(&run_dir, &[]).await;
        let client = vppsim.client().await;
        assert_eq!(client.pid(), vppsim.pid());
        vppsim.signal(signal);
        let (status, log) = vppsim.ended().await;
        assert!(status.success(), "{log}");
        assert_eq!(fs::read_dir(&run_dir).unwrap().count(), 0, "sockets are left");
        soon(client.closed()).await;
    }
}

#[tokio::test]
async fn a_folder_in_use_is_refused_and_one_of_the_dead_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let first = Vppsim::start(folder.path(), &[]).await;
    let second = soon(command().arg("--run-dir").arg(folder.path()).output()).await.unwrap();
    assert_eq!(second.status.code(), Some(1));
    let log = String::from_utf8(second.stderr).unwrap();
    assert!(log.contains("api.sock is in use: another process listens there"), "{log}");
    first.client().await;
    first.signal(Signal::SIGKILL);
    first.ended().await;
    assert!(folder.path().join("api.sock").exists());
    let third = Vppsim::start(folder.path(), &[]).await;
    third.client().await;
}

#[tokio::test]
async fn a_deadly_request_ends_it_as_it_ends_vpp() {
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), &[]).await;
    let client = vppsim.client().await;
    let request = LbAddDelVipV2 { new_flows_table_length: 0, ..add_vip(documentation_vip()) };
    let error = client.call(request).await.unwrap_err();
    assert!(matches!(error, ClientError::Disconnected { .. }), "{error}");
    let (status, log) = vppsim.ended().await;
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("ending as a real VPP would"), "{log}");
    assert!(log.contains("new_flows_table_length is 0"), "{log}");
}

#[tokio::test]
async fn the_first_packet_ends_it_where_the_heap_has_no_room_for_the_sticky_table() {
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), &["--heap-size", "512M"]).await;
    let client = vppsim.client().await;
    let conf = LbConf {
        ip4_src_address: [127, 0, 0, 1].into(),
        ip6_src_address: std::net::Ipv6Addr::LOCALHOST,
        sticky_buckets_per_core: 1 << 23,
        flow_timeout: 40,
    };
    client.call(conf).await.unwrap();
    let port = serve([127, 99, 1, 1].into(), 0, 1).await;
    let vip = VipId { prefix: Prefix::host([127, 99, 1, 100].into()), protocol: 6, port };
    client.call(add_vip(vip)).await.unwrap();
    TcpStream::connect((IpAddr::from([127, 99, 1, 100]), port)).await.ok();
    let (status, log) = vppsim.ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains("first packet with a sticky table of 8388608 buckets: it needs 536871040 bytes"),
        "{log}"
    );
}

#[tokio::test]
async fn a_client_finds_what_it_configured_whatever_the_ids() {
    for ids in ["recorded", "shuffled", "shuffled:7"] {
        let folder = tempfile::tempdir().unwrap();
        let vppsim = Vppsim::start(folder.path(), &["--message-ids", ids]).await;
        let client = vppsim.client().await;
        let version = client.call(ShowVersion {}).await.unwrap();
        assert_eq!(version.version.as_str(), concat!("26.10-vppsim-", env!("CARGO_PKG_VERSION")));
        client.call(add_vip(documentation_vip())).await.unwrap();
        for result in client.call_all(&[1, 2, 3].map(|last| add_as(documentation_vip(), last))).await {
            result.unwrap();
        }
        assert_eq!(client.dump(LbVipDump::default()).await.unwrap().len(), 1);
        let servers = client.dump(LbAsV2Dump::default()).await.unwrap();
        assert_eq!(servers.iter().map(|server| server.num_buckets).sum::<u32>(), 1024);
        let text = client.call(CliInband { cmd: "show lb vips verbose".into() }).await.unwrap();
        assert!(text.reply.as_str().starts_with(" ip4-gre4 [1] 203.0.113.10/32\n"));
    }
}

#[tokio::test]
async fn a_wrong_list_of_ids_is_explained() {
    let output =
        soon(command().args(["--run-dir", "/nonexistent", "--message-ids", "odd"]).output()).await.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("expected recorded, shuffled, or shuffled:SEED"), "{text}");
    assert_eq!(output.status.code(), Some(2));
}

/// A toy server that answers each connection with its number.
async fn serve(address: IpAddr, port: u16, number: u8) -> u16 {
    let listener = TcpListener::bind((address, port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            connection.write_all(&[number]).await.unwrap();
            tokio::spawn(async move {
                let (mut reads, mut writes) = connection.split();
                tokio::io::copy(&mut reads, &mut writes).await
            });
        }
    });
    port
}

#[tokio::test]
async fn connections_through_a_vip_show_in_the_counters() {
    let folder = tempfile::tempdir().unwrap();
    let vppsim = Vppsim::start(folder.path(), &[]).await;
    let client = vppsim.client().await;
    let stats = StatsSegment::connect(vppsim.stats(), std::time::Duration::from_secs(5)).await.unwrap();
    let port = serve([127, 99, 0, 1].into(), 0, 1).await;
    let vip = VipId { prefix: Prefix::host([127, 99, 0, 100].into()), protocol: 6, port };
    client.call(add_vip(vip)).await.unwrap();
    client.call(add_as(vip, 1)).await.unwrap();
    let route = IpRouteLookupV2 { table_id: 0, exact: 1, prefix: vip.prefix };
    let stats_index = client.call(route).await.unwrap().route.stats_index;
    let mut connection = TcpStream::connect((IpAddr::from([127, 99, 0, 100]), port)).await.unwrap();
    for _ in 0..3 {
        connection.write_all(b"ping").await.unwrap();
        soon(connection.read_exact(&mut [0; 4])).await.unwrap();
    }
    let read = || {
        stats.read(|view| {
            let sum = |name| view.simple_sums(name, &[1]);
            let route = view.combined_sums("/net/route/to", &[stats_index])?;
            Ok((
                sum("first session packet")?,
                sum("packet from existing sessions")?,
                route,
                view.boot_time()?,
            ))
        })
    };
    // As in VPP, a counter changes without regard to the others: all are as expected a moment later.
    let expected = (vec![Some(1)], vec![Some(3)], vec![Some((4, 4 * 40 + 3 * 4))]);
    let arrive = async {
        loop {
            let (first, existing, route, boot_time) = read().await.unwrap();
            if (first, existing, route) == expected {
                return boot_time;
            }
            tokio::task::yield_now().await;
        }
    };
    let boot_time = soon(arrive).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((now - 3600..=now).contains(&boot_time));
}

#[tokio::test]
async fn a_trace_has_every_message_as_soon_as_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.jsonl");
    let vppsim = Vppsim::start(folder.path(), &["--api-trace", trace.to_str().unwrap()]).await;
    let client = vppsim.client().await;
    client.call(add_vip(documentation_vip())).await.unwrap();
    client.call(add_vip(documentation_vip())).await.unwrap_err();
    let text = fs::read_to_string(&trace).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let writes: Vec<_> = lines.iter().filter(|line| line["name"] == "lb_add_del_vip_v2").collect();
    assert_eq!(writes.len(), 2);
    assert_eq!(writes[0]["fields"]["prefix"], "203.0.113.10/32");
    assert_eq!((&writes[0]["dir"], &writes[0]["client_name"]), (&"received".into(), &"vppapi".into()));
    let answers = lines.iter().filter(|line| line["name"] == "lb_add_del_vip_v2_reply");
    assert_eq!(answers.map(|line| line["retval"].as_i64().unwrap()).collect::<Vec<_>>(), [0, -81]);
    assert!(lines.iter().all(|line| line["time"].as_f64().is_some_and(|time| time > 1e9)));
}
