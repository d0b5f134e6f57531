//! Takes echo requests to the agent, over a connection of their own.
//!
//! The agent reads no more than so many requests in a second from a connection, and tarpc has so many in flight and
//! no more: on a connection shared with them, a sync would wait behind thousands of echo requests. So that no sync
//! does, and no echo request behind a sync, they have nothing in common.
//!
//! One task, for as long as the process; it connects when there is something to ask. It may be aborted at any point:
//! whoever waits for an answer then learns that none will come.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use maglev_daemon::retry::backoff;
use maglev_engine::agent::CallError;
use maglev_probe::EchoFailure;
use maglev_protocol::{AgentClient, AgentError};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, unconstrained};
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::calls::{flatten, within};
use super::session::{Connection, End, connect};
use super::{ECHOES, EchoAsk};

/// Calls in flight beside echo requests: the hello.
const OTHERS: usize = 16;
/// Requests between a caller and tarpc's task, beyond which callers wait: so many are taken at once.
const BUFFER: usize = 1024;
/// How long nothing more is logged of a kind of failure that comes again and again: thousands of probes may fail in a
/// second, and each backend shows its own failure anyhow.
const QUIET: Duration = Duration::from_secs(600);

/// Serves the queue until its other end is gone.
pub(super) async fn run(socket: PathBuf, instance: u64, mut asks: mpsc::Receiver<EchoAsk>) {
    let mut log = FailureLog::default();
    let mut failures = 0u32;
    while let Some(ask) = asks.recv().await {
        let reason = match open(&socket, instance).await {
            Ok(connection) => {
                let Connection { client, task, .. } = connection;
                let mut service = Service { client, most: ECHOES, answered: false, log: &mut log };
                let reason = service.run(ask, &mut asks, task).await;
                // One that answers hello and nothing else is not to be connected to again and again at once.
                failures = if service.answered { 0 } else { failures.saturating_add(1) };
                reason
            }
            Err(reason) => {
                failures = failures.saturating_add(1);
                let failure = EchoFailure::Away(reason.clone());
                log.tell(&failure, Instant::now());
                drop(ask.answer.send(Err(failure)));
                reason
            }
        };
        debug!(%reason, "no connection for echo requests");
        if !pause(failures, &reason, &mut asks).await {
            return;
        }
    }
}

async fn open(socket: &Path, instance: u64) -> Result<Connection, String> {
    let mut config = tarpc::client::Config::default();
    // tarpc's 1,000 would keep the others waiting for the deadline of those whose target is dead. The agent takes
    // 16,448 from a connection.
    config.max_in_flight_requests = ECHOES + OTHERS;
    config.pending_request_buffer = BUFFER;
    connect(socket, instance, config).await.map_err(|end| match end {
        End::Agent(reason) => reason,
        End::ControllerGone => "this process ends".to_owned(),
    })
}

/// Waits before the next attempt to connect; whoever asks meanwhile learns why there is no connection. False when
/// nobody can ask any more.
async fn pause(failures: u32, reason: &str, asks: &mut mpsc::Receiver<EchoAsk>) -> bool {
    let pause = sleep(backoff(failures));
    tokio::pin!(pause);
    loop {
        tokio::select! {
            () = &mut pause => return true,
            ask = asks.recv() => match ask {
                Some(ask) => drop(ask.answer.send(Err(EchoFailure::Away(reason.to_owned())))),
                None => return false,
            },
        }
    }
}

/// One connection.
struct Service<'a> {
    client: AgentClient,
    /// Requests in flight. Further ones are refused: waiting for a place would only make their answer come too late.
    most: usize,
    /// Whether the agent ever said anything on it.
    answered: bool,
    log: &'a mut FailureLog,
}

impl Service<'_> {
    /// Takes requests to the agent until the connection ends, and says why it did.
    async fn run(
        &mut self,
        first: EchoAsk,
        asks: &mut mpsc::Receiver<EchoAsk>,
        mut connection: JoinHandle<()>,
    ) -> String {
        let mut in_flight = FuturesUnordered::new();
        // Not counted by tokio's budget for a task: once that is spent, each of thousands that are ready would be
        // polled in vain again and again.
        let carry = |client: &AgentClient, ask| unconstrained(carry(client.clone(), ask));
        in_flight.push(carry(&self.client, first));
        loop {
            tokio::select! {
                Some(carried) = in_flight.next() => {
                    self.answered |= !matches!(carried, Err(EchoFailure::Away(_) | EchoFailure::Silent));
                    if let Err(failure) = carried {
                        self.log.tell(&failure, Instant::now());
                    }
                }
                ask = asks.recv() => match ask {
                    Some(ask) if in_flight.len() < self.most => in_flight.push(carry(&self.client, ask)),
                    Some(ask) => {
                        let failure = EchoFailure::TooMany(format!(
                            "too many echo requests are in flight: at most {} may be",
                            self.most
                        ));
                        self.log.tell(&failure, Instant::now());
                        drop(ask.answer.send(Err(failure)));
                    }
                    None => return "this process ends".to_owned(),
                },
                _ = &mut connection => return "the agent closed the connection".to_owned(),
            }
        }
    }
}

/// Asks the agent, passes its answer on, and tells what went wrong.
async fn carry(client: AgentClient, ask: EchoAsk) -> Result<(), EchoFailure> {
    let EchoAsk { request, deadline, answer } = ask;
    let left = deadline.saturating_duration_since(Instant::now());
    // One that waited until now while the connection was made is not sent: nobody waits for its answer.
    let result = if left.is_zero() {
        Err(EchoFailure::Silent)
    } else {
        flatten(client.icmp_echo(within(left), request).await).map_err(failure)
    };
    let carried = result.as_ref().map(drop).map_err(EchoFailure::clone);
    // The probe may have been given up.
    drop(answer.send(result));
    carried
}

fn failure(error: CallError) -> EchoFailure {
    match error {
        CallError::Away(reason) => EchoFailure::Away(reason),
        CallError::Timeout => EchoFailure::Silent,
        CallError::Busy => EchoFailure::TooMany(
            "more requests are in flight than the agent takes from a connection".to_owned(),
        ),
        CallError::Agent(error @ AgentError::TooMany { .. }) => EchoFailure::TooMany(format!(
            "the agent says: {error} (probe less often, or raise `echo-requests-per-second` in its policy)"
        )),
        CallError::Agent(error @ AgentError::NotAllowed { .. }) => EchoFailure::NotAllowed(error.to_string()),
        CallError::Agent(error) => EchoFailure::Refused(error.to_string()),
    }
}

/// Logs each kind of failure now and then.
#[derive(Debug, Default)]
struct FailureLog {
    kinds: HashMap<Discriminant<EchoFailure>, Told>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    /// Failures since then, which were not logged.
    more: u64,
}

impl FailureLog {
    fn tell(&mut self, failure: &EchoFailure, now: Instant) {
        if let Some(more) = self.due(failure, now) {
            warn!(%failure, more, "an echo request was not made; its backend keeps its state");
        }
    }

    /// Whether this failure is worth a line; if so, how many like it had none.
    fn due(&mut self, failure: &EchoFailure, now: Instant) -> Option<u64> {
        let kind = discriminant(failure);
        match self.kinds.get_mut(&kind) {
            Some(told) if now.saturating_duration_since(told.at) < QUIET => {
                told.more += 1;
                None
            }
            told => {
                let more = told.map_or(0, |told| told.more);
                self.kinds.insert(kind, Told { at: now, more: 0 });
                Some(more)
            }
        }
    }
}

#[cfg(test)]
mod tests;
