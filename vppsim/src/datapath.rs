//! The data path in user space: TCP connections and UDP packets to VIPs on loopback addresses are relayed to
//! application servers.
//!
//! Stands for VPP's forwarding: a TCP connection is a flow, and so are all UDP packets of one client's
//! address and port. The model decides which server a flow reaches, and what ends it; this module has the
//! sockets. A task per VIP accepts connections or receives packets until the VIP is removed. A task per
//! connection relays until one side closes, the model ends the flow, or the process ends; one per UDP flow
//! relays answers until the flow ends or times out. All may be aborted, since the system reclaims what they
//! hold.

mod datagrams;
mod listener;
mod relay;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU16;

use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::host::Host;
use crate::lb::{Effect, FlowId, Lb, Vip};

/// Connections and UDP flows that are relayed at once if nobody says otherwise.
pub const DEFAULT_MAX_CONNECTIONS: usize = 4096;

/// What is relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Packets.
    Udp,
}

impl Transport {
    fn of(protocol: u8) -> Option<Self> {
        match protocol {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }
}

/// The VIPs' listeners, and the tokens that end flows.
#[derive(Debug)]
pub struct Datapath {
    enabled: bool,
    /// One permit per connection or UDP flow. Without one, a connection is reset and a packet is dropped.
    permits: Arc<Semaphore>,
    /// Number of connections so far, which stands for the port of each one's client.
    connections: Arc<AtomicU16>,
    /// By VIP index.
    listeners: HashMap<u32, Listening>,
    /// As many as there are live flows.
    ends: HashMap<FlowId, CancellationToken>,
}

#[derive(Debug)]
struct Listening {
    transport: Transport,
    address: SocketAddr,
    /// None for UDP.
    listener: Option<Arc<TcpListener>>,
    removed: CancellationToken,
}

impl Datapath {
    /// A data path that relays at most this many connections and UDP flows at once.
    pub fn new(max_connections: usize) -> Self {
        let permits = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
        let connections = Arc::new(AtomicU16::new(0));
        Self { enabled: true, permits, connections, listeners: HashMap::new(), ends: HashMap::new() }
    }

    /// A data path that listens nowhere.
    pub fn disabled() -> Self {
        Self { enabled: false, ..Self::new(0) }
    }

    /// Whether a VIP listens at this address.
    pub fn listens_at(&self, transport: Transport, address: SocketAddr) -> bool {
        self.listeners.values().any(|here| here.transport == transport && here.address == address)
    }

    /// Registers a flow: the token is cancelled when the model ends it.
    pub fn watch(&mut self, flow: FlowId) -> CancellationToken {
        self.ends.entry(flow).or_default().clone()
    }

    /// A flow is over.
    pub fn forget(&mut self, flow: FlowId) {
        self.ends.remove(&flow);
    }

    /// Stops listening for all VIPs and ends all flows.
    pub fn restart(&mut self) {
        let vips: Vec<_> = self.listeners.keys().copied().collect();
        for vip in vips {
            self.stop_listening(vip);
        }
        for (_, ended) in self.ends.drain() {
            ended.cancel();
        }
    }

    /// Does what the model says. Must run inside a tokio runtime.
    pub fn carry_out(&mut self, effect: Effect, lb: &Lb, host: &Arc<Host>) {
        match effect {
            Effect::VipAdded(index) => {
                if let Some(vip) = lb.vip(index) {
                    self.listen(index, vip, host);
                }
            }
            Effect::VipRemoved(index) => self.stop_listening(index),
            Effect::FlowEnded(flow) => {
                if let Some(ended) = self.ends.remove(&flow) {
                    ended.cancel();
                }
            }
        }
    }

    /// A failure to bind does not affect the VIP, since VPP binds no address.
    fn listen(&mut self, index: u32, vip: &Vip, host: &Arc<Host>) {
        let Some((transport, address)) = listening_address(vip).filter(|_| self.enabled) else { return };
        let removed = CancellationToken::new();
        let bound = match transport {
            Transport::Tcp => self.accept(index, address, &removed, host).map(Some),
            Transport::Udp => self.receive(index, address, &removed, host).map(|()| None),
        };
        match bound {
            Ok(listener) => {
                info!(vip = index, ?transport, %address, "listening for the VIP");
                self.listeners.insert(index, Listening { transport, address, listener, removed });
            }
            Err(error) => {
                warn!(?transport, %address, %error, "the VIP takes no packets: its address cannot be bound");
            }
        }
    }

    fn accept(
        &self,
        vip: u32,
        address: SocketAddr,
        removed: &CancellationToken,
        host: &Arc<Host>,
    ) -> io::Result<Arc<TcpListener>> {
        let listener = Arc::new(listener::bind(address)?);
        let accepting = listener::Accepting {
            host: Arc::clone(host),
            vip,
            listener: Arc::clone(&listener),
            removed: removed.clone(),
            permits: Arc::clone(&self.permits),
            connections: Arc::clone(&self.connections),
        };
        tokio::spawn(accepting.run());
        Ok(listener)
    }

    fn receive(
        &self,
        vip: u32,
        address: SocketAddr,
        removed: &CancellationToken,
        host: &Arc<Host>,
    ) -> io::Result<()> {
        let receiving = datagrams::Receiving {
            host: Arc::clone(host),
            vip,
            address,
            socket: Arc::new(datagrams::bind(address)?),
            removed: removed.clone(),
            permits: Arc::clone(&self.permits),
        };
        tokio::spawn(receiving.run());
        Ok(())
    }

    /// On return the address can be bound again, though the task may still hold the socket.
    fn stop_listening(&mut self, index: u32) {
        let Some(Listening { transport, address, listener, removed }) = self.listeners.remove(&index) else {
            return;
        };
        removed.cancel();
        if let Some(listener) = listener
            && let Err(error) = SockRef::from(&*listener).shutdown(std::net::Shutdown::Both)
        {
            warn!(%address, %error, "cannot stop listening at once");
        }
        info!(vip = index, ?transport, %address, "no longer listening for the VIP");
    }
}

/// The address that a VIP listens on: TCP or UDP, a single port, and a single loopback address. No socket can
/// be bound to all ports of an address.
fn listening_address(vip: &Vip) -> Option<(Transport, SocketAddr)> {
    let address = vip.key.prefix.single().map(real_address).filter(IpAddr::is_loopback)?;
    let transport = Transport::of(vip.key.protocol).filter(|_| vip.key.port != 0)?;
    Some((transport, SocketAddr::new(address, vip.key.port)))
}

/// VPP confuses `::1` with `0.0.0.1`, and shows the latter, which is nobody's address.
fn real_address(address: IpAddr) -> IpAddr {
    const SHOWN_LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::new(0, 0, 0, 1));
    if address == SHOWN_LOOPBACK { Ipv6Addr::LOCALHOST.into() } else { address }
}
