//! Packets and flows through VIPs.
//!
//! Packets are routed and counted exactly as in VPP, by the flow's hash, the [sticky tables](super::sticky) and the VIPs'
//! new-flow tables. VPP knows nothing but packets. Flows belong to the data path, which opens and closes
//! them; a flow ends when its packets reach another server, since that server does not know its connection. Opening or
//! closing a flow pins and unpins nothing.

use std::net::{IpAddr, SocketAddr};

use xxhash_rust::xxh64::xxh64;

use super::sticky::clock;
use super::{Counter, Effect, Lb, Uptime, Vip};
use maglev_table::buckets::NO_SERVER;

/// Identifies a flow for as long as the process lives.
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

/// Where a packet went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routed {
    /// The counter that counted it.
    pub counter: Counter,
    /// The application server; none if it was dropped.
    pub server: Option<IpAddr>,
}

/// A flow could not be opened: no server has a weight, or the VIP is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no application server has a weight above 0")]
pub struct NoServer;

#[derive(Debug)]
pub(super) struct Flow {
    pub(super) vip: u32,
    pub(super) server: u32,
    pub(super) place: Place,
}

/// Position of a flow in the sticky tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) thread: usize,
    hash: u32,
}

impl Lb {
    /// Routes a packet to the VIP with this index. `None` if the plugin does not receive the packet, because
    /// the VIP was removed or VPP is dead.
    pub fn packet(
        &mut self,
        vip_index: u32,
        client: SocketAddr,
        destination: SocketAddr,
        bytes: u64,
        now: Uptime,
    ) -> Option<Routed> {
        let place = self.place(vip_index, client, destination)?;
        let (server, counter) = self.route(vip_index, place, bytes, now)?;
        Some(Routed { counter, server: self.servers.get(server).map(|server| server.address.into()) })
    }

    /// Routes the first packet of a flow to a VIP.
    ///
    /// # Errors
    /// [`NoServer`], which is counted if the VIP exists.
    pub fn open_flow(
        &mut self,
        vip_index: u32,
        client: SocketAddr,
        destination: SocketAddr,
        bytes: u64,
        now: Uptime,
    ) -> Result<OpenedFlow, NoServer> {
        let place = self.place(vip_index, client, destination).ok_or(NoServer)?;
        let (server, _) = self.route(vip_index, place, bytes, now).ok_or(NoServer)?;
        self.insert_flow(vip_index, place, server)
    }

    /// Routes a further packet from the client. Returns whether it reaches the same server as before; if not,
    /// the flow has ended.
    pub fn flow_packet(&mut self, id: FlowId, bytes: u64, now: Uptime) -> bool {
        let Some(&Flow { vip, server, place }) = self.flows.get(&id) else {
            return false;
        };
        let stays = self.route(vip, place, bytes, now).is_some_and(|(target, _)| target == server);
        if !stays {
            self.end_flows(|other, _| other == id);
        }
        stays
    }

    /// Routes a packet without a connection, such as UDP, by the VIP's table and pins. `known` is the flow of
    /// the previous packet; if this one goes to another server, that flow ends and another is opened.
    ///
    /// # Errors
    /// [`NoServer`], which is counted if the VIP exists. The known flow has ended then.
    pub fn datagram(
        &mut self,
        known: Option<FlowId>,
        vip_index: u32,
        client: SocketAddr,
        destination: SocketAddr,
        bytes: u64,
        now: Uptime,
    ) -> Result<OpenedFlow, NoServer> {
        let former = known.and_then(|id| self.flows.remove_entry(&id));
        let place = self.place(vip_index, client, destination).ok_or(NoServer)?;
        let (server, _) = self.route(vip_index, place, bytes, now).ok_or(NoServer)?;
        if let Some((id, flow)) = former.filter(|(_, flow)| flow.server == server)
            && let Some(server) = self.servers.get(server)
        {
            self.flows.insert(id, flow);
            return Ok(OpenedFlow { id, server: server.address.into() });
        }
        self.insert_flow(vip_index, place, server)
    }

    /// The flow is over. Does nothing for one that ended already.
    pub fn close_flow(&mut self, id: FlowId) {
        self.flows.remove(&id);
    }

    /// Number of flows that the data path has open.
    pub fn open_flows(&self) -> usize {
        self.flows.len()
    }

    fn insert_flow(&mut self, vip: u32, place: Place, server: u32) -> Result<OpenedFlow, NoServer> {
        let address = self.servers.get(server).ok_or(NoServer)?.address.into();
        let id = FlowId(self.next_flow);
        self.next_flow += 1;
        self.flows.insert(id, Flow { vip, server, place });
        Ok(OpenedFlow { id, server: address })
    }

    /// Routes and counts one packet. Returns its server, which may be [`NO_SERVER`], and its counter.
    fn route(&mut self, vip_index: u32, place: Place, bytes: u64, now: Uptime) -> Option<(u32, Counter)> {
        let vip = self.vips.get(vip_index).filter(|vip| vip.used)?;
        let (prefix, by_table, tunnel) = (vip.key.prefix, bucket(vip, place.hash), vip.kind.header_length());
        let table = self.sticky_table(place.thread)?;
        let (server, counter) = table.route(place.hash, vip_index, by_table, clock(now));
        self.fib.count(prefix, bytes);
        if let Some(server) = self.servers.get(server) {
            self.fib.count_via(server.route, bytes + tunnel);
        }
        self.count(vip_index, counter);
        Some((server, counter))
    }

    /// Flushes a VIP or one of its servers in every sticky table. Flows that the new-flow table sends elsewhere end at once:
    /// no slot is left that could send their next packet to their server.
    pub(super) fn flush(&mut self, vip: u32, server: Option<u32>) {
        for table in self.threads.iter_mut().flatten() {
            table.flush(vip, server);
        }
        self.end_moved(|flow| flow.vip == vip && server.is_none_or(|server| flow.server == server));
    }

    /// Ends those of the chosen flows that their VIP's new-flow table sends elsewhere.
    pub(super) fn end_moved(&mut self, chosen: impl Fn(&Flow) -> bool) {
        let vips = &self.vips;
        let moves =
            |flow: &Flow| vips.get(flow.vip).is_none_or(|vip| bucket(vip, flow.place.hash) != flow.server);
        let ended = self.flows.extract_if(.., |_, flow| chosen(flow) && moves(flow));
        self.effects.extend(ended.map(|(id, _)| Effect::FlowEnded(id)));
    }

    /// Ends the chosen flows.
    pub(super) fn end_flows(&mut self, chosen: impl Fn(FlowId, &Flow) -> bool) {
        let ended = self.flows.extract_if(.., |id, flow| chosen(*id, flow));
        self.effects.extend(ended.map(|(id, _)| Effect::FlowEnded(id)));
    }

    fn place(&self, vip_index: u32, client: SocketAddr, destination: SocketAddr) -> Option<Place> {
        let vip = self.vips.get(vip_index)?;
        let hash = maglev_table::flow::Flow::new(client, destination).ok()?.hash(vip.src_ip_sticky);
        let thread = self.thread_of(thread_hash(client, destination));
        Some(Place { thread, hash })
    }
}

/// Selects a flow's thread. VPP leaves that to the network card, so any even spread will do.
fn thread_hash(client: SocketAddr, destination: SocketAddr) -> u32 {
    let mut key = Vec::with_capacity(36);
    for address in [client, destination] {
        key.extend_from_slice(&crate::address::Ip46::from(address.ip()).octets());
        key.extend_from_slice(&address.port().to_be_bytes());
    }
    let [a, b, c, d, ..] = xxh64(&key, 0).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn bucket(vip: &Vip, hash: u32) -> u32 {
    let bucket = maglev_table::flow::bucket(hash, vip.table_length());
    vip.table.get(bucket as usize).copied().unwrap_or(NO_SERVER)
}
