//! New connections: where they go, and who is turned away.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use vppapi::messages::LbAddDelVipV2;
use vppapi::types::{Prefix, VipId};

use super::super::{Datapath, Transport};
use super::{Lab, echoes, soon, until};

#[tokio::test]
async fn connections_spread_over_the_servers_and_are_counted() {
    let lab = Lab::with_servers(1, &[1, 2]).await;
    let mut open = Vec::new();
    let mut per_server = BTreeMap::new();
    for _ in 0..40 {
        let (mut connection, server) = lab.connect().await.unwrap();
        assert!(echoes(&mut connection).await);
        *per_server.entry(server).or_insert(0) += 1;
        open.push(connection);
    }
    assert_eq!(per_server.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!([lab.flows_of(1), lab.flows_of(2)], [per_server[&1], per_server[&2]]);
    assert_eq!(lab.counters(), [40, 40, 0, 0], "a first packet and a chunk for each");
    drop(open);
    until(|| lab.flows() == 0).await;
}

#[tokio::test]
async fn large_amounts_and_half_closed_connections_go_through() {
    let lab = Lab::with_servers(2, &[1]).await;
    let (connection, _) = lab.connect().await.unwrap();
    let (mut reads, mut writes) = connection.into_split();
    let sent: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let expected = sent.clone();
    let sending = async move {
        writes.write_all(&sent).await.unwrap();
        writes.shutdown().await.unwrap();
        writes
    };
    let mut received = Vec::new();
    let (_writes, count) = soon(async { tokio::join!(sending, reads.read_to_end(&mut received)) }).await;
    assert_eq!(count.unwrap(), expected.len());
    assert_eq!(received, expected);
    until(|| lab.flows() == 0).await;
}

#[tokio::test]
async fn an_empty_table_resets_connections() {
    let lab = Lab::with_servers(3, &[1]).await;
    lab.set_weight(1, 0, false);
    let error = lab.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(lab.counters(), [0, 0, 0, 1]);
}

#[tokio::test]
async fn a_server_that_does_not_accept_is_a_reset_to_the_client() {
    let lab = Lab::new(4, Datapath::new(100)).await;
    lab.add_vip();
    lab.add_server(1, 1);
    let error = lab.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    until(|| lab.flows() == 0).await;
}

#[tokio::test]
async fn a_server_that_is_a_vip_is_not_connected_to() {
    let lab = Lab::new(5, Datapath::new(100)).await;
    lab.add_vip();
    lab.add_server(100, 1);
    let error = lab.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(lab.counters(), [0, 1, 0, 0], "one connection, that did not come back");
}

#[tokio::test]
async fn connections_above_the_limit_are_reset() {
    let lab = Lab::new(6, Datapath::new(2)).await;
    lab.add_vip();
    lab.serve(1).await;
    lab.add_server(1, 1);
    let (first, _) = lab.connect().await.unwrap();
    let (mut second, _) = lab.connect().await.unwrap();
    assert_eq!(lab.connect().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(echoes(&mut second).await);
    drop(first);
    until(|| lab.flows() == 1).await;
    let mut third = lab.connect().await;
    while third.is_err() {
        third = lab.connect().await;
    }
    assert_eq!(lab.flows(), 2);
}

#[tokio::test]
async fn with_src_ip_sticky_a_client_always_meets_the_same_server() {
    let lab = Lab::new(7, Datapath::new(100)).await;
    assert_eq!(lab.request(&LbAddDelVipV2 { src_ip_sticky: true, ..lab.vip_request() }), 0);
    for last in 1..=8 {
        lab.serve(last).await;
        lab.add_server(last, 1);
    }
    let (_, home) = lab.connect().await.unwrap();
    for _ in 0..20 {
        assert_eq!(lab.connect().await.unwrap().1, home);
    }
}

#[tokio::test]
async fn a_vip_whose_address_is_taken_exists_all_the_same() {
    let lab = Lab::new(8, Datapath::new(100)).await;
    let taken = TcpListener::bind(lab.vip_address()).await.unwrap();
    lab.add_vip();
    assert!(!lab.host.listens_at(Transport::Tcp, lab.vip_address()));
    let (_, connection) =
        soon(async { tokio::join!(taken.accept(), TcpStream::connect(lab.vip_address())) }).await;
    assert!(connection.is_ok(), "the other listener keeps its connections");
    lab.remove_vip();
}

#[tokio::test]
async fn only_tcp_ports_of_single_loopback_addresses_listen() {
    let lab = Lab::new(9, Datapath::new(100)).await;
    let vip = lab.vip();
    let others = [
        VipId { protocol: 17, ..vip },
        VipId { prefix: Prefix::host(lab.address(101)), protocol: 6, port: 0 },
        VipId { prefix: Prefix { address: lab.address(0), length: 24 }, ..vip },
        VipId { prefix: Prefix::host([192, 0, 2, 1].into()), ..vip },
    ];
    for vip in others {
        assert_eq!(lab.request(&LbAddDelVipV2 { vip, ..lab.vip_request() }), 0);
    }
    for last in [100, 101, 0] {
        let error = soon(TcpStream::connect((lab.address(last), lab.port))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "address {last}");
    }
}

#[tokio::test]
async fn a_disabled_data_path_listens_nowhere() {
    let lab = Lab::new(10, Datapath::disabled()).await;
    lab.add_vip();
    assert_eq!(lab.connect().await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn ipv6_works_as_well() {
    let lab = Lab::new(11, Datapath::new(100)).await;
    let Ok(probe) = TcpListener::bind("[::1]:0").await else {
        // Not by a macro, whose output the harness shows of failed tests only.
        writeln!(std::io::stderr(), "skipped: this machine has no IPv6 loopback").ok();
        return;
    };
    let address = probe.local_addr().unwrap();
    drop(probe);
    let vip = VipId { prefix: Prefix::host(address.ip()), protocol: 6, port: address.port() };
    assert_eq!(lab.request(&LbAddDelVipV2 { vip, ..lab.vip_request() }), 0);
    assert!(lab.host.listens_at(Transport::Tcp, address));
    let mut connection = soon(TcpStream::connect(address)).await.unwrap();
    let error = soon(connection.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "no server has a weight");
}
