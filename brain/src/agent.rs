//! The client of the agent: keeps VPP at the newest [`Wanted`].
//!
//! One task, for as long as the process. It may be aborted at any point: every call may be repeated, and what
//! VPP has stays. Only the newest wanted state counts: while a sync is under way, any number of changes
//! end in one sync per VIP. After a reconnect, and whenever VPP comes or goes, everything is synced anew. What is
//! sent, and when, [`Syncs`] decides.
//!
//! A second task, which ends with the first, takes echo requests to the agent: see `echoes`.

mod calls;
mod echoes;
mod session;
mod syncs;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use maglev_protocol::{Counters, LbState, Programmed, SyncReport, VipSpec, VppInfo};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::desired::{Demand, ViewId, Wanted};
use crate::probe::EchoAsk;

pub use calls::CallError;
pub use syncs::{Answer, Call, Sent, Syncs};

/// Longest pause between two attempts to connect.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Reads by operators that wait for the agent. One that finds the queue full is refused, since it would
/// only make the agent read VPP more often than is good for VPP's forwarding.
const READS: usize = 16;

/// What happened between brain, agent and VPP.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentEvent {
    /// The agent answers.
    Connected {
        /// Its product version.
        version: String,
    },
    /// The agent does not answer.
    Disconnected {
        /// Why not.
        reason: String,
    },
    /// VPP came, went or restarted, or is seen for the first time.
    Vpp {
        /// The connection to it.
        info: VppInfo,
        /// What it has, if it can be driven. Nothing is written to it before the controller has decided on this.
        programmed: Option<(ViewId, Programmed)>,
    },
    /// A sync of these VIPs ended.
    Synced {
        /// What was asked for.
        specs: Vec<Arc<VipSpec>>,
        /// The demand that was carried out with it.
        demanded: Option<Demand>,
        /// What came of it.
        result: Result<Arc<SyncReport>, CallError>,
    },
}

/// A question that VPP itself must answer.
#[derive(Debug)]
pub(crate) enum Read {
    LbState(oneshot::Sender<Result<LbState, CallError>>),
    Counters(oneshot::Sender<Result<Counters, CallError>>),
}

impl Read {
    fn refuse(self, error: CallError) {
        // An error means that the one who asked has gone.
        match self {
            Self::LbState(asker) => drop(asker.send(Err(error))),
            Self::Counters(asker) => drop(asker.send(Err(error))),
        }
    }
}

/// Asks the agent on behalf of operators.
#[derive(Debug, Clone)]
pub struct AgentReader {
    reads: mpsc::Sender<Read>,
}

impl AgentReader {
    /// What VPP has now. Makes the agent read VPP.
    pub async fn lb_state(&self) -> Result<LbState, CallError> {
        self.ask(Read::LbState).await
    }

    /// What VPP counts, and the figures of the servers as the agent read them last.
    pub async fn counters(&self) -> Result<Counters, CallError> {
        self.ask(Read::Counters).await
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<T, CallError>>) -> Read,
    ) -> Result<T, CallError> {
        let (asker, answer) = oneshot::channel();
        self.reads.try_send(question(asker)).map_err(|_| CallError::Busy)?;
        // The task drops the question if its connection breaks.
        answer.await.unwrap_or(Err(CallError::Away("the agent is not connected".to_owned())))
    }
}

/// Starts the client's task. Events go to `events`, whose queue is bounded by its owner; when it is full, the
/// task waits, and with it the next sync. What `asks` asks for is carried out beside the syncs, on `services`.
pub fn start(
    socket: PathBuf,
    instance: u64,
    wanted: watch::Receiver<Arc<Wanted>>,
    events: mpsc::Sender<AgentEvent>,
    asks: mpsc::Receiver<EchoAsk>,
    services: &Handle,
) -> (AgentReader, tokio::task::JoinHandle<()>) {
    let (reads, questions) = mpsc::channel(READS);
    let echoes = AbortOnDropHandle::new(services.spawn(echoes::run(socket.clone(), instance, asks)));
    let task = tokio::spawn(async move {
        run(socket, instance, wanted, events, questions).await;
        drop(echoes);
    });
    (AgentReader { reads }, task)
}

async fn run(
    socket: PathBuf,
    instance: u64,
    mut wanted: watch::Receiver<Arc<Wanted>>,
    events: mpsc::Sender<AgentEvent>,
    mut questions: mpsc::Receiver<Read>,
) {
    let mut failures = 0u32;
    let mut last_reason = None;
    let mut view = ViewId::default();
    loop {
        let error = match session::connect(&socket, instance, tarpc::client::Config::default()).await {
            Ok(session::Connection { client, hello, .. }) => {
                info!(agent = %socket.display(), version = %hello.version, "agent connected");
                failures = 0;
                let connected = AgentEvent::Connected { version: hello.version.clone() };
                if events.send(connected).await.is_err() {
                    return;
                }
                let session = session::Session { client: &client, events: &events, view: &mut view };
                session.run(hello, &mut wanted, &mut questions).await
            }
            Err(error) => error,
        };
        let reason = match error {
            session::End::ControllerGone => return,
            session::End::Agent(reason) => reason,
        };
        // The same reason again and again is worth one line.
        if last_reason.as_ref() != Some(&reason) {
            warn!(agent = %socket.display(), %reason, "agent away; VPP keeps what it has");
            last_reason = Some(reason.clone());
        }
        if events.send(AgentEvent::Disconnected { reason: reason.clone() }).await.is_err() {
            return;
        }
        let pause = sleep(backoff(failures, fastrand::f64()));
        failures = failures.saturating_add(1);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                question = questions.recv() => match question {
                    Some(question) => question.refuse(CallError::Away(reason.clone())),
                    None => return,
                },
            }
        }
    }
}

/// Pause before the next attempt: at once, then doubling from 100 ms to [`RETRY_MAX`], with half of it at
/// random so that many brains do not return in step.
fn backoff(failures: u32, random: f64) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let full = Duration::from_millis(100).saturating_mul(1 << failures.min(10)).min(RETRY_MAX);
    full.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests;
