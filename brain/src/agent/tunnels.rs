//! Probe addresses from the agent: what is sent from one of them to a VIP reaches one server, through the tunnel.
//!
//! One task that lives as long as the process, with a connection of its own, on which the addresses depend: they end with
//! it. It connects when there is a target. It may be aborted at any point: probes then say nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use maglev_daemon::retry::backoff;
use maglev_engine::agent::CallError;
use maglev_engine::outcome::ProbeOutcome;
use maglev_engine::tunnel::{judge, name, not_probed};
use maglev_protocol::{AgentClient, MOST_TUNNEL_TARGETS, TunnelReport, TunnelTarget};
use tarpc::client::Config;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout_at};
use tracing::{debug, info, warn};

use super::calls::{CALL, flatten, within};
use super::session::{Connection, End, connect};

/// Maximum number of reports asked for at once. Further probes say nothing.
const REPORTS: usize = 8192;
/// Time after which the agent is asked again for addresses that it refused: its policy may have been reloaded.
const AGAIN: Duration = Duration::from_secs(30);
/// The part of a probe's time reserved for the agent's report, and its maximum.
const MARGIN: (f64, Duration) = (0.1, Duration::from_millis(200));

/// Targets of probes through the tunnel.
pub type Targets = Arc<BTreeSet<TunnelTarget>>;

/// A target's probe address, and the agent's last report of it.
#[derive(Debug)]
struct Way {
    source: IpAddr,
    last: Mutex<TunnelReport>,
}

impl Way {
    fn last(&self) -> MutexGuard<'_, TunnelReport> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Targets, by who wants them.
#[derive(Debug, Default)]
struct Demand {
    /// Of the checks that are probed all the time.
    checks: BTreeSet<TunnelTarget>,
    /// Of single probes, with the number of those that are in progress.
    leased: BTreeMap<TunnelTarget, usize>,
}

/// The addresses; or why there are none.
type Ways = Result<HashMap<TunnelTarget, Result<Arc<Way>, String>>, String>;

#[derive(Debug)]
struct Ask {
    source: IpAddr,
    deadline: Instant,
    answer: oneshot::Sender<Result<TunnelReport, CallError>>,
}

/// Probes through the tunnel. Clones share their addresses.
#[derive(Debug, Clone)]
pub struct Tunnels {
    ways: watch::Receiver<Ways>,
    asks: mpsc::Sender<Ask>,
    targets: watch::Sender<Targets>,
    demand: Arc<Mutex<Demand>>,
}

/// The end that the task serves.
#[derive(Debug)]
pub struct TunnelInbox {
    ways: watch::Sender<Ways>,
    asks: mpsc::Receiver<Ask>,
    targets: watch::Receiver<Targets>,
}

/// Creates both ends, without targets.
pub fn tunnels() -> (Tunnels, TunnelInbox) {
    let (asks, asked) = mpsc::channel(REPORTS);
    let (targets, wanted) = watch::channel(Targets::default());
    let (publish, ways) = watch::channel(Err("the agent is not connected yet".to_owned()));
    let inbox = TunnelInbox { ways: publish, asks: asked, targets: wanted };
    (Tunnels { ways, asks, targets, demand: Arc::default() }, inbox)
}

/// Targets of single probes, which have addresses while this lives.
#[derive(Debug)]
pub struct Lease {
    tunnels: Tunnels,
    targets: Vec<TunnelTarget>,
}

impl Lease {
    /// Waits until the agent has answered for all targets, or cannot; at most until the deadline.
    pub async fn settled(&mut self, deadline: Instant) {
        let Self { tunnels: Tunnels { ways, .. }, targets } = self;
        let has_all = |ways: &Ways| {
            let ways = ways.as_ref();
            ways.is_ok_and(|ways| targets.iter().all(|target| ways.contains_key(target)))
        };
        while !has_all(&ways.borrow_and_update()) {
            let is_news = matches!(timeout_at(deadline, ways.changed()).await, Ok(Ok(())));
            if !is_news || ways.borrow().is_err() {
                return;
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.tunnels.demand(|demand| {
            for target in &self.targets {
                if let Some(count) = demand.leased.get_mut(target) {
                    *count = count.saturating_sub(1);
                }
            }
            demand.leased.retain(|_, count| *count > 0);
        });
    }
}

impl Tunnels {
    /// Sets the targets that will be probed all the time.
    pub fn set_targets(&self, targets: BTreeSet<TunnelTarget>) {
        self.demand(|demand| demand.checks = targets);
    }

    /// Adds targets of single probes for a while; none, if they might be too many for the agent with the others.
    pub fn lease(&self, mut targets: Vec<TunnelTarget>) -> Lease {
        let mut tunnels = self.clone();
        // What was published before does not know them yet.
        tunnels.ways.mark_unchanged();
        self.demand(|demand| {
            // It would refuse all of them.
            if demand.checks.len() + demand.leased.len() + targets.len() > MOST_TUNNEL_TARGETS {
                targets.clear();
            }
            targets.iter().for_each(|target| *demand.leased.entry(*target).or_default() += 1);
        });
        Lease { tunnels, targets }
    }

    /// Changes the demand, and has it served if the targets are others now.
    fn demand(&self, change: impl FnOnce(&mut Demand)) {
        let mut demand = self.demand.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut demand);
        self.targets.send_if_modified(|before| {
            let targets: BTreeSet<_> = demand.checks.iter().chain(demand.leased.keys()).copied().collect();
            let differs = **before != targets;
            if differs {
                *before = Arc::new(targets);
            }
            differs
        });
    }

    /// Runs a probe of a VIP on a server, from its probe address and until a deadline. The result is that of the probe
    /// only if the agent sent its packets through the tunnel. A VIP without a port gets echo requests.
    pub async fn probe<F: Future<Output = ProbeOutcome>>(
        &self,
        vip: SocketAddr,
        server: IpAddr,
        timeout: Duration,
        probe: impl FnOnce(IpAddr, Instant) -> F,
    ) -> ProbeOutcome {
        let (part, longest) = MARGIN;
        let started = Instant::now();
        let way = match self.way(TunnelTarget { vip: vip.ip(), server }) {
            Ok(way) => way,
            Err(reason) => return not_probed(vip, reason),
        };
        let before = way.last().clone();
        let reserved = timeout.mul_f64(part).min(longest);
        let outcome = probe(way.source, started + timeout.saturating_sub(reserved)).await;
        if vip.port() == 0 {
            return name(vip, outcome);
        }
        match self.report(way.source, started + timeout).await {
            Ok(report) => {
                let judged = judge(vip, outcome, &before, &report);
                *way.last() = report;
                judged
            }
            Err(error) => not_probed(vip, error),
        }
    }

    fn way(&self, target: TunnelTarget) -> Result<Arc<Way>, String> {
        let ways = self.ways.borrow();
        let unknown = || Err("it is being added to the agent's targets".to_owned());
        ways.as_ref().map_err(String::clone)?.get(&target).cloned().unwrap_or_else(unknown)
    }

    async fn report(&self, source: IpAddr, deadline: Instant) -> Result<TunnelReport, CallError> {
        let (answer, answered) = oneshot::channel();
        self.asks.try_send(Ask { source, deadline, answer }).map_err(|_| CallError::Busy)?;
        match timeout_at(deadline, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CallError::Away("the connection to the agent broke".to_owned())),
            Err(_) => Err(CallError::Timeout),
        }
    }
}

/// Gets addresses and reports from the agent until the other end is dropped.
pub async fn run(socket: PathBuf, instance: u64, mut inbox: TunnelInbox) {
    let mut failures = 0u32;
    loop {
        // Without targets, the agent need not be able to do this.
        while inbox.targets.borrow_and_update().is_empty() {
            if inbox.targets.changed().await.is_err() {
                return;
            }
        }
        let mut config = Config::default();
        config.max_in_flight_requests = REPORTS;
        let reason = match connect(&socket, instance, config).await {
            Ok(connection) => inbox.serve(connection, &mut failures).await,
            Err(End::Agent(reason)) => Some(reason),
            Err(End::ControllerGone) => None,
        };
        let Some(reason) = reason else { return };
        inbox.publish(Err(format!("the agent is disconnected: {reason}")));
        sleep(backoff(failures)).await;
        failures = failures.saturating_add(1);
    }
}

impl TunnelInbox {
    fn publish(&self, ways: Ways) {
        drop(self.ways.send_replace(ways));
    }

    /// Serves until the connection ends; returns the reason, or `None` if the other end was dropped.
    async fn serve(
        &mut self,
        Connection { client, task, .. }: Connection,
        failures: &mut u32,
    ) -> Option<String> {
        let mut connection: JoinHandle<()> = task;
        let mut reports = FuturesUnordered::new();
        let mut known = HashMap::new();
        let mut again = interval_at(Instant::now() + AGAIN, AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_whole = self.ask_for_ways(&client, &mut known).await;
        loop {
            tokio::select! {
                Some(()) = reports.next() => *failures = 0,
                ask = self.asks.recv() => reports.push(report(client.clone(), ask?)),
                changed = self.targets.changed() => {
                    changed.ok()?;
                    is_whole = self.ask_for_ways(&client, &mut known).await;
                }
                _ = again.tick(), if !is_whole => is_whole = self.ask_for_ways(&client, &mut known).await,
                _ = &mut connection => return Some("the agent closed the connection".to_owned()),
            }
        }
    }

    /// Gets an address for each target. Returns whether there is one for all of them.
    async fn ask_for_ways(
        &mut self,
        client: &AgentClient,
        known: &mut HashMap<TunnelTarget, Arc<Way>>,
    ) -> bool {
        let targets = Arc::clone(&self.targets.borrow_and_update());
        let wanted: Vec<_> = targets.iter().copied().collect();
        let given = match flatten(client.tunnel(within(CALL), wanted.clone()).await) {
            Ok(given) if given.len() == wanted.len() => given,
            Ok(given) => {
                self.publish(Err(format!(
                    "the agent gave {} addresses for {} targets",
                    given.len(),
                    wanted.len()
                )));
                return false;
            }
            Err(error) => {
                warn!(%error, "no addresses for probes through the tunnel");
                self.publish(Err(error.to_string()));
                return false;
            }
        };
        let refused = given.iter().filter_map(|given| given.as_ref().err());
        let (count, first) = (refused.clone().count(), refused.clone().next());
        match first {
            Some(error) => {
                warn!(%error, refused = count, targets = wanted.len(), "some VIPs cannot be probed through the tunnel")
            }
            None if known.is_empty() => info!(targets = wanted.len(), "probes go through the tunnel"),
            None => debug!(targets = wanted.len(), "other probes go through the tunnel"),
        }
        let way = |(target, given): (TunnelTarget, Result<IpAddr, _>)| {
            let way = given.map_err(|error: maglev_protocol::AgentError| error.to_string()).map(|source| {
                let same = known.get(&target).filter(|way| way.source == source);
                let new = || Arc::new(Way { source, last: Mutex::default() });
                same.map_or_else(new, Arc::clone)
            });
            (target, way)
        };
        let ways: HashMap<_, _> = wanted.into_iter().zip(given).map(way).collect();
        *known = ways.iter().filter_map(|(target, way)| Some((*target, way.clone().ok()?))).collect();
        self.publish(Ok(ways));
        count == 0
    }
}

async fn report(client: AgentClient, Ask { source, deadline, answer }: Ask) {
    let left = deadline.saturating_duration_since(Instant::now());
    // Fails only if the probe was cancelled.
    drop(answer.send(flatten(client.tunnel_report(within(left), source).await)));
}

#[cfg(test)]
mod tests;
