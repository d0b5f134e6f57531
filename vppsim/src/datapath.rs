//! The data path in user space: connections to VIPs on loopback addresses are relayed to application servers.
//!
//! Stands for the forwarding of VPP, one TCP connection for one flow. Which server a connection meets, and what ends
//! it, the model decides; here are sockets. A task per VIP accepts connections until the VIP is removed, and a task
//! per connection relays until an end closes, the model ends the flow, or the process ends: none has anything to give
//! back that the system would not take back by itself, so all may be aborted.

mod listener;
mod relay;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::host::Host;
use crate::lb::{Effect, FlowId, Lb, Vip};

/// Connections that are relayed at once if nobody says otherwise.
pub const DEFAULT_MAX_CONNECTIONS: usize = 4096;

const PROTOCOL_TCP: u8 = 6;

/// The listeners of VIPs and the ends of flows.
#[derive(Debug)]
pub struct Datapath {
    enabled: bool,
    /// One permit a connection. Who finds none is reset.
    permits: Arc<Semaphore>,
    /// By VIP index.
    listeners: HashMap<u32, Listening>,
    /// As many as there are live flows.
    ends: HashMap<FlowId, CancellationToken>,
}

#[derive(Debug)]
struct Listening {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    removed: CancellationToken,
}

impl Datapath {
    /// A data path that relays at most this many connections at once.
    pub fn new(max_connections: usize) -> Self {
        let permits = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
        Self { enabled: true, permits, listeners: HashMap::new(), ends: HashMap::new() }
    }

    /// A data path that listens nowhere.
    pub fn disabled() -> Self {
        Self { enabled: false, ..Self::new(0) }
    }

    /// Whether a VIP listens at this address.
    pub fn listens_at(&self, address: SocketAddr) -> bool {
        self.listeners.values().any(|listening| listening.address == address)
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

    /// VPP binds no address, so that a VIP is good even where this fails.
    fn listen(&mut self, index: u32, vip: &Vip, host: &Arc<Host>) {
        let Some(address) = listening_address(vip).filter(|_| self.enabled) else { return };
        let listener = match listener::bind(address) {
            Ok(listener) => Arc::new(listener),
            Err(error) => {
                warn!(%address, %error, "the VIP takes no connections: its address cannot be bound");
                return;
            }
        };
        info!(vip = index, %address, "listening for the VIP");
        let removed = CancellationToken::new();
        let accepting = listener::Accepting {
            host: Arc::clone(host),
            vip: index,
            listener: Arc::clone(&listener),
            removed: removed.clone(),
            permits: Arc::clone(&self.permits),
        };
        tokio::spawn(accepting.run());
        self.listeners.insert(index, Listening { address, listener, removed });
    }

    /// The address is free again when this returns, though the task may still have the socket.
    fn stop_listening(&mut self, index: u32) {
        let Some(Listening { address, listener, removed }) = self.listeners.remove(&index) else { return };
        removed.cancel();
        if let Err(error) = SockRef::from(&*listener).shutdown(std::net::Shutdown::Both) {
            warn!(%address, %error, "cannot stop listening at once");
        }
        info!(vip = index, %address, "no longer listening for the VIP");
    }
}

/// Where a VIP listens: TCP, one port, one address, and that of this machine alone.
fn listening_address(vip: &Vip) -> Option<SocketAddr> {
    let address = vip.key.prefix.single().map(real_address).filter(IpAddr::is_loopback)?;
    (vip.key.protocol == PROTOCOL_TCP && vip.key.port != 0).then(|| SocketAddr::new(address, vip.key.port))
}

/// VPP cannot tell `::1` from `0.0.0.1` and shows it as that, which is nobody's address.
fn real_address(address: IpAddr) -> IpAddr {
    const SHOWN_LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::new(0, 0, 0, 1));
    if address == SHOWN_LOOPBACK { Ipv6Addr::LOCALHOST.into() } else { address }
}
