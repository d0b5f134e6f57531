//! UDP.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::UdpSocket;
use vppapi::messages::{LbConf, LbFlushVip};

use super::super::{Datapath, Transport};
use super::{Lab, soon, until};

/// A lab whose VIP is for UDP.
async fn lab(network: u8, datapath: Datapath) -> Lab {
    let lab = Lab { protocol: 17, ..Lab::new(network, datapath).await };
    lab.add_vip();
    lab
}

/// With servers that all answer.
async fn with_servers(network: u8, servers: &[u8]) -> Lab {
    let lab = lab(network, Datapath::new(100)).await;
    for last in servers {
        serve(&lab, *last).await;
        lab.add_server(*last, 1);
    }
    lab
}

/// A server that answers each packet with its number.
async fn serve(lab: &Lab, last: u8) {
    let socket = UdpSocket::bind((lab.address(last), lab.port)).await.unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 100];
        while let Ok((_, from)) = socket.recv_from(&mut buffer).await {
            socket.send_to(&[last], from).await.unwrap();
        }
    });
}

/// A client of the VIP, with a port of its own.
async fn client(lab: &Lab) -> UdpSocket {
    let socket = UdpSocket::bind((lab.address(200), 0)).await.unwrap();
    socket.connect(lab.vip_address()).await.unwrap();
    socket
}

/// Sends a packet; returns the number of the answering server.
async fn ask(client: &UdpSocket) -> u8 {
    let mut answer = [0; 2];
    soon(async {
        client.send(b"ping").await.unwrap();
        assert_eq!(client.recv(&mut answer).await.unwrap(), 1);
    })
    .await;
    answer[0]
}

#[tokio::test]
async fn a_flow_stays_with_its_server_and_each_packet_counts() {
    let lab = with_servers(60, &[1, 2, 3]).await;
    let mut met = [0_u64; 4];
    // All are kept: a freed port might be reused by the next one, which would then belong to the same flow.
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(client(&lab).await);
    }
    for client in clients {
        let server = ask(&client).await;
        for _ in 0..4 {
            assert_eq!(ask(&client).await, server);
        }
        met[usize::from(server)] += 1;
    }
    assert!(met[1..].iter().all(|count| *count > 0), "{met:?}");
    assert_eq!(lab.counters(), [160, 40, 0, 0]);
    assert_eq!([1, 2, 3].map(|last| lab.flows_of(last)), met[1..]);
    let traffic = lab.host.with_lb(|lb| lb.fib().traffic().iter().map(|route| route.bytes).max());
    assert_eq!(traffic, Some(200 * (28 + 4)));
}

#[tokio::test]
async fn a_drained_server_keeps_its_flows_until_the_flush_moves_them() {
    let lab = with_servers(61, &[1]).await;
    let (old, new) = (client(&lab).await, client(&lab).await);
    assert_eq!(ask(&old).await, 1);
    serve(&lab, 2).await;
    lab.add_server(2, 1);
    lab.set_weight(1, 0, false);
    assert_eq!((ask(&old).await, ask(&new).await), (1, 2));
    lab.set_weight(1, 0, true);
    assert_eq!((lab.flows_of(1), lab.flows_of(2)), (0, 1));
    assert_eq!((ask(&old).await, ask(&new).await), (2, 2));
    assert_eq!(lab.counters(), [2, 3, 0, 0]);
    assert_eq!(lab.flows(), 2);
}

#[tokio::test]
async fn a_flushed_flow_that_meets_the_same_server_again_goes_on() {
    let lab = with_servers(62, &[1]).await;
    let client = client(&lab).await;
    ask(&client).await;
    assert_eq!(lab.request(&LbFlushVip { vip: lab.vip() }), 0);
    assert_eq!(ask(&client).await, 1);
    assert_eq!((lab.counters(), lab.flows()), ([0, 2, 0, 0], 1));
}

#[tokio::test]
async fn without_a_server_packets_are_dropped_and_counted() {
    let lab = with_servers(63, &[1]).await;
    let client = client(&lab).await;
    ask(&client).await;
    lab.remove_server(1, true);
    client.send(b"ping").await.unwrap();
    until(|| lab.counters() == [0, 1, 0, 1]).await;
    lab.add_server(1, 1);
    assert_eq!(ask(&client).await, 1);
    assert_eq!(lab.flows(), 1);
}

#[tokio::test]
async fn a_removed_vip_receives_nothing_and_comes_back_at_once() {
    let lab = with_servers(64, &[1]).await;
    let client = client(&lab).await;
    ask(&client).await;
    lab.remove_vip();
    assert_eq!(lab.flows(), 0);
    assert!(!lab.host.listens_at(Transport::Udp, lab.vip_address()));
    let refused = async {
        loop {
            if let Err(error) = client.send(b"ping").await {
                return error.kind();
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(soon(refused).await, ErrorKind::ConnectionRefused);
    for _ in 0..10 {
        lab.add_vip();
        lab.add_server(1, 1);
        assert_eq!(ask(&self::client(&lab).await).await, 1);
        lab.remove_vip();
    }
}

#[tokio::test]
async fn a_silent_flow_is_forgotten() {
    let lab = with_servers(65, &[1]).await;
    let client = client(&lab).await;
    // Before the first packet: what is pinned already keeps its time.
    let conf = LbConf {
        ip4_src_address: [127, 0, 0, 1].into(),
        ip6_src_address: std::net::Ipv6Addr::LOCALHOST,
        sticky_buckets_per_core: 1024,
        flow_timeout: 1,
    };
    assert_eq!(lab.request(&conf), 0);
    ask(&client).await;
    assert_eq!(lab.flows(), 1);
    until(|| lab.flows() == 0).await;
    assert_eq!(ask(&client).await, 1);
    assert_eq!(lab.counters(), [0, 2, 0, 0]);
}

#[tokio::test]
async fn one_flow_too_many_is_dropped_and_the_others_go_on() {
    let lab = lab(66, Datapath::new(2)).await;
    serve(&lab, 1).await;
    lab.add_server(1, 1);
    let (first, second, third) = (client(&lab).await, client(&lab).await, client(&lab).await);
    ask(&first).await;
    ask(&second).await;
    third.send(b"ping").await.unwrap();
    // The VIP's packets are handled in order: after this answer, the third client's has been dropped.
    ask(&first).await;
    assert_eq!(third.try_recv(&mut [0; 2]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!((lab.counters(), lab.flows()), ([1, 2, 0, 0], 2));
}

#[tokio::test]
async fn a_server_that_comes_late_is_found() {
    let lab = lab(67, Datapath::new(10)).await;
    lab.add_server(1, 1);
    let client = client(&lab).await;
    client.send(b"lost").await.unwrap();
    until(|| lab.flows() == 1).await;
    serve(&lab, 1).await;
    assert_eq!(ask(&client).await, 1);
}

#[tokio::test]
async fn a_vip_is_not_its_own_server() {
    let lab = lab(68, Datapath::new(10)).await;
    lab.add_server(100, 1);
    let client = client(&lab).await;
    client.send(b"ping").await.unwrap();
    until(|| lab.counters() == [0, 1, 0, 0]).await;
    until(|| lab.flows() == 0).await;
}

#[tokio::test]
async fn tcp_and_udp_share_an_address_and_a_port() {
    let lab = with_servers(69, &[1]).await;
    let tcp = Lab { protocol: 6, ..lab };
    tcp.add_vip();
    tcp.serve(2).await;
    tcp.add_server(2, 1);
    assert_eq!(tcp.connect().await.unwrap().1, 2);
    let udp = Lab { protocol: 17, ..tcp };
    assert_eq!(ask(&client(&udp).await).await, 1);
}

#[tokio::test]
async fn a_restart_ends_every_flow_and_listens_nowhere() {
    let lab = with_servers(70, &[1]).await;
    let client = client(&lab).await;
    ask(&client).await;
    lab.host.restart(crate::faults::Restart::default()).unwrap();
    let address: SocketAddr = lab.vip_address();
    assert!(!lab.host.listens_at(Transport::Udp, address));
    assert_eq!(lab.flows(), 0);
}
