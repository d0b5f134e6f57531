//! The queue of calls, and the handle that feeds it.

use std::future::Future;
use std::sync::Arc;

use maglev_protocol::{
    AgentError, ConfReport, Counters, Demands, LbConfSpec, LbState, Liveness, Programmed, SyncReport,
    VipSpec, VppInfo,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::link::Link;
use super::reads::Reads;
use crate::liveness::Silence;
use crate::reconcile::Wanted;

/// Maximum number of queued calls. When full, senders wait until their deadline; the server bounds how many
/// of those there are.
pub(super) const QUEUE: usize = 16;

pub(super) type Reply<T> = oneshot::Sender<Result<T, AgentError>>;

/// A call to the task.
#[derive(Debug)]
pub(super) enum Call {
    SyncVip(Box<(VipSpec, Demands, OwnedSemaphorePermit)>, Reply<SyncReport>),
    SyncAll(Box<(Wanted, OwnedSemaphorePermit)>, Reply<SyncReport>),
    Conf(LbConfSpec, Reply<ConfReport>),
    State(Reply<LbState>),
    /// Whether to include the servers' counters.
    Counters(bool, Reply<Counters>),
    Programmed(Reply<Programmed>),
}

impl Call {
    /// Answers with an error. The caller may have gone.
    pub(super) fn refuse(self, error: AgentError) {
        match self {
            Self::SyncVip(_, reply) | Self::SyncAll(_, reply) => drop(reply.send(Err(error))),
            Self::Conf(_, reply) => drop(reply.send(Err(error))),
            Self::State(reply) => drop(reply.send(Err(error))),
            Self::Counters(_, reply) => drop(reply.send(Err(error))),
            Self::Programmed(reply) => drop(reply.send(Err(error))),
        }
    }

    /// Whether the caller has gone. Its request may be outdated, and its successor will send a new one.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::SyncVip(_, reply) | Self::SyncAll(_, reply) => reply.is_closed(),
            Self::Conf(_, reply) => reply.is_closed(),
            Self::State(reply) => reply.is_closed(),
            Self::Counters(_, reply) => reply.is_closed(),
            Self::Programmed(reply) => reply.is_closed(),
        }
    }
}

/// A handle to VPP's task.
#[derive(Debug, Clone)]
pub struct Vpp {
    calls: mpsc::Sender<Call>,
    link: watch::Receiver<Link>,
    silence: watch::Receiver<Silence>,
    reads: Arc<Reads>,
}

impl Vpp {
    pub(super) fn new(
        calls: mpsc::Sender<Call>,
        link: watch::Receiver<Link>,
        silence: watch::Receiver<Silence>,
        reads: Arc<Reads>,
    ) -> Self {
        Self { calls, link, silence, reads }
    }

    /// Brings one VIP, which must be valid, to its desired state, and fulfils the explicit requests. The
    /// reserved memory is released when the call has been carried out, or dropped because its caller has
    /// gone.
    ///
    /// # Errors
    /// If VPP is unusable, or the connection breaks.
    pub async fn sync_vip(
        &self,
        wanted: VipSpec,
        demands: Demands,
        room: OwnedSemaphorePermit,
    ) -> Result<SyncReport, AgentError> {
        self.ask(|reply| Call::SyncVip(Box::new((wanted, demands, room)), reply)).await
    }

    /// Reads VPP in turn, and brings all VIPs to the desired state. The reserved memory is released as in
    /// [`Self::sync_vip`].
    ///
    /// # Errors
    /// If VPP is unusable, too many reads are waiting, or the connection breaks.
    pub async fn sync_all(
        &self,
        wanted: Wanted,
        room: OwnedSemaphorePermit,
    ) -> Result<SyncReport, AgentError> {
        let generation = self.must_be_usable()?;
        self.reads.turn().await?;
        // The desired state was decided for the previous connection.
        if self.must_be_usable()? != generation {
            let reason = "VPP reconnected before the read's turn".to_owned();
            return Err(AgentError::VppLost { reason });
        }
        self.ask(|reply| Call::SyncAll(Box::new((wanted, room)), reply)).await
    }

    /// Applies the global settings, which must be valid, where they differ.
    ///
    /// # Errors
    /// If VPP is unusable or refuses, or the connection breaks.
    pub async fn lb_conf(&self, wanted: LbConfSpec) -> Result<ConfReport, AgentError> {
        self.ask(|reply| Call::Conf(wanted, reply)).await
    }

    /// VPP's state, read now or for another caller a moment ago.
    ///
    /// # Errors
    /// If VPP is unusable, too many reads are waiting, or the connection breaks.
    pub async fn lb_state(&self) -> Result<LbState, AgentError> {
        self.must_be_usable()?;
        self.reads.state(|| self.ask(Call::State)).await
    }

    /// Reads the counters.
    ///
    /// # Errors
    /// If VPP or its stats segment is unusable, or the connection breaks.
    pub async fn counters(&self, servers: bool) -> Result<Counters, AgentError> {
        self.ask(|reply| Call::Counters(servers, reply)).await
    }

    /// What VPP is known to have.
    ///
    /// # Errors
    /// If VPP is unusable, or the connection breaks.
    pub async fn programmed(&self) -> Result<Programmed, AgentError> {
        self.ask(Call::Programmed).await
    }

    /// The current connection.
    pub fn info(&self) -> VppInfo {
        self.link.borrow().info()
    }

    /// Waits until the generation is not `seen`. Never returns if the task has ended.
    pub async fn change_from(&self, seen: u64) -> VppInfo {
        let mut link = self.link.clone();
        let changed = link.wait_for(|link| link.generation() != seen).await.map(|link| link.info());
        match changed {
            Ok(info) => info,
            Err(_) => std::future::pending().await,
        }
    }

    /// Whether VPP answers now.
    pub fn liveness(&self) -> Liveness {
        self.silence.borrow().liveness(Instant::now())
    }

    /// Waits until the generation of liveness is not `seen`. Never returns if the task has ended.
    pub async fn liveness_from(&self, seen: u64) -> Liveness {
        let mut silence = self.silence.clone();
        let changed = silence.wait_for(|silence| silence.generation() != seen).await;
        match changed.map(|silence| silence.liveness(Instant::now())) {
            Ok(liveness) => liveness,
            Err(_) => std::future::pending().await,
        }
    }

    /// The generation of the connection, if it is usable.
    fn must_be_usable(&self) -> Result<u64, AgentError> {
        let link = self.link.borrow();
        if link.is_usable() { Ok(link.generation()) } else { Err(link.error()) }
    }

    fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> impl Future<Output = Result<T, AgentError>> {
        let (reply, answer) = oneshot::channel();
        let call = call(reply);
        async move {
            let ending = AgentError::NoVpp { reason: "the agent is shutting down".to_owned() };
            self.calls.send(call).await.map_err(|_| ending)?;
            let given_up = AgentError::VppLost { reason: "the connection was closed".to_owned() };
            answer.await.unwrap_or(Err(given_up))
        }
    }
}
