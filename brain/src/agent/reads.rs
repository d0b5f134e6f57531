//! Operators' requests for VPP's state, over a connection of their own.
//!
//! Decoding the state of 20,000 servers takes milliseconds, which would delay probes on the controller's
//! thread. So it is requested and decoded on another thread, and no sync waits for its frames.
//!
//! One task that lives as long as the process; it connects when there is a request. It may be aborted at any
//! point: pending callers then get an error.

use std::path::{Path, PathBuf};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use maglev_daemon::retry::backoff;
use maglev_engine::agent::CallError;
use maglev_protocol::{AgentClient, Counters, LbState};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::debug;

use super::calls::{FULL, flatten, within};
use super::session::{Connection, End, connect};

/// Maximum number of queued requests. Further ones are refused, since each makes the agent read VPP, which
/// holds up VPP's forwarding.
const WAITING: usize = 16;
/// Maximum number of requests in flight. The agent answers one at a time, and most of its quota of 64 calls
/// to VPP is left to syncs.
const AT_ONCE: usize = 8;

/// A request that needs VPP's answer.
#[derive(Debug)]
pub(super) enum Read {
    LbState(oneshot::Sender<Result<LbState, CallError>>),
    Counters(oneshot::Sender<Result<Counters, CallError>>),
}

impl Read {
    async fn ask(self, client: AgentClient) -> Result<(), CallError> {
        match self {
            Self::LbState(asker) => pass_on(flatten(client.lb_state(within(FULL)).await), asker),
            Self::Counters(asker) => pass_on(flatten(client.counters(within(FULL), true).await), asker),
        }
    }

    fn refuse(self, error: CallError) {
        // Fails only if the caller has gone.
        match self {
            Self::LbState(asker) => drop(asker.send(Err(error))),
            Self::Counters(asker) => drop(asker.send(Err(error))),
        }
    }
}

fn pass_on<T>(
    result: Result<T, CallError>,
    asker: oneshot::Sender<Result<T, CallError>>,
) -> Result<(), CallError> {
    let passed = result.as_ref().map(drop).map_err(CallError::clone);
    // Fails only if the caller has gone.
    drop(asker.send(result));
    passed
}

/// Sends operators' requests to the agent.
#[derive(Debug, Clone)]
pub struct AgentReader {
    reads: mpsc::Sender<Read>,
}

impl AgentReader {
    /// VPP's current state. Makes the agent read VPP.
    pub async fn lb_state(&self) -> Result<LbState, CallError> {
        self.ask(Read::LbState).await
    }

    /// VPP's counters, with those of the servers as last read by the agent.
    pub async fn counters(&self) -> Result<Counters, CallError> {
        self.ask(Read::Counters).await
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<T, CallError>>) -> Read,
    ) -> Result<T, CallError> {
        let (asker, answer) = oneshot::channel();
        self.reads.try_send(question(asker)).map_err(|_| CallError::Busy)?;
        // The task drops the request if its connection breaks.
        answer.await.unwrap_or_else(|_| Err(CallError::Away("the agent is not connected".to_owned())))
    }
}

pub(super) fn queue() -> (AgentReader, mpsc::Receiver<Read>) {
    let (reads, questions) = mpsc::channel(WAITING);
    (AgentReader { reads }, questions)
}

/// Serves the queue until its sending end is dropped.
pub(super) async fn run(socket: PathBuf, instance: u64, mut questions: mpsc::Receiver<Read>) {
    let mut failures = 0u32;
    while let Some(first) = questions.recv().await {
        let (answered, reason) = match open(&socket, instance).await {
            Ok(connection) => serve(connection, first, &mut questions).await,
            Err(reason) => {
                first.refuse(CallError::Away(reason.clone()));
                (false, reason)
            }
        };
        // An agent that answers hello and nothing else is not reconnected to immediately again and again.
        failures = if answered { 0 } else { failures.saturating_add(1) };
        debug!(%reason, "no connection for reads");
        if !pause(failures, &reason, &mut questions).await {
            return;
        }
    }
}

async fn open(socket: &Path, instance: u64) -> Result<Connection, String> {
    connect(socket, instance, tarpc::client::Config::default()).await.map_err(|end| match end {
        End::Agent(reason) => reason,
        End::ControllerGone => "this process ends".to_owned(),
    })
}

/// Sends requests until the connection ends. Returns whether the agent ever answered, and why the connection
/// ended.
async fn serve(
    Connection { client, task, .. }: Connection,
    first: Read,
    questions: &mut mpsc::Receiver<Read>,
) -> (bool, String) {
    let mut connection: JoinHandle<()> = task;
    let mut asked = FuturesUnordered::new();
    asked.push(first.ask(client.clone()));
    let mut answered = false;
    let reason = loop {
        tokio::select! {
            Some(passed) = asked.next() => {
                answered |= !matches!(passed, Err(CallError::Away(_) | CallError::Timeout));
            }
            question = questions.recv(), if asked.len() < AT_ONCE => match question {
                Some(question) => asked.push(question.ask(client.clone())),
                None => break "this process ends".to_owned(),
            },
            _ = &mut connection => break "the agent closed the connection".to_owned(),
        }
    };
    (answered, reason)
}

/// Waits before the next attempt to connect; requests meanwhile fail with the reason. False when there are no
/// callers any more.
async fn pause(failures: u32, reason: &str, questions: &mut mpsc::Receiver<Read>) -> bool {
    let pause = sleep(backoff(failures));
    tokio::pin!(pause);
    loop {
        tokio::select! {
            () = &mut pause => return true,
            question = questions.recv() => match question {
                Some(question) => question.refuse(CallError::Away(reason.to_owned())),
                None => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests;
