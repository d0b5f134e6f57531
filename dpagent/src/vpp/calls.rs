//! The queue of calls, and the handle that fills it.

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

/// Calls that wait for their turn. Who finds it full waits, until the call's deadline drops it; the server bounds
/// how many those are.
pub(super) const QUEUE: usize = 16;

pub(super) type Reply<T> = oneshot::Sender<Result<T, AgentError>>;

/// What the task is asked.
#[derive(Debug)]
pub(super) enum Call {
    SyncVip(Box<(VipSpec, Demands, OwnedSemaphorePermit)>, Reply<SyncReport>),
    SyncAll(Box<(Wanted, OwnedSemaphorePermit)>, Reply<SyncReport>),
    Conf(LbConfSpec, Reply<ConfReport>),
    State(Reply<LbState>),
    /// With the servers' figures, or without.
    Counters(bool, Reply<Counters>),
    Programmed(Reply<Programmed>),
}

impl Call {
    /// Answers with an error. Nobody may be there any more to hear it.
    pub(super) fn refuse(self, error: AgentError) {
        match self {
            Self::SyncVip(_, reply) | Self::SyncAll(_, reply) => drop(reply.send(Err(error))),
            Self::Conf(_, reply) => drop(reply.send(Err(error))),
            Self::State(reply) => drop(reply.send(Err(error))),
            Self::Counters(_, reply) => drop(reply.send(Err(error))),
            Self::Programmed(reply) => drop(reply.send(Err(error))),
        }
    }

    /// Whether the caller has gone. What it wanted may be long outdated: its successor will ask anew.
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

/// Asks VPP, through the task.
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

    /// Brings one VIP, which must be valid, to its wanted state, and does what is demanded beyond that. The room that it
    /// takes up is given back when it has been carried out, or dropped for a caller who has gone.
    ///
    /// # Errors
    /// Without a usable VPP, or when the connection breaks.
    pub async fn sync_vip(
        &self,
        wanted: VipSpec,
        demands: Demands,
        room: OwnedSemaphorePermit,
    ) -> Result<SyncReport, AgentError> {
        self.ask(|reply| Call::SyncVip(Box::new((wanted, demands, room)), reply)).await
    }

    /// Reads VPP when its turn comes, and brings all VIPs to the wanted state. The room is given back as that of one.
    ///
    /// # Errors
    /// Without a usable VPP, when too many reads wait for their turn, or when the connection breaks.
    pub async fn sync_all(
        &self,
        wanted: Wanted,
        room: OwnedSemaphorePermit,
    ) -> Result<SyncReport, AgentError> {
        let generation = self.must_be_usable()?;
        self.reads.turn().await?;
        // What is wanted was decided on what VPP had before.
        if self.must_be_usable()? != generation {
            let reason = "it was connected anew before the read's turn came".to_owned();
            return Err(AgentError::VppLost { reason });
        }
        self.ask(|reply| Call::SyncAll(Box::new((wanted, room)), reply)).await
    }

    /// Sets the global settings, which must be valid, where they differ.
    ///
    /// # Errors
    /// Without a usable VPP, when VPP refuses, or when the connection breaks.
    pub async fn lb_conf(&self, wanted: LbConfSpec) -> Result<ConfReport, AgentError> {
        self.ask(|reply| Call::Conf(wanted, reply)).await
    }

    /// What VPP has, as of now or of a read for another caller a moment ago.
    ///
    /// # Errors
    /// Without a usable VPP, when too many reads wait for their turn, or when the connection breaks.
    pub async fn lb_state(&self) -> Result<LbState, AgentError> {
        self.must_be_usable()?;
        self.reads.state(|| self.ask(Call::State)).await
    }

    /// Counts.
    ///
    /// # Errors
    /// Without a usable VPP or stats segment, or when the connection breaks.
    pub async fn counters(&self, servers: bool) -> Result<Counters, AgentError> {
        self.ask(|reply| Call::Counters(servers, reply)).await
    }

    /// What VPP is remembered to have.
    ///
    /// # Errors
    /// Without a usable VPP, or when the connection breaks.
    pub async fn programmed(&self) -> Result<Programmed, AgentError> {
        self.ask(Call::Programmed).await
    }

    /// The connection now.
    pub fn info(&self) -> VppInfo {
        self.link.borrow().info()
    }

    /// Waits for another generation than `seen`. Never returns if the task has ended.
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

    /// Waits for another generation of that than `seen`. Never returns if the task has ended.
    pub async fn liveness_from(&self, seen: u64) -> Liveness {
        let mut silence = self.silence.clone();
        let changed = silence.wait_for(|silence| silence.generation() != seen).await;
        match changed.map(|silence| silence.liveness(Instant::now())) {
            Ok(liveness) => liveness,
            Err(_) => std::future::pending().await,
        }
    }

    /// The generation of a usable connection.
    fn must_be_usable(&self) -> Result<u64, AgentError> {
        let link = self.link.borrow();
        if link.is_usable() { Ok(link.generation()) } else { Err(link.error()) }
    }

    fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> impl Future<Output = Result<T, AgentError>> {
        let (reply, answer) = oneshot::channel();
        let call = call(reply);
        async move {
            let ending = AgentError::NoVpp { reason: "the agent is ending".to_owned() };
            self.calls.send(call).await.map_err(|_| ending)?;
            let given_up = AgentError::VppLost { reason: "the connection was given up".to_owned() };
            answer.await.unwrap_or(Err(given_up))
        }
    }
}
