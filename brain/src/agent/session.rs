//! One connection to the agent, from hello to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use maglev_protocol::codec::{ClientCodec, framing};
use maglev_protocol::{
    AgentClient, AgentError, AgentHello, BrainHello, Demands, PROTOCOL_VERSION, SyncReport, VipKey, VipSpec,
    VppInfo, VppState,
};
use tarpc::client::{Config, NewClient};
use tarpc::tokio_util::codec::Framed;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;
use tracing::{debug, info, warn};

use super::calls::{CALL, CallError, FULL, WAIT, flatten, transport, within};
use super::{AgentEvent, Read};
use crate::desired::Wanted;

/// Syncs of single VIPs that are under way at once. The agent writes them one after the other; more than a
/// few only make its queue longer.
const SYNCS_IN_FLIGHT: usize = 16;
/// Pause before a failed sync is tried again, plus as much again at random.
const RETRY: Duration = Duration::from_secs(1);

/// Why a session ended.
pub(super) enum End {
    /// Nobody listens any more: the process ends.
    ControllerGone,
    /// The agent is away, for this reason.
    Agent(String),
}

impl From<CallError> for End {
    fn from(error: CallError) -> Self {
        Self::Agent(error.to_string())
    }
}

/// A connection on which hello was answered.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: AgentClient,
    pub(super) hello: AgentHello,
    /// Moves requests and answers. Ends with the connection, or with the last clone of the client.
    pub(super) task: JoinHandle<()>,
}

/// Connects and says hello.
pub(super) async fn connect(socket: &Path, instance: u64, config: Config) -> Result<Connection, End> {
    let stream = match timeout(CALL, UnixStream::connect(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return Err(End::Agent(format!(
                "cannot connect to the agent's socket {}: {error}",
                socket.display()
            )));
        }
        Err(_) => {
            return Err(End::Agent(format!("the agent's socket {} does not accept", socket.display())));
        }
    };
    let transport = tarpc::serde_transport::new(Framed::new(stream, framing()), ClientCodec::default());
    let NewClient { client, dispatch } = AgentClient::new(config, transport);
    // tarpc would log a line for every call that was in flight when the connection broke; the callers learn it anyhow.
    let task = tokio::spawn(dispatch.map(drop).with_subscriber(NoSubscriber::default()));
    let brain =
        BrainHello { protocol: PROTOCOL_VERSION, version: env!("CARGO_PKG_VERSION").to_owned(), instance };
    let hello = flatten(client.hello(within(CALL), brain).await)?;
    if hello.protocol != PROTOCOL_VERSION {
        return Err(End::Agent(format!(
            "agent {} speaks protocol {}, this brain speaks {PROTOCOL_VERSION}: install matching versions",
            hello.version, hello.protocol
        )));
    }
    Ok(Connection { client, hello, task })
}

/// Keeps VPP at the newest wanted state until the connection ends.
pub(super) async fn run(
    client: &AgentClient,
    hello: AgentHello,
    wanted: &mut watch::Receiver<Arc<Wanted>>,
    events: &mpsc::Sender<AgentEvent>,
    questions: &mut mpsc::Receiver<Read>,
) -> End {
    let mut session = Session {
        client,
        events,
        acknowledged: BTreeMap::new(),
        known: BTreeSet::new(),
        full_sync: None,
        writer: None,
        foreign: Vec::new(),
    };
    match session.run(hello.vpp, wanted, questions).await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

struct Session<'a> {
    client: &'a AgentClient,
    events: &'a mpsc::Sender<AgentEvent>,
    /// What VPP is known to have, by VIP: the specs whose last sync succeeded whole.
    acknowledged: BTreeMap<VipKey, Arc<VipSpec>>,
    /// VIPs that the last full sync was told of. One that is wanted no more needs another full sync, since
    /// that alone removes VIPs.
    known: BTreeSet<VipKey>,
    /// When to compare everything with VPP; `None` while VPP is away.
    full_sync: Option<Instant>,
    /// The other brain that writes to VPP, as the agent named it last.
    writer: Option<u64>,
    /// VIPs that the agent leaves alone, as it named them last.
    foreign: Vec<VipKey>,
}

impl Session<'_> {
    async fn run(
        &mut self,
        vpp: VppInfo,
        wanted: &mut watch::Receiver<Arc<Wanted>>,
        questions: &mut mpsc::Receiver<Read>,
    ) -> Result<std::convert::Infallible, End> {
        let mut seen = self.vpp_changed(vpp).await?;
        let mut change = self.wait_change(seen);
        let mut reads = FuturesUnordered::new();
        loop {
            tokio::select! {
                info = &mut change => {
                    let info = info?;
                    if info.generation != seen {
                        seen = self.vpp_changed(info).await?;
                    }
                    change = self.wait_change(seen);
                }
                () = wait_until(self.full_sync) => {
                    let target = Arc::clone(&wanted.borrow_and_update());
                    self.sync_everything(&target).await?;
                }
                changed = wanted.changed() => {
                    changed.map_err(|_| End::ControllerGone)?;
                    let target = Arc::clone(&wanted.borrow_and_update());
                    if self.full_sync.is_some() {
                        self.sync_changed(&target).await?;
                    }
                }
                question = questions.recv() => {
                    let question = question.ok_or(End::ControllerGone)?;
                    let call = self.client.lb_state(within(FULL));
                    reads.push(async move { drop(question.send(flatten(call.await))) });
                }
                Some(()) = reads.next() => {}
            }
        }
    }

    /// Waits on the agent's side until VPP comes, goes or restarts. It also tells when the agent is gone.
    fn wait_change(&self, seen: u64) -> BoxFuture<'static, Result<VppInfo, CallError>> {
        let client = self.client.clone();
        async move {
            loop {
                match client.wait_change(within(WAIT), seen).await.map_err(transport) {
                    // Late by a hair: the agent answers shortly before the deadline.
                    Err(CallError::Timeout) => {}
                    result => return result,
                }
            }
        }
        .boxed()
    }

    async fn vpp_changed(&mut self, info: VppInfo) -> Result<u64, End> {
        let generation = info.generation;
        self.acknowledged.clear();
        self.known.clear();
        match &info.state {
            VppState::Connected { version, pid, .. } => {
                info!(%version, pid, "VPP connected; syncing everything");
                self.full_sync = Some(Instant::now());
            }
            VppState::Disconnected { reason, .. } => {
                warn!(%reason, "VPP away");
                self.full_sync = None;
            }
            VppState::Incompatible { version, missing, needs } => {
                warn!(%version, ?missing, %needs, "VPP cannot be driven");
                self.full_sync = None;
            }
        }
        self.tell(AgentEvent::Vpp(info)).await?;
        Ok(generation)
    }

    async fn sync_everything(&mut self, target: &Wanted) -> Result<(), End> {
        let interval = target.sync_interval.mul_f64(0.9 + 0.2 * fastrand::f64());
        self.full_sync = Some(Instant::now() + interval);
        let specs: Vec<_> = target.vips.values().map(Arc::clone).collect();
        match flatten(self.client.lb_conf(within(CALL), target.conf).await) {
            Ok(report) if report.changed => {
                info!(before = ?report.before, now = ?report.now, "VPP's lb settings changed");
            }
            Ok(_) => {}
            // Tunnels may then have another source than wanted, but that is no reason not to follow failures.
            Err(error @ CallError::Agent(AgentError::Refused { .. })) => {
                warn!(%error, "VPP keeps its lb settings");
            }
            Err(error) => return self.failed(specs, error).await,
        }
        let whole = specs.iter().map(|spec| VipSpec::clone(spec)).collect();
        let keep: Vec<_> = target.keep.iter().copied().collect();
        self.known = target.vips.keys().chain(&target.keep).copied().collect();
        debug!(vips = specs.len(), held_back = keep.len(), "full sync");
        match flatten(self.client.sync_all(within(FULL), whole, keep).await) {
            Ok(report) => {
                for drift in &report.drift {
                    warn!(%drift, "VPP was not as it was left");
                }
                if self.foreign != report.foreign {
                    let vips: Vec<_> = report.foreign.iter().map(VipKey::to_string).collect();
                    info!(?vips, "VIPs outside the agent's policy: left alone");
                    self.foreign.clone_from(&report.foreign);
                }
                self.synced(specs, report).await
            }
            Err(error) => self.failed(specs, error).await,
        }
    }

    /// Syncs the VIPs whose wanted state is not the acknowledged one; everything, if a VIP is to go.
    async fn sync_changed(&mut self, target: &Wanted) -> Result<(), End> {
        if !self.known.iter().all(|key| target.vips.contains_key(key) || target.keep.contains(key)) {
            return self.sync_everything(target).await;
        }
        let stale = target.vips.values().filter(|spec| self.acknowledged.get(&spec.key) != Some(*spec));
        let stale: Vec<_> = stale.map(Arc::clone).collect();
        let client = self.client;
        let mut syncs = futures::stream::iter(stale)
            .map(|spec| async move {
                let result = client.sync_vip(within(CALL), VipSpec::clone(&spec), Demands::default());
                let result = flatten(result.await);
                (spec, result)
            })
            .buffer_unordered(SYNCS_IN_FLIGHT);
        while let Some((spec, result)) = syncs.next().await {
            self.known.insert(spec.key);
            match result {
                Ok(report) => self.synced(vec![spec], report).await?,
                Err(error) => self.failed(vec![spec], error).await?,
            }
        }
        Ok(())
    }

    async fn synced(&mut self, specs: Vec<Arc<VipSpec>>, report: SyncReport) -> Result<(), End> {
        if self.writer.take().is_some() {
            info!("the other brain is gone: this one writes to VPP now");
        }
        let refused: BTreeSet<VipKey> = report.errors().map(|(key, _)| *key).collect();
        for spec in &specs {
            if refused.contains(&spec.key) {
                self.acknowledged.remove(&spec.key);
            } else {
                self.acknowledged.insert(spec.key, Arc::clone(spec));
            }
        }
        for (vip, error) in report.errors() {
            warn!(%vip, step = %error.step, code = error.code, meaning = %error.meaning, "VPP refused");
        }
        self.tell(AgentEvent::Synced { specs, result: Ok(report) }).await
    }

    /// A call brought no answer. Unless the agent itself is gone, everything is compared with VPP soon: what
    /// became of a call without an answer is not known.
    async fn failed(&mut self, specs: Vec<Arc<VipSpec>>, error: CallError) -> Result<(), End> {
        if let CallError::Away(_) = error {
            return Err(error.into());
        }
        match &error {
            // The same refusal every second is worth one line.
            CallError::Agent(AgentError::AnotherWriter { instance, .. }) => {
                if self.writer.replace(*instance) != Some(*instance) {
                    warn!(%error, "VPP is not ours to write; waiting");
                }
            }
            _ => warn!(%error, "sync failed"),
        }
        for spec in &specs {
            self.acknowledged.remove(&spec.key);
        }
        if let Some(full_sync) = &mut self.full_sync {
            *full_sync = (*full_sync).min(Instant::now() + RETRY.mul_f64(1.0 + fastrand::f64()));
        }
        self.tell(AgentEvent::Synced { specs, result: Err(error.to_string()) }).await
    }

    async fn tell(&self, event: AgentEvent) -> Result<(), End> {
        self.events.send(event).await.map_err(|_| End::ControllerGone)
    }
}

async fn wait_until(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}
