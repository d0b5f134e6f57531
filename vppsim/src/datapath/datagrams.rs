//! Relays the UDP packets to one VIP.
//!
//! All packets from one address and port are a flow. Each flow has a socket of its own, by which its packets go to
//! the server and the server's answers come back; they reach the client from the VIP's socket.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, interval, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, warn};

use super::Transport;
use crate::host::Host;
use crate::lb::FlowId;

/// Longest packet.
const LONGEST: usize = 64 << 10;

/// How often silent flows are looked for.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);

/// After an error that may last.
const PAUSE: Duration = Duration::from_millis(100);

/// Headers of IP and UDP.
const HEADERS_IPV4: u64 = 28;
const HEADERS_IPV6: u64 = 48;

/// What the task of a VIP needs.
pub(super) struct Receiving {
    pub(super) host: Arc<Host>,
    pub(super) vip: u32,
    pub(super) address: SocketAddr,
    pub(super) socket: Arc<UdpSocket>,
    pub(super) removed: CancellationToken,
    pub(super) permits: Arc<Semaphore>,
}

/// A client's flow.
struct Flow {
    id: FlowId,
    ended: CancellationToken,
    server: ToServer,
    last_packet: Instant,
    permit: Option<OwnedSemaphorePermit>,
}

/// The socket to a server. Its task of answers ends when this is dropped.
struct ToServer {
    socket: Arc<UdpSocket>,
    _answers: DropGuard,
}

impl ToServer {
    /// A packet for which there is no room is lost, as in any network.
    fn send(&self, packet: &[u8]) -> io::Result<usize> {
        let socket = SockRef::from(&*self.socket);
        match socket.send(packet) {
            // That is told of an earlier packet; this one was not even sent.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => socket.send(packet),
            sent => sent,
        }
    }
}

/// Receives at once, so that the VIP takes packets when its client has the answer.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), None)?;
    // A VIP that is made anew binds while the task of the former one may still have its socket.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

impl Receiving {
    /// Runs until the VIP is removed.
    pub(super) async fn run(self) {
        // As many as there are permits, with all other VIPs' flows and connections.
        let mut flows = HashMap::new();
        let mut buffer = vec![0; LONGEST];
        let mut sweep = interval(SWEEP_PERIOD);
        loop {
            let received = tokio::select! {
                biased;
                () = self.removed.cancelled() => return,
                _ = sweep.tick() => {
                    self.forget_silent(&mut flows);
                    continue;
                }
                received = self.socket.recv_from(&mut buffer) => received,
            };
            match received {
                Ok((length, client)) => {
                    let packet = buffer.get(..length).unwrap_or_default();
                    self.forward(&mut flows, client, packet);
                }
                Err(error) => {
                    warn!(vip = self.vip, %error, "cannot receive packets");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn forward(&self, flows: &mut HashMap<SocketAddr, Flow>, client: SocketAddr, packet: &[u8]) {
        let known = flows.get(&client).map(|flow| flow.id);
        let fresh = known.is_none().then(|| Arc::clone(&self.permits).try_acquire_owned().ok());
        if fresh.as_ref().is_some_and(Option::is_none) {
            return debug!(vip = self.vip, %client, "dropped a packet: as many flows as allowed are relayed already");
        }
        let headers = if client.is_ipv4() { HEADERS_IPV4 } else { HEADERS_IPV6 };
        let bytes = headers + u64::try_from(packet.len()).unwrap_or(0);
        match self.host.datagram(known, self.vip, client, self.address, bytes) {
            Ok(None) => {}
            Ok(Some(admitted)) => {
                let former = flows.remove(&client);
                let permit = fresh.flatten().or(former.and_then(|flow| flow.permit));
                match self.open(admitted.server, client, &admitted.ended) {
                    Ok(server) => {
                        let (id, ended) = (admitted.id, admitted.ended);
                        flows.insert(client, Flow { id, ended, server, last_packet: Instant::now(), permit });
                    }
                    Err(error) => {
                        debug!(vip = self.vip, %client, %error, "dropped a packet");
                        return self.host.close_flow(admitted.id);
                    }
                }
            }
            Err(error) => {
                flows.remove(&client);
                return debug!(vip = self.vip, %client, %error, "dropped a packet");
            }
        }
        if let Some(flow) = flows.get_mut(&client) {
            flow.last_packet = Instant::now();
            if let Err(error) = flow.server.send(packet) {
                debug!(vip = self.vip, %client, %error, "lost a packet to the server");
            }
        }
    }

    /// The way to a server, and back from it.
    fn open(&self, server: IpAddr, client: SocketAddr, ended: &CancellationToken) -> io::Result<ToServer> {
        let target = SocketAddr::new(super::real_address(server), self.address.port());
        if self.host.listens_at(Transport::Udp, target) {
            let loops = "the application server is itself a VIP here: its packets would come back for ever";
            return Err(io::Error::other(format!("{target}: {loops}")));
        }
        let local = match target {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = Socket::new(Domain::for_address(target), Type::DGRAM.nonblocking(), None)?;
        socket.bind(&local.into())?;
        socket.connect(&target.into())?;
        let socket = Arc::new(UdpSocket::from_std(socket.into())?);
        let dropped = ended.child_token();
        let answers = answer(Arc::clone(&socket), Arc::clone(&self.socket), client);
        tokio::spawn(dropped.clone().run_until_cancelled_owned(answers));
        Ok(ToServer { socket, _answers: dropped.drop_guard() })
    }

    /// Flows that the model has ended, and those that were silent for as long as VPP remembers.
    fn forget_silent(&self, flows: &mut HashMap<SocketAddr, Flow>) {
        let remembered = self.host.with_lb(|lb| Duration::from_secs(lb.conf().flow_timeout.into()));
        flows.retain(|client, flow| {
            let silent = flow.last_packet.elapsed() >= remembered;
            if silent {
                debug!(vip = self.vip, %client, "forgot a silent flow");
                self.host.close_flow(flow.id);
            }
            !silent && !flow.ended.is_cancelled()
        });
    }
}

/// Relays a server's answers for as long as its socket is good. VPP does not see them.
async fn answer(server: Arc<UdpSocket>, vip: Arc<UdpSocket>, client: SocketAddr) {
    while server.readable().await.is_ok() {
        // Only while there is something to read: there may be thousands of flows.
        let mut buffer = BytesMut::with_capacity(LONGEST);
        loop {
            buffer.clear();
            match server.try_recv_buf(&mut buffer) {
                Ok(_) => {
                    if let Err(error) = SockRef::from(&*vip).send_to(&buffer, &client.into()) {
                        debug!(%client, %error, "lost an answer");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    debug!(%client, "the application server does not receive");
                }
                Err(error) => return debug!(%client, %error, "no more answers"),
            }
        }
    }
}
