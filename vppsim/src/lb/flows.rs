//! Flows through VIPs: which server each is pinned to, and what makes it move.
//!
//! VPP pins a flow by a table entry per thread that any packet renews, and learns of the flow's end only by its
//! silence. Here a flow is opened and closed by the data path. That a packet whose flow is not pinned is hashed anew,
//! with the same hash as before, and goes on undisturbed if it meets the same server, is as in VPP; meeting another
//! one ends the flow, since a server does not know another's connections.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use xxhash_rust::xxh64::xxh64;

use super::{Counter, Effect, Lb, Uptime, Vip};
use crate::maglev::NO_SERVER;

/// Names a flow for as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(u64);

/// A flow and where its packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedFlow {
    /// The flow.
    pub id: FlowId,
    /// The application server.
    pub server: IpAddr,
}

/// A flow could not be opened: no server has a weight, or the VIP is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no application server has a weight above 0")]
pub struct NoServer;

#[derive(Debug)]
pub(super) struct Flow {
    pub(super) vip: u32,
    pub(super) server: u32,
    hash: u64,
    last_packet: Uptime,
    pinned: bool,
}

/// Where a packet goes, and whether because its flow is pinned there.
struct NextHop {
    pinned: bool,
    target: u32,
}

impl Lb {
    /// The first packet of a flow to a VIP.
    ///
    /// # Errors
    /// [`NoServer`], which is counted if the VIP is there.
    pub fn open_flow(
        &mut self,
        vip_index: u32,
        client: SocketAddr,
        destination: SocketAddr,
        bytes: u64,
        now: Uptime,
    ) -> Result<OpenedFlow, NoServer> {
        self.had_packets = true;
        let Some(vip) = self.vips.get(vip_index).filter(|vip| vip.used) else {
            return Err(NoServer);
        };
        let hash = flow_hash(vip, client, destination);
        let server_index = bucket(vip, hash);
        self.fib.count(vip.key.prefix, bytes);
        let Some(server) = self.servers.get_mut(server_index) else {
            self.add_to(vip_index, Counter::NoServer, 1);
            return Err(NoServer);
        };
        server.flows += 1;
        let server_address = server.address.into();
        self.add_to(vip_index, Counter::FirstSession, 1);
        let id = FlowId(self.next_flow);
        self.next_flow += 1;
        let flow = Flow { vip: vip_index, server: server_index, hash, last_packet: now, pinned: true };
        self.flows.insert(id, flow);
        Ok(OpenedFlow { id, server: server_address })
    }

    /// A further packet from the client. Tells whether it reaches the same server as before; if not, the flow has
    /// ended.
    pub fn flow_packet(&mut self, id: FlowId, bytes: u64, now: Uptime) -> bool {
        let Some(next) = self.next_hop(id, now) else {
            return false;
        };
        let Some(flow) = self.flows.get_mut(&id) else {
            return false;
        };
        flow.last_packet = now;
        flow.pinned = true;
        let (vip_index, server) = (flow.vip, flow.server);
        if let Some(vip) = self.vips.get(vip_index) {
            self.fib.count(vip.key.prefix, bytes);
        }
        let counter = match next {
            NextHop { pinned: true, .. } => Counter::ExistingSession,
            NextHop { target: NO_SERVER, .. } => Counter::NoServer,
            NextHop { .. } => Counter::FirstSession,
        };
        self.add_to(vip_index, counter, 1);
        if next.target != server {
            self.forget(id);
            self.effects.push(Effect::FlowEnded(id));
        }
        next.target == server
    }

    /// A packet without a connection, as of UDP: it goes where the VIP's table and pins send it. `known` is the flow
    /// that its forerunner belonged to; if this one goes to another server, that flow is over and another is opened.
    ///
    /// # Errors
    /// [`NoServer`], which is counted if the VIP is there. The known flow is over then.
    pub fn datagram(
        &mut self,
        known: Option<FlowId>,
        vip_index: u32,
        client: SocketAddr,
        destination: SocketAddr,
        bytes: u64,
        now: Uptime,
    ) -> Result<OpenedFlow, NoServer> {
        if let Some(id) = known {
            let server = self.flows.get(&id).map(|flow| flow.server);
            let stays = self.next_hop(id, now).is_some_and(|next| Some(next.target) == server);
            if stays
                && self.flow_packet(id, bytes, now)
                && let Some(server) = server.and_then(|server| self.servers.get(server))
            {
                return Ok(OpenedFlow { id, server: server.address.into() });
            }
            self.forget(id);
        }
        self.open_flow(vip_index, client, destination, bytes, now)
    }

    /// Where a packet of a flow would go now.
    fn next_hop(&self, id: FlowId, now: Uptime) -> Option<NextHop> {
        let idle = Duration::from_secs(self.conf.flow_timeout.into());
        let flow = self.flows.get(&id)?;
        let vip = self.vips.get(flow.vip)?;
        let pinned = flow.pinned && now.saturating_sub(flow.last_packet) < idle;
        let target = if pinned { flow.server } else { bucket(vip, flow.hash) };
        Some(NextHop { pinned, target })
    }

    /// The flow is over. Does nothing for one that ended already.
    pub fn close_flow(&mut self, id: FlowId) {
        self.forget(id);
    }

    /// Forgets which server the chosen flows are pinned to; those that the table sends elsewhere now end.
    pub(super) fn unpin(&mut self, chosen: impl Fn(&Flow) -> bool) {
        for flow in self.flows.values_mut().filter(|flow| chosen(flow)) {
            flow.pinned = false;
        }
        let vips = &self.vips;
        let moves = |flow: &Flow| vips.get(flow.vip).is_none_or(|vip| bucket(vip, flow.hash) != flow.server);
        let moved: Vec<_> =
            self.flows.iter().filter(|(_, flow)| chosen(flow) && moves(flow)).map(|(id, _)| *id).collect();
        self.end(&moved);
    }

    pub(super) fn end_flows(&mut self, chosen: impl Fn(&Flow) -> bool) {
        let ended: Vec<_> = self.flows.iter().filter(|(_, flow)| chosen(flow)).map(|(id, _)| *id).collect();
        self.end(&ended);
    }

    fn end(&mut self, ended: &[FlowId]) {
        for id in ended {
            self.forget(*id);
            self.effects.push(Effect::FlowEnded(*id));
        }
    }

    fn forget(&mut self, id: FlowId) {
        if let Some(flow) = self.flows.remove(&id)
            && let Some(server) = self.servers.get_mut(flow.server)
        {
            server.flows = server.flows.saturating_sub(1);
        }
    }
}

/// Not VPP's hash: which server a given client meets differs, the shares do not.
fn flow_hash(vip: &Vip, client: SocketAddr, destination: SocketAddr) -> u64 {
    let mut key = Vec::with_capacity(37);
    for address in [client.ip(), destination.ip()] {
        key.extend_from_slice(&crate::address::Ip46::from(address).octets());
    }
    if !vip.src_ip_sticky {
        key.extend_from_slice(&client.port().to_be_bytes());
        key.extend_from_slice(&destination.port().to_be_bytes());
        key.push(vip.key.protocol);
    }
    xxh64(&key, 0)
}

fn bucket(vip: &Vip, hash: u64) -> u32 {
    let length = u64::from(vip.table_length().max(1));
    usize::try_from(hash % length).ok().and_then(|bucket| vip.table.get(bucket)).copied().unwrap_or(NO_SERVER)
}
