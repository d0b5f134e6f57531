//! The ICMP echo of a probe. The agent sends it, since only the agent may.
//!
//! A probe leaves an [`EchoAsk`] in a queue and waits for the answer. Whatever keeps the agent from sending says
//! nothing of the backend, and ends in [`ProbeCode::SockErr`]: an agent that restarts takes no site down.

use std::net::IpAddr;
use std::time::Duration;

use maglev_protocol::{EchoOutcome, EchoRequest, MAX_ECHO_SIZE, MAX_ECHO_TIMEOUT, MIN_ECHO_SIZE};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::ProbeCode;

/// Requests that wait to be taken to the agent; further ones are refused at once, and their backends keep their
/// state. They wait only while there is no connection yet or this process lags: it is as many as the agent has in
/// flight, 8,192 of each address family.
pub const ECHOES: usize = 16_384;
/// Payload in bytes. With ICMP's header it makes the 64 bytes that `ping` sends: what firewalls are tried with.
const SIZE: u16 = 56;
const _: () = assert!(MIN_ECHO_SIZE <= SIZE && SIZE <= MAX_ECHO_SIZE);
/// The part of a probe's time that is kept for the way to the agent and back, and the longest that this may be: when
/// the agent's own wait ends, its word of it must still arrive in time, or a dead backend would never be known as such.
/// The agent itself may be 100 ms late when it is flooded.
const MARGIN: (f64, Duration) = (0.1, Duration::from_millis(200));

/// One echo request, and where its answer goes. Dropping it tells that the connection to the agent broke.
#[derive(Debug)]
pub struct EchoAsk {
    /// What the agent shall send.
    pub request: EchoRequest,
    /// When nobody waits for the answer any more.
    pub deadline: Instant,
    /// Who waits.
    pub answer: oneshot::Sender<Result<EchoOutcome, EchoFailure>>,
}

/// Why the agent sent no echo request, or what became of one is not known. Says nothing of the target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EchoFailure {
    /// There is no connection to the agent, or it broke.
    #[error("the agent is away: {0}")]
    Away(String),
    /// The agent has the request, and says nothing.
    #[error("the agent did not answer in time")]
    Silent,
    /// More than this process or the agent takes. The next one may go through.
    #[error("{0}")]
    TooMany(String),
    /// The agent's policy does not have the target.
    #[error("{0}: add one to that list and restart the agent")]
    NotAllowed(String),
    /// The agent cannot send it.
    #[error("{0}")]
    Refused(String),
}

/// Takes echo requests to whoever has the queue's other end. Clones share it.
#[derive(Debug, Clone)]
pub struct EchoSender(mpsc::Sender<EchoAsk>);

/// The two ends of a queue of [`ECHOES`].
pub fn echo_queue() -> (EchoSender, mpsc::Receiver<EchoAsk>) {
    let (sender, asks) = mpsc::channel(ECHOES);
    (EchoSender(sender), asks)
}

impl EchoSender {
    /// Asks, and waits for what comes of it until the deadline.
    pub(crate) async fn ask(
        &self,
        request: EchoRequest,
        deadline: Instant,
    ) -> Result<EchoOutcome, EchoFailure> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(EchoAsk { request, deadline, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                EchoFailure::TooMany(format!("too many echo requests wait: at most {ECHOES} may"))
            }
            mpsc::error::TrySendError::Closed(_) => EchoFailure::Away("this process ends".to_owned()),
        })?;
        match timeout_at(deadline, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(EchoFailure::Away("the connection to it broke".to_owned())),
            Err(_) => Err(EchoFailure::Silent),
        }
    }
}

/// Asks the target for an echo, from `source` if given. A reply comes with its round trip.
pub(super) async fn echo(
    echoes: &EchoSender,
    target: IpAddr,
    source: Option<IpAddr>,
    deadline: Instant,
) -> (ProbeCode, String, Option<Duration>) {
    let timeout = wait(deadline.saturating_duration_since(Instant::now()));
    let request = EchoRequest { target, source, timeout, size: SIZE };
    match echoes.ask(request, deadline).await {
        Ok(EchoOutcome::Reply { round_trip }) => {
            let detail = format!("echo reply after {:.2} ms", round_trip.as_secs_f64() * 1e3);
            (ProbeCode::L4Ok, detail, Some(round_trip))
        }
        Ok(EchoOutcome::TimedOut) => (ProbeCode::L4Tout, "no echo reply in time".to_owned(), None),
        Ok(EchoOutcome::Unreachable { from, meaning, .. }) => {
            (ProbeCode::L4Con, format!("{meaning}, says {from}"), None)
        }
        Ok(EchoOutcome::NoRoute { reason }) => (ProbeCode::L4Con, reason, None),
        Ok(EchoOutcome::NotSent { reason }) => (ProbeCode::SockErr, format!("not probed: {reason}"), None),
        Err(failure) => (ProbeCode::SockErr, format!("not probed: {failure}"), None),
    }
}

/// How long the agent shall wait for a reply when the probe has so much time left.
fn wait(left: Duration) -> Duration {
    let (part, longest) = MARGIN;
    left.saturating_sub(left.mul_f64(part).min(longest)).min(MAX_ECHO_TIMEOUT)
}

#[cfg(test)]
mod tests;
