//! Effect of table changes on existing connections.

use std::io::ErrorKind;

use tokio::io::AsyncReadExt;

use super::super::{Datapath, Transport};
use super::{Lab, echoes, is_reset, until};

#[tokio::test]
async fn draining_keeps_connections_and_takes_no_new_ones() {
    let lab = Lab::with_servers(20, &[1]).await;
    let (mut old, _) = lab.connect().await.unwrap();
    lab.serve(2).await;
    lab.add_server(2, 1);
    lab.set_weight(1, 0, false);
    assert!(echoes(&mut old).await);
    for _ in 0..20 {
        assert_eq!(lab.connect().await.unwrap().1, 2);
    }
    assert!(echoes(&mut old).await);
    assert_eq!(lab.flows_of(1), 1);
}

#[tokio::test]
async fn a_connection_from_a_reused_port_is_another_flow() {
    let lab = Lab::with_servers(26, &[1]).await;
    let from_one_port = async || {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind((lab.address(200), lab.port).into()).unwrap();
        let mut connection = socket.connect(lab.vip_address()).await.unwrap();
        // A reset connection does not occupy the port.
        super::super::relay::reset(&connection);
        connection.read_u8().await.unwrap()
    };
    assert_eq!(from_one_port().await, 1);
    lab.serve(2).await;
    lab.add_server(2, 1);
    lab.set_weight(1, 0, false);
    assert_eq!(from_one_port().await, 2);
}

#[tokio::test]
async fn a_flush_resets_the_connections_of_its_server_at_once() {
    let lab = Lab::with_servers(21, &[1]).await;
    let (mut old, _) = lab.connect().await.unwrap();
    lab.serve(2).await;
    lab.add_server(2, 1);
    lab.set_weight(1, 0, false);
    let (mut new, _) = lab.connect().await.unwrap();
    lab.set_weight(1, 0, true);
    assert!(is_reset(&mut old).await);
    assert!(echoes(&mut new).await);
    until(|| lab.flows() == 1).await;
}

#[tokio::test]
async fn a_removed_server_keeps_its_connections_until_it_is_flushed() {
    let lab = Lab::with_servers(22, &[1]).await;
    let (mut old, _) = lab.connect().await.unwrap();
    lab.remove_server(1, false);
    assert!(echoes(&mut old).await);
    assert_eq!(lab.connect().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(lab.flows_of(1), 1);
    lab.remove_server(1, true);
    assert!(is_reset(&mut old).await);
    assert_eq!(lab.flows_of(1), 0);
}

#[tokio::test]
async fn a_removed_vip_refuses_connections_and_ends_those_it_had() {
    let lab = Lab::with_servers(23, &[1]).await;
    let (mut old, _) = lab.connect().await.unwrap();
    lab.remove_vip();
    assert_eq!(lab.connect().await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(is_reset(&mut old).await);
    assert_eq!(lab.flows(), 0);
}

#[tokio::test]
async fn a_vip_made_anew_listens_again_at_once() {
    let lab = Lab::with_servers(24, &[1]).await;
    for _ in 0..10 {
        let (_connection, _) = lab.connect().await.unwrap();
        lab.remove_vip();
        lab.add_vip();
        assert!(lab.host.listens_at(Transport::Tcp, lab.vip_address()));
        lab.add_server(1, 1);
        assert_eq!(lab.connect().await.unwrap().1, 1);
    }
}

#[tokio::test]
async fn a_server_going_away_is_seen_by_the_client() {
    let lab = Lab::new(25, Datapath::new(100)).await;
    lab.add_vip();
    lab.add_server(1, 1);
    let listener = tokio::net::TcpListener::bind((lab.address(1), lab.port)).await.unwrap();
    let server = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut connection, &[1]).await.unwrap();
        connection
    };
    let (accepted, connected) = tokio::join!(server, lab.connect());
    let (mut connection, _) = connected.unwrap();
    super::super::relay::reset(&accepted);
    drop(accepted);
    assert!(is_reset(&mut connection).await);
    until(|| lab.flows() == 0).await;
}
