//! The running simulator: the model behind one lock, with clock, stats segment and data path around it.
//!
//! VPP does everything in one thread, which the lock stands for. Nothing waits while holding it.

mod faulty;
mod restart;
mod stats;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::api::{ClientId, Outcome, Simulator};
use crate::datapath::{Datapath, Transport};
use crate::faults::FaultSet;
use crate::lb::{COLLECTION_PERIOD, FlowId, Heap, Lb, NoServer, Uptime};
use crate::stats::memory::Memory;
use crate::stats::{Figures, Segment};

pub use faulty::{Reception, WaitError};
pub use restart::{Life, RestartError, Sockets};

/// How old the counters in the stats segment may be.
const PUBLISH_PERIOD: Duration = Duration::from_millis(10);

/// How often VPP's collector runs and `/sys/heartbeat` ticks (measured on VPP 26.10).
const HEARTBEAT_PERIOD: Duration = Duration::from_secs(10);

/// A running simulator.
#[derive(Debug)]
pub struct Host {
    state: Mutex<State>,
    life: watch::Sender<Life>,
    sockets: watch::Sender<Sockets>,
    hung: watch::Sender<bool>,
    /// Interval of the stats segment's churn.
    churn: watch::Sender<Option<Duration>>,
    /// Notified of every request that a fault hits.
    hits: watch::Sender<()>,
    /// Why a packet would have killed a real VPP, if one has.
    death: watch::Sender<Option<String>>,
}

#[derive(Debug)]
struct State {
    started: Instant,
    simulator: Simulator,
    faults: FaultSet,
    /// `None` after an error, which was logged.
    segment: Option<Segment<Memory>>,
    /// What the stats socket hands out.
    memory: Memory,
    boot_time: u64,
    datapath: Datapath,
    heartbeat: u64,
    last_update: Uptime,
    /// As of `last_update`.
    heap: Heap,
    changed: bool,
}

/// A flow that is to be relayed.
#[derive(Debug)]
pub struct AdmittedFlow {
    /// The flow. It counts as live until it is closed.
    pub id: FlowId,
    /// The application server.
    pub server: IpAddr,
    /// Cancelled when the flow's packets no longer reach the server.
    pub ended: CancellationToken,
}

impl Host {
    /// A VPP that starts now.
    pub fn new(simulator: Simulator, segment: Segment<Memory>, datapath: Datapath) -> Arc<Self> {
        let mut state = State {
            started: Instant::now(),
            heap: simulator.lb().heap(),
            simulator,
            faults: FaultSet::default(),
            memory: segment.target().clone(),
            boot_time: segment.boot_time(),
            segment: Some(segment),
            datapath,
            heartbeat: 0,
            last_update: Duration::ZERO,
            changed: true,
        };
        // As with VPP, the first reader of the segment already finds the heap's size in it.
        state.publish();
        let life = Life { pid: state.simulator.identity().pid, ..Life::default() };
        Arc::new(Self {
            state: Mutex::new(state),
            life: watch::Sender::new(life),
            sockets: watch::Sender::new(Sockets::Unknown),
            hung: watch::Sender::new(false),
            churn: watch::Sender::new(None),
            hits: watch::Sender::new(()),
            death: watch::Sender::new(None),
        })
    }

    /// A client has connected.
    pub fn connect(&self) -> ClientId {
        self.lock().simulator.connect()
    }

    /// A client is gone.
    pub fn disconnect(&self, client: ClientId) {
        self.lock().simulator.disconnect(client);
    }

    /// The name that a client gave itself.
    pub fn client_name(&self, client: ClientId) -> String {
        self.lock().simulator.client_name(client).to_owned()
    }

    /// Carries out a request, whatever faults are set. Its changes apply to packets and show in the stats
    /// segment before it is answered.
    pub fn handle(self: &Arc<Self>, client: ClientId, body: &[u8]) -> Outcome {
        self.lock().handle(self, client, body)
    }

    /// Routes the first packet of a flow to the VIP with this index.
    ///
    /// # Errors
    /// [`NoServer`].
    pub fn open_flow(
        self: &Arc<Self>,
        vip: u32,
        client: SocketAddr,
        destination: SocketAddr,
        bytes: u64,
    ) -> Result<AdmittedFlow, NoServer> {
        let mut state = self.lock();
        let now = state.started.elapsed();
        let opened = state.simulator.lb_mut().open_flow(vip, client, destination, bytes, now);
        state.note_packet(self);
        let opened = opened?;
        let ended = state.datapath.watch(opened.id);
        Ok(AdmittedFlow { id: opened.id, server: opened.server, ended })
    }

    /// Routes a packet without a connection to the VIP with this index; `known` is the flow of this client's
    /// previous packet. Returns the packet's flow if that is another one.
    ///
    /// # Errors
    /// [`NoServer`]; the known flow has ended then.
    pub fn datagram(
        self: &Arc<Self>,
        known: Option<FlowId>,
        vip: u32,
        client: SocketAddr,
        destination: SocketAddr,
        bytes: u64,
    ) -> Result<Option<AdmittedFlow>, NoServer> {
        let mut state = self.lock();
        let now = state.started.elapsed();
        let routed = state.simulator.lb_mut().datagram(known, vip, client, destination, bytes, now);
        state.note_packet(self);
        if let Some(known) =
            known.filter(|known| routed.is_err() || routed.is_ok_and(|flow| flow.id != *known))
        {
            state.datapath.forget(known);
        }
        let flow = routed?;
        if Some(flow.id) == known {
            return Ok(None);
        }
        let ended = state.datapath.watch(flow.id);
        Ok(Some(AdmittedFlow { id: flow.id, server: flow.server, ended }))
    }

    /// Routes a further packet of a flow. Returns whether it reaches the flow's server.
    pub fn flow_packet(self: &Arc<Self>, flow: FlowId, bytes: u64) -> bool {
        let mut state = self.lock();
        let now = state.started.elapsed();
        let reaches = state.simulator.lb_mut().flow_packet(flow, bytes, now);
        state.note_packet(self);
        reaches
    }

    /// A flow is over.
    pub fn close_flow(&self, flow: FlowId) {
        let mut state = self.lock();
        state.simulator.lb_mut().close_flow(flow);
        state.datapath.forget(flow);
    }

    /// Whether the data path itself listens at this address.
    pub fn listens_at(&self, transport: Transport, address: SocketAddr) -> bool {
        self.lock().datapath.listens_at(transport, address)
    }

    /// Looks at the plugin's state.
    pub fn with_lb<T>(&self, look: impl FnOnce(&Lb) -> T) -> T {
        look(self.lock().simulator.lb())
    }

    /// Waits for a packet that would have killed a real VPP, and returns the reason.
    pub async fn died(&self) -> String {
        let mut deaths = self.death.subscribe();
        // This host holds the sender, so it cannot be gone.
        let death = deaths.wait_for(Option::is_some).await.ok();
        death.and_then(|reason| reason.clone()).unwrap_or_default()
    }

    /// Does what VPP does periodically unless it hangs: collects garbage, and updates the stats segment. Runs
    /// forever; cancel-safe.
    pub async fn tend(self: Arc<Self>) {
        self.while_not_hung(async {
            tokio::join!(self.tend_to_all(), self.churn_stats());
        })
        .await;
    }

    async fn tend_to_all(self: &Arc<Self>) {
        let every = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut publish, mut heartbeat, mut collect) =
            (every(PUBLISH_PERIOD), every(HEARTBEAT_PERIOD), every(COLLECTION_PERIOD));
        loop {
            tokio::select! {
                _ = publish.tick() => self.lock().publish_changes(),
                _ = heartbeat.tick() => self.lock().beat(),
                _ = collect.tick() => self.collect_garbage(),
            }
        }
    }

    fn collect_garbage(self: &Arc<Self>) {
        let mut state = self.lock();
        let now = state.started.elapsed();
        state.simulator.lb_mut().collect_garbage(now);
        state.carry_out_effects(self);
    }

    /// A panic leaves the model consistent, so poisoning is ignored: it does no I/O, and no change of it
    /// spans an await.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn handle(&mut self, host: &Arc<Host>, client: ClientId, body: &[u8]) -> Outcome {
        let outcome = self.simulator.handle(client, body, self.started.elapsed());
        self.changed = true;
        if self.carry_out_effects(host) {
            self.publish();
        }
        outcome
    }

    /// Tells whether there were any.
    fn carry_out_effects(&mut self, host: &Arc<Host>) -> bool {
        let effects = self.simulator.take_effects();
        for effect in &effects {
            self.datapath.carry_out(*effect, self.simulator.lb(), host);
        }
        self.changed |= !effects.is_empty();
        !effects.is_empty()
    }

    /// Acts on what a packet has changed.
    fn note_packet(&mut self, host: &Arc<Host>) {
        self.changed = true;
        self.carry_out_effects(host);
        if let Some(reason) = self.simulator.lb().death() {
            host.death.send_if_modified(|death| {
                let is_new = death.is_none();
                death.get_or_insert_with(|| reason.to_owned());
                is_new
            });
        }
    }

    fn beat(&mut self) {
        self.heartbeat += 1;
        self.last_update = self.started.elapsed();
        self.heap = self.simulator.lb().heap();
        self.changed = true;
    }

    fn publish_changes(&mut self) {
        if self.changed {
            self.publish();
        }
    }

    fn publish(&mut self) {
        self.changed = false;
        let lb = self.simulator.lb();
        let figures = Figures {
            vips: lb.counters(),
            routes: lb.fib().traffic(),
            heartbeat: self.heartbeat,
            last_update: self.last_update.as_secs(),
            heap: self.heap,
            workers: lb.startup().workers.into(),
        };
        if let Some(segment) = &mut self.segment
            && let Err(error) = segment.publish(&figures)
        {
            error!(%error, "the stats segment stays as it is from now on");
            self.segment = None;
        }
    }
}
