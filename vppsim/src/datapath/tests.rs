mod changes;
mod connections;
mod packets;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use vppapi::messages::{
    LbAddDelAsV2, LbAddDelVipV2, LbAsSetWeight, Message, SOCKCLNT_CREATE_ID, SockclntCreate, encode_bare,
    encode_request,
};
use vppapi::types::{Encap, Prefix, VipId};
use vppapi::wire::FixedString;

use super::Datapath;
use crate::api::{ClientId, Identity, MessageIds, Simulator};
use crate::host::Host;
use crate::lb::Lb;
use crate::stats::Segment;
use crate::stats::memory::Memory;

/// Only reached by a test that would otherwise hang.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("the test hangs")
}

/// Waits until something holds.
pub(super) async fn until(mut holds: impl FnMut() -> bool) {
    soon(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A simulator with a client, and a network of loopback addresses that no other test uses.
pub(super) struct Lab {
    pub(super) host: Arc<Host>,
    client: ClientId,
    network: u8,
    protocol: u8,
    pub(super) port: u16,
}

impl Lab {
    /// Each test must give another number.
    pub(super) async fn new(network: u8, datapath: Datapath) -> Self {
        let identity = Identity {
            pid: 1,
            version: String::new(),
            build_date: String::new(),
            build_directory: String::new(),
        };
        let simulator = Simulator::new(identity, MessageIds::recorded());
        let segment = Segment::new(Memory::new().unwrap(), 0).unwrap();
        let host = Host::new(simulator, segment, datapath);
        let client = host.connect();
        let create = SockclntCreate { context: 0, name: FixedString::default() };
        host.handle(client, &encode_bare(SOCKCLNT_CREATE_ID, &create));
        // Nobody else uses ports in this network, so this one is free at its other addresses too.
        let probe = TcpListener::bind((IpAddr::from([127, network, 0, 1]), 0)).await.unwrap();
        let port = probe.local_addr().unwrap().port();
        Self { host, client, network, protocol: 6, port }
    }

    pub(super) fn address(&self, last: u8) -> IpAddr {
        [127, self.network, 0, last].into()
    }

    pub(super) fn vip(&self) -> VipId {
        VipId { prefix: Prefix::host(self.address(100)), protocol: self.protocol, port: self.port }
    }

    pub(super) fn vip_address(&self) -> SocketAddr {
        SocketAddr::new(self.address(100), self.port)
    }

    /// Sends a request and tells its return value.
    pub(super) fn request<M: Message>(&self, request: &M) -> i32 {
        let id = MessageIds::recorded().id(M::NAME_CRC).unwrap();
        let body = encode_request(id, self.client.index(), 0, request);
        let outcome = self.host.handle(self.client, &body);
        let retval = outcome.answers[0][6..10].try_into().unwrap();
        i32::from_be_bytes(retval)
    }

    pub(super) fn vip_request(&self) -> LbAddDelVipV2 {
        LbAddDelVipV2::gre(self.vip(), Encap::Gre4, 1024)
    }

    pub(super) fn add_vip(&self) {
        assert_eq!(self.request(&self.vip_request()), 0);
    }

    pub(super) fn remove_vip(&self) {
        assert_eq!(self.request(&LbAddDelVipV2 { is_del: true, ..self.vip_request() }), 0);
    }

    pub(super) fn add_server(&self, last: u8, weight: u8) {
        let request = LbAddDelAsV2 {
            vip: self.vip(),
            as_address: self.address(last),
            weight,
            is_del: false,
            is_flush: false,
        };
        assert_eq!(self.request(&request), 0);
    }

    pub(super) fn remove_server(&self, last: u8, is_flush: bool) {
        let request = LbAddDelAsV2 {
            vip: self.vip(),
            as_address: self.address(last),
            weight: 0,
            is_del: true,
            is_flush,
        };
        assert_eq!(self.request(&request), 0);
    }

    pub(super) fn set_weight(&self, last: u8, weight: u8, is_flush: bool) {
        let request = LbAsSetWeight { vip: self.vip(), as_address: self.address(last), weight, is_flush };
        assert_eq!(self.request(&request), 0);
    }

    /// A server that greets with its number, then echoes until the client has finished.
    pub(super) async fn serve(&self, last: u8) {
        let listener = TcpListener::bind((self.address(last), self.port)).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reads, mut writes) = connection.split();
                    writes.write_all(&[last]).await?;
                    tokio::io::copy(&mut reads, &mut writes).await?;
                    writes.shutdown().await
                });
            }
        });
    }

    /// A VIP with these servers, which all answer.
    pub(super) async fn with_servers(network: u8, servers: &[u8]) -> Self {
        let lab = Self::new(network, Datapath::new(100)).await;
        lab.add_vip();
        for last in servers {
            lab.serve(*last).await;
            lab.add_server(*last, 1);
        }
        lab
    }

    /// Connects to the VIP; returns the server's number, or the error.
    pub(super) async fn connect(&self) -> std::io::Result<(TcpStream, u8)> {
        soon(async {
            let mut connection = TcpStream::connect(self.vip_address()).await?;
            let server = connection.read_u8().await?;
            Ok((connection, server))
        })
        .await
    }

    pub(super) fn counters(&self) -> [u64; 4] {
        self.host.with_lb(|lb| lb.counters()[1])
    }

    pub(super) fn flows(&self) -> usize {
        self.host.with_lb(Lb::open_flows)
    }

    pub(super) fn flows_of(&self, last: u8) -> u64 {
        let address = self.address(last).into();
        self.host.with_lb(|lb| {
            let servers = lb.vips().flat_map(|(_, vip)| lb.servers_of(vip));
            servers
                .filter(|(_, server)| server.address == address)
                .map(|(index, _)| lb.pinned_to(index))
                .sum()
        })
    }
}

/// Whether what is sent comes back.
pub(super) async fn echoes(connection: &mut TcpStream) -> bool {
    let echo = async {
        connection.write_all(b"ping").await?;
        let mut answer = [0; 4];
        connection.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    soon(echo).await.is_ok_and(|answer| &answer == b"ping")
}

pub(super) async fn is_reset(connection: &mut TcpStream) -> bool {
    let error = soon(connection.read_u8()).await.expect_err("nothing is sent");
    error.kind() == std::io::ErrorKind::ConnectionReset
}
