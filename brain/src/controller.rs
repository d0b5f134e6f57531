//! The one owner of the brain's state.
//!
//! [`run`] is a single task, which ends when its shutdown signal comes. Everything that happens reaches it
//! through its inbox; it alone decides; it publishes an immutable [`Snapshot`], which everything that reads
//! reads, and the [`Wanted`] state, which the agent's client brings to VPP. It never waits for either.

mod core;
mod snapshot;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

pub use self::core::{Core, Effects, Input};
pub use snapshot::{AgentStatus, BackendView, FrontendView, LastProbe, Snapshot, SyncStatus};

use crate::agent::{self, AgentEvent, AgentReader};
use crate::config::Config;
use crate::desired::Wanted;
use crate::probe::{Pace, Prober, Report};

/// Probe reports that wait for the controller. When it is full, probers wait: a probe becomes later, none is
/// lost.
const REPORTS: usize = 1024;
/// Agent events that wait for the controller. When it is full, the agent's client waits before its next sync.
const EVENTS: usize = 64;
/// Inputs that are taken at once before anything is published: a burst ends in one sync per VIP.
const BATCH: usize = 256;
/// How old a snapshot may be with respect to the details of probes. Changes of state are published at once.
const SNAPSHOT_AGE: Duration = Duration::from_millis(100);

/// What the rest of the process holds of a running controller.
#[derive(Debug)]
pub struct Controller {
    /// The newest snapshot.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Reads VPP through the agent.
    pub reader: AgentReader,
}

/// Starts probers, the agent's client and the controller. The returned future is the controller; it ends
/// after `shutdown` does, and changes nothing in VPP by ending.
pub fn start(
    config: Arc<Config>,
    agent_socket: PathBuf,
    instance: u64,
    shutdown: impl Future<Output = ()>,
) -> (Controller, impl Future<Output = ()>) {
    let core = Core::new(config, agent_socket.clone(), SystemTime::now());
    let (wanted, wanted_rx) = watch::channel(Arc::new(core.wanted()));
    let (snapshot, snapshots) = watch::channel(Arc::new(core.snapshot()));
    let (event_sender, events) = mpsc::channel(EVENTS);
    let (reader, agent_task) = agent::start(agent_socket, instance, wanted_rx, event_sender);
    let (report_sender, reports) = mpsc::channel(REPORTS);
    let probers = start_probers(&core, &report_sender);
    let inbox = Inbox { events, reports };
    let publish = Publishers { wanted, snapshot, probers };
    let task = async move {
        let running = run(core, inbox, publish);
        tokio::pin!(shutdown);
        tokio::select! {
            () = running => {}
            () = &mut shutdown => {}
        }
        agent_task.abort();
    };
    (Controller { snapshots, reader }, task)
}

fn start_probers(core: &Core, reports: &mpsc::Sender<Report>) -> BTreeMap<Arc<str>, Prober> {
    let min_delay = core.config().lb.startup_min_delay;
    let probed = core.probed_backends().map(|(name, address, check)| {
        (
            Arc::clone(name),
            Prober::start(Arc::clone(name), address, check.clone(), min_delay, reports.clone()),
        )
    });
    probed.collect()
}

struct Inbox {
    events: mpsc::Receiver<AgentEvent>,
    reports: mpsc::Receiver<Report>,
}

impl Inbox {
    /// The next input, or `None` if none can come any more.
    async fn next(&mut self) -> Option<Input> {
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => Some(Input::Agent(event)),
            Some(report) = self.reports.recv() => Some(Input::Probe(report)),
            else => None,
        }
    }

    fn waiting(&mut self) -> Option<Input> {
        self.events.try_recv().map(Input::Agent).or_else(|_| self.reports.try_recv().map(Input::Probe)).ok()
    }
}

struct Publishers {
    wanted: watch::Sender<Arc<Wanted>>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    probers: BTreeMap<Arc<str>, Prober>,
}

impl Publishers {
    fn set_paces(&self, paces: &BTreeMap<Arc<str>, Pace>) {
        for (backend, pace) in paces {
            if let Some(prober) = self.probers.get(backend) {
                prober.set_pace(*pace);
            }
        }
    }
}

async fn run(mut core: Core, mut inbox: Inbox, publish: Publishers) {
    let mut tick = interval_at(Instant::now() + SNAPSHOT_AGE, SNAPSHOT_AGE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stale = false;
    loop {
        tokio::select! {
            biased;
            input = inbox.next() => {
                let Some(input) = input else { return };
                let now = SystemTime::now();
                let mut effects = core.handle(input, now);
                for _ in 1..BATCH {
                    let Some(input) = inbox.waiting() else { break };
                    effects.merge(core.handle(input, now));
                }
                if effects.wanted {
                    publish.wanted.send_replace(Arc::new(core.wanted()));
                }
                publish.set_paces(&effects.paces);
                stale = true;
                if effects.state {
                    publish.snapshot.send_replace(Arc::new(core.snapshot()));
                    stale = false;
                }
            }
            _ = tick.tick(), if stale => {
                publish.snapshot.send_replace(Arc::new(core.snapshot()));
                stale = false;
            }
        }
    }
}

#[cfg(test)]
mod tests;
