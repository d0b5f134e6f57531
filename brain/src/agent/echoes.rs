//! Sends echo requests to the agent, over a connection of their own.
//!
//! The agent limits the requests a second that it reads from a connection, and tarpc limits those in flight:
//! on a shared connection, a sync would wait behind thousands of echo requests, or an echo request behind a
//! sync.
//!
//! One task that lives as long as the process; it connects when there is a request. It may be aborted at any
//! point: pending callers then get an error.

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

/// Calls in flight besides echo requests: hello.
const OTHERS: usize = 16;
/// Requests buffered between the callers and tarpc's task, which takes this many at once. When full, callers
/// wait.
const BUFFER: usize = 1024;
/// Minimum time between log lines of a kind of failure: thousands of probes may fail in a second, and each
/// backend shows its own failure anyway.
const QUIET: Duration = Duration::from_secs(600);

/// Serves the queue until its sending end is dropped.
pub(super) async fn run(socket: PathBuf, instance: u64, mut asks: mpsc::Receiver<EchoAsk>) {
    let mut log = FailureLog::default();
    let mut failures = 0u32;
    while let Some(ask) = asks.recv().await {
        let reason = match open(&socket, instance).await {
            Ok(connection) => {
                let Connection { client, task, .. } = connection;
                let mut service = Service { client, most: ECHOES, answered: false, log: &mut log };
                let reason = service.run(ask, &mut asks, task).await;
                // An agent that answers hello and nothing else is not reconnected to immediately again and
                // again.
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
    // tarpc's default of 1,000 would make other requests wait for the timeouts of dead targets. The agent
    // accepts 16,448 from a connection.
    config.max_in_flight_requests = ECHOES + OTHERS;
    config.pending_request_buffer = BUFFER;
    connect(socket, instance, config).await.map_err(|end| match end {
        End::Agent(reason) => reason,
        End::ControllerGone => "this process ends".to_owned(),
    })
}

/// Waits before the next attempt to connect; requests meanwhile fail with the reason. False when there are no
/// callers any more.
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
    /// Maximum number of requests in flight. Further ones are refused: queued, they would be answered too
    /// late.
    most: usize,
    /// Whether the agent has ever answered on it.
    answered: bool,
    log: &'a mut FailureLog,
}

impl Service<'_> {
    /// Sends requests to the agent until the connection ends; returns the reason.
    async fn run(
        &mut self,
        first: EchoAsk,
        asks: &mut mpsc::Receiver<EchoAsk>,
        mut connection: JoinHandle<()>,
    ) -> String {
        let mut in_flight = FuturesUnordered::new();
        // Exempt from tokio's cooperative budget: once that is spent, each of thousands of ready requests
        // would be polled in vain over and over.
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

/// Sends a request to the agent and delivers its answer; returns failures for the log.
async fn carry(client: AgentClient, ask: EchoAsk) -> Result<(), EchoFailure> {
    let EchoAsk { request, deadline, answer } = ask;
    let left = deadline.saturating_duration_since(Instant::now());
    // A request that timed out while the connection was made is not sent.
    let result = if left.is_zero() {
        Err(EchoFailure::Silent)
    } else {
        flatten(client.icmp_echo(within(left), request).await).map_err(failure)
    };
    let carried = result.as_ref().map(drop).map_err(EchoFailure::clone);
    // The probe may have been cancelled.
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

/// Logs each kind of failure at most once in [`QUIET`].
#[derive(Debug, Default)]
struct FailureLog {
    kinds: HashMap<Discriminant<EchoFailure>, Told>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    /// Failures since then that were not logged.
    more: u64,
}

impl FailureLog {
    fn tell(&mut self, failure: &EchoFailure, now: Instant) {
        if let Some(more) = self.due(failure, now) {
            warn!(%failure, more, "echo request not sent; its backend keeps its state");
        }
    }

    /// Whether this failure is logged now; if so, with the number of similar ones that were not.
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
